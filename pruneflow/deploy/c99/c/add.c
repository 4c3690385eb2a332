/* output = clamp(left + right) */
static void add(
    const float *left, const float *right, float *output, uint32_t size, float low, float high)
{
    for (uint32_t i = 0; i < size; i++) output[i] = clamp(left[i] + right[i], low, high);
}

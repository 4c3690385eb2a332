static void clamp_all(const float *input, float *output, uint32_t size, float low, float high)
{
    for (uint32_t i = 0; i < size; i++) output[i] = clamp(input[i], low, high);
}

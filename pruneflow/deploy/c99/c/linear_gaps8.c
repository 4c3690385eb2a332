/* output = clamp(weights x input + bias): counts[r] weights of row r, each with the number of
 * columns skipped before it. */
static void @name@(
    uint32_t rows, const @count@ *counts, const uint8_t *index, const @value@ *values,@scales@
    const float *bias, float low, float high, const float *input, float *output)
{
    for (uint32_t r = 0; r < rows; r++) {
        const float *next = input;
        float sum = 0.0f;
        for (uint32_t left = counts[r]; left > 0; left--) {
            next += *index++;
            sum += @read@ * *next++;
        }
        output[r] = clamp(sum@scaled@ + (bias ? bias[r] : 0.0f), low, high);
    }
}

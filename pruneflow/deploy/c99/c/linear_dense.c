/* output = clamp(weights x input + bias): every weight of each row. */
static void @name@(
    uint32_t rows, uint32_t columns, const @value@ *values,@scales@
    const float *bias, float low, float high, const float *input, float *output)
{
    for (uint32_t r = 0; r < rows; r++) {
        float sum = 0.0f;
        for (uint32_t c = 0; c < columns; c++) sum += @read@ * input[c];
        output[r] = clamp(sum@scaled@ + (bias ? bias[r] : 0.0f), low, high);
    }
}

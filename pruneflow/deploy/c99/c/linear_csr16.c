/* output = clamp(weights x input + bias): counts[r] weights of row r, each with its column. */
static void @name@(
    uint32_t rows, const @count@ *counts, const uint16_t *index, const @value@ *values,@scales@
    const float *bias, float low, float high, const float *input, float *output)
{
    for (uint32_t r = 0; r < rows; r++) {
        uint32_t left = counts[r];
        float sum = 0.0f, second = 0.0f, third = 0.0f, fourth = 0.0f;
        for (; left >= 4; left -= 4) {
            sum += @read@ * input[index[0]];
            second += @read@ * input[index[1]];
            third += @read@ * input[index[2]];
            fourth += @read@ * input[index[3]];
            index += 4;
        }
        for (; left > 0; left--) sum += @read@ * input[*index++];
        sum = (sum + second) + (third + fourth);
        output[r] = clamp(sum@scaled@ + (bias ? bias[r] : 0.0f), low, high);
    }
}

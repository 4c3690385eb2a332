/* Sums of each row's bias and weights times input, finished: counts[r] weights, each with its
 * column. */
static void @name@(
    uint32_t rows, const @count@ *counts, const uint16_t *index, const int8_t *values,
    const int32_t *bias,@parameters@
    const int8_t *input, @output@ *output)
{
    for (uint32_t r = 0; r < rows; r++) {
        uint32_t left = counts[r];
        int32_t sum = bias[r];
        for (; left >= 4; left -= 4) {
            sum += (int32_t)values[0] * input[index[0]];
            sum += (int32_t)values[1] * input[index[1]];
            sum += (int32_t)values[2] * input[index[2]];
            sum += (int32_t)values[3] * input[index[3]];
            values += 4;
            index += 4;
        }
        for (; left > 0; left--) sum += (int32_t)*values++ * input[*index++];
        @finish@
    }
}

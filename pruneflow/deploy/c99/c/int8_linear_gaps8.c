/* Sums of each row's bias and weights times input, finished: counts[r] weights, each with the
 * number of columns skipped before it. */
static void @name@(
    uint32_t rows, const @count@ *counts, const uint8_t *index, const int8_t *values,
    const int32_t *bias,@parameters@
    const int8_t *input, @output@ *output)
{
    for (uint32_t r = 0; r < rows; r++) {
        const int8_t *next = input;
        int32_t sum = bias[r];
        for (uint32_t left = counts[r]; left > 0; left--) {
            next += *index++;
            sum += (int32_t)*values++ * *next++;
        }
        @finish@
    }
}

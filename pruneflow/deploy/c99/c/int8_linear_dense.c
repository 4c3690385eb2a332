/* Sums of each row's bias and weights times input, finished. */
static void @name@(
    uint32_t rows, uint32_t columns, const int8_t *values, const int32_t *bias,@parameters@
    const int8_t *input, @output@ *output)
{
    for (uint32_t r = 0; r < rows; r++) {
        int32_t sum = bias[r];
        for (uint32_t c = 0; c < columns; c++) sum += (int32_t)*values++ * input[c];
        @finish@
    }
}

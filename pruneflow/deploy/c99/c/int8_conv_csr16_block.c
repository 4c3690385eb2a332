/* to = the bias and count weights times @block@ neighbouring inputs, each as far on as index says,
 * finished. */
static void @name@(
    uint32_t count, const uint16_t *index, const int8_t *values, const int8_t *input,@steps@
    const int8_row *restrict row,@other@ int8_t *to)
{
    @sums@
    for (; count > 0; count--) {
        const int8_t *at = input + *index++;
        const int32_t weight = *values++;
        @adds@
    }
    @stores@
}

/* to = the bias and count weights times @block@ neighbouring inputs, finished; index has the number
 * of weights skipped before each, which are ordered by the kernel's places, then by channels. */
static void @name@(
    const conv_shape *c, uint32_t count, const uint8_t *index, const int8_t *values,
    const int8_t *input,@steps@ const int8_row *restrict row,@other@ int8_t *to)
{
    uint32_t channel = 0, column = 0;
    @sums@
    for (; count > 0; count--) {
        const int32_t weight = *values++;
        const int8_t *at;
        channel += *index++;
        while (channel >= c->channels) {
            channel -= c->channels;
            input += c->right;
            if (++column == c->kernel_width) {
                column = 0;
                input += c->down;
            }
        }
        at = input + channel++ * c->plane;
        @adds@
    }
    @stores@
}

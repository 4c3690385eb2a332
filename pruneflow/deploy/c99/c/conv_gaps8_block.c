/* to += count weights times @block@ neighbouring inputs; index has the number of weights
 * skipped before each, which are ordered by the kernel's places, then by channels. */
static void @name@(
    const conv_shape *c, uint32_t count, const uint8_t *index, const @value@ *values,
    const float *input,@steps@@factor@ float *to)
{
    uint32_t channel = 0, column = 0;
    @sums@
    for (; count > 0; count--) {
        const float weight = @read@, *at;
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

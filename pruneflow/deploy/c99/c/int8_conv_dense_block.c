/* to = the bias and every weight times @block@ neighbouring inputs, finished. */
static void @name@(
    const conv_shape *c, const int8_t *values, const int8_t *input,@steps@
    const int8_row *restrict row,@other@ int8_t *to)
{
    @sums@
    for (uint32_t rows = c->kernel_height; rows > 0; rows--) {
        for (uint32_t columns = c->kernel_width; columns > 0; columns--) {
            const int8_t *at = input;
            for (uint32_t left = c->channels; left > 0; left--) {
                const int32_t weight = *values++;
                @adds@
                at += c->plane;
            }
            input += c->right;
        }
        input += c->down;
    }
    @stores@
}

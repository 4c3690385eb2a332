/* to += every weight times @lanes@ neighbouring inputs. */
static void @name@(
    const conv_shape *c, const @value@ *values, const float *input,@step@@factor@ float *to)
{
    @sums@
    for (uint32_t row = c->kernel_height; row > 0; row--) {
        for (uint32_t column = c->kernel_width; column > 0; column--) {
            const float *at = input;
            for (uint32_t left = c->channels; left > 0; left--) {
                const float weight = @read@;
                @adds@
                at += c->plane;
            }
            input += c->right;
        }
        input += c->down;
    }
    @stores@
}

/* to += every weight times @block@ neighbouring inputs. */
static void @name@(
    const conv_shape *c, const @value@ *values, const float *input,@steps@@factor@ float *to)
{
    @sums@
    for (uint32_t rows = c->kernel_height; rows > 0; rows--) {
        for (uint32_t columns = c->kernel_width; columns > 0; columns--) {
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

/* One output plane. */
static void @name@(
    const conv_shape *c,@counted@
    const @value@ *values, const float *input,@factor@ float *to)
{
    for (uint32_t rows = c->out_height; rows > 0; rows--) {
        uint32_t x = 0;
@calls@
        input += c->row;
        to += c->out_pitch;
    }
}

/* One output plane. */
static void @name@(
    const conv_shape *c,@counted@
    const @value@ *values, const float *input,@factor@ float *to)
{
    uint32_t x = 0;
    @calls@
}

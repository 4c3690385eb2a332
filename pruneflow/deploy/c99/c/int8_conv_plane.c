/* One output plane. */
static void @name@(
    const conv_shape *c,@counted@
    const int8_t *values, const int8_t *input, const int8_row *row,@other@ int8_t *to)
{
    uint32_t x = 0;
    @calls@
}

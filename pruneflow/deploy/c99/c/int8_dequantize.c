/* Numbers of bytes. */
static void int8_dequantize(
    const int8_t *from, uint32_t pitch, float *to, uint32_t rows, uint32_t columns, float scale,
    int32_t zero)
{
    for (; rows > 0; rows--) {
        for (uint32_t i = 0; i < columns; i++) *to++ = (float)(from[i] - zero) * scale;
        from += pitch;
    }
}

static void int8_copy(
    const int8_t *from, uint32_t from_pitch, int8_t *to, uint32_t pitch, uint32_t rows,
    uint32_t columns)
{
    for (; rows > 0; rows--) {
        for (uint32_t i = 0; i < columns; i++) to[i] = from[i];
        from += from_pitch;
        to += pitch;
    }
}

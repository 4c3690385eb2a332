static void copy(
    const float *from, uint32_t from_pitch, float *to, uint32_t pitch, uint32_t rows,
    uint32_t columns)
{
    for (; rows > 0; rows--) {
        for (uint32_t i = 0; i < columns; i++) to[i] = from[i];
        from += from_pitch;
        to += pitch;
    }
}

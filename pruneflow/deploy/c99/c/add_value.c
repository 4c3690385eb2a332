static void add_value(float *to, uint32_t rows, uint32_t columns, uint32_t pitch, float value)
{
    for (; rows > 0; rows--) {
        for (uint32_t i = 0; i < columns; i++) to[i] += value;
        to += pitch;
    }
}

/* The byte of 0 around and between the planes of a map that starts with its frame. */
static void int8_clear_frame(
    int8_t *to, uint32_t planes, uint32_t rows, uint32_t columns, uint32_t frame_rows,
    uint32_t frame_columns, int8_t zero)
{
    const uint32_t pitch = columns + frame_columns;
    uint32_t zeros = frame_rows * pitch + frame_columns;
    for (;;) {
        for (; zeros > 0; zeros--) *to++ = zero;
        if (planes == 0) break;
        planes--;
        for (uint32_t row = rows; row > 0; row--) {
            to += columns;
            for (uint32_t i = frame_columns; i > 0; i--) *to++ = zero;
        }
        zeros = frame_rows * pitch;
    }
}

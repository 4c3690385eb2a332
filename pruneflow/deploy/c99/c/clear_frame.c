/* Zeros around and between the planes of a map that starts with its frame. */
static void clear_frame(
    float *to, uint32_t planes, uint32_t rows, uint32_t columns, uint32_t frame_rows,
    uint32_t frame_columns)
{
    const uint32_t pitch = columns + frame_columns;
    uint32_t zeros = frame_rows * pitch + frame_columns;
    for (;;) {
        for (; zeros > 0; zeros--) *to++ = 0.0f;
        if (planes == 0) break;
        planes--;
        for (uint32_t row = rows; row > 0; row--) {
            to += columns;
            for (uint32_t i = frame_columns; i > 0; i--) *to++ = 0.0f;
        }
        zeros = frame_rows * pitch;
    }
}

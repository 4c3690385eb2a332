/* Bytes of numbers, rounded to the nearest; factor is 65536 / scale. There is one product of floats
 * in it and no sum, so that all processors agree. */
static void int8_quantize(
    const float *from, int8_t *to, uint32_t pitch, uint32_t rows, uint32_t columns, float factor,
    int32_t offset)
{
    for (; rows > 0; rows--) {
        for (uint32_t i = 0; i < columns; i++) {
            const float parts = *from++ * factor;
            const int32_t whole = !(parts > -16777216.0f) ? -16777216
                                  : parts > 16777216.0f   ? 16777216
                                                          : (int32_t)parts;
            const int32_t sum = whole + offset;
            to[i] = int8_above(-128, sum < 0 ? 0 : (uint32_t)sum >> 16, 255);
        }
        to += pitch;
    }
}

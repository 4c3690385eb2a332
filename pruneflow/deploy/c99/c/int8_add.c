typedef struct {
    int32_t left_factor, right_factor, offset;
    uint8_t shift;
    int8_t low; /* the least byte */
    uint8_t span;
} int8_addition;

static void int8_add(
    const int8_addition *a, const int8_t *left, const int8_t *right, int8_t *output, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++) {
        const int32_t sum = left[i] * a->left_factor + right[i] * a->right_factor + a->offset;
        output[i] = int8_above(a->low, sum < 0 ? 0 : (uint32_t)sum >> a->shift, a->span);
    }
}

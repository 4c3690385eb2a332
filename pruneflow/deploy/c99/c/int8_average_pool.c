/* How the sum of a whole window, in 16 parts of each byte, becomes a byte. */
typedef struct {
    int32_t offset;
    uint16_t factor;
    uint8_t shift;
    int8_t zero; /* of the input */
} int8_mean;

static int32_t int8_overlap(int32_t start, int32_t size, int32_t low, int32_t high)
{
    const int32_t end = start + size < high ? start + size : high;
    return end - (start > low ? start : low);
}

/* One output plane. */
static void int8_average_pool(
    const pool_shape *p, const int8_mean *mean, const int8_t *input, int8_t *output)
{
    const int32_t rim_y = p->counts_padding ? p->padding_y : 0;
    const int32_t rim_x = p->counts_padding ? p->padding_x : 0;
    const int32_t area = (int32_t)p->kernel_height * p->kernel_width;
    for (int32_t i = 0; i < p->out_height; i++)
        for (int32_t j = 0; j < p->out_width; j++) {
            const int32_t top = i * p->stride_y - p->padding_y, down = top + p->kernel_height;
            const int32_t left = j * p->stride_x - p->padding_x, right = left + p->kernel_width;
            const int32_t places =
                int8_overlap(top, p->kernel_height, -rim_y, p->height + rim_y) *
                int8_overlap(left, p->kernel_width, -rim_x, p->width + rim_x);
            int32_t sum = 0;
            for (int32_t y = top < 0 ? 0 : top; y < down && y < p->height; y++)
                for (int32_t x = left < 0 ? 0 : left; x < right && x < p->width; x++)
                    sum += input[y * p->pitch + x] - mean->zero;
            sum *= 16;
            if (places != area) /* as much as a whole window would have, rounded */
                sum = (sum * area + (sum < 0 ? -(places / 2) : places / 2)) / places;
            output[i * p->out_pitch + j] = int8_above(
                -128, int8_steps(sum + mean->offset, mean->factor, mean->shift), 255);
        }
}

/* One output plane. */
static void int8_max_pool(const pool_shape *p, const int8_t *input, int8_t *output)
{
    const int32_t reach_y = (p->kernel_height - 1) * p->dilation_y + 1;
    const int32_t reach_x = (p->kernel_width - 1) * p->dilation_x + 1;
    for (int32_t i = 0; i < p->out_height; i++) {
        int32_t top = i * p->stride_y - p->padding_y;
        const int32_t down = top + reach_y < p->height ? top + reach_y : p->height;
        while (top < 0) top += p->dilation_y;
        for (int32_t j = 0; j < p->out_width; j++) {
            int32_t left = j * p->stride_x - p->padding_x, most = -128;
            const int32_t right = left + reach_x < p->width ? left + reach_x : p->width;
            while (left < 0) left += p->dilation_x;
            for (int32_t y = top; y < down; y += p->dilation_y) {
                const int8_t *const row = input + y * p->pitch;
                for (int32_t x = left; x < right; x += p->dilation_x)
                    if (row[x] > most) most = row[x];
            }
            output[i * p->out_pitch + j] = (int8_t)most;
        }
    }
}

/* One output plane. */
static void int8_max_pool(const pool_shape *p, const int8_t *input, int8_t *output)
{
    for (int32_t i = 0; i < p->out_height; i++)
        for (int32_t j = 0; j < p->out_width; j++) {
            int8_t most = -128;
            for (int32_t a = 0; a < p->kernel_height; a++) {
                const int32_t y = i * p->stride_y - p->padding_y + a * p->dilation_y;
                if (y < 0 || y >= p->height) continue;
                for (int32_t b = 0; b < p->kernel_width; b++) {
                    const int32_t x = j * p->stride_x - p->padding_x + b * p->dilation_x;
                    if (x < 0 || x >= p->width) continue;
                    if (input[y * p->pitch + x] > most) most = input[y * p->pitch + x];
                }
            }
            output[i * p->out_pitch + j] = most;
        }
}

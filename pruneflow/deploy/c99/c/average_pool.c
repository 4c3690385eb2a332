static int32_t overlap(int32_t start, int32_t size, int32_t low, int32_t high)
{
    const int32_t end = start + size < high ? start + size : high;
    return end - (start > low ? start : low);
}

/* One output plane. */
static void average_pool(const pool_shape *p, const float *input, float *output)
{
    const int32_t rim_y = p->counts_padding ? p->padding_y : 0;
    const int32_t rim_x = p->counts_padding ? p->padding_x : 0;
    for (int32_t i = 0; i < p->out_height; i++)
        for (int32_t j = 0; j < p->out_width; j++) {
            const int32_t top = i * p->stride_y - p->padding_y, down = top + p->kernel_height;
            const int32_t left = j * p->stride_x - p->padding_x, right = left + p->kernel_width;
            const int32_t places = overlap(top, p->kernel_height, -rim_y, p->height + rim_y) *
                                   overlap(left, p->kernel_width, -rim_x, p->width + rim_x);
            float sum = 0.0f;
            for (int32_t y = top < 0 ? 0 : top; y < down && y < p->height; y++)
                for (int32_t x = left < 0 ? 0 : left; x < right && x < p->width; x++)
                    sum += input[y * p->pitch + x];
            output[i * p->out_pitch + j] = sum / (float)places;
        }
}

/* One output plane, of windows side by side. */
static void max_pool_2x2(const pool_shape *p, const float *input, float *output)
{
    for (uint32_t i = p->out_height; i > 0; i--) {
        const float *top = input, *below = input + p->pitch;
        for (uint32_t j = 0; j < p->out_width; j++) {
            const float left = top[0] > below[0] ? top[0] : below[0];
            const float right = top[1] > below[1] ? top[1] : below[1];
            output[j] = left > right ? left : right;
            top += 2;
            below += 2;
        }
        input += 2 * p->pitch;
        output += p->out_pitch;
    }
}

/* to += count weights times @block@ neighbouring inputs, each as far on as index says. */
static void @name@(
    uint32_t count, const uint16_t *index, const @value@ *values, const float *input,@steps@@factor@
    float *to)
{
    @sums@
    for (; count > 0; count--) {
        const float *at = input + *index++;
        const float weight = @read@;
        @adds@
    }
    @stores@
}

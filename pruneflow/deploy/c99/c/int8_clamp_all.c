static void int8_clamp_all(
    const int8_t *input, int8_t *output, uint32_t size, int8_t low, int8_t high)
{
    for (uint32_t i = 0; i < size; i++)
        output[i] = input[i] < low ? low : input[i] > high ? high : input[i];
}

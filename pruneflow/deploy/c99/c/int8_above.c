/* So many steps above the least byte. */
static int8_t int8_above(int32_t low, uint32_t steps, uint32_t span)
{
    return (int8_t)(low + (int32_t)(steps < span ? steps : span));
}

/* sum * factor / 2^(16 + shift), rounded down; 0 if sum is negative. */
static uint32_t int8_steps(int32_t sum, uint32_t factor, uint32_t shift)
{
    const uint32_t size = sum < 0 ? 0 : (uint32_t)sum;
    return ((size >> 16) * factor + ((size & 65535u) * factor >> 16)) >> shift;
}

/* A number of IEEE half precision; it is finite. */
static float half(uint16_t bits)
{
    union { uint32_t bits; float value; } wide;
    const uint32_t exponent = (bits >> 10) & 31u, fraction = bits & 1023u;
    if (exponent == 0)
        wide.value = (float)fraction / 16777216.0f;
    else
        wide.bits = (exponent + 112u) << 23 | fraction << 13;
    return bits & 0x8000u ? -wide.value : wide.value;
}

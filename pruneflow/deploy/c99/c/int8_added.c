/* How bytes of another result are added to the sums of one row. */
typedef struct {
    uint16_t factor;
    uint8_t shift;
} int8_added;

static int32_t int8_more(const int8_added *added, int32_t other)
{
    return (int32_t)((uint32_t)(other + 128) * added->factor >> added->shift);
}

/* How the sums of one row of weights become bytes. */
typedef struct {
    int32_t bias; /* half a step and the steps to the least byte included */
    uint16_t factor;
    uint8_t shift;
    int8_t low; /* the least byte */
    uint8_t span;
} int8_row;

static int8_t int8_finished(const int8_row *row, int32_t sum)
{
    return int8_above(row->low, int8_steps(sum, row->factor, row->shift), row->span);
}

/* Between samples x features, as torch has them, and features x samples, as rows are multiplied. */
#ifndef PF_TRANSPOSE_H
#define PF_TRANSPOSE_H

#include <string.h>

#include "lanes.h"

typedef float pf_four __attribute__((vector_size(16)));
typedef float pf_four_unaligned __attribute__((vector_size(16), aligned(4), may_alias));

#if defined(__clang__) || __GNUC__ >= 12
#define PF_HAS_SHUFFLE
static inline void pf_transpose_four(
    const float *from, size_t from_pitch, float *to, size_t to_pitch) {
    pf_four row[4], pair[4];
    for (int i = 0; i < 4; i++) row[i] = *(const pf_four_unaligned *)(from + (size_t)i * from_pitch);
    pair[0] = __builtin_shufflevector(row[0], row[1], 0, 4, 1, 5);
    pair[1] = __builtin_shufflevector(row[2], row[3], 0, 4, 1, 5);
    pair[2] = __builtin_shufflevector(row[0], row[1], 2, 6, 3, 7);
    pair[3] = __builtin_shufflevector(row[2], row[3], 2, 6, 3, 7);
    *(pf_four_unaligned *)to = __builtin_shufflevector(pair[0], pair[1], 0, 1, 4, 5);
    *(pf_four_unaligned *)(to + to_pitch) = __builtin_shufflevector(pair[0], pair[1], 2, 3, 6, 7);
    *(pf_four_unaligned *)(to + 2 * to_pitch) =
        __builtin_shufflevector(pair[2], pair[3], 0, 1, 4, 5);
    *(pf_four_unaligned *)(to + 3 * to_pitch) =
        __builtin_shufflevector(pair[2], pair[3], 2, 3, 6, 7);
}
#endif

/* to[column][row] = from[row][column]. */
static void pf_transpose(
    const float *from, size_t rows, size_t columns, size_t from_pitch, float *to, size_t to_pitch) {
    if (rows == 1 && to_pitch == 1) {
        memcpy(to, from, columns * sizeof *to);
        return;
    }
    size_t whole_rows = 0, whole_columns = 0;
#if defined(PF_HAS_SHUFFLE)
    whole_rows = rows / 4 * 4, whole_columns = columns / 4 * 4;
    for (size_t c = 0; c < whole_columns; c += 4)
        for (size_t r = 0; r < whole_rows; r += 4)
            pf_transpose_four(from + r * from_pitch + c, from_pitch, to + c * to_pitch + r, to_pitch);
#endif
    for (size_t r = 0; r < rows; r++)
        for (size_t c = r < whole_rows ? whole_columns : 0; c < columns; c++)
            to[c * to_pitch + r] = from[r * from_pitch + c];
}

#endif

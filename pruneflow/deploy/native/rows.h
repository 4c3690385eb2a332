/* Sparse rows times many lanes: one weight is read once and used for up to eight vectors.
 *
 * y[r][l] = activation(bias[r] + sum over k of values[k] * x[places[k] * stride + l]).
 * Lanes are samples of a batch (stride = lanes), or neighbouring pixels of one image (stride = 1).
 * x and y may be read and written up to a whole vector past the last lane.
 */
#ifndef PF_ROWS_H
#define PF_ROWS_H

#include "lanes.h"

enum {
    PF_MOST = 8,  /* vectors of a row that are summed at once: they fit into registers */
    PF_CHAINS = 4 /* sums side by side, so that none waits for its last addition */
};

typedef struct {
    const uint32_t *starts; /* rows + 1 */
    const uint32_t *places;
    const float *values;
    const float *bias;      /* rows */
} pf_rows;

/* One row, COUNT vectors of lanes; with few vectors several sums run side by side. */
static inline __attribute__((always_inline)) void pf_row(
    const int count, const pf_rows *w, size_t r, const float *x, size_t stride, float *y,
    pf_activation activation) {
    const int sums = count >= PF_CHAINS ? 1 : PF_CHAINS / count;
    pf_vector sum[PF_MOST];
    for (int i = 0; i < count * sums; i++) sum[i] = pf_all(i < count ? w->bias[r] : 0.0f);
    uint32_t k = w->starts[r];
    const uint32_t end = w->starts[r + 1];
    for (; k + (uint32_t)sums <= end; k += (uint32_t)sums) {
#pragma GCC unroll 8
        for (int s = 0; s < sums; s++) {
            const float *from = x + w->places[k + (uint32_t)s] * stride;
            const pf_vector value = pf_all(w->values[k + (uint32_t)s]);
#pragma GCC unroll 8
            for (int i = 0; i < count; i++)
                sum[s * count + i] += value * pf_load(from + i * PF_LANES);
        }
    }
    for (; k < end; k++) {
        const float *from = x + w->places[k] * stride;
        for (int i = 0; i < count; i++)
            sum[i] += pf_all(w->values[k]) * pf_load(from + i * PF_LANES);
    }
#pragma GCC unroll 8
    for (int s = 1; s < sums; s++)
        for (int i = 0; i < count; i++) sum[i] += sum[s * count + i];
    for (int i = 0; i < count; i++) pf_store(y + i * PF_LANES, pf_activate(sum[i], activation));
}

static void pf_rows_times_lanes(
    const pf_rows *w, size_t first, size_t last, const float *x, size_t stride, float *y,
    size_t pitch, size_t lanes, pf_activation activation) {
    for (size_t l = 0; l < lanes;) {
        const size_t left = (lanes - l + PF_LANES - 1) / PF_LANES;
        const size_t count = left < PF_MOST ? left : PF_MOST;
        for (size_t r = first; r < last; r++) {
            float *to = y + r * pitch + l;
            switch (count) { /* each with its loops unrolled */
            case 1: pf_row(1, w, r, x + l, stride, to, activation); break;
            case 2: pf_row(2, w, r, x + l, stride, to, activation); break;
            case 3: pf_row(3, w, r, x + l, stride, to, activation); break;
            case 4: pf_row(4, w, r, x + l, stride, to, activation); break;
            case 5: pf_row(5, w, r, x + l, stride, to, activation); break;
            case 6: pf_row(6, w, r, x + l, stride, to, activation); break;
            case 7: pf_row(7, w, r, x + l, stride, to, activation); break;
            default: pf_row(PF_MOST, w, r, x + l, stride, to, activation);
            }
        }
        l += count * PF_LANES;
    }
}

#endif

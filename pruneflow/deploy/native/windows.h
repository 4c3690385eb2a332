/* Sparse rows times one vector without gathers.
 *
 * Sixteen rows go side by side. A step takes at most one weight of each of them, all from one
 * window of 32 neighbouring inputs, which two registers hold: a permutation finds each row's
 * input. Windows start at multiples of 8 inputs, where the loads cross few cache lines. A row
 * that has no weight in a window idles there with a zero.
 */
#ifndef PF_WINDOWS_H
#define PF_WINDOWS_H

#include "rows.h"

enum { PF_PANEL = 16, PF_WINDOW = 32, PF_ALIGN = 8 };

typedef struct {
    const uint32_t *starts; /* panels + 1: steps of each panel */
    const uint32_t *order;  /* panels * 16: which row goes where; rows of none are >= row count */
    const uint16_t *bases;  /* of each step, in units of 8 inputs */
    const uint8_t *picks;   /* steps * 16: which of the window's inputs */
    const float *values;    /* steps * 16 */
} pf_windows;

/* Lay rows out in windows; with values == NULL only count the steps. Returns the steps. */
size_t pf_pack_windows(
    size_t rows, const uint32_t *row_starts, const uint32_t *columns, const float *weights,
    const uint32_t *order, uint32_t *starts, uint16_t *bases, uint8_t *picks, float *values) {
    size_t step = 0;
    const size_t panels = (rows + PF_PANEL - 1) / PF_PANEL;
    for (size_t p = 0; p < panels; p++) {
        uint32_t next[PF_PANEL], end[PF_PANEL];
        for (size_t lane = 0; lane < PF_PANEL; lane++) {
            const uint32_t row = order[p * PF_PANEL + lane];
            next[lane] = row < rows ? row_starts[row] : 0;
            end[lane] = row < rows ? row_starts[row + 1] : 0;
        }
        if (values) starts[p] = (uint32_t)step;
        for (;; step++) {
            uint32_t base = UINT32_MAX;
            for (size_t lane = 0; lane < PF_PANEL; lane++)
                if (next[lane] < end[lane] && columns[next[lane]] < base)
                    base = columns[next[lane]];
            if (base == UINT32_MAX) break;
            base = base / PF_ALIGN * PF_ALIGN;
            for (size_t lane = 0; lane < PF_PANEL; lane++) {
                const uint32_t k = next[lane];
                const int taken = k < end[lane] && columns[k] < base + PF_WINDOW;
                if (values) {
                    picks[step * PF_PANEL + lane] = (uint8_t)(taken ? columns[k] - base : 0);
                    values[step * PF_PANEL + lane] = taken ? weights[k] : 0.0f;
                }
                next[lane] += (uint32_t)taken;
            }
            if (values) bases[step] = (uint16_t)(base / PF_ALIGN);
        }
    }
    if (values) starts[panels] = (uint32_t)step;
    return step;
}

#if defined(__AVX512F__)
#include <immintrin.h>

static inline __attribute__((always_inline)) __m512 pf_step(
    const pf_windows *w, size_t step, const float *x, __m512 sum) {
    const float *window = x + (size_t)w->bases[step] * PF_ALIGN;
    const __m512i picks = _mm512_cvtepu8_epi32(
        _mm_loadu_si128((const __m128i *)(const void *)(w->picks + step * PF_PANEL)));
    const __m512 inputs = _mm512_permutex2var_ps(
        _mm512_loadu_ps(window), picks, _mm512_loadu_ps(window + PF_LANES));
    return _mm512_fmadd_ps(_mm512_loadu_ps(w->values + step * PF_PANEL), inputs, sum);
}

/* x may be read up to a window past its last input. */
static void pf_windows_times_vector(
    const pf_windows *w, size_t rows, size_t first, size_t last, const float *bias, const float *x,
    float *y, pf_activation activation) {
    for (size_t p = first; p < last; p++) {
        __m512 a = _mm512_setzero_ps(), b = a, c = a, d = a;
        size_t step = w->starts[p];
        const size_t end = w->starts[p + 1];
        for (; step + 4 <= end; step += 4) {
            a = pf_step(w, step, x, a);
            b = pf_step(w, step + 1, x, b);
            c = pf_step(w, step + 2, x, c);
            d = pf_step(w, step + 3, x, d);
        }
        for (; step < end; step++) a = pf_step(w, step, x, a);
        float sums[PF_PANEL];
        _mm512_storeu_ps(sums, _mm512_add_ps(_mm512_add_ps(a, b), _mm512_add_ps(c, d)));
        for (size_t lane = 0; lane < PF_PANEL; lane++) {
            const uint32_t row = w->order[p * PF_PANEL + lane];
            if (row < rows) y[row] = pf_activate_one(sums[lane] + bias[row], activation);
        }
    }
}
#endif

/* The same without such registers: row by row, four sums side by side. */
static void pf_rows_times_vector(
    const pf_rows *w, size_t first, size_t last, const float *x, float *y,
    pf_activation activation) {
    for (size_t r = first; r < last; r++) {
        float a = w->bias[r], b = 0, c = 0, d = 0;
        uint32_t k = w->starts[r];
        const uint32_t end = w->starts[r + 1];
        for (; k + 4 <= end; k += 4) {
            a += w->values[k] * x[w->places[k]];
            b += w->values[k + 1] * x[w->places[k + 1]];
            c += w->values[k + 2] * x[w->places[k + 2]];
            d += w->values[k + 3] * x[w->places[k + 3]];
        }
        for (; k < end; k++) a += w->values[k] * x[w->places[k]];
        y[r] = pf_activate_one((a + b) + (c + d), activation);
    }
}

#endif

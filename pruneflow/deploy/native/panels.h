/* Dense rows times one vector: sixteen rows side by side, their weights input by input.
 *
 * What a layer that is hardly sparse runs on: one load a sixteen weights, no index.
 */
#ifndef PF_PANELS_H
#define PF_PANELS_H

#include "windows.h"

static void pf_panels_times_vector(
    const float *panels, size_t rows, size_t columns, const float *bias, const float *x, float *y,
    pf_activation activation) {
    enum { PARTS = PF_PANEL / PF_LANES };
    for (size_t first = 0; first < rows; first += PF_PANEL, panels += columns * PF_PANEL) {
        pf_vector even[PARTS], odd[PARTS];
        for (int i = 0; i < PARTS; i++) even[i] = odd[i] = pf_all(0.0f);
        size_t k = 0;
        for (; k + 2 <= columns; k += 2)
            for (int i = 0; i < PARTS; i++) {
                const float *weights = panels + k * PF_PANEL + i * PF_LANES;
                even[i] += pf_load(weights) * pf_all(x[k]);
                odd[i] += pf_load(weights + PF_PANEL) * pf_all(x[k + 1]);
            }
        for (; k < columns; k++)
            for (int i = 0; i < PARTS; i++)
                even[i] += pf_load(panels + k * PF_PANEL + i * PF_LANES) * pf_all(x[k]);
        float sums[PF_PANEL];
        for (int i = 0; i < PARTS; i++) pf_store(sums + i * PF_LANES, even[i] + odd[i]);
        for (size_t r = first; r < first + PF_PANEL && r < rows; r++)
            y[r] = pf_activate_one(sums[r - first] + bias[r], activation);
    }
}

#endif

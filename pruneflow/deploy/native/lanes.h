/* Vectors of floats in plain GNU C: the compiler lowers them to what the machine has. */
#ifndef PF_LANES_H
#define PF_LANES_H

#include <stddef.h>
#include <stdint.h>

#if defined(__AVX512F__)
#define PF_LANES 16
#elif defined(__AVX__)
#define PF_LANES 8
#else
#define PF_LANES 4
#endif

typedef float pf_vector __attribute__((vector_size(4 * PF_LANES)));
typedef float pf_unaligned __attribute__((vector_size(4 * PF_LANES), aligned(4), may_alias));

static inline pf_vector pf_load(const float *from) { return *(const pf_unaligned *)from; }
static inline void pf_store(float *to, pf_vector value) { *(pf_unaligned *)to = value; }
static inline pf_vector pf_all(float value) { return (pf_vector){0} + value; }

typedef int32_t pf_mask __attribute__((vector_size(4 * PF_LANES)));

static inline pf_vector pf_select(pf_mask mask, pf_vector yes, pf_vector no) {
    return (pf_vector)(((pf_mask)yes & mask) | ((pf_mask)no & ~mask));
}

static inline size_t pf_ceil(size_t count, size_t unit) { return (count + unit - 1) / unit * unit; }

/* What follows a layer: nothing, low <= y <= high, or a slope below zero. NaN stays NaN. */
enum { PF_NONE, PF_CLAMP, PF_LEAKY };

typedef struct {
    int32_t kind;
    float low, high; /* of a leaky unit, low is its slope */
} pf_activation;

static inline pf_vector pf_activate(pf_vector y, pf_activation a) {
    if (a.kind == PF_CLAMP) {
        pf_vector low = pf_all(a.low), high = pf_all(a.high);
        y = pf_select(y < low, low, y);
        return pf_select(y > high, high, y);
    }
    if (a.kind == PF_LEAKY) return pf_select(y < pf_all(0.0f), y * pf_all(a.low), y);
    return y;
}

static inline float pf_activate_one(float y, pf_activation a) {
    if (a.kind == PF_CLAMP) {
        y = y < a.low ? a.low : y;
        return y > a.high ? a.high : y;
    }
    if (a.kind == PF_LEAKY) return y < 0 ? y * a.low : y;
    return y;
}

#endif

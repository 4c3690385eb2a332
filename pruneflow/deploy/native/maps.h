/* Feature maps of one sample: convolution, pooling, addition, flattening.
 *
 * A map's rows may be wider than what is valid in them: a convolution runs over all pixels of its
 * input as one long line, and what it computes past the end of a row is never read.
 */
#ifndef PF_MAPS_H
#define PF_MAPS_H

#include <string.h>

#include "rows.h"

typedef struct {
    int64_t offset; /* in floats, in the scratch memory */
    int64_t plane;  /* floats from one channel to the next */
    int32_t channels, height, width, pitch;
} pf_map;

typedef struct {
    int32_t kernel[2], stride[2], padding[2], dilation[2];
    int32_t count_padding; /* of an average: pixels of the padding count */
} pf_frame;

static inline float *pf_row_of(float *memory, const pf_map *map, int32_t channel, int32_t row) {
    return memory + map->offset + channel * map->plane + (int64_t)row * map->pitch;
}

/* Along one side: phases of the stride up to the last pixel of a kernel. */
static inline int32_t pf_phases(const pf_frame *f, int side) {
    const int32_t reach = (f->kernel[side] - 1) * f->dilation[side] + 1;
    return reach < f->stride[side] ? reach : f->stride[side];
}

/* Pad, and split into one map for each phase of the stride, so that every step is one pixel. */
static void pf_split_phases(float *memory, const pf_map *in, const pf_map *to, const pf_frame *f) {
    const int32_t sh = f->stride[0], sw = f->stride[1];
    const int32_t across = pf_phases(f, 1), phases = pf_phases(f, 0) * across;
    for (int32_t c = 0; c < in->channels; c++)
        for (int32_t phase = 0; phase < phases; phase++)
            for (int32_t i = 0; i < to->height; i++) {
                float *row = pf_row_of(memory, to, c * phases + phase, i);
                const int32_t from_row = i * sh + phase / across - f->padding[0];
                const int32_t shift = phase % across - f->padding[1];
                if (from_row < 0 || from_row >= in->height) {
                    memset(row, 0, (size_t)to->pitch * sizeof *row);
                    continue;
                }
                const float *from = pf_row_of(memory, in, c, from_row);
                if (sw == 1) {
                    const int32_t before = -shift < to->width ? -shift : to->width;
                    const int32_t room = to->width - before;
                    const int32_t count = in->width < room ? in->width : room;
                    memset(row, 0, (size_t)before * sizeof *row);
                    memcpy(row + before, from, (size_t)count * sizeof *row);
                    memset(row + before + count, 0, (size_t)(room - count) * sizeof *row);
                } else {
                    for (int32_t j = 0; j < to->width; j++) {
                        const int32_t at = j * sw + shift;
                        row[j] = at >= 0 && at < in->width ? from[at] : 0.0f;
                    }
                }
            }
}

static void pf_convolve(
    float *memory, const pf_rows *w, const pf_map *in, const pf_map *out, pf_activation a) {
    const size_t pixels = (size_t)(out->height - 1) * (size_t)out->pitch + (size_t)out->width;
    pf_rows_times_lanes(
        w, 0, (size_t)out->channels, memory + in->offset, 1, memory + out->offset,
        (size_t)out->plane, pixels, a);
}

/* 2 x 2 maxima side by side: the commonest pool, without a loop over its frame. */
static void pf_halve(float *memory, const pf_map *in, const pf_map *out) {
    for (int32_t c = 0; c < out->channels; c++)
        for (int32_t i = 0; i < out->height; i++) {
            const float *restrict top = pf_row_of(memory, in, c, 2 * i);
            const float *restrict bottom = pf_row_of(memory, in, c, 2 * i + 1);
            float *restrict row = pf_row_of(memory, out, c, i);
            for (int32_t j = 0; j < out->width; j++) {
                const float left = top[2 * j] < bottom[2 * j] ? bottom[2 * j] : top[2 * j];
                const float right =
                    top[2 * j + 1] < bottom[2 * j + 1] ? bottom[2 * j + 1] : top[2 * j + 1];
                row[j] = left < right ? right : left;
            }
        }
}

static void pf_pool(
    float *memory, const pf_map *in, const pf_map *out, const pf_frame *f, int average) {
    for (int32_t c = 0; c < out->channels; c++)
        for (int32_t i = 0; i < out->height; i++)
            for (int32_t j = 0; j < out->width; j++) {
                const int32_t top = i * f->stride[0] - f->padding[0];
                const int32_t left = j * f->stride[1] - f->padding[1];
                float best = -INFINITY, sum = 0.0f;
                int32_t count = 0;
                for (int32_t a = 0; a < f->kernel[0]; a++) {
                    const int32_t row = top + a * f->dilation[0];
                    if (row < 0 || row >= in->height) continue;
                    const float *from = pf_row_of(memory, in, c, row);
                    for (int32_t b = 0; b < f->kernel[1]; b++) {
                        const int32_t column = left + b * f->dilation[1];
                        if (column < 0 || column >= in->width) continue;
                        best = from[column] > best ? from[column] : best;
                        sum += from[column];
                        count++;
                    }
                }
                if (f->count_padding) { /* but not what ceil_mode adds beyond the padding */
                    const int32_t down = in->height + f->padding[0] - top;
                    const int32_t across = in->width + f->padding[1] - left;
                    count = (down < f->kernel[0] ? down : f->kernel[0]) *
                            (across < f->kernel[1] ? across : f->kernel[1]);
                }
                pf_row_of(memory, out, c, i)[j] = average ? sum / (float)count : best;
            }
}

static void pf_average_all(float *memory, const pf_map *in, const pf_map *out) {
    for (int32_t c = 0; c < in->channels; c++) {
        float sum = 0.0f;
        for (int32_t i = 0; i < in->height; i++) {
            const float *row = pf_row_of(memory, in, c, i);
            for (int32_t j = 0; j < in->width; j++) sum += row[j];
        }
        *pf_row_of(memory, out, c, 0) = sum / ((float)in->height * (float)in->width);
    }
}

/* out = activation(a + b), or of a alone where b is NULL. */
static void pf_add_maps(
    float *memory, const pf_map *a, const pf_map *b, const pf_map *out, pf_activation activation) {
    for (int32_t c = 0; c < out->channels; c++)
        for (int32_t i = 0; i < out->height; i++) {
            const float *left = pf_row_of(memory, a, c, i);
            const float *right = b ? pf_row_of(memory, b, c, i) : NULL;
            float *row = pf_row_of(memory, out, c, i);
            for (int32_t j = 0; j < out->width; j++)
                row[j] = pf_activate_one(left[j] + (right ? right[j] : 0.0f), activation);
        }
}

/* Channel by channel, row by row, into one column of a matrix of samples. */
static void pf_flatten(float *memory, const pf_map *in, float *to, size_t lanes) {
    for (int32_t c = 0; c < in->channels; c++)
        for (int32_t i = 0; i < in->height; i++) {
            const float *row = pf_row_of(memory, in, c, i);
            if (lanes == 1) memcpy(to, row, (size_t)in->width * sizeof *to);
            else for (int32_t j = 0; j < in->width; j++) to[(size_t)j * lanes] = row[j];
            to += (size_t)in->width * lanes;
        }
}

#endif

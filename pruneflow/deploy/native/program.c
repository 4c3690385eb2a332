/* A pruned network in one call: a list of operations over scratch memory.
 *
 * Operations on feature maps run sample by sample; from the first flattening on everything is a
 * matrix of features times samples, and a weight is read once for all samples of a block.
 */
#include <math.h>

#include "maps.h"
#include "panels.h"
#include "transpose.h"
#include "windows.h"

enum { PF_BLOCK = 64, PF_SLACK = 64 };
enum { CONV, MAX_POOL, AVERAGE_POOL, AVERAGE_ALL, ADD_MAPS, FLATTEN, LINEAR, ADD, SOFTMAX };
enum { ROWS, WINDOWS, PANELS };

typedef struct {
    int32_t kind;
    int32_t variant; /* of linear: ROWS, WINDOWS, PANELS; of a pool: 1 where it halves */
    pf_activation activation;
    pf_map in, other, out; /* of vectors: offset in rows, channels = size */
    pf_map phases;         /* of a convolution: its input padded and split; channels 0: as it is */
    pf_frame frame;
    int32_t has_other;
    pf_rows rows;
    pf_windows windows;
    const float *panels;
} pf_op;

typedef struct {
    const pf_op *ops;
    int32_t count, first_matrix_op; /* operations before it run sample by sample */
    int64_t input_size, output_size;
    pf_map input;             /* where a sample goes; channels 0: straight into the matrix */
    int64_t matrix_input;     /* row of the matrix at which input goes then */
    int64_t output;           /* row of the matrix, or offset in maps, of the result */
    pf_map output_map;        /* channels 0: the result is in the matrix */
    int64_t map_floats, matrix_rows;
} pf_program;

int32_t pf_lanes(void) { return PF_LANES; }

static void run_map_op(const pf_op *op, float *maps, float *column, size_t lanes) {
    switch (op->kind) {
    case CONV:
        if (op->phases.channels) pf_split_phases(maps, &op->in, &op->phases, &op->frame);
        pf_convolve(
            maps, &op->rows, op->phases.channels ? &op->phases : &op->in, &op->out, op->activation);
        break;
    case MAX_POOL:
        if (op->variant) pf_halve(maps, &op->in, &op->out);
        else pf_pool(maps, &op->in, &op->out, &op->frame, 0);
        break;
    case AVERAGE_POOL: pf_pool(maps, &op->in, &op->out, &op->frame, 1); break;
    case AVERAGE_ALL: pf_average_all(maps, &op->in, &op->out); break;
    case ADD_MAPS:
        pf_add_maps(maps, &op->in, op->has_other ? &op->other : NULL, &op->out, op->activation);
        break;
    case FLATTEN: pf_flatten(maps, &op->in, column + (size_t)op->out.offset * lanes, lanes); break;
    default: break;
    }
}

static void multiply(const pf_op *op, const float *x, float *y, size_t lanes) {
    const size_t rows = (size_t)op->out.channels;
    if (lanes > 1) {
        pf_rows_times_lanes(&op->rows, 0, rows, x, lanes, y, lanes, lanes, op->activation);
        return;
    }
    if (op->variant == PANELS) {
        pf_panels_times_vector(
            op->panels, rows, (size_t)op->in.channels, op->rows.bias, x, y, op->activation);
        return;
    }
#if defined(__AVX512F__)
    if (op->variant == WINDOWS) {
        const size_t panels = (rows + PF_PANEL - 1) / PF_PANEL;
        pf_windows_times_vector(
            &op->windows, rows, 0, panels, op->rows.bias, x, y, op->activation);
        return;
    }
#endif
    pf_rows_times_vector(&op->rows, 0, rows, x, y, op->activation);
}

/* Each lane by itself; from its largest number on, so that nothing overflows. */
static void normalize(const float *x, float *y, size_t rows, size_t lanes) {
    for (size_t l = 0; l < lanes; l++) {
        float most = x[l], sum = 0.0f;
        for (size_t at = l; at < rows * lanes; at += lanes) most = x[at] > most ? x[at] : most;
        for (size_t at = l; at < rows * lanes; at += lanes) sum += y[at] = expf(x[at] - most);
        for (size_t at = l; at < rows * lanes; at += lanes) y[at] /= sum;
    }
}

static void run_matrix_op(const pf_op *op, float *matrix, size_t lanes) {
    const float *x = matrix + (size_t)op->in.offset * lanes;
    float *y = matrix + (size_t)op->out.offset * lanes;
    if (op->kind == LINEAR) {
        multiply(op, x, y, lanes);
        return;
    }
    if (op->kind == SOFTMAX) {
        normalize(x, y, (size_t)op->out.channels, lanes);
        return;
    }
    const float *other = op->has_other ? matrix + (size_t)op->other.offset * lanes : NULL;
    for (size_t i = 0; i < (size_t)op->out.channels * lanes; i++)
        y[i] = pf_activate_one(x[i] + (other ? other[i] : 0.0f), op->activation);
}

/* One block of at most PF_BLOCK samples. */
static void run_block(
    const pf_program *p, const float *x, float *y, size_t samples, float *maps, float *matrix) {
    const size_t lanes = samples == 1 ? 1 : pf_ceil(samples, PF_LANES);
    if (p->input.channels) {
        for (size_t s = 0; s < samples; s++) {
            memcpy(
                maps + p->input.offset, x + s * (size_t)p->input_size,
                (size_t)p->input_size * sizeof *x);
            for (int32_t i = 0; i < p->first_matrix_op; i++)
                run_map_op(p->ops + i, maps, matrix + s, lanes);
            if (p->output_map.channels) {
                float *to = y + s * (size_t)p->output_size;
                pf_flatten(maps, &p->output_map, to, 1);
            }
        }
    } else {
        float *to = matrix + (size_t)p->matrix_input * lanes;
        pf_transpose(x, samples, (size_t)p->input_size, (size_t)p->input_size, to, lanes);
    }
    for (int32_t i = p->first_matrix_op; i < p->count; i++)
        run_matrix_op(p->ops + i, matrix, lanes);
    if (!p->output_map.channels)
        pf_transpose(
            matrix + (size_t)p->output * lanes, (size_t)p->output_size, samples, lanes, y,
            (size_t)p->output_size);
}

/* Samples that are worth a block: all threads busy, no more than PF_BLOCK. Feature maps take their
 * time sample by sample; of vectors a few cost as much as fill the lanes. */
static size_t block_of(const pf_program *p, size_t batch, size_t threads) {
    if (batch <= 2) return 1;
    const size_t each = (batch + threads - 1) / threads;
    const size_t share = p->input.channels ? each : pf_ceil(each, PF_LANES);
    return share < PF_BLOCK ? share : PF_BLOCK;
}

static size_t map_floats_of(const pf_program *p) {
    return pf_ceil((size_t)p->map_floats + PF_SLACK, PF_PANEL);
}

static size_t worker_floats(const pf_program *p, size_t block) {
    const size_t lanes = block == 1 ? 1 : pf_ceil(block, PF_LANES);
    return map_floats_of(p) + pf_ceil((size_t)p->matrix_rows * lanes + PF_SLACK, PF_PANEL);
}

static size_t workers_of(size_t batch, size_t block, size_t threads) {
    const size_t blocks = (batch + block - 1) / block;
    return blocks < threads ? blocks : threads;
}

static void run_every(
    const pf_program *p, const float *x, float *y, size_t batch, size_t block, size_t first,
    size_t step, float *memory) {
    for (size_t at = first * block; at < batch; at += step * block) {
        const size_t samples = batch - at < block ? batch - at : block;
        run_block(
            p, x + at * (size_t)p->input_size, y + at * (size_t)p->output_size, samples, memory,
            memory + map_floats_of(p));
    }
}

/* What stays the same from call to call; scratch starts at a multiple of 64 bytes. */
typedef struct {
    const pf_program *program;
    float *scratch;
    int64_t batch;
    int32_t threads;
} pf_call;

/* Floats of scratch memory that a call needs, whatever is in them. */
int64_t pf_scratch_floats(const pf_call *call) {
    const size_t batch = (size_t)call->batch, threads = (size_t)call->threads;
    const size_t block = block_of(call->program, batch, threads);
    return (int64_t)(workers_of(batch, block, threads) * worker_floats(call->program, block));
}

/* y (batch x output) = network of x (batch x input). */
void pf_run(const pf_call *call, const float *x, float *y) {
    const pf_program *const p = call->program;
    float *const scratch = call->scratch;
    const size_t batch = (size_t)call->batch;
    const size_t block = block_of(p, batch, (size_t)call->threads);
    const size_t workers = workers_of(batch, block, (size_t)call->threads);
    if (workers <= 1) {
        run_every(p, x, y, batch, block, 0, 1, scratch);
        return;
    }
#pragma omp parallel for num_threads((int)workers) schedule(static)
    for (int64_t w = 0; w < (int64_t)workers; w++)
        run_every(
            p, x, y, batch, block, (size_t)w, workers,
            scratch + (size_t)w * worker_floats(p, block));
}

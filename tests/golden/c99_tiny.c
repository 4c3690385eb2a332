#include "c99_tiny.h"

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>

/* Zeros around and between the planes of a map that starts with its frame. */
static void clear_frame(
    float *to, uint32_t planes, uint32_t rows, uint32_t columns, uint32_t frame_rows,
    uint32_t frame_columns)
{
    const uint32_t pitch = columns + frame_columns;
    uint32_t zeros = frame_rows * pitch + frame_columns;
    for (;;) {
        for (; zeros > 0; zeros--) *to++ = 0.0f;
        if (planes == 0) break;
        planes--;
        for (uint32_t row = rows; row > 0; row--) {
            to += columns;
            for (uint32_t i = frame_columns; i > 0; i--) *to++ = 0.0f;
        }
        zeros = frame_rows * pitch;
    }
}

static void copy(
    const float *from, uint32_t from_pitch, float *to, uint32_t pitch, uint32_t rows,
    uint32_t columns)
{
    for (; rows > 0; rows--) {
        for (uint32_t i = 0; i < columns; i++) to[i] = from[i];
        from += from_pitch;
        to += pitch;
    }
}

static void fill(float *to, uint32_t rows, uint32_t columns, uint32_t pitch, float value)
{
    for (; rows > 0; rows--) {
        for (uint32_t i = 0; i < columns; i++) to[i] = value;
        to += pitch;
    }
}

typedef struct {
    uint32_t plane;                       /* from an input channel to the next */
    uint32_t row;                         /* from where a row of outputs looks to the next */
    uint16_t channels;                    /* of a group */
    uint16_t out_height, out_width, out_pitch;
    uint16_t stride_x, kernel_height, kernel_width;
    int32_t right, down;                  /* to the kernel's next place, and from its row to the next */
} conv_shape;

/* to += count weights times 4 rows of 4 neighbouring inputs; index has the number of weights
 * skipped before each, which are ordered by the kernel's places, then by channels. */
static void conv_gaps8_int8_4x4(
    const conv_shape *c, uint32_t count, const uint8_t *index, const int8_t *values,
    const float *input, uint32_t row, uint32_t pitch, float factor, float *to)
{
    uint32_t channel = 0, column = 0;
    float s0 = 0.0f, s1 = 0.0f, s2 = 0.0f, s3 = 0.0f;
    float s4 = 0.0f, s5 = 0.0f, s6 = 0.0f, s7 = 0.0f;
    float s8 = 0.0f, s9 = 0.0f, s10 = 0.0f, s11 = 0.0f;
    float s12 = 0.0f, s13 = 0.0f, s14 = 0.0f, s15 = 0.0f;
    for (; count > 0; count--) {
        const float weight = (float)*values++, *at;
        channel += *index++;
        while (channel >= c->channels) {
            channel -= c->channels;
            input += c->right;
            if (++column == c->kernel_width) {
                column = 0;
                input += c->down;
            }
        }
        at = input + channel++ * c->plane;
        s0 += weight * at[0]; s1 += weight * at[1]; s2 += weight * at[2]; s3 += weight * at[3];
        const float *const at1 = at + row;
        s4 += weight * at1[0]; s5 += weight * at1[1]; s6 += weight * at1[2]; s7 += weight * at1[3];
        const float *const at2 = at1 + row;
        s8 += weight * at2[0]; s9 += weight * at2[1]; s10 += weight * at2[2]; s11 += weight * at2[3];
        const float *const at3 = at2 + row;
        s12 += weight * at3[0]; s13 += weight * at3[1]; s14 += weight * at3[2]; s15 += weight * at3[3];
    }
    to[0] += factor * s0; to[1] += factor * s1; to[2] += factor * s2; to[3] += factor * s3;
    to += pitch;
    to[0] += factor * s4; to[1] += factor * s5; to[2] += factor * s6; to[3] += factor * s7;
    to += pitch;
    to[0] += factor * s8; to[1] += factor * s9; to[2] += factor * s10; to[3] += factor * s11;
    to += pitch;
    to[0] += factor * s12; to[1] += factor * s13; to[2] += factor * s14; to[3] += factor * s15;
}

/* One output plane. */
static void conv_gaps8_int8(
    const conv_shape *c, uint32_t count, const uint8_t *index,
    const int8_t *values, const float *input, float factor, float *to)
{
    uint32_t x = 0;
    for (; x + 4 <= c->out_width; x += 4) {
        uint32_t y = 0;
        for (; y + 4 <= c->out_height; y += 4)
            conv_gaps8_int8_4x4(
                c, count, index, values, input + y * c->row + x, c->row, c->out_pitch, factor,
                to + y * c->out_pitch + x);
    }
}

typedef struct {
    uint16_t height, width, pitch, out_height, out_width, out_pitch;
    uint16_t kernel_height, kernel_width, stride_y, stride_x, padding_y, padding_x;
    uint16_t dilation_y, dilation_x;
    uint16_t counts_padding;
} pool_shape;

/* One output plane, of windows side by side. */
static void max_pool_2x2(const pool_shape *p, const float *input, float *output)
{
    for (uint32_t i = p->out_height; i > 0; i--) {
        const float *top = input, *below = input + p->pitch;
        for (uint32_t j = 0; j < p->out_width; j++) {
            const float left = top[0] > below[0] ? top[0] : below[0];
            const float right = top[1] > below[1] ? top[1] : below[1];
            output[j] = left > right ? left : right;
            top += 2;
            below += 2;
        }
        input += 2 * p->pitch;
        output += p->out_pitch;
    }
}

static float clamp(float value, float low, float high)
{
    return value < low ? low : value > high ? high : value;
}

static void clamp_all(const float *input, float *output, uint32_t size, float low, float high)
{
    for (uint32_t i = 0; i < size; i++) output[i] = clamp(input[i], low, high);
}

/* output = clamp(weights x input + bias): counts[r] weights of row r, each with the number of
 * columns skipped before it. */
static void linear_gaps8_int8(
    uint32_t rows, const uint8_t *counts, const uint8_t *index, const int8_t *values, const float *scales,
    const float *bias, float low, float high, const float *input, float *output)
{
    for (uint32_t r = 0; r < rows; r++) {
        const float *next = input;
        float sum = 0.0f;
        for (uint32_t left = counts[r]; left > 0; left--) {
            next += *index++;
            sum += (float)*values++ * *next++;
        }
        output[r] = clamp(sum * scales[r] + (bias ? bias[r] : 0.0f), low, high);
    }
}

static void softmax(const float *input, float *output, uint32_t size)
{
    float most = input[0], sum = 0.0f;
    for (uint32_t i = 1; i < size; i++)
        if (input[i] > most) most = input[i];
    for (uint32_t i = 0; i < size; i++) {
        output[i] = expf(input[i] - most);
        sum += output[i];
    }
    for (uint32_t i = 0; i < size; i++) output[i] /= sum;
}

static const uint8_t c99_tiny_conv_counts[2] = {
    3, 3,
};
static const uint8_t c99_tiny_conv_index[6] = {
    0, 3, 3, 3, 0, 0,
};
static const int8_t c99_tiny_conv_values[6] = {
    127, 127, 127, -64, 127, -64,
};
static const float c99_tiny_conv_scales[2] = {
    3.937008e-3f, 0.015748031f,
};
static const float c99_tiny_conv_bias[2] = {
    0.0f, 0.125f,
};
static const uint8_t c99_tiny_fc_counts[3] = {
    1, 3, 1,
};
static const uint8_t c99_tiny_fc_index[5] = {
    0, 3, 0, 0, 7,
};
static const int8_t c99_tiny_fc_values[5] = {
    127, 42, -85, 127, -127,
};
static const float c99_tiny_fc_scales[3] = {
    7.874016e-3f, 5.905512e-3f, 0.01f,
};
static const float c99_tiny_fc_bias[3] = {
    0.1f, 0.2f, 0.3f,
};
static const conv_shape c99_tiny_conv_shape = {25, 5, 1, 4, 4, 4, 1, 3, 3, 1, 2};
static const pool_shape c99_tiny_pool_shape = {4, 4, 4, 2, 2, 2, 2, 2, 2, 2, 0, 0, 1, 1, 0};

void c99_tiny_run(c99_tiny_workspace *workspace, const float *input, float *output)
{
    float *const numbers = workspace->numbers;
    /* copy input_in_a_frame: 1 x 4 x 4 */
    clear_frame(numbers, 1, 4, 4, 1, 1);
    for (uint32_t o = 0; o < 1; o++)
        copy(input + o * 16, 4, numbers + 6 + o * 25, 5, 4, 4);
    /* conv2d conv: 2 x 2 x 2 */
    {
        const uint8_t *index = c99_tiny_conv_index;
        const int8_t *values = c99_tiny_conv_values;
        for (uint32_t o = 0; o < 2; o++) {
            float *const to = numbers + 31;
            fill(to, 4, 4, 4, c99_tiny_conv_bias[o]);
            conv_gaps8_int8(&c99_tiny_conv_shape, c99_tiny_conv_counts[o], index, values, numbers, c99_tiny_conv_scales[o], to);
            index += c99_tiny_conv_counts[o];
            values += c99_tiny_conv_counts[o];
            max_pool_2x2(&c99_tiny_pool_shape, to, numbers + 47 + o * 4);
            clamp_all(numbers + 47 + o * 4, numbers + 47 + o * 4, 4, 0.0f, FLT_MAX);
        }
    }
    /* linear fc: 3 */
    linear_gaps8_int8(
        3, c99_tiny_fc_counts, c99_tiny_fc_index, c99_tiny_fc_values, c99_tiny_fc_scales, c99_tiny_fc_bias,
        -FLT_MAX, FLT_MAX, numbers + 47, output);
    /* softmax softmax: 3 */
    softmax(output, output, 3);
}

int c99_tiny_classify(c99_tiny_workspace *workspace, const float *input)
{
    float output[C99_TINY_OUTPUTS];
    int best = 0;
    c99_tiny_run(workspace, input, output);
    for (int i = 1; i < C99_TINY_OUTPUTS; i++)
        if (output[i] > output[best]) best = i;
    return best;
}

/* c99_tiny: a network pruned and written by PruneFlow. 11 of 42 weights are left, stored as
 *   int8.
 * Input: 1 x 4 x 4 float numbers, channel by channel, each row by row.
 * Preprocessing: divide by 255.
 * Output: 3 float numbers, probabilities.
 * RAM: 220 bytes of workspace, besides 64 of input and 12 of output; no other memory but the
 *   stack.
 * Flash: 67 bytes of weights and biases, and code.
 * Needs: a C99 compiler with IEEE floats, expf of the C library's libm. It allocates nothing and
 *   keeps nothing.
 * Compile with -std=c99 -O2 -ffp-contract=fast (-Os for the least flash). */

#ifndef C99_TINY_H
#define C99_TINY_H

#ifdef __cplusplus
extern "C" {
#endif

#define C99_TINY_INPUTS 16
#define C99_TINY_OUTPUTS 3
#define C99_TINY_WORKSPACE_BYTES 220

/* Memory for one run at a time, of the caller's choosing: static, on the stack, on a heap. What
 * is in it before and after a run does not matter. Runs with a workspace of their own may go
 * side by side. */
typedef struct {
    float numbers[55];
} c99_tiny_workspace;

/* Writes C99_TINY_OUTPUTS numbers for C99_TINY_INPUTS numbers. Neither overlaps the other or the
 * workspace. */
void c99_tiny_run(c99_tiny_workspace *workspace, const float *input, float *output);

/* The class with the largest output, from 0; the first among equals. */
int c99_tiny_classify(c99_tiny_workspace *workspace, const float *input);

#ifdef __cplusplus
}
#endif

#endif

/* Runs c99_tiny on inputs whose outputs are known; returns 0 if all are right. */
#include "c99_tiny.h"
#include <stdio.h>

#define SAMPLES 1
#define TOLERANCE 1.0e-5f

static const float inputs[16] = {
    0.0f, 0.0625f, 0.125f, 0.1875f, 0.25f, 0.3125f, 0.375f, 0.4375f, 0.5f, 0.5625f, 0.625f, 0.6875f,
    0.75f, 0.8125f, 0.875f, 0.9375f,
};

static const float expected[3] = {
    0.33333334f, 0.33333334f, 0.33333334f,
};

int main(void)
{
    static c99_tiny_workspace workspace;
    static float output[C99_TINY_OUTPUTS];
    int wrong = 0;
    for (int sample = 0; sample < SAMPLES; sample++) {
        float worst = 0.0f;
        c99_tiny_run(&workspace, inputs + sample * C99_TINY_INPUTS, output);
        for (int i = 0; i < C99_TINY_OUTPUTS; i++) {
            const float off = output[i] - expected[sample * C99_TINY_OUTPUTS + i];
            if (worst == worst && !(off <= worst && -off <= worst)) /* what is no number stays */
                worst = off < 0.0f ? -off : off;
        }
        const int is_right = worst <= TOLERANCE;
        printf("sample %d: off by %.3g, %s\n", sample, (double)worst, is_right ? "ok" : "WRONG");
        wrong += !is_right;
    }
    printf("%d of %d wrong\n", wrong, SAMPLES);
    return wrong != 0;
}

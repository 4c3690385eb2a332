"""The ``_test.c`` of a network: inputs, the outputs they have to give, and a ``main``."""

from __future__ import annotations

import torch

from pruneflow.deploy.c99.arrays import array, number
from pruneflow.deploy.c99.unit import Unit

SAMPLES = 4


def self_test_of(unit: Unit, inputs: torch.Tensor, outputs: torch.Tensor, tolerance: float) -> str:
    """A program that returns 0 if the network computes what it has to.

    Args:
        unit: The network.
        inputs: float32 (n, ...); the first few are taken.
        outputs: What they have to give.
        tolerance: How far off an output may be.
    """
    name, upper = unit.name, unit.name.upper()
    given = inputs[:SAMPLES].reshape(-1).float().numpy()
    right = outputs[:SAMPLES].reshape(-1).float().numpy()
    count = min(len(inputs), SAMPLES)
    return f"""\
/* Runs {name} on inputs whose outputs are known; returns 0 if all are right. */
#include "{name}.h"
#include <stdio.h>

#define SAMPLES {count}
#define TOLERANCE {number(tolerance)}

{array("inputs", given)}
{array("expected", right)}
int main(void)
{{
    static {name}_workspace workspace;
    static float output[{upper}_OUTPUTS];
    int wrong = 0;
    for (int sample = 0; sample < SAMPLES; sample++) {{
        float worst = 0.0f;
        {name}_run(&workspace, inputs + sample * {upper}_INPUTS, output);
        for (int i = 0; i < {upper}_OUTPUTS; i++) {{
            const float off = output[i] - expected[sample * {upper}_OUTPUTS + i];
            if (worst == worst && !(off <= worst && -off <= worst)) /* what is no number stays */
                worst = off < 0.0f ? -off : off;
        }}
        const int is_right = worst <= TOLERANCE;
        printf("sample %d: off by %.3g, %s\\n", sample, (double)worst, is_right ? "ok" : "WRONG");
        wrong += !is_right;
    }}
    printf("%d of %d wrong\\n", wrong, SAMPLES);
    return wrong != 0;
}}
"""

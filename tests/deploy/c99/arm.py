"""Networks written by hand, as tests compile them for Arm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from pruneflow.deploy.c99.boards.building import Source
from pruneflow.deploy.c99.boards.tools import emulator_missing, toolchain_missing

needs_compiler = pytest.mark.skipif(
    toolchain_missing() is not None, reason=str(toolchain_missing())
)
_missing = toolchain_missing() or emulator_missing()
needs_emulator = pytest.mark.skipif(_missing is not None, reason=str(_missing))

HEADER = """\
#include <stdint.h>
#define TINY_INPUTS {inputs}
#define TINY_OUTPUTS {outputs}
typedef struct {{ float numbers[{outputs}]; }} tiny_workspace;
void tiny_run(tiny_workspace *workspace, const float *input, float *output);
"""

TINY = """\
#include "tiny.h"
static const int8_t tiny_fc_values[5] = {3, -2, 7, 1, 4};
static const uint8_t tiny_fc_index[5] = {0, 3, 1, 2, 3};
static const uint8_t tiny_fc_counts[3] = {2, 1, 2};
static const float tiny_fc_scales[3] = {0.5f, 0.25f, 2.0f};
static const float tiny_fc_bias[3] = {1.0f, -1.0f, 0.0f};

void tiny_run(tiny_workspace *workspace, const float *input, float *output)
{
    const int8_t *value = tiny_fc_values;
    const uint8_t *index = tiny_fc_index;
    for (int row = 0; row < 3; row++) {
        float sum = 0.0f;
        for (int k = 0; k < tiny_fc_counts[row]; k++)
            sum += (float)*value++ * input[*index++];
        workspace->numbers[row] = sum * tiny_fc_scales[row];
        output[row] = workspace->numbers[row] + tiny_fc_bias[row];
    }
}
"""

DENSE = """\
#include "tiny.h"
static const float tiny_fc_values[12] = {1.5f, 0, 0, -1, 0, 1.75f, 0, 0, 0, 0, 2, 8};
static const float tiny_fc_bias[3] = {1, -1, 0};

void tiny_run(tiny_workspace *workspace, const float *input, float *output)
{
    (void)workspace;
    for (int row = 0; row < 3; row++) {
        output[row] = tiny_fc_bias[row];
        for (int k = 0; k < 4; k++)
            output[row] += tiny_fc_values[4 * row + k] * input[k];
    }
}
"""

ASSEMBLY = """\
#include "tiny.h"
__attribute__((naked)) void tiny_run(tiny_workspace *workspace, const float *input, float *output)
{
    __asm__ volatile(".syntax unified\\n\\t" %s);
}
"""


def written(text: str, inputs: int = 4, outputs: int = 3, folder: str = ".") -> Source:
    """A network's files in a folder."""
    place = Path(folder)
    place.mkdir(exist_ok=True)
    (place / "tiny.h").write_text(HEADER.format(inputs=inputs, outputs=outputs))
    (place / "tiny.c").write_text(text)
    return Source(place / "tiny.c", "tiny")


def assembly(*lines: str, inputs: int = 1) -> Source:
    """A network that does what it is told in assembly; r0 workspace, r1 input, r2 output."""
    return written(ASSEMBLY % " ".join(f'"{line}\\n\\t"' for line in lines), inputs, 1)


def some_inputs(samples: int = 3) -> npt.NDArray[np.float32]:
    """Inputs of the tiny network."""
    return np.random.default_rng(1).normal(size=(samples, 4)).astype(np.float32)


def expected(inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """What the tiny network makes of them."""
    weight = np.array([[1.5, 0, 0, -1], [0, 1.75, 0, 0], [0, 0, 2, 8]], np.float32)
    return inputs @ weight.T + np.array([1, -1, 0], np.float32)

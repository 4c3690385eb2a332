"""Networks on emulated machines: right outputs, exact counts, and faults that are noticed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruneflow.deploy.c99.boards import running
from pruneflow.deploy.c99.boards.cpus import CPUS, Cpu
from pruneflow.deploy.c99.boards.running import run_on
from pruneflow.deploy.c99.boards.tools import BoardLimitError
from pruneflow.errors import DeployError
from tests.deploy.c99.arm import (
    DENSE,
    TINY,
    assembly,
    expected,
    needs_emulator,
    some_inputs,
    written,
)

each_cpu = pytest.mark.parametrize("cpu", CPUS.values(), ids=CPUS)
M4 = CPUS["cortex-m4"]
LOOP = ("ldr r3, [r1]", "1: subs r3, #1", "bne 1b", "bx lr")
"""Goes round as often as the bits of the input say, in 2n + 2 instructions."""


def turns(*counts: int) -> np.ndarray:
    return np.array(counts, np.uint32).view(np.float32)[:, None]


@needs_emulator
@each_cpu
def test_outputs_are_right_and_counts_repeat(cpu: Cpu) -> None:
    inputs = some_inputs()
    runs = [run_on(written(TINY), cpu, inputs) for _ in range(2)]
    np.testing.assert_allclose(runs[0].outputs, expected(inputs), rtol=1e-5)
    assert runs[0].instructions == runs[1].instructions
    assert runs[0].stack_bytes == runs[1].stack_bytes


@needs_emulator
@each_cpu
def test_every_instruction_is_counted_once(cpu: Cpu) -> None:
    rounds = (1, 2, 3, 10, 4_711, 65_536, 1_000_001)
    run = run_on(assembly(*LOOP), cpu, turns(*rounds))
    assert run.instructions == tuple(2 * n + 2 for n in rounds)
    assert run.mean_instructions == round(sum(run.instructions) / len(rounds))


@needs_emulator
def test_no_more_samples_than_there_is_patience_for() -> None:
    inputs = turns(*[500_000] * 9)
    assert len(run_on(assembly(*LOOP), M4, inputs, patience=2_500_000).outputs) == 3
    assert len(run_on(assembly(*LOOP), M4, inputs, patience=0).outputs) == 1


@needs_emulator
@pytest.mark.slow
def test_the_timer_may_go_round() -> None:
    rounds = 700_000_000  # of two instructions each: more than once round the fine timer
    assert run_on(assembly(*LOOP), M4, turns(rounds)).instructions == (2 * rounds + 2,)


@given(st.integers(0, 2**34), st.integers(0, 2**36), st.integers(0, 255), st.integers(0, 30))
def test_counts_do_not_depend_on_when_the_timers_were_read(
    instructions: int, before: int, phase: int, between: int
) -> None:
    length = 2**running.SHIFT
    start, end = before * length, (before + instructions) * length
    fine = (end // running.TICK - start // running.TICK) % 2**32
    coarse_tick = running.COARSE * running.TICK
    begun, ended = start - between * length, end + between * length
    shift = phase * running.TICK  # the coarse timer was started at another time
    coarse = ((ended + shift) // coarse_tick - (begun + shift) // coarse_tick) % 2**32
    assert running._instructions(fine, coarse) == instructions


@needs_emulator
@each_cpu
@pytest.mark.parametrize("words", [0, 1, 100])
def test_the_stack_is_measured(cpu: Cpu, words: int) -> None:
    deep = (f"sub sp, #{4 * words}", "str r0, [sp]", f"add sp, #{4 * words}") if words else ()
    assert run_on(assembly(*deep, "bx lr"), cpu, turns(1)).stack_bytes == 4 * words


@needs_emulator
def test_floats_take_longer_without_a_unit_for_them() -> None:
    zeros = written(DENSE, folder="dense")
    m0, m4 = (run_on(zeros, CPUS[name], some_inputs()) for name in ("cortex-m0plus", "cortex-m4"))
    assert m0.mean_instructions > 5 * m4.mean_instructions
    np.testing.assert_allclose(m0.outputs, m4.outputs, rtol=1e-5)


UNALIGNED = ("adds r1, #1", "ldr r3, [r1]", "bx lr")


@needs_emulator
def test_a_fault_is_an_unaligned_access_only_where_the_processor_knows_none() -> None:
    with pytest.raises(DeployError, match="the network faulted on mps2-an385"):
        run_on(assembly(*UNALIGNED), CPUS["cortex-m0plus"], turns(1, 1))
    assert run_on(assembly(*UNALIGNED), M4, turns(1, 1)).instructions == (3, 3)


@needs_emulator
@each_cpu
@pytest.mark.parametrize(
    "lines",
    [("movs r3, #15", "lsls r3, #28", "str r3, [r3]", "bx lr"), ("udf #0",)],
    ids=["nowhere", "undefined"],
)
def test_a_fault_is_noticed(cpu: Cpu, lines: tuple[str, ...]) -> None:
    with pytest.raises(
        DeployError, match=f"the network faulted on {cpu.machine}.* after 0 samples"
    ):
        run_on(assembly(*lines), cpu, turns(1, 1))


@needs_emulator
def test_a_network_that_does_not_end_is_stopped() -> None:
    with pytest.raises(BoardLimitError, match="qemu-system-arm was not done after 1 s"):
        run_on(assembly("1: b 1b"), M4, turns(1), seconds=1)


@needs_emulator
def test_a_network_that_does_not_fit() -> None:
    text = TINY + "const unsigned char big_values[5 << 20] = {1};"
    with pytest.raises(BoardLimitError, match=r"1,0..,... bytes too many for the flash of mps2"):
        run_on(written(text), M4, some_inputs())
    text = TINY + "unsigned char memory[5 << 20];"
    with pytest.raises(BoardLimitError, match="bytes too many for the ram of mps2"):
        run_on(written(text), M4, some_inputs())


@needs_emulator
def test_what_was_in_the_workspace_is_no_number() -> None:
    text = '#include "tiny.h"\nvoid tiny_run(tiny_workspace *w, const float *x, float *y)\n'
    run = run_on(written(text + "{ *y = *x + w->numbers[0]; }", 1, 1), M4, turns(0))
    assert np.isnan(run.outputs).all()


@needs_emulator
def test_inputs_must_be_those_of_the_network() -> None:
    with pytest.raises(DeployError, match="the network takes inputs of another length"):
        run_on(written(TINY), M4, some_inputs()[:, :2])


@pytest.mark.parametrize("shape", [(4,), (0, 4), (1, 0), (1, 2, 2)])
def test_inputs_must_be_rows(shape: tuple[int, ...]) -> None:
    with pytest.raises(DeployError, match=r"they are to be \(samples, inputs\)"):
        run_on(written(TINY), M4, np.zeros(shape, np.float32))

"""The tool that strikes does strike: else a campaign without losses would mean nothing."""

from __future__ import annotations

from benchmarks.faults import laws
from benchmarks.faults.nursery import End, Fault, Nursery
from benchmarks.faults.struck import BEGIN, home


def test_every_kind_of_strike_is_felt(nursery: Nursery) -> None:
    strikes = {
        Fault("operation", 3, "ENOSPC"): (2, "No space left on device"),
        Fault("operation", 3, "SIGKILL"): (-9, ""),
    }
    for fault, (code, said) in strikes.items():
        with home() as here:
            end = nursery.run(BEGIN, here, fault)
            assert end.code == code, end.said
            assert said in end.said


def test_a_half_written_file_and_an_unclear_end_are_noticed() -> None:
    with home() as here:
        (here / "result.json").write_text('{"a": ')
        (here / "plan.json.77.part").write_text('{"a": ')
        (broken,) = laws.broken(here)
        assert broken.startswith("result.json: JSONDecodeError")
    assert laws.unclear(End(0, ""), False) == []
    assert laws.unclear(End(None, ""), False) == ["it hung"]
    assert laws.unclear(End(-9, ""), True) == []
    assert laws.unclear(End(3, "pruneflow: x"), False) == ["exit code 3"]
    assert laws.unclear(End(1, "Traceback (most"), True) == [
        "a traceback", "no message", "it does not say how to go on"
    ]  # fmt: skip

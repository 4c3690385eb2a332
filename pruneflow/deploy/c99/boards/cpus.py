"""Which Arm processors a network is compiled for, and which emulated machine runs it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cpu:
    """A microcontroller's processor.

    Attributes:
        name: As compilers call it.
        flags: What they compile for it with.
        machine: The machine of QEMU that runs it: 4 MB of flash and 4 MB of RAM.
        core: The processor of that machine.
    """

    name: str
    flags: tuple[str, ...]
    machine: str
    core: str

    @property
    def ran_as(self) -> str:
        """The machine, and its processor where that is another one."""
        return self.machine if self.core == self.name else f"{self.machine} ({self.core})"


def _cpu(name: str, machine: str, fpu: str | None = None, core: str | None = None) -> Cpu:
    floats = ("-mfloat-abi=soft",) if fpu is None else ("-mfloat-abi=hard", f"-mfpu={fpu}")
    return Cpu(name, (f"-mcpu={name}", "-mthumb", *floats), machine, core or name)


CPUS = {
    cpu.name: cpu
    for cpu in (
        # no machine of QEMU has a Cortex-M0+; its instructions are a subset of a Cortex-M3's,
        # and the start-up code makes unaligned accesses fault there as they do on a Cortex-M0+
        _cpu("cortex-m0plus", "mps2-an385", core="cortex-m3"),
        _cpu("cortex-m4", "mps2-an386", fpu="fpv4-sp-d16"),
        _cpu("cortex-m7", "mps2-an500", fpu="fpv5-sp-d16"),
    )
}
"""By name. Without a floating-point unit, floats are computed by the compiler's library."""

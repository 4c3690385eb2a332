"""Which GPUs kernels can be compiled for."""

ARCHITECTURES = {
    "sm_80": 163, "sm_86": 99, "sm_87": 163, "sm_89": 99, "sm_90": 227, "sm_100": 227, "sm_120": 99,
}  # fmt: skip
"""Those that Triton 3.6 and later know, and the KiB of shared memory that a program may have there
(CUDA C++ Programming Guide, compute capabilities)."""

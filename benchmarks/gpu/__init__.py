"""The GPU benchmark's parts; ``benchmarks.gpu_kernels`` is the command."""

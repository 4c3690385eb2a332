"""Triton kernels compiled ahead of time: cubins, and what each of them asks of a GPU.

No GPU is needed: neither to compile them nor to read how many registers and instructions they use.
"""

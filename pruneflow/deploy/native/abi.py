"""The C kernels' structures, field by field as in ``program.c``."""

from __future__ import annotations

import ctypes
from ctypes import c_float, c_int32, c_int64, c_void_p
from enum import IntEnum


class Kind(IntEnum):
    """What an operation does."""

    CONV, MAX_POOL, AVERAGE_POOL, AVERAGE_ALL, ADD_MAPS, FLATTEN, LINEAR, ADD, SOFTMAX = range(9)


class Variant(IntEnum):
    """How a linear layer multiplies one vector."""

    ROWS, WINDOWS, PANELS = range(3)


class ActivationKind(IntEnum):
    """What follows a layer."""

    NONE, CLAMP, LEAKY = range(3)


class Activation(ctypes.Structure):
    """``pf_activation``."""

    _fields_ = [("kind", c_int32), ("low", c_float), ("high", c_float)]


class Map(ctypes.Structure):
    """``pf_map``."""

    _fields_ = [
        ("offset", c_int64), ("plane", c_int64),
        ("channels", c_int32), ("height", c_int32), ("width", c_int32), ("pitch", c_int32),
    ]  # fmt: skip


class Frame(ctypes.Structure):
    """``pf_frame``."""

    _fields_ = [
        ("kernel", c_int32 * 2), ("stride", c_int32 * 2), ("padding", c_int32 * 2),
        ("dilation", c_int32 * 2), ("count_padding", c_int32),
    ]  # fmt: skip


class Rows(ctypes.Structure):
    """``pf_rows``."""

    _fields_ = [(name, c_void_p) for name in ("starts", "places", "values", "bias")]


class Windows(ctypes.Structure):
    """``pf_windows``."""

    _fields_ = [(name, c_void_p) for name in ("starts", "order", "bases", "picks", "values")]


class Op(ctypes.Structure):
    """``pf_op``."""

    _fields_ = [
        ("kind", c_int32), ("variant", c_int32), ("activation", Activation),
        ("input", Map), ("other", Map), ("output", Map), ("phases", Map), ("frame", Frame),
        ("has_other", c_int32), ("rows", Rows), ("windows", Windows), ("panels", c_void_p),
    ]  # fmt: skip


class Program(ctypes.Structure):
    """``pf_program``."""

    _fields_ = [
        ("ops", c_void_p), ("count", c_int32), ("first_matrix_op", c_int32),
        ("input_size", c_int64), ("output_size", c_int64), ("input", Map),
        ("matrix_input", c_int64), ("output", c_int64), ("output_map", Map),
        ("map_floats", c_int64), ("matrix_rows", c_int64),
    ]  # fmt: skip


class Call(ctypes.Structure):
    """``pf_call``."""

    _fields_ = [
        ("program", c_void_p), ("scratch", c_void_p), ("batch", c_int64), ("threads", c_int32),
    ]  # fmt: skip

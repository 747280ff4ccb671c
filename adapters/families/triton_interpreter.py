"""Triton's interpreter, which runs kernels on a CPU, as far as Liger's need it to be right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from adapters.contract import Shim

INTERPRETER = Shim(
    "triton-interpreter",
    "Liger's kernels are written for Triton, which compiles for accelerators alone: on a CPU its own interpreter runs"
    " them (TRITON_INTERPRET=1). That hands floats on as Python's, where the compiler has float32, computes with the"
    " bits of bfloat16 as if they were whole numbers, and rounds to it by cutting off (triton/runtime/interpreter.py):"
    " it is computed in float32 and rounded to the nearest, as on a GPU. It has no rsqrt of CUDA's libdevice, for which"
    " it takes Triton's own",
)


def interpret() -> None:
    """Do what `INTERPRETER` says."""
    from liger_kernel.ops import rms_norm
    from triton import language
    from triton.runtime import interpreter

    handle = interpreter.TensorHandle
    convert, convert_float = interpreter._implicit_cvt, interpreter._convert_float
    builder = interpreter.InterpreterBuilder

    def convert_floats_too(argument: Any) -> Any:
        if not isinstance(argument, float):
            return convert(argument)
        return language.tensor(handle(np.array([argument], dtype=np.float32), language.float32), language.float32)

    def converted(data: Any, source: Any, to: Any, rounding: Any) -> Any:
        if (source, to) == (language.bfloat16, language.float32):
            return widened(data).view(np.uint32)
        if (source, to) == (language.float32, language.bfloat16):
            return rounded(data)
        return convert_float(data, source, to, rounding)

    def in_float32(operation: Callable[..., Any]) -> Callable[..., Any]:
        def computed(self: Any, *given: Any) -> Any:
            *values, op = given
            if values[0].dtype.scalar != language.bfloat16:
                return operation(self, *given)
            found = operation(self, *(handle(widened(v.data), language.float32) for v in values), op)
            data = rounded(found.data) if found.data.dtype == np.float32 else found.data
            return handle(data, language.bfloat16)

        return computed

    def rsqrt(value: Any) -> Any:
        return language.rsqrt(value)  # looked up late: within a kernel it is the interpreter's

    interpreter._implicit_cvt, interpreter._convert_float = convert_floats_too, converted
    for name in ("unary_op", "binary_op", "ternary_op"):
        setattr(builder, name, in_float32(getattr(builder, name)))
    rms_norm.rsqrt = rsqrt


def widened(bits: Any) -> Any:
    """uint16, the bits of bfloat16, as float32."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def rounded(data: Any) -> Any:
    """float32 as the bits of the nearest bfloat16, uint16; of two as near, the even one."""
    bits = np.ascontiguousarray(data, dtype=np.float32).view(np.uint32)
    nearest = (bits + (0x7FFF + ((bits >> 16) & 1))) >> 16
    return np.where(np.isnan(data), 0x7FC0, nearest).astype(np.uint16)

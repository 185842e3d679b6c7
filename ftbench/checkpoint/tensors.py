"""Reads safetensors files far enough to trust them: the header always, values in small pieces.

Source: the format's description in the safetensors project (version 0.8, README and
``safetensors/src/tensor.rs``): 8 bytes of little-endian header length, a JSON header, then the
tensors' bytes without a gap.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_BITS = {
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "U16": 16,
    "I16": 16,
    "F16": 16,
    "BF16": 16,
    "U32": 32,
    "I32": 32,
    "F32": 32,
    "U64": 64,
    "I64": 64,
    "F64": 64,
    "C64": 64,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
}

_READABLE = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<u2"}
"""How numpy sees the kinds whose values are checked; it has no bfloat16, so its bits are read."""

_MAX_HEADER_BYTES = 100_000_000
"""The format's own limit."""

_CHUNK_BYTES = 8 << 20

_LFS_POINTER = b"version https://git-lfs"


class BadTensorFile(Exception):
    """A file that is no complete safetensors file; the message says what is wrong with it."""


@dataclass(frozen=True)
class TensorInfo:
    """One tensor of a file.

    Attributes:
        dtype: safetensors' name, such as ``BF16``.
        start: First byte, counted from the start of the file.
        num_bytes: Length in the file.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int
    num_bytes: int


@dataclass(frozen=True)
class Values:
    """What the values of one tensor are like.

    Attributes:
        num_nan: How many are not a number.
        num_inf: How many are infinite.
        is_zero: Every value is zero.
    """

    num_nan: int
    num_inf: int
    is_zero: bool


def read_header(path: Path) -> dict[str, TensorInfo]:
    """Reads which tensors a file holds, and checks that all their bytes are there.

    Args:
        path: A ``.safetensors`` file.

    Returns:
        The tensors by name, in file order.

    Raises:
        BadTensorFile: It is not such a file, or it is truncated.
        OSError: It cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(max(8, len(_LFS_POINTER)))
        if start == _LFS_POINTER:
            raise BadTensorFile("it is a Git LFS pointer, the weights themselves are not here")
        if len(start) < 8:
            raise BadTensorFile(f"it is {size} bytes long, shorter than any safetensors file")
        length = int.from_bytes(start[:8], "little")
        if length > _MAX_HEADER_BYTES:
            raise BadTensorFile("it does not begin with a safetensors header")
        if 8 + length > size:
            raise BadTensorFile(
                f"it is truncated: its header ends at byte {8 + length}, it has {size}"
            )
        file.seek(8)
        header = _parse(file.read(length))
    tensors = {
        name: _tensor(name, entry, 8 + length)
        for name, entry in header.items()
        if name != "__metadata__"
    }
    return _check_extent(tensors, 8 + length, size)


def _parse(text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise BadTensorFile("it does not begin with a safetensors header") from exc
    if not isinstance(header, dict):
        raise BadTensorFile("its header is not a table of tensors")
    return header


def _tensor(name: str, entry: Any, data_start: int) -> TensorInfo:
    try:
        dtype, shape, (start, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not all(type(n) is int and n >= 0 for n in (*shape, start, end)):
            raise ValueError("a size or an offset is not a whole number")
        num_bytes = math.ceil(math.prod(shape) * _BITS[dtype] / 8)
    except KeyError as exc:
        raise BadTensorFile(f"its header says nothing usable of tensor {name!r}: {exc}") from exc
    except (TypeError, ValueError, OverflowError) as exc:
        raise BadTensorFile(f"its header says nothing usable of tensor {name!r}") from exc
    if end - start != num_bytes:
        raise BadTensorFile(
            f"tensor {name!r} ({dtype}, {list(shape)}) takes {num_bytes} bytes, "
            f"its header gives it {end - start}"
        )
    return TensorInfo(dtype, tuple(shape), data_start + start, num_bytes)


def _check_extent(tensors: dict[str, TensorInfo], end: int, size: int) -> dict[str, TensorInfo]:
    ordered = dict(sorted(tensors.items(), key=lambda item: (item[1].start, item[1].num_bytes)))
    for name, tensor in ordered.items():
        if tensor.start != end:
            raise BadTensorFile(f"tensor {name!r} begins at byte {tensor.start} instead of {end}")
        end = tensor.start + tensor.num_bytes
    if end > size:
        raise BadTensorFile(f"it is truncated: {size} of {end} bytes are there")
    if end < size:
        raise BadTensorFile(f"{size - end} bytes follow its last tensor")
    return ordered


def inspect_values(path: Path, tensor: TensorInfo) -> Values | None:
    """Looks at every value of a tensor, a few MiB at a time.

    Returns:
        None for kinds whose values are not checked (integers, 8-bit floats).
    """
    if tensor.dtype not in _READABLE:
        return None
    kind = np.dtype(_READABLE[tensor.dtype])
    num_nan = num_inf = 0
    is_zero = True
    with path.open("rb", buffering=0) as file:
        file.seek(tensor.start)
        left = tensor.num_bytes
        while left:
            count = min(left, _CHUNK_BYTES)
            values = np.fromfile(file, dtype=kind, count=count // kind.itemsize)
            if values.nbytes != count:
                raise BadTensorFile("it was cut while it was read")
            left -= count
            nan, inf, zero = _look(values, tensor.dtype)
            num_nan, num_inf, is_zero = num_nan + nan, num_inf + inf, is_zero and zero
    return Values(num_nan, num_inf, is_zero)


def read_values(path: Path, tensor: TensorInfo) -> npt.NDArray[np.float64] | None:
    """The values of a tensor; None for kinds that numpy cannot read.

    Raises:
        BadTensorFile: The file ends before they do.
        OSError: It cannot be read.
    """
    if tensor.dtype not in _READABLE:
        return None
    raw = b"".join(piece.tobytes() for piece in read_bytes(path, tensor))
    values = np.frombuffer(raw, dtype=_READABLE[tensor.dtype])
    if tensor.dtype == "BF16":  # the upper half of a float32
        values = (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float64).reshape(tensor.shape)


def read_bytes(path: Path, tensor: TensorInfo) -> Iterator[npt.NDArray[np.uint8]]:
    """The bytes of a tensor, a few MiB at a time.

    Raises:
        BadTensorFile: The file ends before they do.
        OSError: It cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        file.seek(tensor.start)
        left = tensor.num_bytes
        while left:
            piece = np.fromfile(file, dtype=np.uint8, count=min(left, _CHUNK_BYTES))
            if not piece.size:
                raise BadTensorFile("it was cut while it was read")
            left -= piece.size
            yield piece


def _look(values: npt.NDArray[Any], dtype: str) -> tuple[int, int, bool]:
    if dtype == "BF16":
        bits = values & 0x7FFF
        nan, inf = int(np.count_nonzero(bits > 0x7F80)), int(np.count_nonzero(bits == 0x7F80))
        return nan, inf, not bits.any()
    # A sum is finite when all its values are; it is several times cheaper than looking at each.
    with np.errstate(over="ignore", invalid="ignore"):
        is_finite = bool(np.isfinite(np.sum(values, dtype=np.float64)))
    if is_finite:
        return 0, 0, not values.any()
    return int(np.isnan(values).sum()), int(np.isinf(values).sum()), False


def looks_truncated(path: Path) -> str:
    """What is plainly wrong with a PyTorch pickle, which is never opened; empty when nothing is."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(len(_LFS_POINTER))
        file.seek(max(0, size - 65557), os.SEEK_SET)
        tail = file.read()
    if not size:
        return "it is empty"
    if start == _LFS_POINTER:
        return "it is a Git LFS pointer, the weights themselves are not here"
    # torch.save writes a zip archive, whose directory stands at its end.
    if start.startswith(b"PK\x03\x04") and b"PK\x05\x06" not in tail:
        return f"it is truncated: its {size} bytes end before the archive does"
    return ""

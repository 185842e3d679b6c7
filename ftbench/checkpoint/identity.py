"""Says whether a fine-tuned model is its base: the same weights, bit by bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ftbench.checkpoint.model import read_tensors_of
from ftbench.checkpoint.tensors import TensorInfo, read_bytes


def same_weights(folder: Path, other: Path) -> bool:
    """Whether two model folders hold the same weights, tensor by tensor, however they are split.

    Pickles are not opened, so that they are never the same; nor are equal numbers of other types.

    Raises:
        BadTensorFile, OSError: A file cannot be read.
    """
    own, its = read_tensors_of(folder), read_tensors_of(other)
    if not own or own.keys() != its.keys():
        return False
    alike = all(
        (tensor.dtype, tensor.shape) == (its[name][1].dtype, its[name][1].shape)
        for name, (_, tensor) in own.items()
    )
    # The first tensor that differs ends it: only equal models are read to their end.
    return alike and all(_same_bytes(place, its[name]) for name, place in own.items())


def _same_bytes(first: tuple[Path, TensorInfo], second: tuple[Path, TensorInfo]) -> bool:
    pieces = zip(read_bytes(*first), read_bytes(*second), strict=True)
    return all(np.array_equal(own, its) for own, its in pieces)

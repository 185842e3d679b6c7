from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

from ftbench.checkpoint.tensors import (
    BadTensorFile,
    TensorInfo,
    Values,
    inspect_values,
    looks_truncated,
    read_header,
)
from tests.checkpoint.folders import cut, write_raw

NO_HEADER = "it does not begin with a safetensors header"


def failure(path: Path) -> str:
    with pytest.raises(BadTensorFile) as caught:
        read_header(path)
    return str(caught.value)


def one(dtype: str = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"a": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


def test_read_header_agrees_with_the_safetensors_library(weird_tmp_path: Path) -> None:
    path = weird_tmp_path / "x.safetensors"
    arrays = {
        "b": np.zeros((3, 5), np.float16),
        "a": np.ones((2, 2), np.float64),
        "empty": np.zeros((0, 4), np.float32),
        "flags": np.ones(3, np.bool_),
    }
    save_file(arrays, path, metadata={"format": "np"})

    tensors = read_header(path)

    with safe_open(path, "np") as file:
        kinds = {n: (file.get_slice(n).get_dtype(), file.get_slice(n).get_shape()) for n in arrays}
    assert {n: (t.dtype, list(t.shape)) for n, t in tensors.items()} == kinds
    content = path.read_bytes()
    for name, tensor in tensors.items():
        piece = content[tensor.start : tensor.start + tensor.num_bytes]
        assert piece == arrays[name].tobytes()


def test_read_header_says_how_many_bytes_are_missing(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "x", one(), b"\0" * 8)
    whole = path.stat().st_size
    cut(path, 3)
    assert failure(path) == f"it is truncated: {whole - 3} of {whole} bytes are there"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is 0 bytes long, shorter than any safetensors file"),
        (b"abc", "it is 3 bytes long, shorter than any safetensors file"),
        (b"\xff" * 20, NO_HEADER),
        (
            (50).to_bytes(8, "little") + b"{}",
            "it is truncated: its header ends at byte 58, it has 10",
        ),
        ((2).to_bytes(8, "little") + b"{}x", "1 bytes follow its last tensor"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
            "it is a Git LFS pointer, the weights themselves are not here",
        ),
    ],
)
def test_read_header_refuses_other_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    assert failure(path) == message


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"not json", NO_HEADER),
        (b"[" * 100_000, NO_HEADER),
        ([], "its header is not a table of tensors"),
        ({"a": 1}, "its header says nothing usable of tensor 'a'"),
        ({"a": {"dtype": "F32"}}, "its header says nothing usable of tensor 'a': 'shape'"),
        (one(dtype="F99"), "its header says nothing usable of tensor 'a': 'F99'"),
        (one(shape=[-2]), "its header says nothing usable of tensor 'a'"),
        (one(shape=[2.0]), "its header says nothing usable of tensor 'a'"),
        (one(shape=3), "its header says nothing usable of tensor 'a'"),
        (one(offsets=[0]), "its header says nothing usable of tensor 'a'"),
        (one(offsets=[8, 0]), "tensor 'a' (F32, [2]) takes 8 bytes, its header gives it -8"),
        (one(shape=[3]), "tensor 'a' (F32, [3]) takes 12 bytes, its header gives it 8"),
    ],
)
def test_read_header_refuses_bad_headers(tmp_path: Path, header: Any, message: str) -> None:
    assert failure(write_raw(tmp_path / "x", header, b"\0" * 8)) == message


def test_read_header_refuses_a_gap(tmp_path: Path) -> None:
    header = one(offsets=[4, 12])
    path = write_raw(tmp_path / "x", header, b"\0" * 12)
    start = 8 + len(json.dumps(header))
    assert failure(path) == f"tensor 'a' begins at byte {start + 4} instead of {start}"


@settings(deadline=None)  # a busy machine is no finding
@given(content=st.binary(max_size=400))
def test_read_header_meets_any_bytes_with_its_own_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "x"
    path.write_bytes(content)
    try:
        assert isinstance(read_header(path), dict)
    except BadTensorFile as error:
        assert str(error)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
tensor_entries = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from(["F32", "BF16", "F4"]) | json_values,
        "shape": st.lists(st.integers(-1, 3), max_size=3) | json_values,
        "data_offsets": st.lists(st.integers(-1, 40), min_size=1, max_size=3) | json_values,
    },
)


@settings(deadline=None)
@given(
    header=st.dictionaries(st.text(max_size=4), tensor_entries | json_values, max_size=3),
    data=st.binary(max_size=40),
)
def test_read_header_meets_any_header_with_its_own_error(
    tmp_path_factory: pytest.TempPathFactory, header: dict[str, Any], data: bytes
) -> None:
    path = write_raw(tmp_path_factory.mktemp("any") / "x", header, data)
    try:
        tensors = read_header(path)
    except BadTensorFile as error:
        assert str(error)
    else:
        size = path.stat().st_size
        assert all(0 <= t.start <= t.start + t.num_bytes <= size for t in tensors.values())


def write_values(path: Path, dtype: str, values: np.ndarray[Any, Any]) -> TensorInfo:
    header = {"a": {"dtype": dtype, "shape": [values.size], "data_offsets": [0, values.nbytes]}}
    return read_header(write_raw(path, header, values.tobytes()))["a"]


@pytest.mark.parametrize("kind", ["<f2", "<f4", "<f8"])
def test_inspect_values_counts_nan_and_inf(tmp_path: Path, kind: str) -> None:
    names = {"<f2": "F16", "<f4": "F32", "<f8": "F64"}
    values = np.array([0, 1, np.nan, np.inf, -np.inf, np.nan], dtype=kind)
    tensor = write_values(tmp_path / "x", names[kind], values)
    assert inspect_values(tmp_path / "x", tensor) == Values(2, 2, is_zero=False)


def test_inspect_values_reads_the_bits_of_bfloat16(tmp_path: Path) -> None:
    # 1.0, NaN, -NaN, inf, -inf, the largest finite value, -0.0
    bits = np.array([0x3F80, 0x7FC0, 0xFF81, 0x7F80, 0xFF80, 0x7F7F, 0x8000], "<u2")
    tensor = write_values(tmp_path / "x", "BF16", bits)
    assert inspect_values(tmp_path / "x", tensor) == Values(2, 2, is_zero=False)


@pytest.mark.parametrize(
    ("dtype", "bits"), [("BF16", [0, 0x8000]), ("F16", [0, 0x8000]), ("F32", [0, 0, 0, 0x8000])]
)
def test_inspect_values_takes_both_zeros_for_zero(
    tmp_path: Path, dtype: str, bits: list[int]
) -> None:
    values = np.array(bits, "<u2")
    header = {"a": {"dtype": dtype, "shape": [2], "data_offsets": [0, values.nbytes]}}
    path = write_raw(tmp_path / "x", header, values.tobytes())
    assert inspect_values(path, read_header(path)["a"]) == Values(0, 0, is_zero=True)


def test_inspect_values_does_not_take_a_large_finite_sum_for_infinite(tmp_path: Path) -> None:
    tensor = write_values(tmp_path / "x", "F64", np.full(4, 1.7e308))
    assert inspect_values(tmp_path / "x", tensor) == Values(0, 0, is_zero=False)


def test_inspect_values_looks_behind_the_first_chunk(tmp_path: Path) -> None:
    values = np.zeros(5_000_000, np.float32)  # 20 MB; a chunk is 8 MiB
    values[-1] = np.nan
    tensor = write_values(tmp_path / "x", "F32", values)
    assert inspect_values(tmp_path / "x", tensor) == Values(1, 0, is_zero=False)


def test_inspect_values_leaves_other_kinds_unchecked(tmp_path: Path) -> None:
    tensor = write_values(tmp_path / "x", "F8_E4M3", np.full(4, 0xFF, np.uint8))
    assert inspect_values(tmp_path / "x", tensor) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"PK\x03\x04" + b"x" * 50, "it is truncated: its 54 bytes end before the archive does"),
        (b"PK\x03\x04" + b"x" * 50 + b"PK\x05\x06" + b"\0" * 18, ""),
        (b"\x80\x02legacy pickle", ""),
    ],
)
def test_looks_truncated_judges_a_pickle_from_outside(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(content)
    assert looks_truncated(path) == message

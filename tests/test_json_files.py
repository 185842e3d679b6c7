"""Files that are read in pieces give what they give when they are read whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftbench import json_files
from ftbench.json_files import members, read_object

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=4), VALUES, max_size=5)
RECORDS = {"0": {"prompt": 'a "quoted" 🙂', "gold": -1.5e3}, "1": {"prompt": "b\n", "gold": None}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.json"


def same(item: Any) -> Any:
    return item


@pytest.mark.parametrize("chunk", [1, 3, 1000])
@given(value=OBJECTS, indent=st.sampled_from([None, 4]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_members_are_those_of_the_file(path: Path, chunk: int, value: Any, indent: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=indent), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_files, "CHUNK", chunk)
        assert dict(members(path)) == value
        assert list(members(path)) == list(value.items())


@pytest.mark.parametrize("chunk", [1, 1000])
@given(value=VALUES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_an_object_is_read_with_its_large_member(path: Path, chunk: int, value: Any) -> None:
    whole = {"accuracy": 12.5, "details": value, "last": 123}
    path.write_text(json.dumps(whole), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_files, "CHUNK", chunk)
        assert read_object(path, "details", same) == whole


@pytest.mark.parametrize("details", [[1, 2], {"a": 1, "b": 2}])
def test_items_of_the_large_member_are_reduced(path: Path, details: Any) -> None:
    path.write_text(json.dumps({"accuracy": [1], "details": details}))
    expected = ["x", "x"] if isinstance(details, list) else {"a": "x", "b": "x"}
    assert read_object(path, "details", lambda item: "x") == {"accuracy": [1], "details": expected}


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_every_torn_file_is_refused(
    path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_files, "CHUNK", chunk)
    text = json.dumps({"details": RECORDS, "accuracy": 25.0}, indent=1)
    for length in range(len(text)):
        path.write_text(text[:length], encoding="utf-8")
        with pytest.raises(ValueError, match="not a whole JSON object"):
            read_object(path, "details", same)


@pytest.mark.parametrize(
    "text",
    ["[]", "1", "", '{"a": 1,}', '{"a" 1}', '{"a": 1} 2', "{1: 2}", '{"a": 1 "b": 2}', "{,}"],
)
def test_what_is_no_object_is_refused(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(ValueError, match="not a whole JSON object"):
        list(members(path))
    with pytest.raises(ValueError, match="not a whole JSON object"):
        read_object(path, "a", same)


def test_members_before_a_tear_are_given(path: Path) -> None:
    path.write_text('{"0": {"prediction": "a"}, "1": {"predic')
    read = members(path)
    assert next(read) == ("0", {"prediction": "a"})
    with pytest.raises(ValueError, match="a value expected, found"):
        next(read)


def test_an_absent_file_is_an_error_of_the_system(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(members(path))

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from ftbench.checkpoint import hash_folder, hash_model, hash_weights, hashes
from tests.checkpoint.folders import make_adapter, make_base, make_shards, write_json


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "hashes.json"


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file counts as long unchanged: a change time cannot be set back."""
    monkeypatch.setattr(hashes, "_SETTLED_S", -1.0)


def test_hash_weights_is_the_same_for_a_copy(weird_tmp_path: Path, cache: Path) -> None:
    folder = make_adapter(weird_tmp_path / "a")
    copy = shutil.copytree(folder, weird_tmp_path / "b")
    assert hash_weights(folder, cache) == hash_weights(copy, cache)
    assert len(hash_weights(folder, cache)) == 64


def test_hash_weights_ignores_what_changes_no_answer(tmp_path: Path, cache: Path) -> None:
    first = make_adapter(tmp_path / "a")
    second = make_adapter(
        tmp_path / "b",
        base_model_name_or_path="/moved/base",
        target_modules=["q_proj", "v_proj"],
        inference_mode=True,
    )
    (second / "README.md").write_text("trained today")
    (second / "optimizer.pt").write_bytes(b"state")
    assert hash_weights(first, cache) == hash_weights(second, cache)


@pytest.mark.parametrize("change", ["weights", "alpha", "tokenizer"])
def test_hash_weights_sees_what_changes_answers(tmp_path: Path, cache: Path, change: str) -> None:
    folder = make_adapter(tmp_path / "a")
    before = hash_weights(folder, cache)
    if change == "weights":
        weights = folder / "adapter_model.safetensors"
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)
    elif change == "alpha":
        make_adapter(folder, lora_alpha=64)
    else:
        write_json(folder / "tokenizer_config.json", {"chat_template": "x"})
    assert hash_weights(folder, cache) != before


def test_hash_weights_needs_a_configuration(tmp_path: Path, cache: Path) -> None:
    (make_adapter(tmp_path / "a") / "adapter_config.json").write_text("{")
    with pytest.raises(ValueError):
        hash_weights(tmp_path / "a", cache)


def test_hash_model_covers_every_shard(tmp_path: Path, cache: Path) -> None:
    folder = make_shards(tmp_path / "a")
    before = hash_model(folder, cache)
    shard = folder / "model-00002-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1] + b"\7")
    assert hash_model(folder, cache) != before


def test_hash_model_ignores_files_that_are_not_read(tmp_path: Path, cache: Path) -> None:
    folder = make_base(tmp_path / "a")
    before = hash_model(folder, cache)
    (folder / "pytorch_model.bin").write_bytes(b"the same weights as a pickle")
    (folder / "README.md").write_text("hello")
    assert hash_model(folder, cache) == before


def test_hash_folder_covers_names_and_contents_below(tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "data"
    (folder / "test").mkdir(parents=True)
    (folder / "test" / "a.csv").write_text("1")
    first = hash_folder(folder, cache)
    assert hash_folder(shutil.copytree(folder, tmp_path / "copy"), cache) == first
    (folder / "test" / "a.csv").rename(folder / "test" / "b.csv")
    assert hash_folder(folder, cache) != first


def test_hash_folder_ends_where_links_form_a_circle(tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.csv").write_text("1")
    before = hash_folder(folder, cache)
    (folder / "again").symlink_to(folder)
    assert hash_folder(folder, cache) == before


def test_hash_folder_of_a_file_is_the_sha256_of_its_content(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"abc")
    # Source: FIPS 180-2, appendix B.1.
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert hash_folder(path, cache) == expected


@pytest.mark.usefixtures("settled")
def test_hashes_are_remembered_while_a_file_is_unchanged(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"abc")
    hash_folder(path, cache)
    remembered = json.loads(cache.read_text())
    remembered[str(path)][-1] = "from the cache"
    write_json(cache, remembered)
    assert hash_folder(path, cache) == "from the cache"

    stat = path.stat()
    path.write_bytes(b"xyz")  # same size
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # same modification time
    assert hash_folder(path, cache) != "from the cache"


def test_hashes_of_files_that_just_changed_are_not_remembered(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"abc")
    assert time.time() - path.stat().st_mtime < 2
    hash_folder(path, cache)
    assert not cache.exists()


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("content", ["", "{", "[]", '{"x": 1}'])
def test_hashes_do_without_a_cache_that_cannot_be_read(
    tmp_path: Path, cache: Path, content: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"abc")
    cache.parent.mkdir()
    cache.write_text(content)
    digest = hash_folder(path, cache)
    assert digest.startswith("ba7816bf")
    assert json.loads(cache.read_text())[str(path)][-1] == digest


@pytest.mark.usefixtures("settled")
def test_hashes_do_without_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"abc")
    assert hash_folder(path, path / "hashes.json").startswith("ba7816bf")

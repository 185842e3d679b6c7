"""Unpacking: into place or not at all, and never anywhere else."""

import shutil
import stat
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from ftbench.data.archives import BadArchive, unpack
from tests.data.server import zipped


class Desk:
    def __init__(self, root: Path) -> None:
        self.archive, self.stage, self.into = root / "a.zip", root / "stage", root / "data"
        self.into.mkdir()

    def unpack(self, entries: dict[str, str | bytes] | None = None) -> None:
        if entries is not None:
            self.archive.write_bytes(zipped(entries))
        unpack(self.archive, self.stage, self.into)

    def content(self) -> dict[str, str]:
        files = (path for path in self.into.rglob("*") if path.is_file())
        return {str(path.relative_to(self.into)): path.read_text() for path in files}


@pytest.fixture
def desk(weird_tmp_path: Path) -> Desk:
    return Desk(weird_tmp_path)


def test_unpack_puts_folders_and_files_into_place(desk: Desk) -> None:
    desk.unpack({"mmlu/": "", "mmlu/test/a.csv": "1", "aime.jsonl": "2"})
    assert desk.content() == {"mmlu/test/a.csv": "1", "aime.jsonl": "2"}
    assert not desk.stage.exists()
    assert stat.S_IMODE((desk.into / "mmlu").stat().st_mode) & 0o500 == 0o500


def test_unpack_adds_to_folders_and_replaces_no_file(desk: Desk) -> None:
    (desk.into / "math" / "own").mkdir(parents=True)
    (desk.into / "math" / "math.json").write_text("the user's")
    (desk.into / "empty").mkdir()
    desk.unpack(
        {"math/math.json": "1", "math/own/x.json": "2", "math/b/c.json": "3", "empty/d": "4"}
    )
    assert desk.content() == {
        "math/math.json": "the user's",
        "math/own/x.json": "2",
        "math/b/c.json": "3",
        "empty/d": "4",
    }


def test_unpack_leaves_out_what_macos_adds(desk: Desk) -> None:
    desk.unpack({"a/b": "1", "a/.DS_Store": "x", "__MACOSX/a/._b": "x"})
    assert desk.content() == {"a/b": "1"}


def test_unpack_starts_again_after_a_kill(desk: Desk) -> None:
    (desk.stage / "mmlu").mkdir(parents=True)
    (desk.stage / "mmlu" / "half").write_text("x")
    desk.unpack({"mmlu/a.csv": "1"})
    assert desk.content() == {"mmlu/a.csv": "1"}


@pytest.mark.parametrize("name", ["../out", "a/../../out", "/tmp/out", "a\\..\\..\\out"])
def test_unpack_refuses_an_entry_that_leads_out(name: str, desk: Desk) -> None:
    with pytest.raises(BadArchive, match="leads out of the folder"):
        desk.unpack({"fine": "1", name: "x"})
    assert desk.content() == {}
    assert sorted(p.name for p in desk.into.parent.iterdir()) == ["a.zip", "data"]


def test_unpack_refuses_a_link(desk: Desk) -> None:
    link = zipfile.ZipInfo("a/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(desk.archive, "w") as archive:
        archive.writestr(link, "/etc")
    with pytest.raises(BadArchive, match="its entry a/link is a link"):
        desk.unpack()


@pytest.mark.parametrize("damage", ["cut", "flipped", "no zip"])
def test_unpack_refuses_a_damaged_archive(damage: str, desk: Desk) -> None:
    body = bytearray(zipped({"a/b": "content " * 100}))
    if damage == "flipped":
        body[60] ^= 0xFF
    whole = {"cut": body[:-30], "flipped": body, "no zip": b"<html>"}[damage]
    desk.archive.write_bytes(whole)
    with pytest.raises(BadArchive, match="it cannot be unpacked: "):
        desk.unpack()
    assert desk.content() == {}


def test_unpack_wants_room(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=9))
    with pytest.raises(OSError, match="unpacked it takes 0 MB, and less is free"):
        desk.unpack({"a": "0123456789"})
    assert desk.content() == {}

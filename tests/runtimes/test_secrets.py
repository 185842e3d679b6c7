"""Secrets as files of one launch."""

import os
import tempfile

import pytest

from ftbench.runtimes.secrets import secret_files

USER = "1234:1235" if os.getuid() == 0 else f"{os.getuid()}:{os.getgid()}"
OWNER = tuple(map(int, USER.split(":")))


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_secret_files_writes_only_what_the_program_receives():
    secrets = {"HF_TOKEN": "hf_é\n2", "OC_JUDGE_API_KEY": "other"}
    with secret_files(secrets, ["HF_TOKEN"], USER) as folder:
        found = {path.name: path.read_text("utf-8") for path in folder.iterdir()}
    assert found == {"HF_TOKEN": "hf_é\n2"}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_secret_files_are_readable_by_the_programs_user_alone(umask):
    before = os.umask(umask)
    try:
        with secret_files({"HF_TOKEN": "x"}, ["HF_TOKEN"], USER) as folder:
            found = {p: p.stat() for p in (folder, folder / "HF_TOKEN")}
    finally:
        os.umask(before)
    assert [stat.st_mode & 0o7777 for stat in found.values()] == [0o700, 0o600]
    assert {(stat.st_uid, stat.st_gid) for stat in found.values()} == {OWNER}


@pytest.mark.parametrize(
    ("secrets", "names"),
    [({"HF_TOKEN": "x"}, []), ({}, ["HF_TOKEN"]), ({"HF_TOKEN": ""}, ["HF_TOKEN"])],
)
def test_secret_files_makes_no_folder_when_there_is_nothing_to_hand_on(
    temporary_folder, secrets, names
):
    with secret_files(secrets, names, USER) as folder:
        assert folder is None
        assert list(temporary_folder.iterdir()) == []


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, ValueError])
def test_secret_files_are_gone_afterwards(temporary_folder, error):
    try:
        with secret_files({"HF_TOKEN": "x"}, ["HF_TOKEN"], USER) as folder:
            assert folder.parent == temporary_folder
            assert folder.name.startswith("ftbench-secrets-")
            if error:
                raise error
    except (KeyboardInterrupt, ValueError) as raised:
        assert type(raised) is error
    assert list(temporary_folder.iterdir()) == []


def test_secret_files_of_two_launches_are_apart():
    with (
        secret_files({"HF_TOKEN": "1"}, ["HF_TOKEN"], USER) as one,
        secret_files({"HF_TOKEN": "2"}, ["HF_TOKEN"], USER) as two,
    ):
        assert (one / "HF_TOKEN").read_text() == "1"
        assert (two / "HF_TOKEN").read_text() == "2"

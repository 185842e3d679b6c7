"""The commit of a folder: what git says, and nothing where git should not be asked."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ftbench.repository import Commit, find_commit

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(
        ["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(weird_tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(weird_tmp_path.parent))
    git(weird_tmp_path, "init", "-q")
    (weird_tmp_path / "train.py").write_text("1\n")
    git(weird_tmp_path, "add", ".")
    git(weird_tmp_path, "commit", "-qm", "first")
    return weird_tmp_path


def test_commit_of_a_clean_work_tree(repository: Path) -> None:
    head = git(repository, "rev-parse", "HEAD")
    (repository / "out").mkdir()
    (repository / "out" / "untracked.txt").write_text("scores")
    assert find_commit(repository) == Commit(head, False)
    assert find_commit(repository / "out") == Commit(head, False)


def test_commit_of_a_changed_work_tree_is_dirty(repository: Path) -> None:
    (repository / "train.py").write_text("2\n")
    assert find_commit(repository).is_dirty is True


def test_no_commit_without_git_repository_or_commit(tmp_path: Path, repository: Path) -> None:
    assert find_commit(repository, {"PATH": str(tmp_path)}) == Commit()
    folder = tmp_path / "plain"
    folder.mkdir()
    assert find_commit(folder) == Commit()
    git(folder, "init", "-q")
    assert find_commit(folder) == Commit()


def test_no_commit_of_somebody_elses_repository(repository: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a folder to somebody else")
    for path in (repository, repository / ".git"):
        os.chown(path, 12345, 12345)
    assert find_commit(repository) == Commit()


@pytest.mark.parametrize(
    "setting", ["core.fsmonitor", "filter.x.clean", "core.pager", "diff.external"]
)
def test_nothing_that_a_repository_names_is_run(repository: Path, setting: str) -> None:
    ran = repository / "ran"
    program = repository / "program"
    program.write_text(f"#!/bin/sh\ntouch '{repository.parent}/ran'\ncat\n")
    program.chmod(0o755)
    quoted = "'" + str(program).replace("'", "'\\''") + "'"
    git(repository, "config", setting, quoted)
    (repository / ".gitattributes").write_text("*.py filter=x\n")
    (repository / "train.py").write_text("3\n")
    found = find_commit(repository)
    assert len(found.commit) == 40
    assert found.is_dirty is (None if setting.startswith("filter") else True)
    assert not (ran.parent.parent / "ran").exists()


def test_variables_about_another_repository_are_not_followed(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert len(find_commit(repository).commit) == 40


def test_a_git_that_fails_is_no_commit(repository: Path, tmp_path: Path) -> None:
    command = tmp_path / "bin" / "git"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\necho broken >&2\nexit 128\n")
    command.chmod(0o755)
    assert find_commit(repository, {"PATH": str(command.parent)}) == Commit()

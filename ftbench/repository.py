"""Which commit a folder's files are of: three questions to git, which may be absent.

Nothing of the repository itself is run: no hooks, no file system monitor, no filter, pager or
credential helper that its configuration names, and nobody else's repository is trusted. Where git
does not answer for whatever reason, there is simply no commit.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_TIMEOUT_S = 10
"""A status of a huge work tree on a slow disk is not waited for longer."""

_HARMLESS = (
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.untrackedCache=false",
    "submodule.recurse=false",
    "protocol.allow=never",
)
"""Settings that could start a program of the repository's, switched off."""


@dataclass(frozen=True)
class Commit:
    """The commit that a folder's files are of.

    Attributes:
        commit: 40 (or 64) hex digits; empty where there is none.
        is_dirty: Tracked files differ from it; None where that is not known.
    """

    commit: str = ""
    is_dirty: bool | None = None


def find_commit(folder: Path, environ: Mapping[str, str] | None = None) -> Commit:
    """The commit that a folder's files are of; an empty one where there is no git or repository.

    Args:
        folder: Any folder of a work tree.
        environ: Environment variables of the caller, for PATH; None for this process's own.
    """
    env = os.environ if environ is None else environ
    git = shutil.which("git", path=env.get("PATH"))
    if git is None or not _is_below_a_repository(folder):
        return Commit()
    head = _ask(git, folder, env, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if not head:
        return Commit()
    if _runs_filters(git, folder, env):
        return Commit(head.strip())
    changed = _ask(git, folder, env, "status", "--porcelain", "-uno", "--ignore-submodules=all")
    return Commit(head.strip(), None if changed is None else bool(changed.strip()))


def _is_below_a_repository(folder: Path) -> bool:
    # Saves the three processes where there is none, which is the usual case.
    return any((place / ".git").exists() for place in (folder, *folder.parents))


def _runs_filters(git: str, folder: Path, env: Mapping[str, str]) -> bool:
    """Whether comparing files could start a filter that the repository's own config names."""
    named = _ask(git, folder, env, "config", "--show-scope", "--get-regexp", r"^filter\.")
    return named is None or any(
        line.startswith(("local", "worktree")) for line in named.splitlines()
    )


def _ask(git: str, folder: Path, env: Mapping[str, str], *question: str) -> str | None:
    settings = [word for setting in _HARMLESS for word in ("-c", setting)]
    # What GIT_DIR or GIT_CONFIG_COUNT say is about another repository, or is not to be trusted.
    clean = {name: env[name] for name in ("PATH", "HOME") if name in env}
    clean |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    clean["GIT_NO_LAZY_FETCH"] = "1"
    try:
        done = subprocess.run(
            [git, "--no-pager", *settings, *question],
            cwd=folder,
            env=clean,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    # "config --get-regexp" ends with 1 where nothing is named so.
    is_answer = done.returncode == 0 or (question[0] == "config" and done.returncode == 1)
    return done.stdout if is_answer else None

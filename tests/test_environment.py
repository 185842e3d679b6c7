"""Where the local runtime's environment is, on which Python it stands, and the user's own."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import uv

from ftbench import environment
from ftbench.environment import environment_folder, find_python, find_uv, ready_environment
from ftbench.errors import RuntimeEnvironmentError
from ftbench.program import lock_hash
from tests.fake_uv import python_of_version, script

CURE = "uv python install 3.12, or runtime.python=PATH"


def problem_of(raised):
    (problem,) = raised.value.problems
    return problem.tried, problem.happened, problem.cure


# Its name and its Python.


def test_environment_folder_tells_variant_python_and_lock(tmp_path):
    expected = tmp_path / "environments" / f"cuda-py3.12-{lock_hash('cuda')[:12]}"
    assert environment_folder("cuda", "3.12.1", tmp_path) == expected


def test_find_python_takes_its_own_when_the_lock_resolves_on_it(monkeypatch):
    own = SimpleNamespace(executable="/own/python", version_info=(3, 12, 4, "final", 0))
    monkeypatch.setattr(environment, "sys", own)
    found = find_python(None, {})
    assert (found.path, found.version) == (Path("/own/python"), "3.12.4")


@pytest.mark.parametrize("own", [(3, 10, 9), (3, 13, 0)])
def test_find_python_asks_uv_when_its_own_does_not_fit(monkeypatch, tmp_path, own):
    fitting = python_of_version(tmp_path / "elsewhere" / "python3", "3.12.8")
    wanted = '"python find --no-python-downloads >=3.11,<3.13"'
    tool = script(tmp_path / "uv", f'#!/bin/sh\n[ "$*" = {wanted} ] && echo {fitting}\n')
    monkeypatch.setattr(uv, "find_uv_bin", lambda: str(tool))
    version_info = SimpleNamespace(executable="/own/python", version_info=own)
    monkeypatch.setattr(environment, "sys", version_info)
    found = find_python(None, {})
    assert (found.path, found.version) == (fitting, "3.12.8")


def test_find_python_says_when_there_is_none(monkeypatch, tmp_path):
    tool = script(tmp_path / "uv", "#!/bin/sh\nexit 2\n")
    monkeypatch.setattr(uv, "find_uv_bin", lambda: str(tool))
    own = SimpleNamespace(executable="/own/python", version_info=(3, 13, 0))
    monkeypatch.setattr(environment, "sys", own)
    with pytest.raises(RuntimeEnvironmentError) as raised:
        find_python(None, {})
    happened = "found none on this machine"
    assert problem_of(raised) == ("looking for Python 3.11 or 3.12", happened, CURE)


@pytest.mark.parametrize("by", ["name", "path"])
def test_find_python_takes_the_users(tmp_path, by):
    path = python_of_version(tmp_path / "my python", "3.11.2")
    found = find_python("my python" if by == "name" else str(path), {"PATH": str(tmp_path)})
    assert (found.path, found.version) == (path, "3.11.2")


@pytest.mark.parametrize(
    ("text", "happened"),
    [
        (None, "does not run"),
        ("#!/bin/sh\nexit 1\n", "does not run"),
        ("#!/no/such/interpreter\n", "does not run"),
        (
            "#!/bin/sh\necho 3.13.0\n",
            "is Python 3.13.0; the evaluation environment needs 3.11 or 3.12",
        ),
    ],
)
def test_find_python_refuses_what_the_user_named(tmp_path, text, happened):
    if text:
        script(tmp_path / "py", text)
    with pytest.raises(RuntimeEnvironmentError) as raised:
        find_python("py", {"PATH": str(tmp_path)})
    assert problem_of(raised) == ("runtime.python=py", happened, CURE)


def test_find_uv_takes_the_one_that_was_installed_with_ftbench():
    assert find_uv({"PATH": ""}) == Path(uv.find_uv_bin())


def test_find_uv_looks_on_path_and_says_when_there_is_none(tmp_path, monkeypatch):
    def absent() -> str:
        raise FileNotFoundError

    monkeypatch.setattr(uv, "find_uv_bin", absent)
    with pytest.raises(RuntimeEnvironmentError) as raised:
        find_uv({"PATH": str(tmp_path)})
    tried = "looking for uv, which installs packages"
    assert problem_of(raised) == (tried, "it is not there", "pip install uv")
    tool = script(tmp_path / "uv", "#!/bin/sh\n")
    assert find_uv({"PATH": str(tmp_path)}) == tool


# An environment that the user made.


def test_ready_environment_says_what_the_users_own_holds(tmp_path):
    says = 'case "$3" in *metadata*) echo 0.5.4 2.13.0+cpu;; *) echo 3.12.8;; esac'
    python = script(tmp_path / "bin" / "python", f"#!/bin/sh\n{says}\n")
    ready = ready_environment(tmp_path)
    assert ready.python == python
    assert ready.identity == {
        "environment": str(tmp_path),
        "python": "3.12.8",
        "opencompass": "0.5.4",
        "torch": "2.13.0+cpu",
    }


@pytest.mark.parametrize(
    ("text", "happened"),
    [(None, "has no bin/python"), ("#!/bin/sh\nexit 1\n", "lacks opencompass or torch")],
)
def test_ready_environment_refuses_what_cannot_run_the_program(tmp_path, text, happened):
    if text:
        script(tmp_path / "bin" / "python", text)
    with pytest.raises(RuntimeEnvironmentError) as raised:
        ready_environment(tmp_path)
    assert problem_of(raised) == (
        f"runtime.environment={tmp_path}",
        happened,
        "name a virtual environment with opencompass 0.5.4, or leave runtime.environment out",
    )


def test_ready_environment_of_this_python_lacks_opencompass(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    with pytest.raises(RuntimeEnvironmentError, match="lacks opencompass or torch"):
        ready_environment(tmp_path)

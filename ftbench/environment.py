"""The local runtime's isolated environment: built from the image's lock file, once, and cached.

OpenCompass's pins cannot live in a training environment, so the program gets one of its own. A
folder is complete when its marker file is there; a half-built one is built again.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from ftbench.errors import Problem, RuntimeEnvironmentError
from ftbench.pip_settings import read_pip_settings, uv_environment
from ftbench.process import run_process
from ftbench.program import lock_file, lock_hash, torch_file
from ftbench.schema import write_atomically

PYTHONS = ((3, 11), (3, 12))
"""Python versions that the lock resolves on."""

CPU_INDEX = "https://download.pytorch.org/whl/cpu"

_MARKER = "ftbench-environment.json"

_BUILDING = "building the local evaluation environment"

_CAUSES = ("cause:", "Caused by:", "╰─▶", "error:")
"""How uv begins the lines that say why: the first is 0.13.9's, the others of before."""

_IMPORTS = (
    "import torch, transformers, peft, datasets, opencompass.datasets, opencompass.models, "
    "opencompass.openicl, opencompass.tasks"
)

_VERSION = "import sys; print('.'.join(map(str, sys.version_info[:3])))"

_PACKAGES = "import importlib.metadata as m; print(m.version('opencompass'), m.version('torch'))"


@dataclass(frozen=True)
class Environment:
    """A complete environment.

    Attributes:
        python: Its interpreter.
        identity: What it is made of, to record with the scores.
    """

    python: Path
    identity: dict[str, str]


@dataclass(frozen=True)
class Interpreter:
    """A Python that an environment can stand on.

    Attributes:
        path: Its executable.
        version: Such as ``3.11.7``.
    """

    path: Path
    version: str

    @property
    def fits(self) -> bool:
        """The lock resolves on it."""
        return tuple(map(int, self.version.split(".")[:2])) in PYTHONS


def environment_folder(variant: str, python_version: str, cache_dir: Path) -> Path:
    """Where the environment lies: its name tells the variant, the Python and the lock.

    Args:
        variant: ``cpu`` or ``cuda``.
        python_version: Such as ``3.11.7``.
        cache_dir: ftbench's cache.
    """
    minor = ".".join(python_version.split(".")[:2])
    return cache_dir / "environments" / f"{variant}-py{minor}-{lock_hash(variant)[:12]}"


def is_built(folder: Path) -> bool:
    """The environment is complete and its interpreter is still there."""
    # The interpreter is a link to the Python it stands on, which an upgrade can take away.
    return (folder / _MARKER).is_file() and _python_of(folder).exists()


def ensure_environment(
    variant: str,
    python: str | None,
    cache_dir: Path,
    environ: Mapping[str, str],
    on_line: Callable[[str], None],
) -> Environment:
    """Gives the environment, building it when it is not there.

    Args:
        variant: ``cpu`` or ``cuda``.
        python: Interpreter to stand on, name or path; None: a fitting one is looked for.
        cache_dir: ftbench's cache.
        environ: Environment variables of the caller, for the installer.
        on_line: Called with one line per step of a build.

    Raises:
        RuntimeEnvironmentError: No fitting Python, or the build failed; its log is named.

    Side effects: creates the environment (1.7 GB for cpu) and a log beside it. Two processes that
        want it at once build it once.
    """
    interpreter = find_python(python, environ)
    folder = environment_folder(variant, interpreter.version, cache_dir)
    if not is_built(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _only_builder(folder, on_line):
            if not is_built(folder):
                _build(folder, variant, interpreter, environ, on_line)
    return Environment(_python_of(folder), json.loads((folder / _MARKER).read_text("utf-8")))


def ready_environment(folder: Path) -> Environment:
    """Takes an environment that the user made.

    Args:
        folder: Its folder, with ``bin/python``.

    Raises:
        RuntimeEnvironmentError: It has no interpreter, or no OpenCompass or torch.
    """
    tried = f"runtime.environment={folder}"
    python = _python_of(folder)
    cure = "name a virtual environment with opencompass 0.5.4, or leave runtime.environment out"
    if not python.exists():
        raise RuntimeEnvironmentError(Problem(tried, f"has no {python.relative_to(folder)}", cure))
    found = _ask(python, _PACKAGES)
    if found is None:
        raise RuntimeEnvironmentError(Problem(tried, "lacks opencompass or torch", cure))
    opencompass, torch = found.split()
    version = _ask(python, _VERSION) or ""
    identity = {"environment": str(folder), "python": version}
    return Environment(python, identity | {"opencompass": opencompass, "torch": torch})


def find_python(python: str | None, environ: Mapping[str, str]) -> Interpreter:
    """Finds an interpreter that the lock resolves on.

    Args:
        python: Name or path that the user gave; None: this process's own, else the first on PATH
            or among those that uv manages.
        environ: Environment variables of the caller.

    Raises:
        RuntimeEnvironmentError: There is none, or the given one does not fit.
    """
    wanted = " or ".join(f"{major}.{minor}" for major, minor in PYTHONS)
    cure = "uv python install 3.12, or runtime.python=PATH"
    if python is not None:
        path = shutil.which(python, path=environ.get("PATH"))
        version = path and _ask(Path(path), _VERSION)
        if not path or not version:
            raise RuntimeEnvironmentError(Problem(f"runtime.python={python}", "does not run", cure))
        given = Interpreter(Path(path), version)
        if not given.fits:
            happened = f"is Python {version}; the evaluation environment needs {wanted}"
            raise RuntimeEnvironmentError(Problem(f"runtime.python={python}", happened, cure))
        return given
    own = Interpreter(Path(sys.executable), ".".join(map(str, sys.version_info[:3])))
    if own.fits:
        return own
    found = subprocess.run(
        [str(find_uv(environ)), "python", "find", "--no-python-downloads", ">=3.11,<3.13"],
        env=dict(environ),
        capture_output=True,
        text=True,
        check=False,
    )
    path = found.stdout.strip()
    version = _ask(Path(path), _VERSION) if found.returncode == 0 else None
    if version is None:
        raise RuntimeEnvironmentError(
            Problem(f"looking for Python {wanted}", "found none on this machine", cure)
        )
    return Interpreter(Path(path), version)


def find_uv(environ: Mapping[str, str]) -> Path:
    """Finds the installer that ftbench depends on.

    Raises:
        RuntimeEnvironmentError: It is not installed.
    """
    try:
        from uv import find_uv_bin

        return Path(find_uv_bin())
    except (ImportError, FileNotFoundError):
        path = shutil.which("uv", path=environ.get("PATH"))
    if path is None:
        raise RuntimeEnvironmentError(
            Problem("looking for uv, which installs packages", "it is not there", "pip install uv")
        )
    return Path(path)


@contextlib.contextmanager
def _only_builder(folder: Path, on_line: Callable[[str], None]) -> Iterator[None]:
    lock = FileLock(folder.with_name(f"{folder.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        on_line(f"waiting for another ftbench that builds {folder}")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _build(
    folder: Path,
    variant: str,
    interpreter: Interpreter,
    environ: Mapping[str, str],
    on_line: Callable[[str], None],
) -> None:
    # A virtual environment holds its own path in its scripts: it is built where it stays.
    shutil.rmtree(folder, ignore_errors=True)
    log = folder.with_name(f"{folder.name}.log")
    log.unlink(missing_ok=True)
    on_line(f"building the evaluation environment, once: {folder} (log: {log})")
    uv, python = str(find_uv(environ)), str(_python_of(folder))
    env = uv_environment(read_pip_settings(environ), environ)
    create = [uv, "venv", "--python", str(interpreter.path), "--no-python-downloads", str(folder)]
    install = [uv, "pip", "install", "--python", python]
    torch = [*install, "-r", str(torch_file(variant))]
    locked = [*install, "--no-deps", "--require-hashes", "-r", str(lock_file(variant))]
    _run([create], "its folder", env, log, on_line)
    if variant == "cpu":
        # The user's own settings first: the official index is not reachable from everywhere.
        own = [*torch, "--no-deps"]
        _run([own, [*own, "--index", CPU_INDEX]], "torch, CPU build", env, log, on_line)
    else:
        _run([torch], "torch with CUDA", env, log, on_line)
    _run([locked], "OpenCompass and what it needs", env, log, on_line)
    # Writes the bytecode of what is imported: compiling all 20 000 files takes three times as long.
    first = {k: v for k, v in env.items() if not k.startswith("PYTHON")} | {"OMP_NUM_THREADS": "1"}
    _run([[python, "-c", _IMPORTS]], "a first import", first, log, on_line)
    identity = {
        "environment": folder.name,
        "variant": variant,
        "python": interpreter.version,
        "lock": lock_hash(variant),
    }
    write_atomically(folder / _MARKER, json.dumps(identity, indent=1))


def _run(
    attempts: Sequence[Sequence[str]],
    step: str,
    env: Mapping[str, str],
    log: Path,
    on_line: Callable[[str], None],
) -> None:
    """Runs the first command that succeeds."""
    on_line(f"building the evaluation environment: {step}")
    said: list[str] = []
    for argv in attempts:
        said.clear()
        try:
            # In the cache's own folder: uv takes settings from a project in its working folder.
            ended = run_process(argv, env=env, cwd=log.parent, log=log, on_line=said.append)
        except OSError as exc:
            raise RuntimeEnvironmentError(Problem(_BUILDING, str(exc), log=str(log))) from exc
        if ended.exit_code == 0:
            return
    raise RuntimeEnvironmentError(_explain(step, said, log))


def _explain(step: str, said: Sequence[str], log: Path) -> Problem:
    """The problem of a failed step, by what the installer said."""
    text = " ".join(" ".join(said).split())
    cause = _cause(said)
    cure = "read the log; check the network and pip's settings, then run again"
    if "No space left on device" in text or "os error 28" in text:
        cure = "free some gigabytes, or set FTBENCH_CACHE to a folder on a larger disk"
    elif "CPU" in step and any(t in text for t in ("No solution found", "not found", CPU_INDEX)):
        cure = f"make a CPU build of torch available to pip (PIP_FIND_LINKS), or reach {CPU_INDEX}"
    return Problem(_BUILDING, f"{step}: {cause}", cure, str(log))


def _cause(said: Sequence[str]) -> str:
    """The root-cause line: uv's innermost cause, else its last line."""
    lines = [line.strip() for line in said if line.strip()]
    inner = [line for line in lines if line.startswith(_CAUSES)]
    chosen = (inner or lines or ["it failed and said nothing"])[-1]
    mark = next((mark for mark in _CAUSES if chosen.startswith(mark)), "")
    return chosen.removeprefix(mark).strip()


def _python_of(folder: Path) -> Path:
    return folder / "bin" / "python"


def _ask(python: Path, code: str) -> str | None:
    """What a short program prints, or None when it fails."""
    try:
        done = subprocess.run(
            [str(python), "-I", "-c", code], capture_output=True, text=True, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None

"""What a scoring process, and a program inside it, may still do.

Two levels. A *scoring process* runs OpenCompass's own evaluator: it reads what the run reads, but
no credential and no other process's environment; it writes its scratch folder; it has no network
unless a judge is asked. A *program* is what a model wrote: it reads Python and its packages,
writes an empty folder of its own, starts nothing, signals nobody, and has limited memory and time.

Built on Landlock, seccomp and resource limits, which work without privileges. Where the kernel or
the container engine forbids them, ``unavailable`` says why.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import resource
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ftbench_eval import landlock, syscall_filter

GIB = 1 << 30
MIB = 1 << 20

_SCORING_MEMORY = 16 * GIB
_SCORING_FILE = 4 * GIB

_SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/opt/ftbench", "/app")
_SYSTEM_FILES = (
    "/etc/ld.so.cache", "/etc/localtime", "/etc/timezone", "/etc/mime.types", "/etc/passwd",
    "/etc/group", "/etc/nsswitch.conf", "/dev/urandom", "/dev/random", "/dev/zero",
    "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/filesystems", "/proc/sys/kernel",
    "/sys/devices/system/cpu",
)  # fmt: skip

_CREDENTIALS = (
    ".ssh", ".aws", ".azure", ".config", ".docker", ".kube", ".gnupg", ".netrc", ".git-credentials",
    ".gitconfig", ".pypirc", ".mlflow", ".kaggle", ".databrickscfg", ".huggingface", ".local/share",
    ".cache/huggingface/token", ".cache/huggingface/stored_tokens", ".bash_history",
)  # fmt: skip
"""Places in a home folder that may hold a password or a token."""


@dataclass(frozen=True)
class ProgramLimits:
    """What one program may use.

    Attributes:
        cpu_s: Seconds of processor time.
        memory: Bytes of address space above what the process has when it starts.
        file_size: Bytes of one file.
        open_files: Descriptors.
    """

    cpu_s: int = 12
    memory: int = GIB
    file_size: int = 16 * MIB
    open_files: int = 64


@functools.cache
def unavailable() -> str:
    """Why scoring cannot be confined here, or empty.

    Tries it in a process of its own.
    """
    if platform.system() != "Linux":
        return f"{platform.system()} has neither Landlock nor seccomp"
    pid = os.fork()
    if not pid:
        code = 1
        with contextlib.suppress(BaseException):
            code = _try_confinement()
        os._exit(code)
    _, status = os.waitpid(pid, 0)
    return _FAILURES.get(os.waitstatus_to_exitcode(status), "confinement could not be tried")


_FAILURES = {
    0: "",
    2: "Landlock is not available: the kernel is older than 5.13 or has it switched off, or the "
    "container engine's seccomp profile forbids it",
    3: "a seccomp filter cannot be installed: the kernel or the container engine forbids it",
}


def _try_confinement() -> int:
    try:
        landlock.restrict([])
    except OSError:
        return 2
    try:
        syscall_filter.install(syscall_filter.scoring_filter())
    except OSError:
        return 3
    return 0


def confine_scoring(
    scratch: Path,
    *,
    hidden: Iterable[Path],
    network: bool = False,
    never_signal: Sequence[int] = (),
) -> None:
    """Confines this process, which is about to score, for good.

    Args:
        scratch: The only folder that it may write (and shared memory, for its own locks).
        hidden: Files and folders that it may not read, besides /proc and a home's credentials.
        network: It may open sockets, to ask a judge.
        never_signal: Processes that started it.

    Raises:
        OSError: It cannot be confined.
    """
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, _SCORING_FILE)
    _limit(resource.RLIMIT_AS, address_space() + _SCORING_MEMORY)
    secret = [Path("/proc"), Path("/run"), *credentials(os.environ), *hidden]
    readable = [*readable_without(secret), *map(Path, _SYSTEM_FILES)]
    if network:
        # Name servers may be reached through there.
        readable += [Path("/run/systemd/resolve"), Path("/run/resolvconf")]
    landlock.restrict(readable, [scratch, *_shared_places()], network=network)
    syscall_filter.install(
        syscall_filter.scoring_filter(network=network, never_signal=never_signal)
    )


def confine_host(programs: Path, *, never_signal: Sequence[int]) -> int:
    """Confines this process, which starts programs, for good: it reads only what they may.

    Args:
        programs: Folder that holds a folder of each program.
        never_signal: Processes that started it.

    Returns:
        Bytes of its address space, which can no longer be read afterwards.

    Raises:
        OSError: It cannot be confined.
    """
    size = address_space()
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, _SCORING_FILE)
    landlock.restrict(program_readable(), [programs, Path("/dev/null")])
    syscall_filter.install(syscall_filter.scoring_filter(never_signal=never_signal))
    return size


def confine_program(folder: Path, limits: ProgramLimits, address_space: int) -> None:
    """Confines this process further, which is about to run what a model wrote, for good.

    The process is a child of one that ``confine_host`` confined.

    Args:
        folder: The only folder that it may write.
        address_space: Bytes that it has already.

    Raises:
        OSError: It cannot be confined.
    """
    landlock.restrict([Path("/")], [folder, Path("/dev/null")])
    _limit(resource.RLIMIT_AS, address_space + limits.memory)
    _limit(resource.RLIMIT_FSIZE, limits.file_size)
    _limit(resource.RLIMIT_NOFILE, limits.open_files)
    _limit(resource.RLIMIT_CPU, limits.cpu_s)
    _limit(resource.RLIMIT_MEMLOCK, 0)
    syscall_filter.install(syscall_filter.program_filter(os.getpid()))


def program_readable() -> list[Path]:
    """What a program reads: the system's libraries, Python and its packages; no data, no home."""
    places = [Path(name) for name in (*_SYSTEM, *_SYSTEM_FILES)]
    places += [Path(sys.prefix), Path(sys.base_prefix), Path(sysconfig.get_path("purelib"))]
    places += [Path(entry) for entry in sys.path if Path(entry).is_absolute()]
    # A folder on the path that contains others' files too would open them all.
    too_wide = {Path("/"), Path("/tmp"), _home()}
    return sorted({place.resolve() for place in places} - too_wide)


def credentials(environ: Mapping[str, str]) -> Iterator[Path]:
    """Files and folders that may hold a password or a token of the user's."""
    home = _home()
    for name in _CREDENTIALS:
        yield home / name
    if "HF_HOME" in environ:
        yield Path(environ["HF_HOME"]) / "token"
        yield Path(environ["HF_HOME"]) / "stored_tokens"
    for variable in ("HF_TOKEN_PATH", "NETRC", "AWS_SHARED_CREDENTIALS_FILE", "KUBECONFIG"):
        if environ.get(variable):
            yield Path(environ[variable])


def readable_without(hidden: Iterable[Path]) -> list[Path]:
    """Places that together are the file system without some of it.

    Landlock can only allow, so beside each hidden place everything that is there now is named.
    """
    hidden = list(hidden)
    gone = {path.resolve() for path in hidden} | {path.absolute() for path in hidden}
    opened = {parent for path in gone for parent in path.parents}
    places: list[Path] = []
    waiting = [Path("/")]
    while waiting:
        folder = waiting.pop()
        with contextlib.suppress(OSError):
            for path in folder.iterdir():
                if path in gone:
                    continue
                if path in opened and not path.is_symlink():
                    waiting.append(path)
                # A link's target stands for itself elsewhere, or is hidden.
                elif not path.is_symlink():
                    places.append(path)
    return places


def address_space() -> int:
    """Bytes of address space of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()


def _home() -> Path:
    # Not Path.home(), which fails for a user without an entry in /etc/passwd.
    return Path("~").expanduser() if "HOME" in os.environ else Path("/nonexistent")


def _shared_places() -> list[Path]:
    return [Path("/dev/null"), Path("/dev/shm")]


def _limit(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    least = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (least, least))

"""The wall to the container engine: one way in, and one place where its errors become ours.

The docker library is imported on first use. Building images and running containers both stand on
this module; neither catches a foreign error itself.
"""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ftbench.errors import EngineError, FtbenchError, ImageError, Problem

if TYPE_CHECKING:
    from docker.client import DockerClient

DEFAULT_ADDRESS = "unix:///var/run/docker.sock"

_OR_LOCAL = "or runtime=local, which needs no engine"

_START = f"start it (sudo systemctl start docker), {_OR_LOCAL}"

_PERMISSION = (
    "sudo usermod -aG docker $USER and log in again (members of that group have root's power over "
    f"this machine), {_OR_LOCAL}"
)

_NO_NVIDIA = (
    "install nvidia-container-toolkit and restart the engine, or runtime.num_gpus=0 for the CPU"
)

_DISK = "docker system df shows what fills it; docker system prune frees what nothing uses"


def connect(environ: Mapping[str, str]) -> DockerClient:
    """Connects to the engine that DOCKER_HOST, or the default socket, leads to.

    Args:
        environ: Environment variables of the caller.

    Raises:
        EngineError: None answers there, or it refuses us.
    """
    from docker.client import DockerClient
    from docker.errors import DockerException

    with engine_errors(f"container engine at {address(environ)}"):
        try:
            client: DockerClient = DockerClient.from_env(environment=dict(environ))
        except ValueError as exc:
            # docker-py 7.2 hands on what urllib says of a port that is no number.
            raise DockerException(f"Invalid bind address: {exc}") from exc
        return client


def address(environ: Mapping[str, str]) -> str:
    """Where the engine is looked for."""
    return environ.get("DOCKER_HOST") or DEFAULT_ADDRESS


@contextlib.contextmanager
def engine_errors(tried: str) -> Iterator[None]:
    """Turns what the docker library raises inside the block into ftbench's errors.

    Args:
        tried: What was asked of the engine, for the message.

    Raises:
        EngineError, ImageError: In place of the library's own.
    """
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    try:
        yield
    except (DockerException, RequestException, OSError) as exc:
        raise translate(exc, tried) from exc


def translate(error: BaseException, tried: str) -> FtbenchError:
    """The typed error of a foreign one.

    Args:
        error: From the docker library, or from requests under it.
        tried: What was asked of the engine.
    """
    text = _explanation(error)
    by_cause = _CAUSES.get(_root_errno(error) or 0)
    if by_cause:
        return EngineError(Problem(tried, *by_cause))
    for message in _MESSAGES:
        found = re.search(message.pattern, text, re.IGNORECASE)
        if found:
            happened, cure = found.expand(message.happened), found.expand(message.cure)
            return message.kind(Problem(tried, happened, cure))
    return EngineError(Problem(tried, text))


def is_lost(error: BaseException) -> bool:
    """The engine went away, as opposed to having said no."""
    from docker.errors import APIError
    from requests.exceptions import RequestException

    return isinstance(error, RequestException | OSError) and not isinstance(error, APIError)


_CAUSES = {
    errno.ENOENT: ("nothing listens there", _START),
    errno.ECONNREFUSED: ("nothing listens there", _START),
    errno.EACCES: ("permission denied", _PERMISSION),
}
"""By the error number at the root: what happened, and the cure."""


@dataclass(frozen=True)
class _Message:
    """Words of the engine, and ours in their place; ``\\1`` is the pattern's first group."""

    pattern: str
    happened: str
    cure: str = ""
    kind: type[FtbenchError] = EngineError


# Source: messages of dockerd 20.10.24 through docker-py 7.2.0.
_MESSAGES = (
    _Message(
        r"Invalid bind address|Invalid protocol|Invalid path: ",
        "DOCKER_HOST is no address of an engine",
        f"unset DOCKER_HOST, or DOCKER_HOST={DEFAULT_ADDRESS}",
    ),
    _Message("Install paramiko", "ssh:// needs one more package", "pip install 'docker[ssh]'"),
    _Message(
        r"could not select device driver|Unknown runtime specified nvidia|nvidia-container-cli",
        "the engine cannot give GPUs to a container: it has no NVIDIA runtime",
        _NO_NVIDIA,
    ),
    _Message(
        r"bind source path does not exist: (.+)",
        r"the engine's machine has no \1",
        "run ftbench on the machine of the engine: folders are mounted, not copied",
    ),
    _Message(r"no space left on device", "the engine's disk is full", _DISK),
    _Message(
        r"network (\S+) not found",
        r"there is no network \1",
        r"docker network create \1, or runtime.network=bridge",
    ),
    _Message(
        r"Minimum memory limit allowed|The specified value for memory",
        "runtime.memory is no usable size",
        "a size such as runtime.memory=32g",
    ),
    _Message(
        r"dial tcp: lookup|i/o timeout|TLS handshake timeout|pull access denied|manifest unknown",
        "a base image cannot be pulled",
        kind=ImageError,
    ),
    _Message(r".*No such image: (\S+)", r"there is no image \1", kind=ImageError),
)


def _explanation(error: BaseException) -> str:
    said = getattr(error, "explanation", None) or str(error)
    return " ".join(str(said).split()) or type(error).__name__


def _root_errno(error: BaseException | None) -> int | None:
    """The error number of the operating system's error that is at the bottom of another."""
    number = None
    seen = 0
    while error is not None and seen < 20:
        if isinstance(error, OSError) and isinstance(error.errno, int):
            number = error.errno
        inner = [arg for arg in error.args if isinstance(arg, BaseException)]
        error = error.__cause__ or error.__context__ or (inner[0] if inner else None)
        seen += 1
    return number

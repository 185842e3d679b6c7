"""The evaluation image: its name and labels, and how it is built.

    python -m ftbench.image build --variant cpu

Builds through the docker library, in two steps: the dependencies, kept under a tag of their own,
and on top of them the program, whose change then rebuilds in seconds.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from ftbench import __version__
from ftbench.build_context import context_archive, stage_context
from ftbench.engine import connect, engine_errors
from ftbench.errors import FtbenchError, ImageError, Problem
from ftbench.host import read_host
from ftbench.pip_settings import read_pip_settings
from ftbench.program import VARIANTS, image_dir, lock_hash, program_hash
from ftbench.schema import SCHEMA_VERSION

if TYPE_CHECKING:
    from docker.client import DockerClient

LABEL_SCHEMA = "org.ftbench.schema"
LABEL_LOCK = "org.ftbench.lock"
LABEL_PROGRAM = "org.ftbench.program"
LABEL_VARIANT = "org.ftbench.variant"
_LABEL_STAGE = "org.ftbench.stage"

_DEPENDENCIES = "ftbench-opencompass-dependencies"

CPU_BASE = (
    "python:3.11.14-slim-bookworm"
    "@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d"
)
"""Base image of the CPU variant; the CUDA variant's stands in the Dockerfile."""

_PROXY = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")

_NO_REGISTRY = (
    "--base-image NAME with a Linux that has python3, pip and venv; where no registry answers:\n"
    "    sudo debootstrap --variant=minbase "
    "--include=python3,python3-venv,python3-pip,ca-certificates bookworm rootfs\n"
    "    sudo tar -C rootfs -c . | docker import - ftbench-base:bookworm\n"
    "    and then --base-image ftbench-base:bookworm"
)


@dataclass(frozen=True)
class BuildRequest:
    """One image to build.

    Attributes:
        variant: ``cpu`` or ``cuda``.
        tag: Its name.
        base_image: What it stands on; None: the variant's default.
        find_links: Folder with wheels, torch's above all, or None.
        force: Build again although an image of equal content is there.
        network: Network of the build; ``host`` reaches what the host reaches.
    """

    variant: str
    tag: str
    base_image: str | None = None
    find_links: Path | None = None
    force: bool = False
    network: str = "host"


def image_name(variant: str) -> str:
    """Name of the image of a variant that this ftbench builds and runs."""
    return f"ftbench-opencompass:{__version__}-{variant}"


def build_command(variant: str, tag: str) -> str:
    """What a user types to build an image.

    Args:
        variant: ``cpu`` or ``cuda``.
        tag: Its name.
    """
    checkout = Path(__file__).resolve().parent.parent / "scripts" / "build-image"
    argv = (
        ["scripts/build-image"]
        if checkout.is_file()
        else ["python", "-m", "ftbench.image", "build"]
    )
    argv += ["--variant", variant]
    if tag != image_name(variant):
        argv += ["--tag", tag]
    return shlex.join(argv)


def expected_labels(variant: str) -> dict[str, str]:
    """The labels that an image of this ftbench has."""
    return {
        LABEL_SCHEMA: str(SCHEMA_VERSION),
        LABEL_VARIANT: variant,
        LABEL_LOCK: lock_hash(variant),
        LABEL_PROGRAM: program_hash(),
    }


def build_image(
    request: BuildRequest,
    environ: Mapping[str, str],
    log: Path,
    on_line: Callable[[str], None],
) -> str:
    """Builds an image, or finds that it is there.

    Args:
        request: What to build.
        environ: Environment variables of the caller: engine, proxies, pip's settings.
        log: File that receives everything that the build prints.
        on_line: Called with one line per step.

    Returns:
        The image's id.

    Raises:
        EngineError: The engine does not answer.
        ImageError: The build failed; its log is named.

    Side effects: removes images of earlier builds that nothing names any more.
    """
    client = connect(environ)
    log.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(log.with_suffix(".lock")), log.open("w", encoding="utf-8") as log_file:
        present = _find(client, request.tag)
        wanted = expected_labels(request.variant).items()
        if present is not None and not request.force and wanted <= present.labels.items():
            on_line(f"image {request.tag} is up to date")
            return str(present.id)

        def write(line: str) -> None:
            log_file.write(line + "\n")
            log_file.flush()
            if line.startswith("Step "):
                on_line(line)

        try:
            return _build_both(client, request, environ, write, log)
        finally:
            with engine_errors("removing what the build left behind"):
                client.images.prune(filters={"dangling": True, "label": _LABEL_STAGE})


def _build_both(
    client: DockerClient,
    request: BuildRequest,
    environ: Mapping[str, str],
    write: Callable[[str], None],
    log: Path,
) -> str:
    base = request.base_image or (CPU_BASE if request.variant == "cpu" else None)
    dependencies = f"{_DEPENDENCIES}:{request.variant}-{_dependencies_key(client, request, base)}"
    proxy = (*_PROXY, *(name.lower() for name in _PROXY))
    arguments = {name: environ[name] for name in proxy if environ.get(name)}
    arguments["VARIANT"] = request.variant
    if base is not None:
        arguments["BASE_IMAGE"] = base
    settings = read_pip_settings(environ)
    with tempfile.TemporaryDirectory(prefix="ftbench-build-") as temporary:
        folder = Path(temporary)
        if request.force or _find(client, dependencies) is None:
            stage_context(folder / "all", request.variant, settings, request.find_links)
            _build(
                client, folder / "all", dependencies, arguments, request, write, log, "dependencies"
            )
            _remove_older(client, request.variant, dependencies)
        stage_context(folder / "program", request.variant)
        labels = expected_labels(request.variant)
        arguments |= {
            "DEPENDENCIES": dependencies,
            "FTBENCH_VERSION": __version__,
            "SCHEMA_VERSION": labels[LABEL_SCHEMA],
            "LOCK_HASH": labels[LABEL_LOCK],
            "PROGRAM_HASH": labels[LABEL_PROGRAM],
        }
        return _build(client, folder / "program", request.tag, arguments, request, write, log)


def _build(
    client: DockerClient,
    context: Path,
    tag: str,
    arguments: Mapping[str, str],
    request: BuildRequest,
    write: Callable[[str], None],
    log: Path,
    target: str | None = None,
) -> str:
    said: list[str] = []
    with context_archive(context) as archive, engine_errors(f"building {tag}"):
        events = client.api.build(
            fileobj=archive,
            custom_context=True,
            tag=tag,
            buildargs=dict(arguments),
            target=target,
            network_mode=request.network,
            rm=True,
            forcerm=True,
            decode=True,
        )
        for event in events:
            for line in _lines_of(event):
                said.append(line)
                write(line)
            if "error" in event:
                raise ImageError(_explain(tag, str(event["error"]), said, log))
        return str(client.images.get(tag).id)


def _lines_of(event: Mapping[str, Any]) -> list[str]:
    text = event.get("stream") or event.get("error") or ""
    if "progress" not in event and "status" in event:
        text = " ".join(str(event[key]) for key in ("id", "status") if key in event)
    # The engine (20.10.24) colours what a step writes to standard error.
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    return [line for line in plain.splitlines() if line.strip()]


def _explain(tag: str, error: str, said: Sequence[str], log: Path) -> Problem:
    """The problem of a failed build, by what it said."""
    tried = f"building {tag}"
    step = next((line for line in reversed(said) if line.startswith("Step ")), "")
    if " : FROM " in step:
        return Problem(tried, f"base image: {error}", _NO_REGISTRY, str(log))
    if "no space left on device" in " ".join(said[-20:]).lower():
        return Problem(tried, "the engine's disk is full", "docker system prune", str(log))
    causes = [line for line in said if re.match(r"\s*(ERROR|\w*Error)\b", line)]
    cure = "read the log; pip's settings of this shell are used, and --find-links DIR adds wheels"
    return Problem(tried, (causes or [error])[-1].strip(), cure, str(log))


def _dependencies_key(client: DockerClient, request: BuildRequest, base: str | None) -> str:
    """Names what a dependencies image is made of: packages, recipe and base."""
    digest = hashlib.sha256(lock_hash(request.variant).encode())
    for name in ("Dockerfile", "install.sh"):
        digest.update((image_dir() / name).read_bytes())
    # A local base can change under its name.
    found = _find(client, base) if base else None
    digest.update(str(found.id if found else base).encode())
    return digest.hexdigest()[:12]


def _find(client: DockerClient, name: str) -> Any | None:
    try:
        with engine_errors(f"image {name}"):
            return client.images.get(name)
    except ImageError:
        return None


def _remove_older(client: DockerClient, variant: str, keep: str) -> None:
    with engine_errors("removing older dependencies"):
        for image in client.images.list(_DEPENDENCIES):
            for tag in image.tags:
                if tag.startswith(f"{_DEPENDENCIES}:{variant}-") and tag != keep:
                    # Only the name goes while an image stands on it.
                    client.images.remove(tag)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line.

    Returns:
        The process's exit code.
    """
    parser = argparse.ArgumentParser(prog="python -m ftbench.image", description=__doc__)
    build = parser.add_subparsers(dest="command", required=True).add_parser("build")
    build.add_argument("--variant", choices=VARIANTS, default="cuda", help="default: cuda")
    build.add_argument("--tag", help="name of the image; default: the one that ftbench runs")
    build.add_argument("--base-image", help="default: a public image, pinned by digest")
    build.add_argument("--find-links", type=Path, metavar="DIR", help="folder with a torch wheel")
    build.add_argument("--network", default="host", help="network of the build; default: host")
    build.add_argument("--force", action="store_true", help="build although it is up to date")
    options = parser.parse_args(arguments)
    host = read_host()
    log = host.cache_dir / "logs" / f"build-image-{options.variant}.log"
    request = BuildRequest(
        variant=options.variant,
        tag=options.tag or image_name(options.variant),
        base_image=options.base_image,
        find_links=options.find_links,
        force=options.force,
        network=options.network,
    )
    print(f"building {request.tag}; log: {log}", flush=True)
    try:
        image_id = build_image(request, os.environ, log, lambda line: print(line, flush=True))
    except FtbenchError as exc:
        print(exc, file=sys.stderr)
        return exc.exit_code
    print(f"{request.tag} {image_id}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

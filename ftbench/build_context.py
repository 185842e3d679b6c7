"""The build context of the evaluation image: what the Dockerfile copies, staged in one folder."""

from __future__ import annotations

import contextlib
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

from ftbench.errors import ImageError, Problem
from ftbench.pip_settings import PipSettings
from ftbench.program import image_dir, lock_file, stage_program, torch_file

_CERT = "PIP_CERT=FILE, or correct pip's cert setting, REQUESTS_CA_BUNDLE or SSL_CERT_FILE"


def stage_context(
    folder: Path,
    variant: str,
    settings: PipSettings | None = None,
    find_links: Path | None = None,
) -> None:
    """Fills a folder with everything that the Dockerfile copies.

    Args:
        folder: The context, which must not exist.
        variant: ``cpu`` or ``cuda``.
        settings: Where the host's pip finds packages; None when nothing will be installed.
        find_links: A further folder with wheels.

    Raises:
        ImageError: The CA bundle that the settings name is not there.

    Side effects: creates ``folder``. Its ``pip`` folder can hold credentials; the Dockerfile keeps
        it in a stage that no image has.
    """
    stage_program(folder / "program")
    for name in ("Dockerfile", "install.sh"):
        shutil.copyfile(image_dir() / name, folder / name)
    shutil.copyfile(lock_file(variant), folder / "requirements.lock")
    shutil.copyfile(torch_file(variant), folder / "torch.txt")
    for name in ("wheels", "pip"):
        (folder / name).mkdir()
    (folder / "wheels" / ".keep").touch()
    (folder / "pip" / "pip.conf").touch()
    if settings is None:
        return
    (folder / "pip" / "pip.conf").write_text(pip_conf(settings), encoding="utf-8")
    if settings.cert:
        if not Path(settings.cert).is_file():
            raise ImageError(Problem(f"CA bundle {settings.cert}", "is not a file", _CERT))
        shutil.copyfile(settings.cert, folder / "pip" / "ca.crt")
    places = [*_local_folders(settings), *([find_links] if find_links else [])]
    for wheel in (wheel for place in places for wheel in place.glob("torch-*.whl")):
        if _fits(wheel, variant):
            shutil.copyfile(wheel, folder / "wheels" / wheel.name)


def pip_conf(settings: PipSettings) -> str:
    """pip's configuration inside the build: of the host's, what a container can reach."""
    reachable = {
        "index-url": [settings.index_url],
        "extra-index-url": settings.extra_index_url,
        "find-links": settings.find_links,
    }
    lines = ["[global]"]
    for key, addresses in reachable.items():
        remote = [a for a in addresses if urlsplit(a).scheme in ("http", "https")]
        if remote:
            lines.append(f"{key} = {' '.join(remote)}")
    if settings.trusted_host:
        lines.append(f"trusted-host = {' '.join(settings.trusted_host)}")
    return "\n".join(lines) + "\n"


@contextlib.contextmanager
def context_archive(folder: Path) -> Iterator[IO[bytes]]:
    """The context as an open tar archive, with root's ownership and readable by every user."""

    def normalise(member: tarfile.TarInfo) -> tarfile.TarInfo:
        # A strict umask here would make files that the container's user cannot read.
        member.mode = 0o755 if member.isdir() else 0o644
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        # The builder's cache compares contents, and a fresh copy has a fresh time.
        member.mtime = 0
        return member

    with tempfile.TemporaryFile() as archive:
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.add(folder, arcname=".", filter=normalise)
        archive.seek(0)
        yield archive


def _local_folders(settings: PipSettings) -> list[Path]:
    local = [urlsplit(link) for link in settings.find_links]
    paths = [Path(unquote(link.path)) for link in local if link.scheme in ("", "file")]
    return [path for path in paths if path.is_dir()]


def _fits(wheel: Path, variant: str) -> bool:
    """It is the torch that the variant's Linux image pins."""
    lines = torch_file(variant).read_text(encoding="utf-8").splitlines()
    pin = next(line for line in lines if line.startswith("torch=="))
    version = wheel.name.split("-")[1]
    if variant == "cuda" and not version.endswith("+cpu"):
        # A pin without a local version also takes those with one; pip would prefer +cpu to none.
        version = version.partition("+")[0]
    return version == pin.removeprefix("torch==").split()[0]

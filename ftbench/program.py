"""The program that runs inside: which files it is made of, their hash, and a staged copy of them.

Image and local runtime both run a copy of exactly these files, so one hash names the program
wherever it runs. Nothing is started here.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ftbench.paths import docker_dir

VARIANTS = ("cpu", "cuda")

ENTRYPOINT = "eval_entrypoint.py"

_SHARED = (
    "schema.py",
    "canary_words.py",
    "json_files.py",
    "options.py",
    "aggregates.py",
    "validity.py",
    "hub_cache.py",
    "hardware.py",
    "judge_client.py",
    "services.py",
    "own_rows.py",
    "preset.py",
    "catalogue.py",
    "catalogue.json",
)
"""Files of the host package that the program shares; its ``__init__`` is not among them."""


def image_dir() -> Path:
    """Folder of the Dockerfile, the locks and the program."""
    return docker_dir() / "opencompass"


def program_files() -> dict[str, Path]:
    """Every file of the program: its path inside the staged folder, and where it is taken from.

    Raises:
        FileNotFoundError: The installation is not complete.
    """
    source = image_dir()
    package = Path(__file__).resolve().parent
    files = {ENTRYPOINT: source / ENTRYPOINT}
    for path in sorted((source / "ftbench_eval").rglob("*.py")):
        files[path.relative_to(source).as_posix()] = path
    files |= {f"ftbench/{name}": package / name for name in _SHARED}
    missing = [str(path) for path in files.values() if not path.is_file()]
    if missing:
        raise FileNotFoundError(f"ftbench is not installed completely: {missing[0]} is missing")
    return files


def program_hash() -> str:
    """sha256 over the names and bytes of the program's files, 64 hex digits."""
    return hash_files(program_files())


def hash_files(files: Mapping[str, Path]) -> str:
    """sha256 over names and bytes, in the order of the names.

    Args:
        files: Name and path of each file.
    """
    digest = hashlib.sha256()
    for name, path in sorted(files.items()):
        content = path.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def stage_program(target: Path) -> None:
    """Copies the program to ``target``, which must not exist.

    Side effects: creates ``target`` and its parents.
    """
    target.mkdir(parents=True)
    for name, source in program_files().items():
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, place)


def program_folder(cache_dir: Path) -> Path:
    """Where ``staged_program`` puts the present program."""
    return cache_dir / "programs" / program_hash()[:16]


def staged_program(cache_dir: Path) -> Path:
    """A copy of the program that no later edit or upgrade changes while it runs.

    Args:
        cache_dir: ftbench's cache; the copy is shared by all runs of the same program.

    Returns:
        The staged folder, complete and unchanged.

    Side effects: creates it on first use; safe when several processes do so at once.
    """
    folder = program_folder(cache_dir)
    if _is_intact(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
        fresh = Path(temporary) / "program"
        stage_program(fresh)
        if folder.exists() and not _is_intact(folder):
            folder.rename(Path(temporary) / "damaged")
        try:
            fresh.rename(folder)
        except OSError:
            # Another process was quicker; a folder cannot be renamed onto one with content.
            if not _is_intact(folder):
                raise
    return folder


def _is_intact(folder: Path) -> bool:
    copies = {name: folder / name for name in program_files()}
    return all(path.is_file() for path in copies.values()) and hash_files(copies) == program_hash()


def lock_file(variant: str) -> Path:
    """The locked requirements of a variant, without torch.

    Args:
        variant: ``cpu`` or ``cuda``.
    """
    return image_dir() / f"requirements-{variant}.lock"


def torch_file(variant: str) -> Path:
    """The torch requirement of a variant: torch comes from another index, or a base image."""
    return image_dir() / f"torch-{variant}.txt"


def lock_hash(variant: str) -> str:
    """sha256 over everything that decides which packages a variant has, 64 hex digits."""
    files = (lock_file(variant), torch_file(variant))
    return hash_files({path.name: path for path in files})

"""Where the shipped folders lie: in a checkout beside the package, in a wheel inside it."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def shipped_folder(name: str, landmark: str) -> Path:
    """Finds ``conf`` or ``docker``.

    Args:
        name: Name of the folder.
        landmark: A file in it, which tells it from another folder of the same name.

    Raises:
        FileNotFoundError: The installation is not complete.
    """
    # An editable install copies the folders into site-packages, where they grow stale; this file's
    # own place is the checkout then, so the checkout's folders are the ones that are found.
    for folder in (_PACKAGE / name, _PACKAGE.parent / name):
        if (folder / landmark).is_file():
            return folder
    raise FileNotFoundError(f"ftbench is not installed completely: {name}/{landmark} is missing")


def conf_dir() -> Path:
    """Folder of the Hydra configuration."""
    return shipped_folder("conf", "config.yaml")


def docker_dir() -> Path:
    """Folder of the image and of the program inside it."""
    return shipped_folder("docker", "opencompass/eval_entrypoint.py")

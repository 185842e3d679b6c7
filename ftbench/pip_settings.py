"""Where the user's pip finds packages, so that what ftbench installs comes from there as well.

uv does not read pip's configuration, and a container sees none of the host's: both get what is
read here. The result can hold credentials (in index URLs): it never goes to a log or an argv.

Source: pip 25 documentation, "Configuration".
"""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path


@dataclass(frozen=True)
class PipSettings:
    """The settings that decide where packages come from.

    Attributes:
        index_url: Replaces PyPI; empty: PyPI.
        extra_index_url: Further indexes, of equal rank.
        find_links: Folders or pages with wheels.
        trusted_host: Hosts whose certificate is not checked.
        cert: CA bundle, a file; empty: the installer's own.
    """

    index_url: str = field(default="", repr=False)
    extra_index_url: tuple[str, ...] = field(default=(), repr=False)
    find_links: tuple[str, ...] = field(default=(), repr=False)
    trusted_host: tuple[str, ...] = ()
    cert: str = ""


def read_pip_settings(environ: Mapping[str, str]) -> PipSettings:
    """Reads pip's configuration files and variables, the later ones winning as in pip.

    Args:
        environ: Environment variables of the caller.
    """
    found: dict[str, str] = {}
    for path in _config_files(environ):
        found |= _read_file(path)
    names = [f.name for f in fields(PipSettings)]
    found |= {name: environ[key] for name in names if environ.get(key := f"PIP_{name.upper()}")}
    ca_bundle = environ.get("REQUESTS_CA_BUNDLE") or environ.get("SSL_CERT_FILE") or ""
    return PipSettings(
        index_url=found.get("index_url", ""),
        extra_index_url=tuple(found.get("extra_index_url", "").split()),
        find_links=tuple(found.get("find_links", "").split()),
        trusted_host=tuple(found.get("trusted_host", "").split()),
        cert=found.get("cert", "") or ca_bundle,
    )


def _config_files(environ: Mapping[str, str]) -> Iterator[Path]:
    explicit = environ.get("PIP_CONFIG_FILE")
    if explicit == os.devnull:
        return
    home = Path(environ.get("HOME") or Path.home())
    for folder in reversed(environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")):
        yield Path(folder) / "pip" / "pip.conf"
    yield Path("/etc/pip.conf")
    yield home / ".pip" / "pip.conf"
    if sys.platform == "darwin":
        yield home / "Library" / "Application Support" / "pip" / "pip.conf"
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    yield Path(sys.prefix) / "pip.conf"
    if explicit:
        yield Path(explicit)


def _read_file(path: Path) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, OSError, UnicodeDecodeError):
        # pip itself refuses to run with such a file; it cannot be what the user relies on.
        return {}
    found: dict[str, str] = {}
    for section in ("global", "install"):
        if parser.has_section(section):
            found |= {key.replace("-", "_"): value for key, value in parser.items(section)}
    return found


def uv_environment(settings: PipSettings, environ: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment with pip's settings in uv's words, where uv has none of its own.

    Args:
        settings: From ``read_pip_settings``.
        environ: Environment variables of the caller.
    """
    # pip takes the best version of all indexes; uv would stop at the first index with the name.
    # Hashes in the lock make that safe.
    wishes = {"UV_INDEX_STRATEGY": "unsafe-best-match"}
    if not any(environ.get(name) for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL")):
        wishes["UV_DEFAULT_INDEX"] = settings.index_url
    if not any(environ.get(name) for name in ("UV_INDEX", "UV_EXTRA_INDEX_URL")):
        wishes["UV_INDEX"] = " ".join(settings.extra_index_url)
    wishes["UV_FIND_LINKS"] = ",".join(settings.find_links)
    wishes["UV_INSECURE_HOST"] = " ".join(settings.trusted_host)
    wishes["SSL_CERT_FILE"] = settings.cert
    return {name: value for name, value in wishes.items() if value} | dict(environ)

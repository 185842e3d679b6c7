"""Tracking URIs: credentials taken out, relative sqlite paths made absolute."""

from __future__ import annotations

import re
from pathlib import Path

# Up to the last @ of the authority: a password may hold one that nobody escaped.
_USERINFO = re.compile(r"(?P<scheme>[A-Za-z][\w+.-]*://)(?P<user>[^/@\s:]*)(?::(?P<pw>[^/\s]*))?@")


def strip_credentials(text: str) -> tuple[str, str, str]:
    """Removes ``user:password@`` from every URI in a text.

    Returns:
        The text without it, the user and the password of the first one; empty when there is none.
    """
    found = _USERINFO.search(text)
    if found is None:
        return text, "", ""
    return _USERINFO.sub(r"\g<scheme>", text), found.group("user") or "", found.group("pw") or ""


def sqlite_path(uri: str, cwd: Path) -> str:
    """Makes the path of a ``sqlite:///relative.db`` URI absolute; leaves other URIs alone.

    A relative path would follow whoever opens it (MLflow resolves it against its own folder).
    """
    prefix = "sqlite:///"
    if not uri.startswith(prefix) or uri.startswith(prefix + "/"):
        return uri
    return f"{prefix}{(cwd / uri.removeprefix(prefix)).absolute()}"

"""Texts as values of Hydra's override grammar; for whoever must not import Hydra, too."""

from __future__ import annotations

import re


def quoted(text: str) -> str:
    """The text as a quoted value, whatever characters are in it."""
    # Backslashes are themselves, but before a quote (Hydra) and before "${" (OmegaConf), which
    # would begin an interpolation.
    escaped = re.sub(r'(\\*)("|\$\{|\Z)', lambda m: m[1] * 2 + ("\\" + m[2] if m[2] else ""), text)
    return f'"{escaped}"'

"""Whether a checkpoint is written completely. Reads headers and file sizes, never weights.

A trainer writes for seconds or minutes, in several files. A folder is complete when all its files
fit what their own headers say, and either somebody who knows says so (the sidecar that the trainer
callback leaves, or the end of the training process) or nothing has changed for a while.
"""

from __future__ import annotations

import enum
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ftbench.checkpoint import BadTensorFile, read_header
from ftbench.checkpoint.tensors import looks_truncated

_SUFFIXES = {".safetensors", ".bin", ".json", ".model", ".txt", ".jinja", ".tiktoken", ".py"}
"""Files that can belong to a model; a log that a trainer keeps beside it must not count."""

Signature = tuple[tuple[str, int, int, int], ...]
"""Name, size, modification and change time (ns) of each file of a folder."""


class State(enum.Enum):
    """How far a folder is."""

    READY = "ready"
    CHANGING = "changing"
    BROKEN = "broken"


@dataclass(frozen=True)
class Look:
    """What one look at a folder found.

    Attributes:
        reason: What is wrong with it; empty when it is ready or only young.
        signature: Of its files; equal for an unchanged folder.
    """

    state: State
    reason: str
    signature: Signature


class Readiness:
    """Looks at folders again and again, and remembers since when each is as it is.

    Args:
        settle_s: Seconds without a change after which a folder without a mark counts as complete.
        wall, monotonic: The clocks, in seconds.
    """

    def __init__(
        self,
        settle_s: float,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settle_s = settle_s
        self._wall = wall
        self._monotonic = monotonic
        self._seen: dict[Path, tuple[Signature, float]] = {}

    def look(self, folder: Path, is_marked: bool) -> Look:
        """Looks at one folder.

        Args:
            folder: A checkpoint.
            is_marked: Somebody who knows says that it is complete.
        """
        try:
            signature = sign(folder)
            reason = what_is_unfit(folder)
        except OSError as exc:  # it is being replaced or removed at this moment
            return Look(State.CHANGING, str(exc), ())
        has_settled = self._has_settled(folder, signature)
        if reason:
            return Look(State.BROKEN if has_settled else State.CHANGING, reason, signature)
        is_ready = is_marked or has_settled
        return Look(State.READY if is_ready else State.CHANGING, "", signature)

    def _has_settled(self, folder: Path, signature: Signature) -> bool:
        known, since = self._seen.get(folder, ((), 0.0))
        if known != signature:
            since = self._monotonic()
            self._seen[folder] = (signature, since)
        if self._monotonic() - since >= self._settle_s:
            return True
        # A folder that was finished before the watcher started need not be waited for. Its change
        # time counts too: a copy may keep the modification time of what it copies.
        newest = max((max(mtime, ctime) for _, _, mtime, ctime in signature), default=0)
        return self._wall() - newest / 1e9 >= self._settle_s


def sign(folder: Path) -> Signature:
    """The signature of a folder.

    Raises:
        OSError: It cannot be read.
    """
    stats = [(path.name, path.stat()) for path in sorted(folder.iterdir()) if _is_model_file(path)]
    return tuple((name, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for name, s in stats)


def what_is_unfit(folder: Path) -> str:
    """What shows that a folder is not complete; empty when its files fit their own headers.

    Raises:
        OSError: It cannot be read.
    """
    is_adapter = (folder / "adapter_config.json").is_file()
    config = "adapter_config.json" if is_adapter else "config.json"
    unread = _unread_json(folder / config)
    if unread:
        return unread
    weights = _weights(folder, is_adapter)
    if not weights:
        return "there are no weights in it yet"
    for path in weights:
        reason = _unfit_weights(path)
        if reason:
            return f"{path.name}: {reason}"
    return ""


def _weights(folder: Path, is_adapter: bool) -> list[Path]:
    # As peft and transformers read them: safetensors before pickles.
    stem = "adapter_model" if is_adapter else "*"
    for index in () if is_adapter else sorted(folder.glob("*.safetensors.index.json")):
        return [folder / name for name in _named_shards(index)]
    found = sorted(folder.glob(f"{stem}.safetensors"))
    return found or sorted(folder.glob(f"{stem if is_adapter else 'pytorch_model*'}.bin"))


def _named_shards(index: Path) -> list[str]:
    try:
        return sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError):
        return [index.name]  # it is still being written; its header is none either


def _unfit_weights(path: Path) -> str:
    if not path.is_file():
        return "it is not there"
    if path.suffix == ".bin":
        return looks_truncated(path)
    try:
        read_header(path)
    except BadTensorFile as exc:
        return str(exc)
    return ""


def _unread_json(path: Path) -> str:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return f"there is no {path.name} in it yet"
    except ValueError:
        return f"{path.name} does not parse"
    return ""


def _is_model_file(path: Path) -> bool:
    return path.suffix in _SUFFIXES and not path.name.startswith(".") and path.is_file()

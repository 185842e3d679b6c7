"""The checkpoints of one training, in its output folder, and the model that it leaves there last.

OUTPUT/checkpoint-500/                 a checkpoint: any folder that holds a model
OUTPUT/_ftbench/kept/checkpoint-500/   what the trainer callback kept of one that was rotated away
OUTPUT/                                the final model itself, evaluated last
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ftbench.checkpoint import (
    global_step_of,
    hash_model,
    hash_weights,
    holds_adapter,
    holds_model,
    list_checkpoints,
    natural_key,
)
from ftbench.checkpoint.kept import kept_folder, list_kept, release
from ftbench.compose import override
from ftbench.sidecar import Sidecar, read_sidecar
from ftbench.watch.candidates import Candidate, Scan
from ftbench.watch.readiness import Readiness, Signature, State

CHECKPOINTS, FINAL, BOTH = "checkpoints", "final", "both"

_CLOCK_STEP_S = 0.01
"""A file system's clock runs in steps: a file may seem older than what was written before it."""


@dataclass(frozen=True)
class Selection:
    """Which models of the folder count.

    Attributes:
        take: ``checkpoints``, ``final`` or ``both``.
        only_marked: Only those with a sidecar.
        every: Only checkpoints whose step is a multiple of it; 0: all.
        since: Only what was written since then, in seconds since the epoch; 0: all.
    """

    take: str = BOTH
    only_marked: bool = False
    every: int = 0
    since: float = 0.0


class FolderSource:
    """Looks for models in an output folder.

    Args:
        folder: Absolute; it need not be there yet.
        selection: Which count.
        readiness: Says which are complete.
        cache: JSON file that remembers hashes of unchanged files.
        follows_process: The end of the training process will be told; until then the final model
            is taken only where a sidecar says that the training itself has ended.
        say: Takes a line for the user.
    """

    def __init__(
        self,
        folder: Path,
        selection: Selection,
        readiness: Readiness,
        cache: Path,
        follows_process: bool,
        say: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self._selection = selection
        self._readiness = readiness
        self._cache = cache
        self._follows_process = follows_process
        self._say = say
        self._told: set[str] = set()
        self._keys: dict[Path, tuple[Signature, str, str]] = {}

    def scan(self, has_writer_ended: bool) -> Scan:
        """See ``Source.scan``."""
        ready: dict[str, Candidate] = {}
        changing: list[str] = []
        broken: list[tuple[str, str]] = []
        same: dict[str, str] = {}
        for folder in self._counted(has_writer_ended):
            name = self._name(folder)
            is_marked = has_writer_ended or self._is_marked(folder)
            look = self._readiness.look(folder, is_marked)
            if look.state == State.BROKEN:
                broken.append((name, look.reason))
                continue
            key = self._key(folder, look.signature) if look.state == State.READY else ""
            if not key:
                changing.append(name)
            elif key in ready:
                same[name] = ready[key].name
            else:
                ready[key] = Candidate(name, key, _overrides(folder), folder)
        for name, other in same.items():
            self._once(f"{name} has the same weights as {other}: evaluated as one")
        return Scan(tuple(ready.values()), tuple(changing), tuple(broken), tuple(same))

    def finished(self, candidate: Candidate) -> None:
        """See ``Source.finished``.

        Side effects: what was kept of a checkpoint against its deletion is deleted.
        """
        release(kept_folder(self._folder) / candidate.name)

    def _counted(self, has_writer_ended: bool) -> list[Path]:
        checkpoints = [path for path in self._checkpoints(has_writer_ended) if self._counts(path)]
        final = [self._folder] if self._is_final(has_writer_ended) else []
        if self._selection.take == CHECKPOINTS:
            return checkpoints
        if self._selection.take == BOTH:
            return [*checkpoints, *final]
        if final or not has_writer_ended or not checkpoints:
            return final
        last = checkpoints[-1]
        self._once(f"{self._folder} holds no final model: its last checkpoint {last.name} is taken")
        return [last]

    def _checkpoints(self, has_writer_ended: bool) -> list[Path]:
        kept = {path.name: path for path in list_kept(self._folder)}
        there = {path.name: path for path in list_checkpoints(self._folder)}
        # A trainer that still runs may delete a checkpoint while it is evaluated.
        there = kept | there if has_writer_ended else there | kept
        return sorted(there.values(), key=lambda path: natural_key(Path(path.name)))

    def _counts(self, checkpoint: Path) -> bool:
        chosen = self._selection
        sidecar = read_sidecar(checkpoint)
        if chosen.only_marked and sidecar is None:
            return False
        if chosen.since and _written_at(checkpoint, sidecar) < chosen.since:
            return False
        step = global_step_of(checkpoint) if chosen.every else None
        # When nobody knows its step, nobody can say that it is not wanted.
        return step is None or step % chosen.every == 0

    def _is_final(self, has_writer_ended: bool) -> bool:
        """Whether the model in the folder itself counts: a trainer saves it after its last step."""
        if self._selection.take == CHECKPOINTS or not holds_model(self._folder):
            return False
        sidecar = read_sidecar(self._folder)
        if sidecar is None and self._selection.only_marked:
            return False
        written_at = _weights_written_at(self._folder)
        if written_at < self._selection.since - _CLOCK_STEP_S:
            return False
        if has_writer_ended or not self._follows_process:
            return True
        # The callback leaves the sidecar at the end of training, before the script saves its model.
        return sidecar is not None and written_at >= sidecar.written_at - _CLOCK_STEP_S

    def _is_marked(self, folder: Path) -> bool:
        # In the output folder itself the sidecar may be older than the model.
        return folder != self._folder and read_sidecar(folder) is not None

    def _name(self, folder: Path) -> str:
        return f"{folder.name} (final)" if folder == self._folder else folder.name

    def _once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._say(text)

    def _key(self, folder: Path, signature: Signature) -> str:
        """Identity of a folder's content; empty when it is changing after all."""
        sidecar = read_sidecar(folder)
        run_id = sidecar.run_id if sidecar else ""
        known = self._keys.get(folder)
        if known and known[:2] == (signature, run_id):
            return known[2]
        try:
            key = content_key(folder, run_id, self._cache)
        except (OSError, ValueError):
            return ""
        self._keys[folder] = (signature, run_id, key)
        return key


def content_key(folder: Path, run_id: str, cache: Path) -> str:
    """Identity of a model: what decides its answers, and the training run that is told its scores.

    Raises:
        OSError: A file cannot be read.
        ValueError: The adapter's configuration does not parse.
    """
    content = (hash_weights if holds_adapter(folder) else hash_model)(folder, cache)
    return f"{content[:32]}@{run_id}" if run_id else content[:32]


def _overrides(folder: Path) -> tuple[str, ...]:
    return (override("model.adapter" if holds_adapter(folder) else "model.base", folder),)


def _written_at(checkpoint: Path, sidecar: Sidecar | None) -> float:
    if sidecar is not None and sidecar.written_at:
        return sidecar.written_at
    return _weights_written_at(checkpoint)


def _weights_written_at(folder: Path) -> float:
    """When the newest weights of a folder were written, in seconds since the epoch."""
    newest = 0.0
    for path in (*folder.glob("*.safetensors"), *folder.glob("*.bin")):
        try:
            newest = max(newest, path.stat().st_mtime)
        except OSError:
            continue
    return newest

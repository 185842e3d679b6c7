"""What a watcher may evaluate, and the shape of what finds it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Candidate:
    """A model that is ready to be evaluated.

    Attributes:
        name: As it is shown, such as ``checkpoint-500``.
        key: What it is: its content and the training run it belongs to. The same key is never
            evaluated twice, another content under the same name is.
        overrides: What ``ftbench.run`` is told of it, such as ``model.adapter=DIR``.
        folder: Where it lies on this machine, None when that is not known.
    """

    name: str
    key: str
    overrides: tuple[str, ...]
    folder: Path | None = None


@dataclass(frozen=True)
class Scan:
    """What one look at a source found.

    Attributes:
        ready: In the order of evaluation; each key once.
        changing: Names of those that are not complete yet.
        broken: Names of those that stay incomplete, with the reason.
        same: Names of those that are the same as one of ``ready``.
    """

    ready: tuple[Candidate, ...] = ()
    changing: tuple[str, ...] = ()
    broken: tuple[tuple[str, str], ...] = ()
    same: tuple[str, ...] = ()


class Source(Protocol):
    """Where new models appear. Siblings: ``folder``, ``experiment``."""

    def scan(self, has_writer_ended: bool) -> Scan | None:
        """Looks once; quick, for it is called at every poll.

        Args:
            has_writer_ended: The training process has ended, so that nothing is being written.

        Returns:
            None when the source cannot be looked at just now; it has said why.
        """

    def finished(self, candidate: Candidate) -> None:
        """Is told of a candidate that is evaluated."""

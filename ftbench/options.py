"""How much of a dataset is asked, and how often: the options that each dataset may have.

Standard library only: host and evaluation program share this module.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DatasetOptions:
    """Options of one dataset; None leaves its preset as it is.

    Attributes:
        limit: First rows of each subset.
        test_range: Slice of the rows of each subset, such as ``[10:20]``.
        split: ``validation`` or ``test``: the first or the last half of the rows, at most 100.
        num_runs: How often every row is asked.
        pass_k: The k of pass@k, each at most num_runs.
        num_shots: Examples before each question.
    """

    limit: int | None = None
    test_range: str | None = None
    split: str | None = None
    num_runs: int | None = None
    pass_k: tuple[int, ...] = ()
    num_shots: int | None = None

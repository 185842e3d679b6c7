"""Names that tell runs apart, as short as they can be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ftbench.comparison.evaluated import Evaluated


def short_labels(runs: Sequence[Evaluated]) -> tuple[str, ...]:
    """One label per run, each another.

    A run that has the name ftbench gave it is called by its model, and by its setting only where
    the runs' settings differ. A name that somebody chose is kept. Equal labels get the run's id.
    """
    has_settings = len({run.setting for run in runs}) > 1
    has_models = len({run.model for run in runs}) > 1
    labels = [_label(run, has_models, has_settings) for run in runs]
    counts = Counter(labels)
    labels = [
        f"{label} ({run.short_key})" if counts[label] > 1 else label
        for run, label in zip(runs, labels, strict=True)
    ]
    # The same run, named twice.
    seen: Counter[str] = Counter()
    unique = []
    for label in labels:
        seen[label] += 1
        unique.append(label if seen[label] == 1 else f"{label} #{seen[label]}")
    return tuple(unique)


def _label(run: Evaluated, has_models: bool, has_settings: bool) -> str:
    if run.name and run.name != f"{run.model} · {run.setting}":
        return run.name
    model = f"{run.model} (base)" if run.is_base and run.model != "base" else run.model
    if has_models and has_settings:
        return f"{model} · {run.setting}"
    return run.setting if has_settings else model

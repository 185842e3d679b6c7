"""Repeats: every run of a subset is an OpenCompass dataset of its own, merged when all are scored.

OpenCompass's own repeats (``n``, 0.5.4) are not used: a ``test_range`` is applied to the repeated
rows and takes the wrong ones, and AccEvaluator reports the last repeat alone.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ftbench.options import DatasetOptions
from ftbench.schema import Sample
from ftbench_eval.extract import Scored


def take_runs(config: Any, options: DatasetOptions) -> tuple[int, tuple[int, ...]]:
    """How often a subset is asked; what the preset says of it is taken out of its config.

    Returns:
        The number of runs, and the k of pass@k.

    Side effects: changes ``config``.
    """
    own = config.pop("n", None) or 1
    own_k = config.pop("k", None) or 1
    # Some datasets of programs repeat their rows while loading (humaneval_repeat10).
    copies = config.get("num_repeats") or 1
    if copies > 1:
        config["num_repeats"] = 1
        own, own_k = own * copies, (config.get("eval_cfg") or {}).get("k", own_k)
    runs = options.num_runs or own
    listed = [own_k] if isinstance(own_k, int) else list(own_k)
    pass_k = options.pass_k or tuple(k for k in sorted(listed) if k <= runs)
    return runs, pass_k if runs > 1 else ()


def merge_runs(runs: Mapping[int, Scored], abbr: str, pass_k: Sequence[int]) -> Scored:
    """One score of several: each metric is the mean of the runs.

    Args:
        runs: Of the same rows, by number of the run; one that failed is not there.
        abbr: The subset's name, for its samples.
        pass_k: Adds ``pass@k`` in percent for each k, where every correctness is known.
    """
    scored = list(runs.values())
    first = scored[0]
    shared = [name for name in first.metrics if all(name in run.metrics for run in scored)]
    metrics = {name: _mean([run.metrics[name] for run in scored]) for name in shared}
    samples = tuple(
        replace(sample, subset=abbr, repeat=number)
        for number, run in runs.items()
        for sample in run.samples
    )
    return replace(
        first,
        score=_mean([run.metrics[first.metric] for run in scored]),
        metrics=metrics | pass_metrics(samples, len(runs), pass_k),
        samples=samples,
    )


def pass_metrics(samples: Iterable[Sample], runs: int, pass_k: Sequence[int]) -> dict[str, float]:
    """``pass@k`` in percent: the chance that one of k answers to a row is right, mean over rows.

    Source: the unbiased estimator of Chen et al. 2021 (arXiv 2107.03374): 1 - C(n-c, k) / C(n, k).

    Args:
        samples: All repeats of all rows.
        runs: The number of repeats, n.
        pass_k: Each k, at most n.

    Returns:
        Empty when the correctness of a sample is not known, or a row lacks a repeat.
    """
    rows: dict[int, list[bool | None]] = defaultdict(list)
    for sample in samples:
        rows[sample.index].append(sample.correct)
    if any(len(answers) < runs or None in answers for answers in rows.values()):
        return {}
    right = {index: sum(map(bool, answers)) for index, answers in rows.items()}
    return {f"pass@{k}": 100 * _chance(right.values(), runs, k) for k in pass_k if right}


def _chance(right: Iterable[int], runs: int, k: int) -> float:
    return _mean([1 - math.comb(runs - c, k) / math.comb(runs, k) for c in right])


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)

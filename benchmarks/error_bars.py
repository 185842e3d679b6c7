"""Whether error bars and tests keep their promises, in simulated evaluations whose truth is known.

    python benchmarks/error_bars.py [--evaluations 2000] [--seed 0] [--only PART]

Intervals: how often the 95 % interval holds the true score. Averages: the same of the mean over
datasets, and of its difference between two models that are alike, with how often that is called
better or worse (5 % at most). Pairs: how often a test finds a
difference that is not there (5 % at most), how often its interval holds the true difference, and
how often it finds one as large as it calls detectable (80 %).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from ftbench.statistics import (
    Paired,
    SubsetOutcomes,
    mean_uncertainty,
    paired,
    paired_mean,
    uncertainty,
)
from ftbench.statistics.values import NO_EVIDENCE

Subsets = list[SubsetOutcomes]
Random = np.random.Generator


@dataclass(frozen=True)
class Design:
    """Evaluations of one kind.

    Attributes:
        truth: The score that their intervals should hold, in percent.
        draw: Gives one evaluation.
    """

    name: str
    truth: float
    draw: Callable[[Random], Subsets]


@dataclass(frozen=True)
class PairDesign:
    """Two models on the same samples.

    Attributes:
        draw: Gives both models' answers; ours is better by so many percentage points.
    """

    name: str
    draw: Callable[[Random, float], tuple[Subsets, Subsets]]


@dataclass(frozen=True)
class AverageDesign:
    """Evaluations of several datasets.

    Attributes:
        truth: The average that their intervals should hold, in percent.
        datasets: Each gives one evaluation of its dataset.
    """

    name: str
    truth: float
    datasets: Sequence[Callable[[Random], Subsets]]


@dataclass(frozen=True)
class PairShares:
    """What became of many pairs; shares are 0 to 1.

    Attributes:
        found: Of tests with a p-value below 0.05.
        covered: Of intervals that hold the true difference.
        detectable: Its mean, in percentage points.
    """

    found: float
    covered: float
    detectable: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--evaluations", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("intervals", "pairs", "averages"))
    options = parser.parse_args()
    if options.only in (None, "intervals"):
        _print_intervals(options.evaluations, options.seed)
    if options.only in (None, "averages"):
        _print_averages(options.evaluations, options.seed)
    if options.only in (None, "pairs"):
        _print_pairs(options.evaluations, options.seed)


def _print_intervals(count: int, seed: int) -> None:
    noise = 196 * math.sqrt(0.95 * 0.05 / count)
    print(f"95 % intervals of {count} evaluations each; 95.0 would be seen as 95.0 ± {noise:.1f}\n")
    print(f"{'design':<52}{'coverage':>10}{'too high':>10}{'too low':>10}")
    for design in interval_designs():
        covered, above, below = coverage(design, count, seed)
        shares = "".join(f"{100 * share:>8.1f} %" for share in (covered, above, below))
        print(f"{design.name:<52}{shares}", flush=True)


def _print_averages(count: int, seed: int) -> None:
    print(f"\n95 % intervals of averages over datasets, {count} evaluations each\n")
    heads = ("coverage", "too high", "too low")
    print(f"{'design':<52}" + "".join(f"{head:>10}" for head in heads))
    for design in average_designs():
        shares = average_coverage(design, count, seed)
        print(f"{design.name:<52}" + "".join(f"{100 * s:>8.1f} %" for s in shares), flush=True)
    print(f"\ndifferences of averages between two models, {count} pairs each\n")
    print(f"{'design':<52}{'coverage':>10}{'found':>10}   at no difference")
    for name, draws in average_pair_designs().items():
        shares = average_pair_shares(draws, count, seed)
        print(f"{name:<52}" + "".join(f"{100 * s:>8.1f} %" for s in shares), flush=True)


def average_coverage(design: AverageDesign, count: int, seed: int) -> tuple[float, float, float]:
    """How often an average's interval holds the truth, lies above it, and lies below it."""
    rng = np.random.default_rng(seed)
    above = below = 0
    for _ in range(count):
        drawn = [draw(rng) for draw in design.datasets]
        parts = [(str(i), _score(own), uncertainty(own)) for i, own in enumerate(drawn)]
        found = mean_uncertainty(parts)
        assert found.low is not None and found.high is not None, found.why_not
        above += found.low > design.truth
        below += found.high < design.truth
    return 1 - (above + below) / count, above / count, below / count


def average_pair_shares(
    draws: Sequence[Callable[[Random, float], tuple[Subsets, Subsets]]], count: int, seed: int
) -> tuple[float, float]:
    """How often the interval holds no difference where there is none, and how often it is told."""
    rng = np.random.default_rng(seed)
    made = [paired_mean([paired(*draw(rng, 0.0), seed) for draw in draws]) for _ in range(count)]
    return (
        fmean(mean.low <= 0 <= mean.high for mean in made),
        fmean(mean.verdict != NO_EVIDENCE for mean in made),
    )


def _print_pairs(count: int, seed: int) -> None:
    print(f"\npaired tests of {count} pairs each, at 5 %\n")
    heads = ("false positives", "coverage", "detectable", "its power")
    print(f"{'design':<52}" + "".join(f"{head:>17}" for head in heads))
    for design in pair_designs():
        equal = shares_of_pairs(design, 0.0, count, seed)
        effect = equal.detectable
        unequal = shares_of_pairs(design, effect, count, seed + 1)
        cells = (f"{100 * equal.found:.1f} %", f"{100 * unequal.covered:.1f} %")
        more = (f"{effect:.1f} points", f"{100 * unequal.found:.0f} %")
        print(f"{design.name:<52}" + "".join(f"{c:>17}" for c in (*cells, *more)), flush=True)


def coverage(design: Design, count: int, seed: int) -> tuple[float, float, float]:
    """How often an interval holds the truth, lies above it, and lies below it: shares, 0 to 1."""
    rng = np.random.default_rng(seed)
    above = below = 0
    for _ in range(count):
        found = uncertainty(design.draw(rng))
        assert found.low is not None and found.high is not None, found.why_not
        above += found.low > design.truth
        below += found.high < design.truth
    return 1 - (above + below) / count, above / count, below / count


def shares_of_pairs(design: PairDesign, effect: float, count: int, seed: int) -> PairShares:
    """Tests ``count`` pairs whose true difference is ``effect`` percentage points."""
    rng = np.random.default_rng(seed)
    made: list[Paired] = [paired(*design.draw(rng, effect), seed) for _ in range(count)]
    return PairShares(
        found=fmean(pair.p_value < 0.05 for pair in made),
        covered=fmean(pair.low <= effect <= pair.high for pair in made),
        detectable=fmean(pair.detectable for pair in made),
    )


def interval_designs() -> list[Design]:
    """The evaluations whose intervals are looked at."""
    single = [
        Design(f"right/wrong, {n} rows, {100 * p:.0f} %", 100 * p, _flat([(n, p)]))
        for n in (50, 200, 1319)
        for p in (0.02, 0.5, 0.9)
    ]
    arc, race = [(1172, 0.62), (2376, 0.81)], [(3498, 0.55), (1436, 0.6)]
    small = [(30, 0.98), (60, 0.9), (120, 0.6), (240, 0.35)]
    strata = [
        Design("2 strata of 1172 and 2376 rows", _truth(arc), _flat(arc)),
        Design("2 strata of 3498 and 1436 rows", _truth(race), _flat(race)),
        Design("4 strata of 30 to 240 rows", _truth(small), _flat(small)),
    ]
    repeated = [
        Design(f"{n} rows, 4 repeats, difficulty {name}", 100 * a / (a + b), _repeated(n, a, b))
        for n in (50, 200)
        for name, a, b in (("varies", 1.0, 1.0), ("is extreme", 0.2, 0.1), ("is alike", 60, 30))
    ]
    partial = [
        Design(f"partial credit, {n} rows, {name}", 100 * (1 - none) * a / (a + b), draw)
        for n in (50, 200)
        for name, none, a, b in (("mostly none", 0.6, 2.0, 2.0), ("spread", 0.1, 2.0, 1.0))
        for draw in (_partial(n, none, a, b),)
    ]
    clusters = [
        Design(f"{k} topics of 20 to 500 rows, spread {s:.0f} points", 62.0, _topics(k, 0.62, s))
        for k in (10, 27, 57)
        for s in (3.0, 15.0)
    ]
    weighted = Design(
        "20 topics, half of them weighing threefold", 62.0, _topics(20, 0.62, 15.0, 3)
    )
    return [*single, *strata, *repeated, *partial, *clusters, weighted]


def average_designs() -> list[AverageDesign]:
    """Averages over datasets of unlike sizes, kinds and scores."""
    mmlu, gsm8k = _topics(57, 0.62, 15.0), (1319, 0.55)
    arc = [(1172, 0.62), (2376, 0.81)]
    return [
        AverageDesign(
            "2 datasets: 57 topics, 1319 rows", (62.0 + 55.0) / 2, [mmlu, _flat([gsm8k])]
        ),
        AverageDesign(
            "2 datasets: 50 rows each, 50 % and 90 %",
            70.0,
            [_flat([(50, 0.5)]), _flat([(50, 0.9)])],
        ),
        AverageDesign(
            "2 datasets: 1319 rows, 50 rows of 2 %", 28.5, [_flat([gsm8k]), _flat([(50, 0.02)])]
        ),
        AverageDesign(
            "3 datasets: 10 topics, 2 strata, 200 rows x 4",
            (62.0 + _truth(arc) + 200 / 3) / 3,
            [_topics(10, 0.62, 15.0), _flat(arc), _repeated(200, 60, 30)],
        ),
        AverageDesign(
            "6 datasets of 164 to 1319 rows, 2 to 98 %",
            100 * fmean(p for _, p in _SIX),
            [_flat([part]) for part in _SIX],
        ),
    ]


def average_pair_designs() -> dict[
    str, Sequence[Callable[[Random, float], tuple[Subsets, Subsets]]]
]:
    """Two models that are alike, by name of the design."""
    return {
        "2 datasets: 57 topics of 40 rows, 1319 rows": [_pair([40] * 57), _pair([1319])],
        "2 datasets: 50 rows each": [_pair([50]), _pair([50])],
        "3 datasets: 10 topics, 2 strata, 200 rows x 4": [
            _pair([60] * 10),
            _pair([300, 600]),
            _pair([200], repeats=4),
        ],
    }


def pair_designs() -> list[PairDesign]:
    """The pairs that are tested; answers to one row depend on its difficulty in both models."""
    return [
        *(PairDesign(f"right/wrong, {n} rows", _pair([n])) for n in (50, 200, 1319)),
        PairDesign("2 strata of 300 and 600 rows", _pair([300, 600])),
        PairDesign("4 strata of 30 to 240 rows", _pair([30, 60, 120, 240])),
        PairDesign("200 rows, 4 repeats", _pair([200], repeats=4)),
        PairDesign("10 topics of 60 rows, differences spread", _pair([60] * 10, spread=4.0)),
        PairDesign("57 topics of 40 rows, no spread", _pair([40] * 57)),
        PairDesign("57 topics of 40 rows, differences spread", _pair([40] * 57, spread=4.0)),
    ]


_SIX = ((164, 0.35), (500, 0.02), (817, 0.5), (1000, 0.98), (1172, 0.62), (1319, 0.8))
"""Rows of single-subset datasets, and their shares of right answers."""


def _score(subsets: Subsets) -> float:
    return math.fsum(subset.weight * float(subset.values.mean()) for subset in subsets)


def _truth(parts: Sequence[tuple[int, float]]) -> float:
    return 100 * fmean(p for _, p in parts)


def _subsets(tables: Sequence[Any], weights: Sequence[float] = ()) -> Subsets:
    shares = np.asarray(weights or [1.0] * len(tables))
    shares = shares / shares.sum()
    return [
        SubsetOutcomes(f"subset_{i}", 100.0 * table, float(share))
        for i, (table, share) in enumerate(zip(tables, shares, strict=True))
    ]


def _flat(parts: Sequence[tuple[int, float]]) -> Callable[[Random], Subsets]:
    """Right or wrong, each row of a subset with the subset's own chance."""
    return lambda rng: _subsets([rng.random((n, 1)) < p for n, p in parts])


def _repeated(rows: int, a: float, b: float) -> Callable[[Random], Subsets]:
    """Four answers per row, whose chance of being right follows Beta(a, b)."""
    return lambda rng: _subsets([rng.random((rows, 4)) < rng.beta(a, b, (rows, 1))])


def _partial(rows: int, none: float, a: float, b: float) -> Callable[[Random], Subsets]:
    """No credit with one chance, else Beta(a, b): such as F1 of answers."""
    return lambda rng: _subsets([(rng.random((rows, 1)) >= none) * rng.beta(a, b, (rows, 1))])


def _topics(count: int, share: float, spread: float, heavy: int = 1) -> Callable[[Random], Subsets]:
    """Topics whose chances spread about one of all; ``spread`` in percentage points."""
    size = share * (1 - share) / (spread / 100) ** 2 - 1

    def draw(rng: Random) -> Subsets:
        chances = rng.beta(share * size, (1 - share) * size, count)
        sizes = np.exp(rng.uniform(math.log(20), math.log(500), count)).astype(int)
        weights = [heavy if i % 2 else 1 for i in range(count)]
        return _subsets(
            [rng.random((n, 1)) < p for n, p in zip(sizes, chances, strict=True)], weights
        )

    return draw


def _pair(
    rows: Sequence[int], repeats: int = 1, spread: float = 0.0
) -> Callable[[Random, float], tuple[Subsets, Subsets]]:
    """Answers of two models; ``spread`` of the topics' differences in percentage points."""

    def draw(rng: Random, effect: float) -> tuple[Subsets, Subsets]:
        ours, theirs = [], []
        for count in rows:
            # Inside 0.15 to 0.85, so that an effect moves every row by just as much.
            chance = 0.15 + 0.7 * rng.beta(0.5, 0.5, (count, 1))
            moved = (effect + spread * rng.uniform(-math.sqrt(3), math.sqrt(3))) / 200
            ours.append(rng.random((count, repeats)) < chance + moved)
            theirs.append(rng.random((count, repeats)) < chance - moved)
        return _subsets(ours), _subsets(theirs)

    return draw


if __name__ == "__main__":
    main()

"""Which questions a run answers otherwise than the baseline, and an even choice of them to read."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise

from ftbench.comparison.answers import Place, Unpaired
from ftbench.comparison.evaluated import Evaluated
from ftbench.comparison.testing import Reader
from ftbench.comparison.values import DatasetLines, Flip, Flips
from ftbench.schema import DatasetResult

MAX_SHOWN = 10
"""Of each dataset and direction."""


def flips_of(
    datasets: Iterable[DatasetLines],
    runs: Sequence[Evaluated],
    baseline: int,
    told: Collection[int],
    reader: Reader,
) -> tuple[Flips, ...]:
    """The flips of some runs, in every dataset whose answers can be put beside the baseline's."""
    found = []
    for run in told:
        for lines in datasets:
            if lines.line.standings[run].difference is None:
                continue
            try:
                found += [_flips(lines, runs, run, baseline, reader)]
            except Unpaired:
                continue  # the line says why
    return tuple(found)


def _flips(
    lines: DatasetLines, runs: Sequence[Evaluated], run: int, baseline: int, reader: Reader
) -> Flips:
    gained: list[Place] = []
    lost: list[Place] = []
    for pair in reader.pairs(run, baseline, lines.name, lines.line):
        rows = zip(pair.ours.indices, pair.ours.right, pair.theirs.right, strict=True)
        for index, ours, theirs in rows:
            if sum(ours) != sum(theirs):
                is_gained = sum(ours) > sum(theirs)
                told = list(zip(ours, theirs, strict=True)).index((is_gained, not is_gained))
                (gained if is_gained else lost).append(Place(pair.ours.abbr, index, told))
    places = [*even_choice(gained, MAX_SHOWN), *even_choice(lost, MAX_SHOWN)]
    dataset = runs[run].dataset(lines.name)
    assert dataset is not None
    try:
        shown = _texts(dataset, runs[run], runs[baseline], places, set(gained))
    except Unpaired as error:
        return Flips(run, lines.name, len(gained), len(lost), why_not=str(error))
    return Flips(run, lines.name, len(gained), len(lost), shown)


def even_choice(places: Sequence[Place], count: int) -> list[Place]:
    """At most ``count`` places, one at random from each of as many equal stretches.

    The same places give the same choice.
    """
    if len(places) <= count:
        return list(places)
    chance = random.Random(len(places))
    bounds = [len(places) * part // count for part in range(count + 1)]
    return [places[chance.randrange(a, b)] for a, b in pairwise(bounds)]


def _texts(
    dataset: DatasetResult,
    ours: Evaluated,
    theirs: Evaluated,
    places: Sequence[Place],
    gained: Collection[Place],
) -> tuple[Flip, ...]:
    """The chosen places with what both models said there.

    Raises:
        Unpaired: The texts cannot be read.
    """
    other = theirs.dataset(dataset.name)
    if not places or ours.answers is None or theirs.answers is None or other is None:
        return ()
    after, before = ours.answers.texts(dataset, places), theirs.answers.texts(other, places)
    names = {subset.abbr: subset.name for subset in dataset.subsets}
    return tuple(
        Flip(names[place.subset], place.position, place in gained, before[place], after[place])
        for place in places
        if place in before and place in after
    )

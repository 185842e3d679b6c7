"""Group scores are OpenCompass's own, for every preset that has groups."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path

import pytest

from ftbench.aggregates import aggregate, unscored
from ftbench.catalogue import load_catalogue
from ftbench.schema import OK, DatasetResult, SubsetResult

pytestmark = [pytest.mark.opencompass, pytest.mark.slow]


def test_group_scores_are_those_of_opencompass(eval_python: Path) -> None:
    catalogue = load_catalogue()
    chance = random.Random(7)
    presets = {p: catalogue.preset(p) for p, e in catalogue.entries.items() if e.get("groups")}
    asked = {
        path: {
            "scores": {abbr: chance.uniform(0.0, 100.0) for abbr in preset.subsets},
            "groups": catalogue.entries[path]["groups"],
        }
        for path, preset in presets.items()
    }
    ran = subprocess.run(
        [eval_python, Path(__file__).with_name("opencompass_groups.py")],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    # OpenCompass prints too.
    theirs = json.loads(ran.stdout.splitlines()[-1])

    ours = {}
    for path, preset in presets.items():
        scores = asked[path]["scores"]
        subsets = tuple(
            SubsetResult(abbr, abbr, status=OK, metric="accuracy", score=scores[abbr], expected=1)
            for abbr in preset.subsets
        )
        dataset = aggregate(DatasetResult("d", subsets=subsets, groups=unscored(preset.groups)))
        ours[path] = {group.name: group.score for group in dataset.groups}

    assert len(ours) > 100
    assert ours == {path: pytest.approx(values) for path, values in theirs.items()}

"""Computes the p-values of a comparison again, from the answers alone and by no code of ftbench.

    python benchmarks/check_p_values.py COMPARISON.json RUN_DIR RUN_DIR
    python benchmarks/check_p_values.py COMPARISON.json PARQUET_FOLDER PARQUET_FOLDER

The folders are in the order of the two runs in the JSON: run folders, or folders with the parquet
files of ``predictions/``. McNemar's exact test is a binomial test of the flips; a permutation test
is made here by scipy, with its own random numbers, and agrees within its Monte Carlo error. Exit
code 1: a p-value is another one.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy import stats
from statsmodels.stats.multitest import multipletests

DRAWS = 20_000
Rows = dict[tuple[str, int], list[float]]


def read_folder(folder: Path) -> Rows:
    """Every question's answers, right or wrong, by subset and position."""
    rows: Rows = defaultdict(list)
    for path in sorted((folder / "samples").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            sample = json.loads(line)
            if sample["correct"] is not None:
                rows[sample["subset"], sample["index"]].append(float(sample["correct"]))
    for path in sorted(folder.glob("*.parquet")):
        import pyarrow.parquet as pq

        columns = ["subset", "index", "correct"]
        for sample in pq.read_table(path, columns=columns).to_pylist():
            if sample["correct"] is not None:
                rows[sample["subset"], sample["index"]].append(float(sample["correct"]))
    return rows


def differences(ours: Rows, theirs: Rows, dataset: dict) -> dict[str, np.ndarray]:
    """By subset, ours minus theirs for every question of a dataset."""
    names = [subset["name"] for subset in dataset["subsets"]] or [dataset["name"]]
    found: dict[str, list[float]] = defaultdict(list)
    for (abbr, index), answers in ours.items():
        if any(abbr == n or abbr.endswith(f"{dataset['name']}_{n}") for n in names):
            found[abbr].append(np.mean(answers) - np.mean(theirs[abbr, index]))
    return {abbr: np.array(values) for abbr, values in found.items()}


def p_value(by_subset: dict[str, np.ndarray], test: str) -> float:
    """The p-value by the test that the comparison names."""
    if test.startswith("McNemar"):
        (values,) = by_subset.values()
        gained, lost = int((values > 0).sum()), int((values < 0).sum())
        return float(stats.binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    if test.endswith("subsets") and " in " not in test:
        units = np.array([values.mean() for values in by_subset.values()])
    else:
        count = len(by_subset)
        units = np.concatenate([v / len(v) / count for v in by_subset.values()])
    if not units.any():
        return 1.0
    made = stats.permutation_test(
        (units,), np.mean, permutation_type="samples", n_resamples=DRAWS, rng=1, vectorized=True
    )
    return float(made.pvalue)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("comparison", type=Path)
    parser.add_argument("folders", nargs=2, type=Path)
    options = parser.parse_args()
    value = json.loads(options.comparison.read_text(encoding="utf-8"))
    ids = [run["id"] for run in value["runs"]]
    rows = dict(zip(ids, map(read_folder, options.folders), strict=True))
    (run,) = (i for i in ids if i != value["baseline"])
    told, found, names = [], [], []
    for dataset in value["datasets"]:
        difference = dataset["scores"][run]["difference"]
        if difference and difference["test"]:
            by_subset = differences(rows[run], rows[value["baseline"]], dataset)
            told.append(difference["test"])
            found.append(p_value(by_subset, difference["test"]["name"]))
            names.append(dataset["name"])
    if not told:
        print("nothing was tested")
        return 1
    adjusted = multipletests(found, method="holm")[1]
    print(f"{'dataset':<20} {'p':>10} {'here':>10} {'Holm':>10} {'here':>10}  test")
    is_confirmed = True
    is_exact = all(test["name"].startswith("McNemar") for test in told)
    for name, test, own, own_adjusted in zip(names, told, found, adjusted, strict=True):
        pairs = ((test["p_value"], own), (test["p_adjusted"], own_adjusted))
        # A corrected p-value is exact only where all of its family are.
        family = test["name"] if is_exact else "permutation"
        same = _agree(*pairs[0], test["name"]) and _agree(*pairs[1], family)
        is_confirmed &= same
        numbers = " ".join(f"{p:>10.6f}" for pair in pairs for p in pair)
        print(f"{name:<20} {numbers}  {test['name']}{'' if same else '  DIFFERS'}")
    return 0 if is_confirmed else 1


def _agree(told: float, own: float, test: str) -> bool:
    if test.startswith("McNemar"):
        return math.isclose(told, own, rel_tol=1e-9)
    # Two random draws, of which the comparison's may be the smaller one, and Holm's factor.
    middle = max(told, own, 1e-3)
    return abs(told - own) < 5 * math.sqrt(middle / 5_000) * 0.5 + 1e-3


if __name__ == "__main__":
    sys.exit(main())

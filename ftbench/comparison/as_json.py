"""A comparison for programs; ``docs/compare.md`` describes every key. Numbers are not rounded."""

from __future__ import annotations

import json
from typing import Any

from ftbench.comparison.answers import AnswerText
from ftbench.comparison.compare import losses, movers
from ftbench.comparison.evaluated import Evaluated
from ftbench.comparison.values import (
    Average,
    Comparison,
    DatasetLines,
    Flip,
    Flips,
    Line,
    Loss,
    Mover,
    Standing,
)
from ftbench.comparison.verdicts import average_word, headline, word
from ftbench.comparison.words import MOVERS, verdict
from ftbench.statistics import Paired

VERSION = 3
"""Of the shape; it rises where a key changes its meaning or goes, not where one is added."""


def comparison_json(comparison: Comparison) -> str:
    """The whole comparison as a JSON object, with a newline at its end."""
    ids = _ids(comparison)
    best = comparison.ranking[:1] if len(comparison.ranking) > 1 else ()
    value = {
        "kind": "ftbench.comparison",
        "schema_version": VERSION,
        "verdict": verdict(comparison),
        "baseline": ids[comparison.baseline],
        "best": ids[best[0]] if best else None,
        "ranking": [ids[index] for index in comparison.ranking],
        "averaged_over": list(comparison.averaged),
        "not_averaged": dict(comparison.left_out),
        "runs": [
            {"id": ids[index], **_run(comparison, index, label, run)}
            for index, (label, run) in enumerate(
                zip(comparison.labels, comparison.runs, strict=True)
            )
        ],
        "datasets": [_dataset(comparison, dataset) for dataset in comparison.datasets],
        "differing": {
            setting.key: dict(zip(ids, setting.values, strict=True))
            for setting in comparison.settings
        },
        "notes": list(comparison.notes),
    }
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def _ids(comparison: Comparison) -> list[str]:
    """What names each run: its MLflow run id, else the label that tells it from the others."""
    found: list[str] = []
    for label, run in zip(comparison.labels, comparison.runs, strict=True):
        wanted = run.run_id or label
        found += [label if wanted in found else wanted]
    return found


def _run(comparison: Comparison, index: int, label: str, run: Evaluated) -> dict[str, Any]:
    gained, lost = movers(comparison, index, MOVERS)
    return {
        "run_id": run.run_id or None,
        "name": run.name,
        "label": label,
        "model": run.model,
        "base_model": run.base_model,
        "is_base": run.is_base,
        "setting": run.setting,
        "step": run.step,
        "fingerprint": run.result.fingerprint,
        "verdict": None if index == comparison.baseline else headline(comparison, index),
        "average": _average(comparison.averages[index]),
        "worse": [_loss(loss) for loss in losses(comparison, index)],
        "flips": [_flips(flips) for flips in comparison.flips if flips.run == index],
        "gained_most": [_mover(mover) for mover in gained],
        "lost_most": [_mover(mover) for mover in lost],
        "url": run.link,
        "model_url": run.model_link,
        "training_url": run.training_link,
        "run_dir": run.run_dir or None,
        "command": list(run.command),
    }


def _average(average: Average) -> dict[str, Any]:
    return {
        "score": average.score,
        "difference": _average_difference(average),
        "verdict": average_word(average) or None,
        "not_tested": average.unpaired_why or None,
        "is_flagged": average.is_flagged,
        "why_not": average.why_not or None,
    }


def _mover(mover: Mover) -> dict[str, Any]:
    return {
        "dataset": mover.dataset,
        "subset": mover.subset,
        "before": mover.before,
        "after": mover.after,
        "difference": _difference(mover.difference.value, mover.paired),
        "questions": mover.rows,
    }


def _dataset(comparison: Comparison, dataset: DatasetLines) -> dict[str, Any]:
    return {
        **_line(comparison, dataset.line),
        "groups": [_line(comparison, line) for line in dataset.groups],
        "subsets": [_line(comparison, line) for line in dataset.subsets],
    }


def _line(comparison: Comparison, line: Line) -> dict[str, Any]:
    ids = _ids(comparison)
    return {
        "name": line.name,
        "metric": line.metric,
        "best": [key for key, s in zip(ids, line.standings, strict=True) if s.is_best],
        "scores": {key: _standing(s) for key, s in zip(ids, line.standings, strict=True)},
    }


def _standing(standing: Standing) -> dict[str, Any]:
    return {
        "score": standing.score,
        "weighted_score": standing.weighted_score,
        "status": standing.status or None,
        "coverage": standing.coverage or None,
        "questions": standing.rows,
        "difference": standing.difference
        and _difference(standing.difference.value, standing.paired),
        "verdict": word(standing) or None,
        "not_comparable": standing.why_not or None,
        "not_tested": standing.unpaired_why or None,
        "flags": list(standing.flags),
    }


def _average_difference(average: Average) -> dict[str, Any] | None:
    if average.difference is None:
        return None
    made = average.paired
    return {
        "value": average.difference.value,
        "low": made and made.low,
        "high": made and made.high,
        "standard_error": made and made.standard_error,
        "interval_method": made and made.method,
    }


def _difference(value: float, paired: Paired | None) -> dict[str, Any]:
    """A difference with its test; both ends null where it was not tested."""
    return {
        "value": value,
        "low": paired and paired.low,
        "high": paired and paired.high,
        "test": paired and _test(paired),
    }


def _test(paired: Paired) -> dict[str, Any]:
    return {
        "name": paired.test,
        "p_value": paired.p_value,
        "p_adjusted": paired.p_adjusted,
        "standard_error": paired.standard_error,
        "interval_method": paired.method,
        "detectable": paired.detectable,
        "questions": paired.rows,
        "gained": paired.gained,
        "lost": paired.lost,
    }


def _loss(loss: Loss) -> dict[str, Any]:
    return {
        "dataset": loss.dataset,
        "kind": loss.kind,
        "name": loss.name,
        "difference": _difference(loss.paired.difference, loss.paired),
    }


def _flips(flips: Flips) -> dict[str, Any]:
    return {
        "dataset": flips.dataset,
        "gained": flips.gained,
        "lost": flips.lost,
        "shown": [_flip(flip) for flip in flips.shown],
        "not_shown": flips.why_not or None,
    }


def _flip(flip: Flip) -> dict[str, Any]:
    return {
        "subset": flip.subset,
        "index": flip.index,
        "is_gained": flip.is_gained,
        "prompt": flip.after.prompt,
        "reference": flip.after.reference,
        "before": _answer(flip.before),
        "after": _answer(flip.after),
    }


def _answer(text: AnswerText) -> dict[str, str]:
    return {"prediction": text.prediction, "extracted": text.extracted}

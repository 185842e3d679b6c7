"""Takes a scored subset from OpenCompass's files into the result and ``samples/``."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ftbench.json_files import members, read_object
from ftbench.schema import (
    FAILED,
    OK,
    PARTIAL,
    PENDING,
    Reason,
    RunFiles,
    Sample,
    write_samples,
)
from ftbench.validity import AnswerCounts, count_answers, trouble
from ftbench_eval.checks import Checked
from ftbench_eval.extract import Scored, Unscored, count_tokens, read_scored, token_counts
from ftbench_eval.judged import count_unjudged, with_verdicts
from ftbench_eval.output import Output
from ftbench_eval.presets import GENERATION
from ftbench_eval.progress import Progress
from ftbench_eval.reasons import LOG, explain
from ftbench_eval.runs import merge_runs
from ftbench_eval.settings import Settings
from ftbench_eval.stream.requests import Answer


class Collector:
    """Reads what OpenCompass left for a subset; called from scoring threads.

    Args:
        settings: Limits and names.
        checked: Every subset that may be scored.
        tokenizer_path: Of the tokenizer that counts output tokens.
        answers: Gives what the model answered in a subset, by position; it knows how a text ended.
    """

    def __init__(
        self,
        settings: Settings,
        files: RunFiles,
        progress: Progress,
        output: Output,
        checked: Mapping[str, Checked],
        tokenizer_path: str,
        answers: Callable[[str], Mapping[int, Answer]] = lambda _: {},
    ) -> None:
        self._settings = settings
        self._files = files
        self._progress = progress
        self._output = output
        self._checked = checked
        self._tokenizer_path = tokenizer_path
        self._answers = answers
        self._tokenizer: Any = None
        self._runs: dict[str, dict[int, Scored | Reason]] = {}
        self._lock = threading.Lock()

    def collect(self, abbr: str, reason: Reason | None) -> None:
        """Settles one subset when all its runs have ended.

        Args:
            abbr: Its name, or that of one of its runs.
            reason: Why scoring failed, or None.

        Side effects: writes ``samples/<abbr>.jsonl``, the progress file and a line of output.
        """
        with self._lock:
            run: Scored | Reason
            try:
                run = self._read(abbr) if reason is None else reason
            except Unscored as exc:
                run = Reason("scoring", str(exc), LOG)
            except Exception as exc:  # foreign content; what fails is this subset only
                run = explain(exc, "results")
            self._finish(abbr, run)

    def fail(self, abbr: str, reason: Reason) -> None:
        """Settles one subset, or one of its runs, as failed."""
        with self._lock:
            self._finish(abbr, reason)

    def _finish(self, abbr: str, run: Scored | Reason) -> None:
        """Settles a subset when the last of its runs has ended; most have one."""
        subset = self._checked[abbr].subset
        ended = self._runs.setdefault(subset.result_abbr, {})
        ended[subset.run] = run
        if len(ended) < subset.runs:
            return
        runs = {i: ended[i] for i in range(subset.runs)}
        scored = {i: each for i, each in runs.items() if isinstance(each, Scored)}
        failed = next((each for each in runs.values() if isinstance(each, Reason)), None)
        if not scored:
            assert failed is not None
            self._settle_failed(abbr, failed)
            return
        merged = next(iter(scored.values()))
        if subset.runs > 1:
            whole = subset.pass_k if failed is None else ()
            merged = merge_runs(scored, subset.result_abbr, whole)
        try:
            write_samples(self._files.samples(subset.result_abbr), merged.samples)
        except (OSError, ValueError, TypeError) as exc:
            self._settle_failed(abbr, explain(exc, "results"))
        else:
            self._settle(abbr, merged, failed)

    def _settle_failed(self, abbr: str, reason: Reason) -> None:
        result_abbr = self._checked[abbr].subset.result_abbr
        dataset = self._progress.settle(result_abbr, status=FAILED, reason=reason)
        self._output.say(f"{self._label(abbr)}: failed: {reason.message}")
        self._say_dataset(dataset)

    def _settle(self, abbr: str, scored: Scored, reason: Reason | None) -> None:
        subset = self._checked[abbr].subset
        expected, completed = self._checked[abbr].rows * subset.runs, len(scored.samples)
        if completed < expected and reason is None:
            reason = Reason("incomplete", f"{completed} of {expected} samples have a prediction")
        elif subset.judged and reason is None:
            reason = _unjudged(scored)
        if missing := [k for k in subset.pass_k if f"pass@{k}" not in scored.metrics]:
            text = ", ".join(f"pass@{k}" for k in missing)
            self._output.say(f"{self._label(abbr)}: no {text}: not every answer's truth is known")
        dataset = self._progress.settle(
            subset.result_abbr,
            status=OK if reason is None else PARTIAL,
            reason=reason,
            metric=scored.metric,
            score=scored.score,
            metrics=scored.metrics,
            completed=completed,
            correct_known=scored.correct_known,
            unknown_why=scored.unknown_why,
            **dataclasses.asdict(self._count_answers(abbr, scored.samples)),
        )
        counts = f"{completed} of {expected} samples"
        if bad := trouble([self._progress.subset(subset.result_abbr)]):
            counts += f", {bad}"
        self._output.say(f"{self._label(abbr)}: {scored.metric} {scored.score:.2f} ({counts})")
        self._say_dataset(dataset)

    def _count_answers(self, abbr: str, samples: Sequence[Sample]) -> AnswerCounts:
        # A choice by likelihood has nothing to cut or to leave empty.
        is_written = self._checked[abbr].subset.role == GENERATION
        return count_answers(samples) if is_written else AnswerCounts()

    def _say_dataset(self, dataset: Any) -> None:
        if len(dataset.subsets) > 1 and dataset.status != PENDING:
            score = "no score" if dataset.score is None else f"{dataset.metric} {dataset.score:.2f}"
            bad = trouble(dataset.subsets)
            more = f" ({bad})" if bad else ""
            self._output.say(f"{dataset.name}: {score}, {dataset.aggregation}{more}")

    def _label(self, abbr: str) -> str:
        subset = self._checked[abbr].subset
        siblings = {
            each.subset.result_abbr
            for each in self._checked.values()
            if each.subset.dataset == subset.dataset
        }
        is_only = subset.name == subset.result_abbr and len(siblings) == 1
        return subset.dataset if is_only else f"{subset.dataset}/{subset.name}"

    def _read(self, abbr: str) -> Scored:
        subset = self._checked[abbr].subset
        model = self._settings.model_abbr
        evaluator = subset.config["eval_cfg"]["evaluator"]["type"]
        result = _read_result(self._files.results / model / f"{abbr}.json")
        scored = read_scored(
            abbr,
            result,
            dict(members(self._files.predictions / model / f"{abbr}.json")),
            repeats=1,
            evaluator=str(evaluator).rpartition(".")[2],
        )
        if subset.judged:
            scored = with_verdicts(scored, result)
        if subset.role != GENERATION:
            return scored
        own = subset.config["infer_cfg"]["inferencer"].get("max_out_len")
        limit = self._settings.max_out_len if own is None else own
        answers = self._answers(abbr)
        samples = count_tokens(scored.samples, self._count_tokens, limit, answers)
        return dataclasses.replace(scored, samples=samples)

    def _count_tokens(self, texts: list[str]) -> list[int]:
        # A tokenizer of its own: one that inference uses at the same time is not thread-safe.
        if self._tokenizer is None:
            from transformers import AutoTokenizer

            self._tokenizer = AutoTokenizer.from_pretrained(
                self._tokenizer_path, trust_remote_code=self._settings.trust_remote_code
            )
        return token_counts(self._tokenizer, texts)


def _read_result(path: Path) -> Any:
    """OpenCompass's result of one subset; None when it is absent or torn."""
    try:
        return read_object(path, "details", _without_prompt)
    except (OSError, ValueError):
        return None


def _without_prompt(row: Any) -> Any:
    """A row of details without what the predictions say as well, which is most of it."""
    if isinstance(row, dict):
        row.pop("prompt", None)
        row.pop("origin_prediction", None)
    return row


def _unjudged(scored: Scored) -> Reason | None:
    """Why a judged score is not whole, or None; samples without a verdict count as not right."""
    count, why = count_unjudged(scored.samples)
    if not count:
        return None
    message = f"{count} of {len(scored.samples)} samples have no verdict, mostly because {why}"
    return Reason("judge", message, LOG)

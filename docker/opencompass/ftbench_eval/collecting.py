"""Takes a scored subset from OpenCompass's files into the result and ``samples/``."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ftbench.schema import (
    FAILED,
    OK,
    PARTIAL,
    PENDING,
    Reason,
    RunFiles,
    Sample,
    to_json,
    write_atomically,
)
from ftbench_eval.checks import Checked
from ftbench_eval.extract import Scored, Unscored, count_tokens, read_scored
from ftbench_eval.output import Output
from ftbench_eval.presets import GENERATION
from ftbench_eval.progress import Progress
from ftbench_eval.reasons import LOG, explain
from ftbench_eval.resume import read_json
from ftbench_eval.settings import Settings


class Collector:
    """Reads what OpenCompass left for a subset; called from scoring threads.

    Args:
        settings: Limits and names.
        checked: Every subset that may be scored.
        tokenizer_path: Of the tokenizer that counts output tokens.
    """

    def __init__(
        self,
        settings: Settings,
        files: RunFiles,
        progress: Progress,
        output: Output,
        checked: Mapping[str, Checked],
        tokenizer_path: str,
    ) -> None:
        self._settings = settings
        self._files = files
        self._progress = progress
        self._output = output
        self._checked = checked
        self._tokenizer_path = tokenizer_path
        self._tokenizer: Any = None
        self._lock = threading.Lock()

    def collect(self, abbr: str, reason: Reason | None) -> None:
        """Settles one subset.

        Args:
            abbr: Its name.
            reason: Why scoring failed, or None.

        Side effects: writes ``samples/<abbr>.jsonl``, the progress file and a line of output.
        """
        with self._lock:
            if reason is None:
                try:
                    scored = self._read(abbr)
                    self._write_samples(abbr, scored.samples)
                except Unscored as exc:
                    reason = Reason("scoring", str(exc), LOG)
                except Exception as exc:  # foreign content; what fails is this subset only
                    reason = explain(exc, "results")
            if reason is not None:
                self.fail(abbr, reason)
            else:
                self._settle(abbr, scored)

    def fail(self, abbr: str, reason: Reason) -> None:
        """Settles one subset as failed."""
        dataset = self._progress.settle(abbr, status=FAILED, reason=reason)
        self._output.say(f"{self._label(abbr)}: failed: {reason.message}")
        self._say_dataset(dataset)

    def _settle(self, abbr: str, scored: Scored) -> None:
        expected, completed = self._checked[abbr].rows, len(scored.samples)
        known = [s.truncated for s in scored.samples if s.truncated is not None]
        reason = None
        if completed < expected:
            reason = Reason("incomplete", f"{completed} of {expected} samples have a prediction")
        dataset = self._progress.settle(
            abbr,
            status=OK if reason is None else PARTIAL,
            reason=reason,
            metric=scored.metric,
            score=scored.score,
            metrics=scored.metrics,
            completed=completed,
            correct_known=scored.correct_known,
            unknown_why=scored.unknown_why,
            truncated=sum(known) if known else None,
        )
        counts = f"{completed} of {expected} samples"
        self._output.say(f"{self._label(abbr)}: {scored.metric} {scored.score:.2f} ({counts})")
        self._say_dataset(dataset)

    def _say_dataset(self, dataset: Any) -> None:
        if len(dataset.subsets) > 1 and dataset.status != PENDING:
            score = "no score" if dataset.score is None else f"{dataset.metric} {dataset.score:.2f}"
            self._output.say(f"{dataset.name}: {score}, {dataset.aggregation}")

    def _label(self, abbr: str) -> str:
        subset = self._checked[abbr].subset
        return subset.dataset if subset.name == abbr else f"{subset.dataset}/{subset.name}"

    def _read(self, abbr: str) -> Scored:
        subset = self._checked[abbr].subset
        model = self._settings.model_abbr
        evaluator = subset.config["eval_cfg"]["evaluator"]["type"]
        scored = read_scored(
            abbr,
            read_json(self._files.results / model / f"{abbr}.json"),
            read_json(self._files.predictions / model / f"{abbr}.json"),
            subset.config.get("n", 1),
            str(evaluator).rpartition(".")[2],
        )
        if subset.role != GENERATION:
            return scored
        own = subset.config["infer_cfg"]["inferencer"].get("max_out_len")
        limit = self._settings.max_out_len if own is None else own
        samples = count_tokens(scored.samples, self._count_tokens, limit)
        return replace(scored, samples=samples)

    def _count_tokens(self, texts: list[str]) -> list[int]:
        # A tokenizer of its own: one that inference uses at the same time is not thread-safe.
        if self._tokenizer is None:
            from transformers import AutoTokenizer

            self._tokenizer = AutoTokenizer.from_pretrained(
                self._tokenizer_path, trust_remote_code=self._settings.trust_remote_code
            )
        encoded = self._tokenizer(texts, add_special_tokens=False, verbose=False)
        return [len(ids) for ids in encoded["input_ids"]]

    def _write_samples(self, abbr: str, samples: tuple[Sample, ...]) -> None:
        lines = (json.dumps(to_json(sample), ensure_ascii=False) + "\n" for sample in samples)
        write_atomically(self._files.samples(abbr), "".join(lines))

"""Gets the predictions of every subset: as one stream where it can be, else one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from ftbench.schema import Reason, RunFiles, to_json
from ftbench_eval.built import BuiltDatasets
from ftbench_eval.effect_check import CANARY
from ftbench_eval.infer import count_calls, infer_subset, inputs_per_sample
from ftbench_eval.model_config import ModelDecision
from ftbench_eval.model_load import LoadedModel, prompt_wrapper
from ftbench_eval.output import Output
from ftbench_eval.parallel.copies import Copies
from ftbench_eval.presets import Subset
from ftbench_eval.progress import Progress
from ftbench_eval.reasons import explain
from ftbench_eval.resume import partial_count, ran_out_of_memory
from ftbench_eval.settings import STREAM, Settings
from ftbench_eval.stream.answering import release_memory
from ftbench_eval.stream.asking import StreamedSubsets
from ftbench_eval.stream.batches import BatchLimit
from ftbench_eval.stream.journal import Journal
from ftbench_eval.stream.prompts import Prompter, is_streamed


class Inference:
    """Asks the model.

    Args:
        scratch: Folder that is removed at the end.
        seconds: Inference seconds by subset, of an interrupted run; kept up to date.
        journal: What is answered already, and what will be.
        built: Has the datasets of the check.
        load: Loads the weights into this process; called once, if they are needed.
        load_copies: Loads what answers the stream, in a thread of its own; called once, if needed.
        on_written: Called when the predictions of a subset are written; in any thread.
        on_failed: Called when there will be none, with the reason; in any thread.
    """

    def __init__(
        self,
        settings: Settings,
        files: RunFiles,
        progress: Progress,
        output: Output,
        scratch: Path,
        seconds: dict[str, float],
        journal: Journal,
        built: BuiltDatasets,
        decision: ModelDecision,
        load: Callable[[], LoadedModel],
        load_copies: Callable[[], Copies],
        on_written: Callable[[Subset], None],
        on_failed: Callable[[str, Reason], None],
    ) -> None:
        self._settings = settings
        self._files = files
        self._progress = progress
        self._output = output
        self._scratch = scratch
        self._seconds = seconds
        self._journal = journal
        self._built = built
        self._decision = decision
        self._load = load
        self._load_copies = load_copies
        self._on_written = on_written
        self._on_failed = on_failed
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="loading")
        self._loading: Future[Copies] | None = None

    def run(self, subsets: Sequence[Subset]) -> None:
        """Gets the predictions of these subsets.

        Raises:
            Refused: The model cannot be evaluated as asked.
            Exception: The model did not load.
            OSError: Answers cannot be kept.
        """
        is_stream = self._settings.order == STREAM
        streamed = [subset for subset in subsets if is_stream and is_streamed(subset)]
        others = [subset for subset in subsets if subset not in streamed]
        if streamed:
            self._stream(streamed)
        if others:
            self._one_by_one(others, self._load())

    def _start_loading(self) -> Future[Copies]:
        if self._loading is None:
            self._loading = self._loader.submit(self._load_copies)
        return self._loading

    def _stream(self, subsets: Sequence[Subset]) -> None:
        wrappers = self._prompt_wrappers({subset.role for subset in subsets})
        prompters = {
            role: Prompter(role, wrapper, self._decision.configs[role], self._scratch, self._built)
            for role, wrapper in wrappers.items()
        }
        stream = StreamedSubsets(
            self._settings,
            self._progress,
            self._output,
            self._journal,
            prompters,
            self._files.predictions / self._settings.model_abbr,
            self._seconds,
            self._on_written,
            self._on_failed,
        )
        if not self._journal.facts:  # else everything may be answered already
            self._start_loading()
        try:
            stream.collect(subsets)
            if not stream.is_answered:
                copies = self._start_loading().result()
                by_length = not self._settings.use_vllm
                stream.ask(copies.answerers, self._limits(copies), by_length)
        finally:
            if self._loading is not None and self._loading.exception() is None:
                self._loading.result().end()
        stream.wait()

    def _prompt_wrappers(self, roles: set[str]) -> Mapping[str, Any]:
        """What makes prompts: without weights, so that both go on at once."""
        return {role: prompt_wrapper(self._decision.configs[role]) for role in sorted(roles)}

    def _limits(self, copies: Copies) -> dict[str, BatchLimit]:
        """The limits of the run that this one goes on with, so that its batches are the same."""
        kept = self._journal.facts.get("limits")
        if kept:
            limits = {method: BatchLimit(*limit) for method, limit in kept.items()}
            if ran_out_of_memory(self._files):
                limits = {method: limit.halved() for method, limit in limits.items()}
        else:
            limits = dict(copies.limits)
        facts: dict[str, Any] = {"limits": {m: [b.samples, b.tokens] for m, b in limits.items()}}
        if self._progress.result.model.canary is not None:
            facts[CANARY] = to_json(self._progress.result.model.canary)
        self._journal.start(facts)
        by_limit = "; ".join(dict.fromkeys(limit.words for limit in limits.values()))
        words = copies.words or by_limit
        self._progress.update(model=replace(self._progress.result.model, batches=words))
        return limits

    def _one_by_one(self, subsets: Sequence[Subset], model: LoadedModel) -> None:
        """OpenCompass's own order and batches, also where a prompt depends on an answer."""
        counter = _Counter(self._progress)
        for wrapper in model.wrappers.values():
            count_calls(wrapper, counter.add)
        for subset in subsets:
            done = partial_count(self._files, self._settings.model_abbr, subset.abbr)
            counter.begin(subset, done)
            started = time.monotonic()
            try:
                infer_subset(
                    subset,
                    model.wrappers[subset.role],
                    self._decision.configs[subset.role],
                    self._files.root,
                    self._settings.seed + subset.run,
                )
            except Exception as exc:  # foreign code; what fails is this subset only
                reason = explain(exc, "inference")
            else:
                reason = None
            self._note_seconds(subset.result_abbr, started)
            if reason is None:
                self._on_written(subset)
            else:
                release_memory()
                self._on_failed(subset.abbr, reason)

    def _note_seconds(self, abbr: str, started: float) -> None:
        self._seconds[abbr] = self._seconds.get(abbr, 0.0) + time.monotonic() - started
        self._progress.settle(abbr, seconds=self._seconds[abbr])


class _Counter:
    """Counts the samples of the subset that is being asked."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._abbr = ""
        self._inputs = 0
        self._per_sample = 1
        self._before = 0
        self._expected = 0

    def begin(self, subset: Subset, done: int) -> None:
        self._abbr, self._inputs = subset.result_abbr, 0
        self._per_sample = inputs_per_sample(subset)
        self._expected = self._progress.subset(subset.result_abbr).expected
        self._before = done + subset.run * self._expected // subset.runs

    def add(self, inputs: int) -> None:
        self._inputs += inputs
        completed = self._before + self._inputs // self._per_sample
        self._progress.count(self._abbr, min(completed, self._expected))

"""The copies of the model that answer the stream: workers, one engine, or the model in here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ftbench_eval.model_load import LoadedModel
from ftbench_eval.parallel.choice import Parallel
from ftbench_eval.parallel.worker import Ready, WorkerJob
from ftbench_eval.parallel.workers import WorkerAnswerer, start_workers, worker_environments
from ftbench_eval.settings import Settings
from ftbench_eval.stream.answering import WrapperAnswerer
from ftbench_eval.stream.batches import BatchLimit
from ftbench_eval.stream.budget import batch_limits
from ftbench_eval.stream.engine import (
    BATCHES_AT_A_TIME,
    ENGINE_LIMITS,
    STREAM_WORDS,
    EngineAnswerer,
)
from ftbench_eval.stream.stream import Answerer


@dataclass(frozen=True)
class Copies:
    """What answers.

    Attributes:
        answerers: One for each batch that is asked at a time.
        limits: How large a batch may be, by method of the call: what the smallest copy can take.
        facts: Of the first copy; its ``load_seconds`` are the longest.
        notes: What a reader should know, a sentence each.
        words: How large a batch is, for people, where the limits do not say it.
    """

    answerers: Sequence[Answerer]
    limits: Mapping[str, BatchLimit]
    facts: Ready
    notes: tuple[str, ...] = ()
    words: str = ""
    _workers: Sequence[WorkerAnswerer] = field(default=())

    def end(self) -> None:
        """Ends the workers, if there are any, and gives their GPUs back."""
        for worker in self._workers:
            worker.end()


def copy_in_here(model: LoadedModel, settings: Settings) -> Copies:
    """The one copy that this process has loaded."""
    facts = (model.adapter_tensors, model.device, model.dtype, model.load_seconds)
    if settings.use_vllm:
        engine: Any = EngineAnswerer(model.wrappers, settings.seed)
        answerers: list[Any] = [engine] * BATCHES_AT_A_TIME
        return Copies(answerers, ENGINE_LIMITS, Ready(*facts), words=STREAM_WORDS)
    weights = next(iter(model.wrappers.values())).model
    limits = batch_limits(settings.batch_size, settings.batch_tokens, weights, model.device)
    return Copies([WrapperAnswerer(model.wrappers, settings.seed)], limits, Ready(*facts))


def start_copies(
    settings: Settings,
    configs: Mapping[str, dict[str, Any]],
    adapter: Path | None,
    parallel: Parallel,
    environ: Mapping[str, str],
    say: Callable[[str], None],
    checked_adapter: Path | None = None,
) -> Copies:
    """Starts a worker for every copy and waits until their models are loaded.

    Args:
        configs: OpenCompass model config by role.
        adapter: The adapter that transformers loads, or None.
        environ: ``os.environ``.
        checked_adapter: The adapter, served unmerged, that has to show an effect in every copy;
            None: no check.

    Raises:
        ModelGone: No copy could be loaded.
    """
    job = WorkerJob(
        configs,
        adapter,
        settings.use_vllm,
        settings.seed,
        settings.batch_size,
        settings.batch_tokens,
        parallel.data,
        settings.secrets_folder,
        checked_adapter,
    )
    environments = worker_environments(environ, parallel.data, parallel.tensor)
    workers, ready, failures = start_workers(job, environments, say)
    notes = tuple(f"A copy of the model did not load: {failure}." for failure in failures)
    for note in notes:
        say(f"ftbench: {note}")
    at_a_time = BATCHES_AT_A_TIME if settings.use_vllm else 1
    answerers: list[Any] = [worker for worker in workers for _ in range(at_a_time)]
    first = ready[0]
    seconds = max(one.load_seconds for one in ready)
    facts = replace(first, load_seconds=seconds)
    words = STREAM_WORDS if settings.use_vllm else ""
    limits = smallest([one.limits for one in ready])
    return Copies(answerers, limits, facts, notes, words, workers)


def smallest(limits: Sequence[Mapping[str, BatchLimit]]) -> dict[str, BatchLimit]:
    """What all can take, by method of the call."""

    def least(method: str) -> BatchLimit:
        return min((one[method] for one in limits), key=lambda limit: limit.tokens or limit.samples)

    return {method: least(method) for method in limits[0]}

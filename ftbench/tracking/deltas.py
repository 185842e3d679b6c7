"""Puts the differences from a baseline on a benchmark run that is recorded.

    delta_vs_base/<dataset>         ours minus the base model's, in points
    delta_vs_base_low/<dataset>     ends of its 95 % interval
    delta_vs_base_high/<dataset>
    delta_vs_base/avg ...           the same of the averages, where every dataset can be compared
    p_value/<dataset>               two-sided, before any correction
    p_adjusted/<dataset>            after Holm's correction over the datasets

From another baseline than the base model they are called ``delta_vs_baseline/...`` and
``p_value_vs_baseline/...``: a name never says base where it was another run. The verdicts are tags.
What an earlier baseline left, and this one cannot be compared in, becomes NaN: the tag says why.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from filelock import FileLock

from ftbench.deltas import BASE, Delta, Deltas
from ftbench.plan import Plan, TrackingPlan
from ftbench.tracking import page, store, training
from ftbench.tracking.asking import asking
from ftbench.tracking.baseline import DELTA, DELTA_BASE_TAG, VERDICT_TAG
from ftbench.tracking.environment import redact
from ftbench.tracking.names import MAX_TAG, cut, metric_key
from ftbench.tracking.replacing import NO_NUMBER, remove_tags, replacing

BASELINE_TAG = "ftbench.baseline"
"""What people call another baseline than the base model, and its run's id."""
BASELINE_RUN_TAG = "ftbench.baseline_run_id"

_OTHER_VERDICT = f"{VERDICT_TAG}vs_baseline."


def record_deltas(plan: Plan, deltas: Deltas, run_id: str) -> None:
    """Logs differences, intervals, p-values and verdicts; doing it again changes nothing.

    Args:
        plan: Of the evaluation; its run folder has ``comparison.json`` and the reports.
        deltas: What its scores are against the baseline's.
        run_id: Its benchmark run.

    Raises:
        TrackingError: The tracker did not take them.

    Side effects: metrics, tags, note and artifacts of the benchmark run; metrics or tags of the
        training run, as ``write_back`` says.
    """
    from mlflow.entities import RunTag

    uri, conf = plan.tracking.uri, plan.tracking
    cure = f"python -m ftbench.record {plan.run_dir}"
    tried = f"recording the difference into {redact(uri)}"
    with (
        asking(uri, tried, request_timeout_s=conf.request_timeout_s, cure=cure),
        FileLock(plan.run_dir / ".record.lock", timeout=600),
    ):
        client = store.open_store(uri)
        run = client.get_run(run_id)
        ended_ms = run.info.end_time or run.info.start_time
        values, tags = metrics_of(deltas), tags_of(deltas)
        gone = [key for key in run.data.metrics if _is_ours(key, deltas) and key not in values]
        values |= dict.fromkeys(gone, NO_NUMBER)
        client.log_batch(
            run_id,
            metrics=replacing(client, run, values, ended_ms),
            tags=[RunTag(key, value) for key, value in tags.items()],
        )
        remove_tags(
            client, run, (k for k in run.data.tags if _is_verdict(k, deltas) and k not in tags)
        )
        for path in (plan.files.comparison, plan.files.report, plan.files.feedback):
            if path.is_file():
                client.log_artifact(run_id, str(path))
        page.retell(client, str(run.info.experiment_id), run_id)
        trained = training.fetch(client, conf.training_run_id)
        told = {key: value for key, value in values.items() if key.startswith(_prefix(deltas))}
        training.write_back_deltas(client, conf, trained, told, ended_ms)


def metrics_of(deltas: Deltas) -> dict[str, float]:
    """Metrics of the benchmark run by key; only finite numbers."""
    return {key: value for key, value in _numbers(deltas) if math.isfinite(value)}


def tags_of(deltas: Deltas) -> dict[str, str]:
    """Tags of the benchmark run: the verdicts, and which run the baseline is."""
    if deltas.kind == BASE:
        tags = {DELTA_BASE_TAG: deltas.run_id}
        prefix = VERDICT_TAG
    else:
        tags = {BASELINE_TAG: deltas.name, BASELINE_RUN_TAG: deltas.run_id or deltas.run_dir}
        prefix = _OTHER_VERDICT
    tags |= {f"{prefix}{delta.dataset}": _verdict(delta) for delta in _logged(deltas)}
    return {metric_key(key): cut(redact(value), MAX_TAG) for key, value in tags.items()}


def experiment_name(tracking: TrackingPlan, experiment_id: str) -> str:
    """Name of an experiment.

    Raises:
        TrackingError: The tracker cannot be asked.
    """
    with asking(
        tracking.uri, f"asking {redact(tracking.uri)}", request_timeout_s=tracking.request_timeout_s
    ):
        return str(store.open_store(tracking.uri).get_experiment(experiment_id).name)


def _prefix(deltas: Deltas) -> str:
    return DELTA if deltas.kind == BASE else "delta_vs_baseline/"


def _keys(deltas: Deltas) -> tuple[str, ...]:
    """First parts of the metrics' keys: difference, its ends, both p-values."""
    is_base = deltas.kind == BASE
    delta_key = "delta_vs_base" if is_base else "delta_vs_baseline"
    p_suffix = "" if is_base else "_vs_baseline"
    ends = (f"{delta_key}_low", f"{delta_key}_high")
    return (delta_key, *ends, f"p_value{p_suffix}", f"p_adjusted{p_suffix}")


def _numbers(deltas: Deltas) -> Iterator[tuple[str, float]]:
    for delta in _logged(deltas):
        values = (delta.difference, delta.low, delta.high, delta.p_value, delta.p_adjusted)
        for key, value in zip(_keys(deltas), values, strict=True):
            if value is not None:
                yield metric_key(key, delta.dataset), value


def _is_ours(key: str, deltas: Deltas) -> bool:
    return key.startswith(tuple(f"{first}/" for first in _keys(deltas)))


def _is_verdict(key: str, deltas: Deltas) -> bool:
    """A tag with a verdict against the same kind of baseline."""
    is_other = key.startswith(_OTHER_VERDICT)
    return is_other if deltas.kind != BASE else key.startswith(VERDICT_TAG) and not is_other


def _logged(deltas: Deltas) -> list[Delta]:
    """The datasets, and the average where it is over all of them, as ``bench/avg`` is."""
    average = deltas.of_average if deltas.is_over_all else None
    return [*deltas.datasets, *([average] if average else [])]


def _verdict(delta: Delta) -> str:
    named = delta.verdict or "not tested"
    return f"{named}: {delta.why_not}" if delta.why_not else named

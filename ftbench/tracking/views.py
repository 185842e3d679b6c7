"""Saved views of MLflow's runs page: score columns, charts and order that a person would choose.

MLflow shows no metric column by default. A saved view is an experiment tag that the page reads when
its address names it. Source of the format: mlflow 3.17 and 3.18, the page's own JavaScript
(``ExperimentPageUIState``, ``runs-charts.types``); it is not a documented interface, so the pages
must work without it, and do.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ftbench.tracking.contents import FLAGGED_TAG, SWEEP_TAG
from ftbench.tracking.names import loss_keys
from ftbench.tracking.scores import AVERAGE, HEADLINE

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

TAG = "mlflow.sharedViewState."
LEADERBOARD = "ftbench"
TRAINING = "ftbench-training"
SWEEP = "ftbench-sweep-"
MAX_SWEEPS = 30
"""Views of single sweeps that an experiment keeps; their ids sort by time."""
MAX_COLUMNS = 24
MAX_RUNS = 100
"""Newest runs of the experiment whose metrics decide the columns."""
MAX_TAG = 20_000
"""Limit of an experiment tag's value; MLflow refuses a longer one."""


_STATUS = "tags.`ftbench.status`"
_FLAGGED = f"tags.`{FLAGGED_TAG}`"

_USUAL_SECTIONS = ("bench", "weighted", "coverage", "seconds")

_FIXED_COLUMNS = {
    "0": 73,
    "attributes.`Run Name`": 320,
    "runDateAndNestInfo": 140,
    "duration": 80,
}
"""The page's own columns and their widths in pixels, the check box first."""


@dataclass(frozen=True)
class Known:
    """What the runs of an experiment have, as far as views depend on it.

    Attributes:
        headline_keys: Metric keys of headline scores.
        subset_keys: Metric keys of subset scores.
        loss_keys: Metric keys of the training runs' losses, the most telling first.
        baseline_run_id: Benchmark run of the base model, or empty.
        group_keys: Metric keys of group scores.
        sections: What stands before the last slash of the benchmark runs' metric keys.
    """

    headline_keys: tuple[str, ...]
    subset_keys: tuple[str, ...] = ()
    loss_keys: tuple[str, ...] = ()
    baseline_run_id: str = ""
    group_keys: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()


def save(client: MlflowClient, experiment_id: str, now_ms: int) -> None:
    """Writes our views to an experiment, with the columns that its runs have now.

    Side effects: sets experiment tags, where a view changed.
    """
    runs = client.search_runs(
        [experiment_id], order_by=["attributes.start_time DESC"], max_results=MAX_RUNS
    )
    there = client.get_experiment(experiment_id).tags
    for key, value in saved_views(_known(runs), now_ms).items():
        if key not in there or view_of(there[key]) != view_of(value):
            client.set_experiment_tag(experiment_id, key, value)


def _known(runs: Sequence[Run]) -> Known:
    evaluations = [run for run in runs if run.data.tags.get("ftbench.kind") == "eval"]
    trainings = [run for run in runs if run.data.tags.get("ftbench.kind") != "eval"]
    keys = {key for run in evaluations for key in run.data.metrics}
    bases = [run for run in evaluations if run.data.params.get("adapter") == "base"]
    return Known(
        headline_keys=tuple(sorted(key for key in keys if key.startswith(HEADLINE))),
        subset_keys=tuple(sorted(key for key in keys if key.startswith("subset/"))),
        loss_keys=loss_keys({key for run in trainings for key in run.data.metrics}),
        baseline_run_id=bases[0].info.run_id if bases else "",
        group_keys=tuple(sorted(key for key in keys if key.startswith("group/"))),
        sections=tuple(sorted({key.rpartition("/")[0] for key in keys if "/" in key})),
    )


def saved_views(known: Known, now_ms: int) -> dict[str, str]:
    """The experiment tags that hold our views.

    Args:
        known: What the experiment's runs have.
        now_ms: Time to put into the views, in milliseconds since the epoch.
    """
    scores = _headline_order(known.headline_keys)
    leaderboard = {
        **_table("tags.`ftbench.kind` = 'eval'", scores, [_STATUS, _FLAGGED]),
        **_charts("Scores", (), scores, known),
    }
    tags = ["tags.`ftbench.kind`", _STATUS, _FLAGGED]
    training = {
        **_table("", [*known.loss_keys[:2], *scores], tags),
        **_charts("Training and scores", known.loss_keys[:1], scores, known),
    }
    views = {
        LEADERBOARD: ("ftbench leaderboard", leaderboard),
        TRAINING: ("ftbench training and scores", training),
    }
    return {TAG + key: _envelope(name, view, now_ms) for key, (name, view) in views.items()}


def save_sweep(client: MlflowClient, experiment_id: str, sweep_id: str, now_ms: int) -> str:
    """Writes the view of one sweep: its jobs' benchmark runs, best first.

    Returns:
        The view's address below the UI's root, without its ``#``.

    Side effects: sets an experiment tag; the oldest sweeps' views are taken away.
    """
    is_job = f"tags.`{SWEEP_TAG}` LIKE '%{sweep_id}%' AND tags.`ftbench.kind` = 'eval'"
    runs = client.search_runs([experiment_id], is_job, max_results=MAX_RUNS)
    known = _known(runs)
    scores = _headline_order(known.headline_keys)
    view = {
        **_table(is_job, scores, [_STATUS, _FLAGGED]),
        **_charts("Scores", (), scores, known),
    }
    key = f"{SWEEP}{sweep_id}"
    value = _envelope(f"ftbench sweep {sweep_id}", view, now_ms)
    there = client.get_experiment(experiment_id).tags
    if TAG + key not in there or view_of(there[TAG + key]) != view_of(value):
        client.set_experiment_tag(experiment_id, TAG + key, value)
    all_views = sorted({TAG + key, *(name for name in there if name.startswith(TAG + SWEEP))})
    for name in all_views[:-MAX_SWEEPS]:
        client.delete_experiment_tag(experiment_id, name)
    return view_path(experiment_id, key).removeprefix("/#")


def view_of(tag_value: str) -> Any:
    """The view inside a tag's value, to see whether anything changed; None when unreadable."""
    try:
        state = json.loads(tag_value)["state"]
        packed = base64.b64decode(state.removeprefix("deflate;"))
        return json.loads(zlib.decompress(packed))
    except (ValueError, KeyError, TypeError, zlib.error):
        return None


def view_path(experiment_id: str, key: str, mode: str = "") -> str:
    """Address of a view below the UI's root.

    Args:
        experiment_id: The experiment.
        key: LEADERBOARD or TRAINING.
        mode: Empty for the table, ``CHART`` or ``ARTIFACT``.
    """
    path = f"/#/experiments/{experiment_id}/runs?viewStateShareKey={key}"
    path += "&workflowType=machine_learning"
    return path + (f"&compareRunsMode={mode}" if mode else "")


def _headline_order(keys: Iterable[str]) -> list[str]:
    names = sorted(set(keys) - {AVERAGE})
    return [AVERAGE, *names][:MAX_COLUMNS]


def _table(search: str, metrics: list[str], tags: list[str]) -> dict[str, Any]:
    columns = [*(f"metrics.`{key}`" for key in metrics), *tags]
    return {
        "searchFilter": search,
        "orderByKey": f"metrics.`{AVERAGE}`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "selectedColumns": columns,
        "columnOrder": [*_FIXED_COLUMNS, *columns],
        "columnWidths": {**_FIXED_COLUMNS, **dict.fromkeys(columns, 120)},
        "runsHiddenMode": "FIRST_20_RUNS",
        "groupBy": None,
        "autoRefreshEnabled": True,
        "hideEmptyCharts": True,
        "globalLineChartConfig": {
            "xAxisKey": "step",
            "lineSmoothness": 0,
            "selectedXAxisMetricKey": "",
        },
    }


def _charts(title: str, losses: tuple[str, ...], scores: list[str], known: Known) -> dict[str, Any]:
    """Losses and scores side by side; differences from the base model; the rest folded away."""
    charts = [_chart("LINE", title, key) for key in losses]
    charts += [_chart("BAR", title, key) for key in scores]
    sections = [_section(title, columns=min(4, len(charts)))]
    if known.baseline_run_id:
        sections += [_section("Against the base model", columns=1)]
        charts += [_difference("Against the base model", known.baseline_run_id)]
    for key in (*known.group_keys, *known.subset_keys)[:200]:
        name = key.rpartition("/")[0]
        if all(section["name"] != name for section in sections):
            sections += [_section(name, is_open=False)]
        charts += [_chart("BAR", name, key)]
    # Charts that are not named here are made by the page itself, and land in these.
    there = {section["name"] for section in sections}
    for name in dict.fromkeys(
        (*_USUAL_SECTIONS, *known.sections, "Model metrics", "System metrics")
    ):
        if name not in there:
            sections += [_section(name, is_open=False)]
    return {
        "compareRunSections": sections,
        "compareRunCharts": charts,
        "isAccordionReordered": True,
    }


def _section(name: str, *, is_open: bool = True, columns: int = 3) -> dict[str, Any]:
    return {
        "uuid": _uuid("section", name),
        "name": name,
        "display": is_open,
        "isReordered": True,
        "deleted": False,
        "isGenerated": False,
        "columns": columns,
    }


def _chart(kind: str, section: str, key: str) -> dict[str, Any]:
    chart = {
        "uuid": _uuid(kind, key),
        "type": kind,
        "metricSectionId": _uuid("section", section),
        "metricKey": key,
        "deleted": False,
        "isGenerated": False,
        "runsCountToCompare": 20,
    }
    if kind == "LINE":
        chart |= {
            "selectedMetricKeys": [key],
            "xAxisKey": "step",
            "scaleType": "linear",
            "lineSmoothness": 0,
            "useGlobalLineSmoothing": False,
        }
    return chart


def _difference(section: str, baseline_run_id: str) -> dict[str, Any]:
    return {
        "uuid": _uuid("DIFFERENCE", section),
        "type": "DIFFERENCE",
        "metricSectionId": _uuid("section", section),
        "chartName": "Scores against the base model",
        "compareGroups": ["Model metrics"],
        "baselineColumnUuid": baseline_run_id,
        "showChangeFromBaseline": True,
        "showDifferencesOnly": False,
        "deleted": False,
        "isGenerated": False,
        "runsCountToCompare": 10,
    }


def _uuid(*parts: str) -> str:
    """A stable id, so that the same view is the same text."""
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:12]


def _envelope(name: str, view: dict[str, Any], now_ms: int) -> str:
    value = _pack(name, view, now_ms)
    if len(value) > MAX_TAG:
        without_charts = {**view, "compareRunCharts": None, "compareRunSections": None}
        value = _pack(name, without_charts, now_ms)
    return value


def _pack(name: str, view: dict[str, Any], now_ms: int) -> str:
    packed = base64.b64encode(zlib.compress(json.dumps(view).encode(), 9)).decode()
    state = f"deflate;{packed}"
    return json.dumps({"name": name, "createdAt": now_ms, "updatedAt": now_ms, "state": state})

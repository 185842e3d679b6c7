"""Saved views of MLflow's runs page: score columns, charts and order that a person would choose.

    ftbench              every benchmark run, best average first: leaderboard and charts
    ftbench-<group>      the same of the runs that are comparable with one base model's run, where
                         an experiment has several base models or settings
    ftbench-training     training runs: loss beside scores

MLflow shows no metric column by default. A saved view is an experiment tag that the page reads when
its address names it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ftbench.comparison.fitting import group_of
from ftbench.tracking import view_state
from ftbench.tracking.baseline import (
    DIFFERENCE_TAG,
    GROUP_TAG,
    headline_scores,
    is_base,
    is_evaluation,
)
from ftbench.tracking.contents import FLAGGED_TAG, SWEEP_TAG
from ftbench.tracking.differing import differing_params
from ftbench.tracking.names import loss_keys
from ftbench.tracking.scores import AVERAGE, HEADLINE
from ftbench.tracking.shared_writes import set_experiment_tag
from ftbench.tracking.view_state import view_of

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
MAX_GROUPS = 8
"""Groups of comparable runs with a view of their own; the first to have a base model's run."""
_MAX_FOLDED = 200

_STATUS = "tags.`ftbench.status`"
_FLAGGED = f"tags.`{FLAGGED_TAG}`"
_DIFFERENCE = f"tags.`{DIFFERENCE_TAG}`"

_USUAL_SECTIONS = ("bench", "weighted", "coverage", "seconds")
_AGAINST = "Against the base model"
_SCORES = "Scores"
_PARAMS = "Params and scores"


@dataclass(frozen=True)
class Group:
    """Runs that are comparable with each other.

    Attributes:
        key: Value of their GROUP_TAG.
        base_run_id: Benchmark run of the base model; empty when there is none yet.
        title: Setting and base model.
    """

    key: str
    base_run_id: str
    title: str


@dataclass(frozen=True)
class Known:
    """What the runs of an experiment have, as far as views depend on it.

    Attributes:
        headline_keys: Metric keys of headline scores.
        subset_keys: Metric keys of subset scores.
        loss_keys: Metric keys of the training runs' losses, the most telling first.
        group_keys: Metric keys of group scores.
        sections: What stands before the last slash of the benchmark runs' metric keys.
        params: Names of the params that tell the runs apart, the most telling first.
        common_params: Those that every run of an adapter has.
        groups: Comparable runs, in the order of their names.
        has_scored_training: A training run has scores written back.
    """

    headline_keys: tuple[str, ...]
    subset_keys: tuple[str, ...] = ()
    loss_keys: tuple[str, ...] = ()
    group_keys: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    common_params: tuple[str, ...] = ()
    groups: tuple[Group, ...] = ()
    has_scored_training: bool = False


def save(client: MlflowClient, experiment_id: str, known: Known, now_ms: int) -> None:
    """Writes our views to an experiment.

    Args:
        known: What the experiment's runs have.
        now_ms: Time to put into the views, in milliseconds since the epoch.

    Side effects: sets experiment tags, where a view changed.
    """
    there = client.get_experiment(experiment_id).tags
    for key, value in saved_views(known, now_ms).items():
        if key not in there or view_of(there[key]) != view_of(value):
            set_experiment_tag(client, experiment_id, key, value)


def known(runs: Sequence[Run]) -> Known:
    """What views need to know of an experiment's runs."""
    evaluations = [run for run in runs if is_evaluation(run)]
    trainings = [run for run in runs if not is_evaluation(run)]
    keys = {key for run in evaluations for key in run.data.metrics}
    adapters = [run.data.params for run in evaluations if not is_base(run)]
    params = differing_params(adapters)
    return Known(
        headline_keys=tuple(sorted(key for key in keys if key.startswith(HEADLINE))),
        subset_keys=tuple(sorted(key for key in keys if key.startswith("subset/"))),
        loss_keys=loss_keys({key for run in trainings for key in run.data.metrics}),
        group_keys=tuple(sorted(key for key in keys if key.startswith("group/"))),
        sections=tuple(sorted({key.rpartition("/")[0] for key in keys if "/" in key})),
        params=tuple(params),
        common_params=tuple(p for p in params if all(p in own for own in adapters)),
        groups=_groups(evaluations),
        has_scored_training=any(r.data.tags.get("ftbench.kind") == "train" for r in trainings),
    )


def _groups(evaluations: Sequence[Run]) -> tuple[Group, ...]:
    """Groups in the order of their titles; of several base runs the one with most scores."""
    bases: dict[str, Run] = {}
    titles: dict[str, str] = {}
    for run in evaluations:
        key, params = group_of(run.data.params), run.data.params
        titles[key] = f"{params.get('setting', '')} · {params.get('base_model', '')}"
        best = bases.get(key)
        if is_base(run) and (
            best is None or len(headline_scores(run)) > len(headline_scores(best))
        ):
            bases[key] = run
    groups = [
        Group(key, bases[key].info.run_id if key in bases else "", title)
        for key, title in titles.items()
    ]
    return tuple(sorted(groups, key=lambda group: (not group.base_run_id, group.title, group.key)))


def saved_views(known: Known, now_ms: int) -> dict[str, str]:
    """The experiment tags that hold our views.

    Args:
        known: What the experiment's runs have.
        now_ms: Time to put into the views, in milliseconds since the epoch.
    """
    is_single = len(known.groups) < 2
    baseline = known.groups[0].base_run_id if len(known.groups) == 1 else ""
    views = {
        LEADERBOARD: ("ftbench leaderboard", _leaderboard(known, "", baseline)),
        TRAINING: ("ftbench training and scores", _training(known)),
    }
    for group in known.groups[:MAX_GROUPS] if not is_single else ():
        search = f" AND tags.`{GROUP_TAG}` = '{group.key}'"
        view = _leaderboard(known, search, group.base_run_id)
        views[group_view(group.key)] = (f"ftbench: {group.title}"[:120], view)
    return {TAG + key: view_state.pack(name, view, now_ms) for key, (name, view) in views.items()}


def save_sweep(client: MlflowClient, experiment_id: str, sweep_id: str, now_ms: int) -> str:
    """Writes the view of one sweep: its jobs' benchmark runs, best first.

    Returns:
        The view's address below the UI's root, without its ``#``.

    Side effects: sets an experiment tag; the oldest sweeps' views are taken away.
    """
    is_job = f"tags.`{SWEEP_TAG}` LIKE '%{sweep_id}%'"
    runs = client.search_runs([experiment_id], f"{is_job} AND tags.`ftbench.kind` = 'eval'")
    found = known(runs)
    baseline = found.groups[0].base_run_id if len(found.groups) == 1 else ""
    view = _leaderboard(found, f" AND {is_job}", baseline)
    key = f"{SWEEP}{sweep_id}"
    value = view_state.pack(f"ftbench sweep {sweep_id}", view, now_ms)
    there = client.get_experiment(experiment_id).tags
    if TAG + key not in there or view_of(there[TAG + key]) != view_of(value):
        set_experiment_tag(client, experiment_id, TAG + key, value)
    all_views = sorted({TAG + key, *(name for name in there if name.startswith(TAG + SWEEP))})
    for name in all_views[:-MAX_SWEEPS]:
        client.delete_experiment_tag(experiment_id, name)
    return view_path(experiment_id, key).removeprefix("/#")


def group_view(group: str) -> str:
    """Key of the view of one group of comparable runs."""
    return f"{LEADERBOARD}-{group}"


def charts_view(known: Known, group: str) -> str:
    """Key of the view whose charts compare a run with its own base model."""
    keys = [own.key for own in known.groups[:MAX_GROUPS]]
    return group_view(group) if len(known.groups) > 1 and group in keys else LEADERBOARD


def view_path(experiment_id: str, key: str, mode: str = "") -> str:
    """Address of a view below the UI's root.

    Args:
        experiment_id: The experiment.
        key: LEADERBOARD, TRAINING or of ``group_view``.
        mode: Empty for the table, ``CHART`` or ``ARTIFACT``.
    """
    path = f"/#/experiments/{experiment_id}/runs?viewStateShareKey={key}"
    path += "&workflowType=machine_learning"
    return path + (f"&compareRunsMode={mode}" if mode else "")


def _headline_order(keys: Sequence[str]) -> list[str]:
    names = sorted(set(keys) - {AVERAGE})
    return [AVERAGE, *names][:MAX_COLUMNS]


def _leaderboard(known: Known, search: str, baseline_run_id: str) -> dict[str, Any]:
    scores = _headline_order(known.headline_keys)
    columns = {f"metrics.`{key}`": 88 for key in scores} | {_DIFFERENCE: 420}
    columns |= {f"params.`{key}`": 125 if key == "setting" else 90 for key in known.params}
    columns |= {_FLAGGED: 100, _STATUS: 100}
    sections = [view_state.section(_SCORES, columns=3, height=380)]
    cards = [view_state.bars(_SCORES, key, key.removeprefix(HEADLINE)) for key in scores]
    if baseline_run_id:
        sections += [view_state.section(_AGAINST, columns=1, height=520)]
        title = "Scores against the base model: better ↑ or worse ↓, in points"
        cards += [view_state.difference(_AGAINST, title, baseline_run_id)]
    if known.common_params:
        sections += [view_state.section(_PARAMS, columns=1, height=400)]
        cards += [view_state.parallel(_PARAMS, _PARAMS, known.common_params, scores)]
    return {
        **view_state.table("tags.`ftbench.kind` = 'eval'" + search, columns),
        **_with_details(sections, cards, known),
    }


def _training(known: Known) -> dict[str, Any]:
    title = "Training and scores"
    scores = _headline_order(known.headline_keys)
    losses = known.loss_keys[:2]
    columns = {f"metrics.`{key}`": 110 for key in (*losses, *scores)}
    columns |= {"tags.`ftbench.kind`": 110, _FLAGGED: 110, _STATUS: 110}
    sections = [view_state.section(title, columns=3, height=320)]
    cards = [view_state.curve(title, key) for key in losses[:1]]
    cards += [
        view_state.curve(title, key, key.removeprefix(HEADLINE), has_points=True) for key in scores
    ]
    # Benchmark runs have no steps: among the curves they would be points at 0.
    search = "tags.`ftbench.kind` = 'train'" if known.has_scored_training else ""
    return {**view_state.table(search, columns), **_with_details(sections, cards, known)}


def _with_details(
    sections: list[dict[str, Any]], cards: list[dict[str, Any]], known: Known
) -> dict[str, Any]:
    """Adds groups and subsets, folded away."""
    for key in (*known.group_keys, *known.subset_keys)[:_MAX_FOLDED]:
        name, _, title = key.rpartition("/")
        if all(section["name"] != name for section in sections):
            sections += [view_state.section(name, is_open=False)]
        cards += [view_state.bars(name, key, title)]
    # Charts that are not named here are made by the page itself, and land in these.
    there = {section["name"] for section in sections}
    for name in dict.fromkeys(
        (*_USUAL_SECTIONS, *known.sections, "Model metrics", "System metrics")
    ):
        if name not in there:
            sections += [view_state.section(name, is_open=False)]
    return view_state.charts(sections, cards)

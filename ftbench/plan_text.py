"""The plan as text, for ``dry_run=true``: what would be launched, exactly."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from ftbench.dataset_options import options_text
from ftbench.plan import DatasetPlan, Plan
from ftbench.workspace import find_run


def plan_text(
    plan: Plan,
    argv: list[str],
    notes: Iterable[str],
    training: Sequence[str] = (),
    baseline: Sequence[str] = (),
) -> str:
    """Describes a plan.

    Args:
        plan: The very object that a launch would execute.
        argv: The runtime's equivalent command line.
        notes: What else is known, one sentence each.
        training: What would be trained first, one line each.
        baseline: What the scores would be compared with, one line each.
    """
    found = find_run(plan.workspace, plan.fingerprint)
    state = "new"
    if found is not None and found.run_dir == plan.run_dir:
        state = "complete: it answers, nothing is launched" if found.is_complete else "goes on"
    elif plan.datasets and not plan.is_launched:
        state = "new; earlier runs have everything, nothing is launched"
    lines = ["dry run: nothing is started", ""]
    lines += _section("training", training)
    lines += _section("model", _model_lines(plan))
    lines += _section(
        "datasets",
        map(_dataset_line, plan.datasets),
    )
    lines += _section("baseline", baseline)
    lines += _section("run folder", [f"{plan.run_dir} ({state})"])
    lines += _section("fingerprint", [plan.fingerprint, *_pairs(plan.fingerprint_parts)])
    lines += _section("environment", _pairs(plan.environment))
    lines += _section("secrets, by name", plan.secrets or ["none are forwarded"])
    lines += _section(
        "mounts",
        [
            f"{m.source} -> {m.target} ({'read-only' if m.read_only else 'read-write'})"
            for m in plan.mounts
        ],
    )
    lines += _section("limits", _limit_lines(plan))
    lines += _section("tracking", _tracking_lines(plan))
    lines += _section("command", [_shell_text(argv)])
    lines += _section("notes", list(notes))
    return "\n".join(lines)


def _section(title: str, lines: Iterable[str]) -> list[str]:
    body = [f"  {line}" for line in lines]
    return [f"{title}:", *body] if body else []


def _pairs(mapping: dict[str, str]) -> list[str]:
    return [f"{key}={value}" for key, value in mapping.items()]


def _dataset_line(dataset: DatasetPlan) -> str:
    options = options_text(dataset.options)
    # What a Python config of the user's holds, only the evaluation knows.
    count = _count(dataset.subsets) if dataset.subsets else "read by the evaluation"
    line = f"{dataset.name}: {' + '.join(dataset.presets)} ({dataset.mode}, {count})"
    line = f"{line}: {options}" if options else line
    return f"{line}; reused from {dataset.earlier}" if dataset.earlier else line


def _count(subsets: tuple[str, ...]) -> str:
    return "1 subset" if len(subsets) == 1 else f"{len(subsets)} subsets"


def _model_lines(plan: Plan) -> list[str]:
    lines = [f"name: {plan.model_abbr}", f"base: {plan.model.base}"]
    if plan.model.base_folder is None:
        lines += ["base folder: none yet; it would be downloaded first"]
    return [*lines, f"adapter: {plan.model.adapter or 'none, the model itself is evaluated'}"]


def _limit_lines(plan: Plan) -> list[str]:
    gpus = ",".join(plan.gpu_ids) if plan.gpu_ids else str(plan.num_gpus)
    if plan.gpu_pool:
        gpus += f" of {','.join(plan.gpu_pool)}"
    lines = [f"timeout: {plan.timeout_s} s, then {plan.stop_grace_s} s to stop", f"GPUs: {gpus}"]
    if plan.runtime == "docker":
        lines += [f"memory: {plan.memory or 'no limit'}", f"shm: {plan.shm_size}"]
        lines += [f"tmp: {plan.tmp_size}", f"processes: {plan.pids_limit}"]
        lines += [f"network: {plan.network or 'none'}", f"user: {plan.user}"]
        lines += [f"image: {plan.image}"]
    return lines


def _tracking_lines(plan: Plan) -> list[str]:
    tracking = plan.tracking
    if tracking.kind == "none":
        return ["none"]
    experiment = tracking.experiment or (
        "the training run's" if tracking.training_run_id else "ftbench"
    )
    lines = [f"{tracking.kind}: {tracking.uri}", f"experiment: {experiment}"]
    if tracking.training_run_id:
        lines += [f"training run: {tracking.training_run_id} (receives {tracking.write_back})"]
    return lines


def _shell_text(argv: list[str]) -> str:
    """A command over several lines: an option and its value on one."""
    lines: list[list[str]] = [[]]
    for argument in map(shlex.quote, argv):
        follows_option = len(lines[-1]) == 1 and lines[-1][0].startswith("-")
        if argument.startswith("-") or (len(lines) > 1 and not follows_option):
            lines.append([])
        lines[-1].append(argument)
    return " \\\n    ".join(" ".join(line) for line in lines)

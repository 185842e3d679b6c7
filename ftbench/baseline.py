"""What an evaluation is compared with: chosen before anything starts, settled when it has scores.

    none        nothing
    base        the base model with the same everything; evaluated once, then shared by its adapters
    best        the best run of the experiment that can be compared
    RUN         a run of MLflow or a run folder

The base model's evaluation is one of its own, in a workspace beside the adapter's; how it is done
``run`` says. Whatever becomes of it, the scores that are there stay, and the report says why there
is no difference.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ftbench import tracking
from ftbench.against import deltas_of, no_deltas, record_deltas
from ftbench.comparison import Evaluated
from ftbench.config import TrackingConf, TrainingConf, num_gpus
from ftbench.deltas import BASE, BEST, NONE, RUN, Deltas
from ftbench.errors import (
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_RESULT,
    EXIT_TRACKING,
    ComparisonError,
    FtbenchError,
    Problem,
    ReadingError,
    TrackingError,
)
from ftbench.fingerprints import model_parts
from ftbench.gate import never_decided
from ftbench.host import command_of_base
from ftbench.model_source import base_source
from ftbench.outcome import Outcome
from ftbench.plan import Plan, fingerprint_of
from ftbench.planning import model_abbr
from ftbench.ready import Ready
from ftbench.references.baseline import best_run, find_one, never_comparable
from ftbench.schema import OK, TIMEOUT, Reason, Result
from ftbench.tracking.reading import read_folder
from ftbench.workspace import check_writable, find_run

_NO_ADAPTER = "without an adapter this is the base model itself; baseline=RUN names another one"
_BASE_OF_SWEEP = "this is the base model itself, which the adapters of this sweep are measured from"


@dataclass(frozen=True)
class Baseline:
    """What an evaluation will be compared with.

    Attributes:
        kind: NONE, BASE, BEST or RUN.
        name: As the user named it, or the base model's.
        why_not: Why there is none, or empty.
        problems: Why it cannot be one.
        ready: What the base model's plan is made from.
        theirs: The run that was named.
        is_itself: The model is the baseline that others are measured from.
    """

    kind: str = NONE
    name: str = ""
    why_not: str = ""
    problems: tuple[Problem, ...] = ()
    ready: Ready | None = None
    theirs: Evaluated | None = None
    is_itself: bool = False

    def describe(self) -> list[str]:
        """What a launch would do about it, one line each."""
        if self.why_not:
            return [f"none: {self.why_not}"]
        if self.kind == BEST:
            return ["the best run that can be compared, chosen when there are scores"]
        if self.theirs is not None:
            return [f"{self.theirs.name} ({self.theirs.key})"]
        return _base_lines(self.ready) if self.ready else []


@dataclass(frozen=True)
class Settled:
    """What became of the baseline.

    Attributes:
        deltas: The differences, or why there are none; None where nobody asked for them.
        exit_code: 0, or what kept the differences from being whole, by ``ftbench.errors``.
        notes: What else a reader should know, one sentence each.
    """

    deltas: Deltas | None = None
    exit_code: int = EXIT_OK
    notes: tuple[str, ...] = ()


def find_baseline(ready: Ready, plan: Plan) -> Baseline:
    """Finds what an evaluation will be compared with, and what is wrong with it.

    Args:
        ready: What the plan is made from.
        plan: The evaluation.
    """
    wanted = ready.config.baseline or NONE
    if wanted == NONE or not plan.datasets:
        return Baseline()
    if wanted == BASE:
        if plan.model.adapter is None:
            return _no_adapter(ready, plan)
        return _find_base(ready, plan)
    if wanted == BEST:
        return Baseline(BEST, ready=ready)
    return _find_named(wanted, ready, plan)


def settle(baseline: Baseline, own: Outcome, evaluate: Callable[[Ready, Plan], Outcome]) -> Settled:
    """Compares an evaluation that is recorded with its baseline, and records the differences.

    Args:
        baseline: What ``find_baseline`` found.
        own: The evaluation.
        evaluate: Evaluates and records another model; raises as ``run.evaluate`` does.

    Side effects: what ``evaluate`` does; writes into the run folder and the tracker.
    """
    if baseline.kind == NONE:
        return Settled()
    try:
        deltas, code = _compare(baseline, own, evaluate)
    except KeyboardInterrupt:
        why = "interrupted; the same command goes on with the baseline"
        return _without(baseline, own, why, EXIT_INTERRUPTED)
    except (ComparisonError, ReadingError) as exc:
        return _without(baseline, own, exc.problems[0].happened, EXIT_OK)
    except FtbenchError as exc:
        problem = exc.problems[0]
        why = f"its evaluation failed: {problem.tried}: {problem.happened}"
        return _without(baseline, own, why, EXIT_RESULT)
    if not own.pointers.run_id or not deltas.datasets:
        return Settled(deltas, code)
    try:
        return Settled(record_deltas(own.plan, deltas, own.pointers.run_id), code)
    except TrackingError as exc:
        return Settled(deltas, code or EXIT_TRACKING, (str(exc),))


def _compare(
    baseline: Baseline, own: Outcome, evaluate: Callable[[Ready, Plan], Outcome]
) -> tuple[Deltas, int]:
    plan, result = own.plan, own.result
    assert result is not None
    why_not = baseline.why_not
    if not why_not and not any(d.status == OK for d in result.datasets):
        why_not = "no dataset of this evaluation is complete"
    if why_not:
        itself = baseline.is_itself
        return no_deltas(plan, baseline.kind, baseline.name, why_not, is_itself=itself), EXIT_OK
    if baseline.kind == BASE:
        return _compare_with_base(baseline, own, evaluate)
    theirs = baseline.theirs
    if baseline.kind == BEST:
        assert baseline.ready is not None
        place = own.pointers.experiment_id or baseline.ready.config.tracking.experiment
        theirs = best_run(_uri(baseline.ready), place, read_folder(plan.run_dir))
    if theirs is None:
        why_not = "there is no other run yet that can be compared"
        return no_deltas(plan, baseline.kind, baseline.name, why_not), EXIT_OK
    return deltas_of(plan, baseline.kind, theirs), EXIT_OK


def _compare_with_base(
    baseline: Baseline, own: Outcome, evaluate: Callable[[Ready, Plan], Outcome]
) -> tuple[Deltas, int]:
    assert baseline.ready is not None
    ready = baseline.ready
    plan = ready.plan()
    found = ready.found(plan)
    is_known = found is not None and found.is_complete
    if not is_known and not _ended_well(own):
        is_interrupted = own.exit_code == EXIT_INTERRUPTED
        why = "interrupted" if is_interrupted else "this evaluation is not complete"
        why += "; the same command goes on, then with the base model"
        return no_deltas(own.plan, BASE, baseline.name, why), EXIT_OK
    experiment_id = own.pointers.experiment_id
    stands = tracking.recorded_anyhow(plan, experiment_id) if is_known else None
    if is_known and (stands is not None or not experiment_id):
        # Nothing of it is to be done, and MLflow's client need not even be loaded.
        run_id, run_url = (stands.run_id, stands.run_url) if stands else ("", "")
        return deltas_of(own.plan, BASE, read_folder(plan.run_dir), run_id, run_url), EXIT_OK
    ready = _placed(ready, own)
    base = evaluate(ready, ready.plan())
    assert base.result is not None
    if not any(d.status == OK for d in base.result.datasets):
        why = f"its evaluation failed: {_why(base.result)}"
        return no_deltas(own.plan, BASE, baseline.name, why), _code(base)
    evaluated = read_folder(base.plan.run_dir)
    deltas = deltas_of(own.plan, BASE, evaluated, base.pointers.run_id, base.pointers.run_url)
    return deltas, _code(base)


def _no_adapter(ready: Ready, plan: Plan) -> Baseline:
    """A base model, or a full fine-tune of one that is not known: which, nobody can tell."""
    if ready.host.is_base_of_sweep:
        return Baseline(BASE, why_not=_BASE_OF_SWEEP, is_itself=True)
    undecided = never_decided(ready.config.gate, [dataset.name for dataset in plan.datasets])
    return Baseline(BASE, why_not=_NO_ADAPTER, problems=tuple(undecided))


def _find_base(ready: Ready, plan: Plan) -> Baseline:
    config, source = ready.config, base_source(ready.source, ready.config.model)
    model = dataclasses.replace(config.model, adapter=None, base=source.base)
    place = dataclasses.replace(
        config.tracking, training_run_id=None, step=None, sweep_id=None, nest=False
    )
    config = dataclasses.replace(
        config,
        model=model,
        tracking=place,
        training=TrainingConf(),
        baseline=NONE,
        # It is shared: who has one adapter evaluated anew need not wait for its base again.
        reuse="auto",
    )
    host = dataclasses.replace(ready.host, command=command_of_base(ready.host.command, source.base))
    of_base = dataclasses.replace(ready, config=config, host=host, source=source)
    if config.workspace is not None:
        of_base = _in_workspace(of_base, plan)
    # What is wrong with the model itself is most often wrong with its base too, and said already.
    problems = [] if ready.source.problems else [*source.problems]
    problems += check_writable(plan.workspace.parent / "base")
    cure = "baseline=none evaluates without it"
    told = tuple(
        Problem(f"baseline=base: {p.tried}", p.happened, f"{p.cure}; {cure}" if p.cure else cure)
        for p in problems
    )
    return Baseline(BASE, source.base, problems=told, ready=of_base)


def _in_workspace(ready: Ready, plan: Plan) -> Ready:
    """The base model's workspace beside the adapter's, or that itself where it is there already.

    A sweep may give all its models, and so its base, one workspace.
    """
    shared = find_run(plan.workspace, plan.base_fingerprint)
    parts = model_parts(ready.config, ready.source, ready.host, num_gpus(ready.config.runtime))
    beside = plan.workspace.parent / model_abbr(ready.source, fingerprint_of(parts))
    there = find_run(beside, plan.base_fingerprint)
    workspace = plan.workspace if shared and not (there and there.is_complete) else beside
    return dataclasses.replace(
        ready, config=dataclasses.replace(ready.config, workspace=str(workspace))
    )


def _placed(ready: Ready, own: Outcome) -> Ready:
    """The base model's evaluation, recorded in the experiment where the adapter's is."""
    config, place = ready.config, ready.config.tracking
    if place.name != NONE and not own.pointers.experiment_id:
        # The tracker did not take the adapter's scores; ``ftbench.record`` records both.
        place = TrackingConf(name=NONE)
    elif place.name != NONE and place.experiment is None:
        name = tracking.experiment_name(own.plan.tracking, own.pointers.experiment_id)
        place = dataclasses.replace(place, experiment=name)
    return dataclasses.replace(ready, config=dataclasses.replace(config, tracking=place))


def _find_named(wanted: str, ready: Ready, plan: Plan) -> Baseline:
    try:
        theirs = find_one(wanted, _uri(ready), _is_given(ready), ready.host.cwd)
    except FtbenchError as exc:
        problems = tuple(
            dataclasses.replace(problem, tried=f"baseline={wanted}") for problem in exc.problems
        )
        return Baseline(RUN, wanted, problems=problems)
    if why := never_comparable(theirs, plan.datasets):
        problem = Problem(f"baseline={wanted}", why, "name a run that asks the same datasets")
        return Baseline(RUN, wanted, problems=(problem,), theirs=theirs)
    return Baseline(RUN, wanted, theirs=theirs)


def _uri(ready: Ready) -> str:
    return ready.host.tracking_store(ready.config.tracking.uri)


def _is_given(ready: Ready) -> bool:
    return bool(ready.config.tracking.uri or ready.host.tracking_uri)


def _base_lines(ready: Ready) -> list[str]:
    plan = ready.plan()
    found = ready.found(plan)
    name = f"base {plan.model.base}"
    if found is not None and found.is_complete:
        return [f"{name}: {found.run_dir} has it complete, nothing is launched"]
    verb = "goes on" if found else "is evaluated"
    lines = [f"{name}: it {verb} after the adapter, within {plan.timeout_s} s of its own"]
    lines += [f"run folder: {plan.run_dir}"]
    reused = [dataset.name for dataset in plan.reused]
    lines += [f"reused: {', '.join(reused)}"] if reused else []
    return lines + ready.reuse_notes(plan)


def _without(baseline: Baseline, own: Outcome, why: str, code: int) -> Settled:
    return Settled(no_deltas(own.plan, baseline.kind, baseline.name, why), code)


def _ended_well(own: Outcome) -> bool:
    """Whether the evaluation came to its end; what failed in it would fail again."""
    assert own.result is not None
    statuses = {dataset.status for dataset in own.result.datasets}
    is_ended = own.exit_code in (EXIT_OK, EXIT_RESULT, EXIT_TRACKING)
    return is_ended and own.result.failure is None and TIMEOUT not in statuses


def _code(base: Outcome) -> int:
    is_told = base.exit_code in (EXIT_OK, EXIT_TRACKING, EXIT_INTERRUPTED)
    return base.exit_code if is_told else EXIT_RESULT


def _why(result: Result) -> str:
    reasons: Sequence[Reason | None] = [result.failure, *(d.reason for d in result.datasets)]
    return next((reason.message for reason in reasons if reason), "no reason was recorded")

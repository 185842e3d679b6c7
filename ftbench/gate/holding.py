"""Holds a policy against an evaluation that has just ended: decided, kept, recorded."""

from __future__ import annotations

from dataclasses import dataclass

from ftbench.config import GateConf
from ftbench.decision import EXIT_CODES, Decision, decision_json, decision_tags
from ftbench.errors import EXIT_OK, TrackingError
from ftbench.gate.decide import decide
from ftbench.gate.policy import make_policy
from ftbench.outcome import Outcome
from ftbench.schema import write_atomically
from ftbench.tracking.gated import move_alias, record_gate


@dataclass(frozen=True)
class Held:
    """What became of the gate.

    Attributes:
        decision: None where no gate was chosen.
        exit_code: The decision's, or 6 where it is not recorded.
        notes: What else a reader should know, one sentence each.
    """

    decision: Decision | None = None
    exit_code: int = EXIT_OK
    notes: tuple[str, ...] = ()


def hold(conf: GateConf, own: Outcome) -> Held:
    """Decides whether an evaluation passes, and records it.

    Args:
        conf: The chosen gate.
        own: The evaluation with its result, and with what it was compared with.

    Side effects: writes ``gate.json`` into the run folder; tags, an artifact and, when it passes,
        the alias of a registered model in the tracker.
    """
    policy = make_policy(conf)
    if policy is None or own.result is None:
        return Held()
    decision = decide(policy, own.result, own.deltas)
    document = decision_json(decision)
    write_atomically(own.plan.files.gate, document)
    code, uri, run_id = EXIT_CODES[decision.outcome], own.plan.tracking.uri, own.pointers.run_id
    if not run_id:
        return Held(decision, code, _unmoved(conf, decision))
    try:
        record_gate(uri, run_id, decision_tags(decision), document)
        if decision.is_pass and decision.is_whole and conf.registered_model and conf.alias:
            moved = move_alias(uri, run_id, conf.registered_model, conf.alias)
            return Held(decision, code, (f"{moved}.",))
    except TrackingError as exc:
        # Who waits for the alias must not take this for done.
        return Held(decision, code or exc.exit_code, (str(exc),))
    return Held(decision, code, _exempt(conf, decision))


def _unmoved(conf: GateConf, decision: Decision) -> tuple[str, ...]:
    if exempt := _exempt(conf, decision):
        return exempt
    if not decision.is_pass or not conf.alias:
        return ()
    return (f"{conf.registered_model}@{conf.alias} did not move: the run is not recorded.",)


def _exempt(conf: GateConf, decision: Decision) -> tuple[str, ...]:
    """What passes because limits do not apply to it is not what the alias stands for."""
    if not conf.alias or decision.is_refusal or decision.is_whole:
        return ()
    why = "this is the baseline itself"
    return (f"{conf.registered_model}@{conf.alias} did not move: {why}.",)

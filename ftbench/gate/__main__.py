"""Holds a policy against finished evaluations: ``python -m ftbench.gate RUN gate=no_regression``.

Needs no GPU and no engine. The decision goes onto the run in MLflow, and where the policy names one
an alias of a registered model moves when the run passes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ftbench.against import deltas_from
from ftbench.comparison import Evaluated, compare
from ftbench.compose import compose_config
from ftbench.config import GateConf
from ftbench.decision import (
    EXIT_CODES,
    Decision,
    decision_json,
    decision_lines,
    decision_tags,
)
from ftbench.deltas import BASE, RUN, Deltas
from ftbench.errors import ComparisonError, ConfigError, FtbenchError, Problem
from ftbench.gate import Policy, decide, make_policy
from ftbench.references import Finder, add_finder_options, find_runs, make_finder
from ftbench.schema import write_atomically
from ftbench.tracking.gated import move_alias, record_gate
from ftbench.tracking.receipt import recorded_place


def main(arguments: Sequence[str] | None = None) -> int:
    """Decides about one benchmark run.

    Returns:
        0 PASS, 8 BREACH, 9 INCONCLUSIVE; 2 where the run or the policy is not there; 6 where the
        tracker cannot be read or written.
    """
    options = _parser().parse_intermixed_args(arguments)
    try:
        conf = _read_conf(options)
        policy = make_policy(conf)
        assert policy is not None
        finder = make_finder(options.tracking_uri, options.experiment)
        run = _find_run(options, finder)
        decision = decide(policy, run.result, _find_deltas(run, options, policy, finder))
        print("\n".join(decision_lines(decision)))
        if options.json:
            write_atomically(Path(options.json), decision_json(decision))
        if not options.no_record:
            _record(run, decision, conf)
    except FtbenchError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return EXIT_CODES[decision.outcome]


def _read_conf(options: argparse.Namespace) -> GateConf:
    foreign = [s for s in options.settings if not s.lstrip("+").startswith(("gate=", "gate."))]
    if foreign:
        cure = "gate=no_regression, gate.rule.floor=60 and the like"
        raise ConfigError([Problem(s, "it is no setting of a gate", cure) for s in foreign])
    # A policy is held against whatever was evaluated; what it needs beyond that, it says itself.
    given = ["datasets=[]", "model.base=evaluated", *options.settings]
    conf = compose_config(given, Path(options.config_dir) if options.config_dir else None).gate
    if not conf.name:
        raise ConfigError(
            Problem("gate", "no policy is chosen", "gate=no_regression, or gate=release")
        )
    return conf


def _find_run(options: argparse.Namespace, finder: Finder) -> Evaluated:
    (run, *more) = find_runs([options.run], None, finder).runs
    if more:
        happened = f"{1 + len(more)} benchmark runs are called so, and a gate decides about one"
        raise ComparisonError(Problem(options.run, happened, "name one by its id"))
    return run


def _find_deltas(
    run: Evaluated, options: argparse.Namespace, policy: Policy, finder: Finder
) -> Deltas | None:
    """The run against its baseline; where none was named and none is found, why."""
    baseline = options.baseline or (BASE if policy.needs_baseline else None)
    if baseline is None:
        return None
    kind = BASE if baseline == BASE else RUN
    try:
        named = find_runs([options.run], baseline, finder)
    except ComparisonError as error:
        if options.baseline:
            raise
        return Deltas(kind, why_not=error.problems[0].happened)
    index = next(i for i, found in enumerate(named.runs) if found.key == run.key)
    if index == named.baseline:
        return Deltas(kind, why_not="it is the baseline itself")
    return deltas_from(compare(named.runs, named.baseline), kind, index)


def _record(run: Evaluated, decision: Decision, conf: GateConf) -> None:
    # The run of a page or a folder may be in another tracker than the one that was asked.
    place = (run.tracking_uri, run.key) if run.tracking_uri else recorded_place(Path(run.key))
    if place is None:
        print("The decision is not recorded: the folder that was named has no run in MLflow.")
        return
    uri, key = place
    record_gate(uri, key, decision_tags(decision), decision_json(decision))
    if conf.registered_model and conf.alias and decision.is_pass:
        print(move_alias(uri, key, conf.registered_model, conf.alias))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ftbench.gate",
        description="Holds the limits of a policy (conf/gate/*.yaml) against a benchmark run: "
        "PASS (exit code 0), BREACH (8) or INCONCLUSIVE (9).",
    )
    parser.add_argument("run", metavar="RUN", help="as python -m ftbench.compare finds it")
    parser.add_argument(
        "settings",
        nargs="+",
        metavar="gate=POLICY",
        help="the policy, and keys of it: gate=no_regression gate.rule.max_drop=1",
    )
    parser.add_argument(
        "--baseline",
        metavar="RUN",
        help="what drops are measured from; default: the base model's run that fits",
    )
    parser.add_argument("--config-dir", metavar="DIR", help="a folder with policies in gate/")
    add_finder_options(parser)
    parser.add_argument("--json", metavar="FILE", help="write the decision as JSON")
    parser.add_argument("--no-record", action="store_true", help="leave MLflow as it is")
    return parser


if __name__ == "__main__":
    sys.exit(main())

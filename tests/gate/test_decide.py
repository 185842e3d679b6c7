"""A policy's limits against scores: what passes, what breaks one, and what cannot be judged."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ftbench.decision import BREACH, INCONCLUSIVE, NOT_APPLICABLE, PASS, Decision
from ftbench.deltas import BASE, Delta, Deltas
from ftbench.gate import Policy, Rule, decide
from ftbench.schema import DatasetResult, Reason, Result, Uncertainty
from tests.comparison.builders import mmlu, single


def scored(name: str, score: float, low: float, high: float, **changes: object) -> DatasetResult:
    error = Uncertainty(standard_error=(high - low) / 4, low=low, high=high, method="by hand")
    return replace(single(name, score, **changes), uncertainty=error)


def result(*datasets: DatasetResult) -> Result:
    return Result(stage="done", datasets=datasets)


def compared(
    base: float, ours: float, low: float | None, high: float | None, **changes: object
) -> Deltas:
    """gsm8k of a base and of a run, whose difference has this interval."""
    delta = Delta("gsm8k", "accuracy", ours, base, ours - base, low, high, detectable=4.2, rows=8)
    return Deltas(BASE, "tiny", datasets=(replace(delta, **changes),))  # type: ignore[arg-type]


def decided(rule: Rule, dataset: DatasetResult, deltas: Deltas | None = None) -> Decision:
    return decide(Policy("test", rule=rule), result(dataset), deltas)


@pytest.mark.parametrize(
    ("floor", "outcome"), [(58.0, PASS), (60.0, INCONCLUSIVE), (62.0, INCONCLUSIVE), (64.1, BREACH)]
)
def test_floor_is_judged_by_the_whole_interval(floor: float, outcome: str) -> None:
    decision = decided(Rule(floor=floor), scored("gsm8k", 61.0, 58.0, 64.0))
    assert decision.outcome == outcome
    (check,) = decision.checks
    assert check.found == "61.00 [58.00, 64.00]"


@pytest.mark.parametrize(("floor", "outcome"), [(61.0, PASS), (61.01, BREACH)])
def test_evidence_score_takes_the_score_alone(floor: float, outcome: str) -> None:
    policy = Policy("test", evidence="score", rule=Rule(floor=floor))
    assert decide(policy, result(scored("gsm8k", 61.0, 58.0, 64.0))).outcome == outcome


def test_a_score_without_an_interval_is_not_judged_by_one() -> None:
    dataset = replace(single("gsm8k", 61.0), uncertainty=Uncertainty(why_not="one row"))
    decision = decided(Rule(floor=10), dataset)
    assert decision.outcome == INCONCLUSIVE
    assert decision.reasons == (
        "gsm8k (critical): at least 10: INCONCLUSIVE: 61.00 has no interval: one row",
    )


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (-1.9, 1.0, PASS),
        (-2.1, 1.0, INCONCLUSIVE),
        (-9.0, -2.1, BREACH),
        (-9.0, -2.0, INCONCLUSIVE),
    ],
)
def test_a_drop_is_judged_by_the_interval_of_the_difference(
    low: float, high: float, outcome: str
) -> None:
    deltas = compared(50.0, 49.0, low, high)
    decision = decided(Rule(max_drop=2), single("gsm8k", 49.0), deltas)
    assert decision.outcome == outcome
    assert decision.baseline == "base tiny"


def test_an_undecided_drop_says_what_is_noise() -> None:
    deltas = compared(50.0, 49.0, -3.0, 1.0)
    (reason,) = decided(Rule(max_drop=2), single("gsm8k", 49.0), deltas).reasons
    assert reason == (
        "gsm8k (critical): at most 2 below the baseline: INCONCLUSIVE: -1.00 [-3.00, 1.00]; "
        "less than 4.2 is noise in 8 questions"
    )


@pytest.mark.parametrize(("low", "outcome"), [(-5.0, PASS), (-5.01, INCONCLUSIVE)])
def test_a_relative_drop_is_a_share_of_the_baselines_score(low: float, outcome: str) -> None:
    deltas = compared(50.0, 49.0, low, 1.0)
    decision = decided(Rule(max_drop_share=0.1), single("gsm8k", 49.0), deltas)
    assert decision.outcome == outcome
    assert decision.checks[0].limit == "at most 10 % of the baseline below it"


def test_a_drop_without_a_baseline_says_why_there_is_none() -> None:
    policy = Policy("test", rule=Rule(max_drop=2))
    decision = decide(policy, result(single("gsm8k", 49.0)))
    assert decision.outcome == INCONCLUSIVE
    assert decision.checks[0].found == "there is no baseline: baseline=none"
    failed = Deltas(BASE, "tiny", why_not="its evaluation failed: no room")
    decision = decide(policy, result(single("gsm8k", 49.0)), failed)
    assert decision.checks[0].found == "there is no baseline: its evaluation failed: no room"
    other = replace(compared(50.0, 49.0, -1.0, 0.0), datasets=())
    decision = decide(policy, result(single("gsm8k", 49.0)), other)
    assert decision.checks[0].found == "there is no baseline: the baseline did not evaluate it"


def test_a_drop_from_what_was_asked_otherwise_is_not_judged() -> None:
    deltas = compared(50.0, 9.0, None, None, difference=None, why_not="other prompt (a vs b)")
    for evidence in ("interval", "score"):
        policy = Policy("test", evidence=evidence, rule=Rule(max_drop=2))
        decision = decide(policy, result(single("gsm8k", 9.0)), deltas)
        assert decision.outcome == INCONCLUSIVE
        assert decision.checks[0].found == "not comparable: other prompt (a vs b)"


def test_a_difference_that_cannot_be_tested_says_why() -> None:
    why = "OpenCompass does not say"
    deltas = compared(50.0, 49.0, None, None, why_not=why)
    decision = decided(Rule(max_drop=2), single("gsm8k", 49.0), deltas)
    assert decision.checks[0].found == f"-1.00 has no interval: {why}"


@pytest.mark.parametrize(
    ("dataset", "found"),
    [
        (
            replace(single("gsm8k", None), reason=Reason("timeout", "an hour")),
            "failed: an hour",
        ),
        (mmlu(62.5, 50.0, None), "partial: 2 of 3 subsets, at least 100% asked"),
        (
            scored("gsm8k", 61.0, 58.0, 64.0, truncated=2),
            "2 of 8 answers (25 %) reached the generation limit, at most 5% may",
        ),
        (
            scored("gsm8k", 61.0, 58.0, 64.0, empty=1),
            "1 of 8 answers (12 %) are empty, at most 5% may",
        ),
        (
            scored("gsm8k", 61.0, 58.0, 64.0, unextracted=8),
            "8 of 8 answers (100 %) held nothing that the evaluator could take, at most 5% may",
        ),
    ],
)
@pytest.mark.parametrize("floor", [0.0, 100.0])
def test_a_score_that_cannot_be_stood_behind_neither_passes_nor_breaks(
    dataset: DatasetResult, found: str, floor: float
) -> None:
    for evidence in ("interval", "score"):
        policy = Policy("test", evidence=evidence, rule=Rule(floor=floor))
        decision = decide(policy, result(dataset))
        assert decision.outcome == INCONCLUSIVE
        assert decision.checks[0].found == found


def test_few_samples_are_not_judged() -> None:
    decision = decided(Rule(floor=0, min_samples=9), scored("gsm8k", 61.0, 58.0, 64.0))
    assert decision.checks[0].found == "8 samples, at least 9 asked"


def test_repeats_are_no_samples() -> None:
    dataset = scored("gsm8k", 61.0, 58.0, 64.0, expected=32, completed=32, repeats=4)
    assert decided(Rule(floor=0, min_samples=8), dataset).outcome == PASS
    assert decided(Rule(floor=0, min_samples=9), dataset).outcome == INCONCLUSIVE


def test_a_policy_may_allow_less_than_all_samples() -> None:
    decision = decided(Rule(max_drop=2, min_coverage=0.5), mmlu(62.5, 50.0, None))
    assert decision.checks[0].found == "there is no baseline: baseline=none"


def test_a_dataset_that_was_not_evaluated_is_open() -> None:
    policy = Policy("test", rules={"bbh": Rule(floor=1)}, rule=Rule(floor=1))
    decision = decide(policy, result(scored("gsm8k", 61.0, 58.0, 64.0)))
    assert decision.outcome == INCONCLUSIVE
    assert decision.reasons == ("bbh (critical): at least 1: INCONCLUSIVE: not evaluated",)


TIERS = {"good": 0.0, "bad": 99.0, "open": 61.0}


@pytest.mark.parametrize(
    ("critical", "supporting", "advisory", "allowed", "outcome"),
    [
        ("good", "good", "bad", 0, PASS),
        ("good", "bad", "good", 0, BREACH),
        ("good", "bad", "bad", 1, PASS),
        ("good", "open", "good", 0, INCONCLUSIVE),
        ("good", "open", "good", 1, PASS),
        ("open", "bad", "good", 0, BREACH),
        ("open", "bad", "good", 1, INCONCLUSIVE),
        ("bad", "good", "good", 1, BREACH),
        ("bad", "open", "good", 0, BREACH),
    ],
)
def test_tiers_decide(
    critical: str, supporting: str, advisory: str, allowed: int, outcome: str
) -> None:
    floors = {"critical": critical, "supporting": supporting, "advisory": advisory}
    rules = {tier: Rule(tier=tier, floor=TIERS[kind]) for tier, kind in floors.items()}
    policy = Policy("test", rules=rules, allowed_supporting=allowed)
    datasets = [scored(tier, 61.0, 58.0, 64.0) for tier in rules]
    assert decide(policy, result(*datasets)).outcome == outcome


def test_two_broken_limits_of_a_dataset_count_once() -> None:
    rule = Rule(tier="supporting", floor=99, max_drop=1)
    deltas = compared(90.0, 61.0, -40.0, -20.0)
    policy = Policy("test", rule=rule, rules={"x": Rule(floor=1)}, allowed_supporting=1)
    decision = decide(
        policy,
        result(scored("gsm8k", 61.0, 58.0, 64.0), scored("x", 61.0, 58.0, 64.0)),
        deltas,
    )
    assert [c.outcome for c in decision.checks if c.dataset == "gsm8k"] == [BREACH, BREACH]
    assert decision.outcome == PASS


def test_advice_alone_decides_nothing() -> None:
    decision = decided(Rule(tier="advisory", floor=1), scored("gsm8k", 61.0, 58.0, 64.0))
    assert decision.outcome == INCONCLUSIVE
    assert decision.reasons == ("nothing that decides was checked",)


def test_a_failed_evaluation_never_passes() -> None:
    failed = replace(result(scored("gsm8k", 61, 58, 64)), failure=Reason("model", "no weights"))
    decision = decide(Policy("test", rule=Rule(floor=1)), failed)
    assert decision.outcome == INCONCLUSIVE
    assert decision.reasons[0] == "the evaluation failed: no weights"


def test_breaches_stand_before_what_is_open() -> None:
    policy = Policy("test", rule=Rule(floor=61), rules={"b": Rule(floor=99)})
    decision = decide(policy, result(scored("a", 61, 58, 64), scored("b", 61, 58, 64)))
    assert [reason.partition(" ")[0] for reason in decision.reasons] == ["b", "a"]


ITSELF = Deltas(BASE, why_not="this is the base model itself", is_itself=True)


def test_limits_on_drops_do_not_apply_to_the_baseline_itself() -> None:
    decision = decided(Rule(max_drop=2, max_drop_share=0.1), single("gsm8k", 49.0), ITSELF)
    assert [(c.outcome, c.found) for c in decision.checks] == [
        (NOT_APPLICABLE, "this is the base model itself"),
        (NOT_APPLICABLE, "this is the base model itself"),
    ]
    assert (decision.outcome, decision.is_pass) == (NOT_APPLICABLE, False)
    assert decision.reasons[0] == (
        "gsm8k (critical): at most 2 below the baseline: NOT APPLICABLE: "
        "this is the base model itself"
    )


@pytest.mark.parametrize(("floor", "outcome"), [(58.0, PASS), (60.0, INCONCLUSIVE), (64.1, BREACH)])
def test_floors_decide_about_the_baseline_itself(floor: float, outcome: str) -> None:
    dataset = scored("gsm8k", 61.0, 58.0, 64.0)
    decision = decided(Rule(floor=floor, max_drop=2), dataset, ITSELF)
    assert decision.outcome == outcome
    # Also a PASS says which limit it does not speak of.
    assert decision.reasons[-1].endswith("NOT APPLICABLE: this is the base model itself")
    assert not decision.is_whole


def test_a_baseline_whose_score_cannot_be_stood_behind_is_open() -> None:
    dataset = scored("gsm8k", 61.0, 58.0, 64.0, truncated=2)
    assert decided(Rule(max_drop=2), dataset, ITSELF).outcome == INCONCLUSIVE
    failed = replace(result(single("gsm8k", 61.0)), failure=Reason("model", "no weights"))
    assert decide(Policy("test", rule=Rule(max_drop=2)), failed, ITSELF).outcome == INCONCLUSIVE


def test_advice_that_does_not_apply_decides_nothing() -> None:
    rule = Rule(tier="advisory", max_drop=2)
    assert decided(rule, single("gsm8k", 61.0), ITSELF).outcome == INCONCLUSIVE

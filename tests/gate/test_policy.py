"""From a configuration to a policy: what a dataset inherits, and what it replaces."""

from __future__ import annotations

import pytest

from ftbench.compose import compose_config
from ftbench.gate import Policy, Rule, make_policy, never_decided

ENOUGH = ["model.adapter=out", "datasets=[mmlu,gsm8k,bbh]"]


def policy(*overrides: str) -> Policy | None:
    return make_policy(compose_config([*ENOUGH, *overrides]).gate)


def test_without_a_gate_there_is_no_policy() -> None:
    assert policy() is None


def test_a_dataset_inherits_what_it_does_not_say() -> None:
    made = policy(
        "gate=no_regression",
        "gate.rule.min_samples=50",
        "gate.per_dataset.mmlu.floor=60",
        "gate.per_dataset.gsm8k.tier=advisory",
    )
    assert made is not None
    assert made.rule_of("bbh") == Rule(max_drop=2, min_samples=50)
    assert made.rule_of("mmlu") == Rule(max_drop=2, floor=60, min_samples=50)
    assert made.rule_of("gsm8k") == Rule(max_drop=2, tier="advisory", min_samples=50)


def test_a_limit_of_its_own_for_the_drop_replaces_either_kind() -> None:
    made = policy("gate=release")
    assert made is not None
    assert made.rule == Rule(tier="supporting", max_drop_share=0.1, min_samples=100)
    assert made.rule_of("mmlu") == Rule(tier="critical", max_drop=1, min_samples=100)
    assert made.allowed_supporting == 1
    assert made.needs_baseline


def test_floors_alone_need_no_baseline() -> None:
    made = policy("gate.name=mine", "gate.rule.floor=60")
    assert made == Policy("mine", rule=Rule(floor=60))
    assert not made.needs_baseline


@pytest.mark.parametrize(
    ("datasets", "named"),
    [
        ("mmlu gsm8k bbh", "mmlu, gsm8k"),
        ("bbh", ""),
        ("bbh arc", "bbh, arc"),
        ("mmlu", "mmlu"),
    ],
)
def test_a_policy_that_needs_a_baseline_can_never_decide_without_one(
    datasets: str, named: str
) -> None:
    gate = compose_config([*ENOUGH, "gate=release"]).gate
    happened = [problem.happened for problem in never_decided(gate, datasets.split())]
    starts = [f"it limits how far {named} may lie below the baseline's score"] if named else []
    assert [text.partition(", and there is none")[0] for text in happened] == starts


@pytest.mark.parametrize(
    "settings",
    [
        ["gate.name=mine", "gate.rule.floor=60"],
        ["gate=no_regression", "gate.rule.tier=advisory"],
        ["gate=none"],
    ],
)
def test_other_policies_can_decide_without_a_baseline(settings: list[str]) -> None:
    assert not [*never_decided(compose_config([*ENOUGH, *settings]).gate, ["mmlu"])]

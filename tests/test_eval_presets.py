"""Names and modes of subsets."""

from __future__ import annotations

from ftbench_eval.judging import use_rules
from ftbench_eval.presets import mode_of, short_names


def test_short_names_drop_the_common_words() -> None:
    names = short_names(["lukaemon_mmlu_anatomy", "lukaemon_mmlu_astronomy"])
    assert names == {
        "lukaemon_mmlu_anatomy": "anatomy",
        "lukaemon_mmlu_astronomy": "astronomy",
    }
    assert short_names(["race-middle", "race-high"]) == {
        "race-middle": "middle",
        "race-high": "high",
    }


def test_short_names_keep_what_has_nothing_in_common() -> None:
    assert short_names(["gsm8k"]) == {"gsm8k": "gsm8k"}
    assert short_names(["ARC-c", "BoolQ"]) == {"ARC-c": "ARC-c", "BoolQ": "BoolQ"}
    assert short_names(["bbh", "bbh_x"]) == {"bbh": "bbh", "bbh_x": "bbh_x"}


def test_mode_of_inferencer() -> None:
    def config(kind: str) -> dict[str, object]:
        return {"infer_cfg": {"inferencer": {"type": f"opencompass.openicl.{kind}"}}}

    assert mode_of(config("GenInferencer")) == "gen"
    assert mode_of(config("PPLInferencer")) == "ppl"
    assert mode_of(config("AgentInferencer")) == "AgentInferencer"


def test_use_rules_replaces_a_cascade() -> None:
    rules = {"type": "MATHVerifyEvaluator"}
    judge = {"type": "GenericLLMEvaluator"}
    cascade = {"type": "CascadeEvaluator", "rule_evaluator": rules, "llm_evaluator": judge}
    config = {"eval_cfg": {"evaluator": cascade}}
    assert use_rules(config)
    assert config == {"eval_cfg": {"evaluator": rules}}
    assert not use_rules(config)

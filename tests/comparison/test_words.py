import re
from dataclasses import replace

from ftbench.comparison import compare
from ftbench.comparison.values import Difference
from ftbench.comparison.verdicts import explanations, loss_title, no_loss
from ftbench.comparison.words import (
    average_line,
    flag_sentences,
    not_compared,
    score_text,
    signed,
    verdict,
)
from tests.comparison.builders import answered, mmlu, run, single

BASE = run("base", single("a", 10.0), single("b", 30.0))
FEW, MANY, HALF = "1" * 4 + "0" * 12, "1" * 14 + "0" * 2, "1" * 8 + "0" * 8


def said(before: dict[str, str], after: dict[str, str]) -> str:
    return verdict(compare([answered("base", **before), answered("lora", **after)], 0))


def test_better_run_is_called_so_with_its_intervals() -> None:
    text = said({"a": FEW, "b": HALF}, {"a": MANY, "b": HALF})
    assert re.fullmatch(
        r"better: lora over base: a \+62\.50 \[\S+, \S+\]; no evidence: b 0\.00 \[\S+, \S+\]", text
    )


def test_worse_run_is_called_so() -> None:
    assert said({"a": MANY}, {"a": FEW}).startswith("worse: lora than base: a -62.50 [")


def test_run_that_forgot_is_mixed() -> None:
    text = said({"a": FEW, "b": MANY}, {"a": MANY, "b": FEW})
    assert text.startswith("mixed: lora against base: better in 1 (a +62.50 [")
    assert "worse in 1 (forgetting: b -62.50 [" in text


def test_equal_runs_are_no_evidence_and_the_same_evaluation() -> None:
    one = answered("lora", a=FEW)
    text = verdict(compare([one, replace(one, key="again")], 0))
    assert text.startswith("no evidence of a difference: lora (again) and lora (lora): a 0.00 [")
    assert text.endswith("; they are the same evaluation")


def test_what_is_not_tested_is_never_better() -> None:
    tuned = run("lora", single("a", 40.0), single("b", 50.0))
    assert verdict(compare([BASE, tuned], 0)) == "not tested: lora against base: a +30.00, b +20.00"


def test_nothing_comparable_has_its_reason() -> None:
    other = run("lora", single("a", 40.0, prompt_hash="bb" * 8))
    text = verdict(compare([run("base", single("a", 10.0)), other], 0))
    assert text == "not comparable: lora and base: a: lora: other prompt (bbbb vs aaaa)"


def test_best_of_several_is_named_with_its_lead_and_its_verdicts() -> None:
    runs = [answered("base", a=FEW), answered("lora", a=MANY), answered("other", a=HALF)]
    expected = r"best: lora, a 87\.50, \+62\.50 \[\S+, \S+\] over base: better in 1"
    assert re.fullmatch(expected, verdict(compare(runs, 0)))


def test_base_that_is_best_has_the_nearest_behind_it() -> None:
    worse = run("lora", single("a", 5.0), single("b", 29.0))
    last = run("last", single("a", 1.0), single("b", 2.0))
    compared = compare([worse, BASE, last], 1)
    assert verdict(compared) == "best: base, avg 20.00, nearest lora -3.00"


def test_noise_is_said_in_points() -> None:
    compared = compare([answered("base", a=FEW), answered("lora", a=FEW)], 0)
    (line,) = explanations(compared)
    assert re.fullmatch(r"a: no evidence: ±\d+\.\d points is noise with 16 questions", line)


def test_nothing_forgotten_is_said_with_what_would_go_unseen() -> None:
    compared = compare([answered("base", a=FEW), answered("lora", a=FEW)], 0)
    assert loss_title(compared, 1) == "What it forgot"
    assert no_loss(compared, 1).startswith("Nothing that this many questions can show.")
    worse = compare([answered("base", a=MANY), answered("lora", a=FEW)], 0)
    assert no_loss(worse, 1) == ""
    untested = compare([BASE, run("lora", single("a", 1.0), single("b", 1.0))], 0)
    assert no_loss(untested, 1) == "Not known: nothing was tested."


def test_adapters_among_themselves_forget_nothing() -> None:
    compared = compare([answered("one", a=FEW), answered("two", a=FEW)], 0)
    assert loss_title(compared, 1) == "Where it is worse"


def test_single_run_is_not_called_best() -> None:
    assert verdict(compare([BASE], 0)) == "only base has a score that counts: avg 20.00"


def test_average_says_what_it_is_over_and_what_it_is_not() -> None:
    other = run("lora", single("a", 40.0, prompt_hash="bb" * 8), single("b", 50.0))
    assert average_line(compare([BASE, other], 0)) == (
        "avg: unweighted mean over 1 of 2 datasets (b); "
        "not in it: a (lora: other prompt (bbbb vs aaaa))"
    )
    assert average_line(compare([BASE], 0)) == "avg: unweighted mean over all 2 datasets (a, b)"


def test_scores_that_are_not_compared_are_listed() -> None:
    other = run("lora", single("a", 40.0, prompt_hash="bb" * 8), single("b", 50.0))
    assert not_compared(compare([BASE, other], 0)) == [
        "a, lora: not comparable: other prompt (bbbb vs aaaa)"
    ]


def test_flags_have_run_and_dataset_before_them() -> None:
    cut = run("lora", single("a", 5.0, flags=("7 of 8 answers are empty",)))
    compared = compare([run("base", single("a", 1.0)), cut], 0)
    assert flag_sentences(compared) == ["a, lora: 7 of 8 answers are empty"]
    assert score_text(compared.datasets[0].line.standings[1]) == "5.00 *"


def test_partial_score_has_its_coverage_beside_it() -> None:
    compared = compare([run("lora", mmlu(50, 25, None))], 0)
    assert score_text(compared.datasets[0].line.standings[0]) == "37.50 (2 of 3 subsets)"


def test_differences_are_signed_and_exactly_none_is_not() -> None:
    values = (0.0, 1.005, -0.001, 0.001, -12.5)
    assert [signed(Difference(value)) for value in values] == [
        "0.00",
        "+1.00",
        "-0.00",
        "+0.00",
        "-12.50",
    ]
    assert signed(None) == ""

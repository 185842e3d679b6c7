from ftbench.comparison import compare
from ftbench.comparison.values import Difference
from ftbench.comparison.words import (
    average_line,
    flag_sentences,
    not_compared,
    score_text,
    signed,
    verdict,
)
from tests.comparison.builders import mmlu, run, single

BASE = run("base", single("a", 10.0), single("b", 30.0))


def test_best_is_named_with_its_lead_over_the_base() -> None:
    tuned = run("lora", single("a", 40.0), single("b", 50.0))
    assert verdict(compare([BASE, tuned], 0)) == "best: lora, avg 45.00, +25.00 over base"


def test_base_that_is_best_has_the_nearest_behind_it() -> None:
    worse = run("lora", single("a", 5.0), single("b", 29.0))
    assert verdict(compare([worse, BASE], 1)) == "best: base, avg 20.00, nearest lora -3.00"


def test_equal_averages_have_no_best() -> None:
    same = run("lora", single("a", 30.0), single("b", 10.0))
    assert verdict(compare([BASE, same], 0)) == "equal: base, lora, avg 20.00"


def test_single_dataset_is_called_by_its_name() -> None:
    runs = [run("base", single("a", 10.0)), run("lora", single("a", 11.25))]
    assert verdict(compare(runs, 0)) == "best: lora, a 11.25, +1.25 over base"


def test_nothing_comparable_has_its_reason() -> None:
    other = run("lora", single("a", 40.0, prompt_hash="bb" * 8))
    text = verdict(compare([run("base", single("a", 10.0)), other], 0))
    assert text == "no run can be called best: a: lora: other prompt (bbbb vs aaaa)"


def test_single_run_is_not_called_best() -> None:
    assert verdict(compare([BASE], 0)) == "only base has a score that counts: avg 20.00"


def test_other_baseline_is_called_by_its_label() -> None:
    one, two = run("one", single("a", 1.0)), run("two", single("a", 3.0))
    assert verdict(compare([one, two], 0)) == "best: two, a 3.00, +2.00 over one"


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

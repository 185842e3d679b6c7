from ftbench.comparison.choose import best_fitting, fitting_base, most_common
from tests.comparison.builders import run, single

GSM8K = single("gsm8k", 50.0)
LORA = run("lora", GSM8K)


def test_base_fits_where_model_setting_and_questions_are_the_same() -> None:
    wrong = [
        run("base", GSM8K, key="other model", base_model="another"),
        run("base", GSM8K, key="other setting", setting="temperature 0.7"),
        run("base", single("gsm8k", 1.0, prompt_hash="bb" * 8), key="other prompt"),
        run("lora2", GSM8K, key="no base"),
    ]
    right = run("base", GSM8K, key="right")
    assert fitting_base([*wrong, right], [LORA]) == right
    assert fitting_base(wrong, [LORA]) is None


def test_base_with_more_shared_scores_fits_better_and_then_the_newest() -> None:
    both = run("lora", GSM8K, single("a", 1.0))
    older = run("base", GSM8K, single("a", 1.0), key="older", started_ms=1)
    newer = run("base", GSM8K, single("a", 1.0), key="newer", started_ms=2)
    fewer = run("base", GSM8K, key="fewer", started_ms=3)
    assert fitting_base([older, newer, fewer], [both]) == newer


def test_base_bytes_count_before_the_name() -> None:
    tuned = run("lora", GSM8K, base_identity="sha-a")
    moved = run("base", GSM8K, base_model="/elsewhere", base_identity="sha-a")
    changed = run("base", GSM8K, base_identity="sha-b")
    assert fitting_base([moved, changed], [tuned]) == moved


def test_best_is_the_highest_average_that_can_be_compared() -> None:
    candidates = [
        run("good", single("gsm8k", 70.0)),
        run("better but asked otherwise", single("gsm8k", 90.0, prompt_hash="bb" * 8)),
        run("poor", single("gsm8k", 20.0)),
    ]
    best = best_fitting(candidates, [LORA])
    assert best is not None and best.model == "good"


def test_best_without_others_is_among_runs_that_ask_what_most_ask() -> None:
    candidates = [
        run("easy", single("easy", 99.0)),
        run("one", single("gsm8k", 40.0)),
        run("two", single("gsm8k", 60.0)),
    ]
    best = best_fitting(candidates, [])
    assert best is not None and best.model == "two"


def test_best_of_nothing_comparable_is_none() -> None:
    assert best_fitting([], [LORA]) is None
    assert best_fitting([run("x", single("other", 1.0))], [LORA]) is None


def test_incomplete_runs_are_in_no_group() -> None:
    whole, failed = run("whole", GSM8K), run("failed", single("gsm8k", None))
    assert most_common([failed, whole]) == [whole]
    assert most_common([failed]) == [failed]

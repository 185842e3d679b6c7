from dataclasses import replace

from ftbench.comparison import compare
from ftbench.comparison.compare import movers
from ftbench.comparison.values import Difference, Setting
from tests.comparison.builders import mmlu, run, single

BASE = run("base", mmlu(0, 25, 50), single("gsm8k", 10.0))
LORA = run("lora", mmlu(50, 25, 0), single("gsm8k", 40.0))


def test_differences_start_from_the_baseline() -> None:
    compared = compare([BASE, LORA], 0)
    mmlu_line, gsm8k_line = (d.line for d in compared.datasets)
    assert [s.score for s in mmlu_line.standings] == [25.0, 25.0]
    assert [s.difference for s in mmlu_line.standings] == [None, Difference(0.0)]
    assert [s.difference for s in gsm8k_line.standings] == [None, Difference(30.0)]
    assert [a.score for a in compared.averages] == [17.5, 32.5]
    assert [a.difference for a in compared.averages] == [None, Difference(15.0)]


def test_difference_is_of_unrounded_scores() -> None:
    third, two_thirds = run("base", single("a", 100 / 3)), run("lora", single("a", 200 / 3))
    (dataset,) = compare([third, two_thirds], 0).datasets
    assert dataset.line.standings[1].difference == Difference(200 / 3 - 100 / 3)


def test_other_baseline_turns_the_differences_round() -> None:
    compared = compare([BASE, LORA], 1)
    assert compared.averages[0].difference == Difference(-15.0)
    assert compared.averages[1].difference is None


def test_groups_and_subsets_are_compared_too() -> None:
    (dataset, _) = compare([BASE, LORA], 0).datasets
    (group,) = dataset.groups
    assert (group.name, group.depth) == ("mmlu-stem", 1)
    assert [s.score for s in group.standings] == [37.5, 12.5]
    assert group.standings[1].difference == Difference(-25.0)
    assert [line.name for line in dataset.subsets] == ["law", "anatomy", "virology"]


def test_best_of_a_line_is_marked_and_equals_are_not() -> None:
    third = run("third", mmlu(25, 25, 25), single("gsm8k", 40.0))
    compared = compare([BASE, LORA, third], 0)
    mmlu_line, gsm8k_line = (d.line for d in compared.datasets)
    assert [s.is_best for s in mmlu_line.standings] == [False, False, False]
    assert [s.is_best for s in gsm8k_line.standings] == [False, True, True]


def test_score_that_means_something_else_has_no_difference_and_is_never_best() -> None:
    other = run("other", mmlu(50, 50, 50), single("gsm8k", 99.0, prompt_hash="bb" * 8))
    compared = compare([BASE, LORA, other], 0)
    standing = compared.datasets[1].line.standings[2]
    assert standing.difference is None
    assert standing.why_not == "other prompt (bbbb vs aaaa)"
    assert [s.is_best for s in compared.datasets[1].line.standings] == [False, True, False]


def test_averages_are_over_the_datasets_that_all_runs_share() -> None:
    other = run("other", mmlu(50, 50, 50), single("gsm8k", 99.0, prompt_hash="bb" * 8))
    compared = compare([BASE, LORA, other], 0)
    assert compared.averaged == ("mmlu",)
    assert compared.left_out == (("gsm8k", "other: other prompt (bbbb vs aaaa)"),)
    assert [a.score for a in compared.averages] == [25.0, 25.0, 50.0]
    assert compared.ranking == (2, 0, 1)


def test_partial_score_is_shown_with_its_coverage_and_not_ranked() -> None:
    partial = run("partial", mmlu(100, 100, None), single("gsm8k", 90.0))
    compared = compare([BASE, partial], 0)
    standing = compared.datasets[0].line.standings[1]
    assert (standing.score, standing.coverage) == (100.0, "2 of 3 subsets")
    assert (standing.difference, standing.is_best) == (None, False)
    assert compared.averaged == ("gsm8k",)


def test_subsets_of_a_partial_dataset_are_compared_where_they_can_be() -> None:
    partial = run("partial", mmlu(100, 100, None), single("gsm8k", 90.0))
    gained, lost = movers(compare([BASE, partial], 0), 1, 5)
    assert [(m.subset, m.difference.value) for m in gained] == [("law", 100.0), ("anatomy", 75.0)]
    assert lost == []


def test_nothing_shared_gives_no_average_and_no_order() -> None:
    compared = compare([run("a", single("x", 1.0)), run("b", single("y", 2.0))], 0)
    assert compared.ranking == ()
    assert [a.why_not for a in compared.averages] == ["no dataset can be compared"] * 2
    assert compared.left_out == (
        ("x", "b: not evaluated"),
        ("y", "a: not evaluated"),
    )


def test_leaderboard_is_best_first_and_keeps_its_datasets() -> None:
    partial = run("partial", mmlu(100, 100, None), single("gsm8k", 90.0))
    compared = compare([partial, BASE, LORA], 1, is_leaderboard=True)
    assert [r.model for r in compared.runs] == ["lora", "base", "partial"]
    assert compared.runs[compared.baseline].model == "base"
    assert compared.averaged == ("mmlu", "gsm8k")
    assert compared.ranking == (0, 1)
    assert compared.averages[2].why_not == "mmlu: partial: 2 of 3 subsets"


def test_average_over_a_flagged_score_is_flagged() -> None:
    cut = run("cut", single("a", 5.0, flags=("7 of 8 answers reached the generation limit",)))
    compared = compare([run("base", single("a", 1.0)), cut], 0)
    assert [a.is_flagged for a in compared.averages] == [False, True]


def test_movers_are_sorted_and_cut() -> None:
    gained, lost = movers(compare([BASE, LORA], 0), 1, 5)
    assert [(m.dataset, m.subset, m.before, m.after, m.rows) for m in gained] == [
        ("mmlu", "law", 0.0, 50.0, 8)
    ]
    assert [m.subset for m in lost] == ["virology"]
    assert movers(compare([BASE, LORA], 0), 1, 0) == ([], [])


def test_same_evaluation_twice_is_said() -> None:
    compared = compare([LORA, replace(LORA, key="again", started_ms=5)], 0)
    assert compared.notes == ("lora (again) and lora (lora) are the same evaluation, done twice.",)


def test_settings_that_differ_are_listed_and_equal_ones_are_not() -> None:
    runs = [
        replace(
            LORA, params={"backend.temperature": "0.0", "backend.top_p": "1", "adapter.r": "8"}
        ),
        replace(
            LORA, params={"backend.temperature": "0.7", "backend.top_p": "1", "adapter.r": "16"}
        ),
        replace(BASE, params={"backend.temperature": "0.7", "backend.top_p": "1"}),
    ]
    assert compare(runs, 0).settings == (
        Setting("backend.temperature", ("0.0", "0.7", "0.7")),
        Setting("adapter.r", ("8", "16", "")),
    )


def test_what_only_an_adapter_has_does_not_differ_from_the_base() -> None:
    tuned = replace(LORA, params={"adapter.r": "8", "workspace": "/a"}, training_name="sft")
    assert compare([BASE, tuned], 0).settings == ()


def test_versions_that_move_scores_differ() -> None:
    newer = replace(LORA, result=replace(LORA.result, versions={"torch": "3", "rich": "2"}))
    older = replace(BASE, result=replace(BASE.result, versions={"torch": "2", "rich": "1"}))
    assert compare([older, newer], 0).settings == (Setting("version.torch", ("2", "3")),)

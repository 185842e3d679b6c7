"""Collecting: every dataset ends with a status and a reason, and only borne-out scores stay."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ftbench.collect import collect, failed_result
from ftbench.runtimes.base import CRASHED, FINISHED, OUT_OF_MEMORY, TIMED_OUT, Launch
from ftbench.schema import (
    FAILED,
    OK,
    PARTIAL,
    PENDING,
    TIMEOUT,
    Group,
    GroupResult,
    Reason,
    Result,
    Sample,
    Uncertainty,
    read_result,
    write_result,
    write_samples,
)
from tests.builders import (
    FINGERPRINT,
    GSM8K,
    MMLU,
    MODEL_ABBR,
    make_plan,
    scored_result,
    write_opencompass_results,
)

DONE = Launch(FINISHED, 0)


def half_done() -> Result:
    """The result in progress: one mmlu subset scored, the rest pending."""
    mmlu, gsm8k = scored_result().datasets
    pending = replace(mmlu.subsets[1], status=PENDING, score=None, completed=3)
    waiting = replace(gsm8k.subsets[0], status=PENDING, score=None, completed=0)
    return replace(
        scored_result(),
        stage="running",
        datasets=(
            replace(mmlu, status=PENDING, score=None, subsets=(mmlu.subsets[0], pending)),
            replace(gsm8k, status=PENDING, score=None, subsets=(waiting,)),
        ),
    )


def test_collect_keeps_a_finished_result(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    write_result(plan.files.result, scored_result())
    write_opencompass_results(plan.files, scored_result())
    result = collect(plan, DONE)
    assert result.is_complete
    assert [(d.name, d.status, d.score) for d in result.datasets] == [
        ("mmlu", OK, 56.25),
        ("gsm8k", OK, 45.7),
    ]
    assert result.average == pytest.approx(50.975)
    assert read_result(plan.files.summary) == result
    assert plan.files.summary_csv.read_text() == (
        "dataset,score,metric,status,completed,expected,reason,kind,weighted_score,"
        "truncated_share,empty_share,unextracted_share,mean_output_tokens,label,flags,"
        "standard_error,ci_low,ci_high\n"
        "mmlu,56.25,accuracy,ok,16,16,,dataset,56.25,,,,,,,,,\n"
        "lukaemon_mmlu_anatomy,62.5,accuracy,ok,8,8,,subset,,,,,,,,,,\n"
        "lukaemon_mmlu_virology,50.0,accuracy,ok,8,8,,subset,,,,,,,,,,\n"
        "gsm8k,45.7,accuracy,ok,16,16,,dataset,,,,,,,,,,\n"
        "avg,50.975,accuracy,ok,32,32,,average,,,,,,,,,,\n"
    )


def test_collect_scores_groups_anew_after_it_refused_a_subset(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    mmlu, gsm8k = scored_result().datasets
    both = GroupResult(
        "both", "accuracy", 56.25, 56.25, 2, 2, 16, tuple(s.abbr for s in mmlu.subsets), (3.0, 1.0)
    )
    done = replace(scored_result(), datasets=(replace(mmlu, groups=(both,)), gsm8k))
    write_result(plan.files.result, done)
    write_opencompass_results(plan.files, done)
    (plan.files.results / MODEL_ABBR / "lukaemon_mmlu_virology.json").unlink()

    mmlu = collect(plan, DONE).datasets[0]

    assert (mmlu.status, mmlu.score, mmlu.weighted_score) == (PARTIAL, 62.5, 62.5)
    assert mmlu.groups == (
        replace(
            both,
            score=62.5,
            weighted_score=62.5,
            subsets_done=1,
            samples=8,
            uncertainty=Uncertainty(why_not="lukaemon_mmlu_anatomy: its samples are not there"),
        ),
    )


def test_collect_flags_and_says_so_in_the_summary(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, flag_above=0.4)
    mmlu, gsm8k = scored_result().datasets
    cut = replace(gsm8k.subsets[0], truncated=7, empty=4, mean_output_tokens=9.5, label="rule-only")
    done = replace(scored_result(), datasets=(mmlu, replace(gsm8k, subsets=(cut,))))
    write_result(plan.files.result, done)
    write_opencompass_results(plan.files, done)

    flags = (
        "7 of 16 answers (44 %) reached the generation limit",
        "its score is rule-only: what the rules do not accept counts as wrong",
    )
    assert collect(plan, DONE).datasets[1].flags == flags
    assert plan.files.summary_csv.read_text().splitlines()[-2] == (
        "gsm8k,45.7,accuracy,ok,16,16,,dataset,,0.4375,0.25,,9.5,rule-only,"
        "7 of 16 answers (44 %) reached the generation limit; its score is rule-only: "
        "what the rules do not accept counts as wrong,,,"
    )


def test_collect_gives_error_bars_from_the_samples(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    write_result(plan.files.result, scored_result())
    write_opencompass_results(plan.files, scored_result())
    for subset, right in zip(scored_result().datasets[0].subsets, (5, 4), strict=True):
        rows = (Sample(subset.abbr, i, "q", "a", correct=i < right) for i in range(8))
        write_samples(plan.files.samples(subset.abbr), rows)

    mmlu, gsm8k = collect(plan, DONE).datasets

    bars = mmlu.uncertainty
    assert bars is not None and bars.low is not None and bars.high is not None
    # sqrt((5/8 * 3/8 + 4/8 * 4/8) / 8) / 2
    assert bars.standard_error == pytest.approx(12.3, abs=0.01)
    assert bars.low < 56.25 < bars.high
    assert bars.method == "Wilson score intervals of 2 subsets as strata, combined by MOVER; rows"
    assert gsm8k.uncertainty == Uncertainty(why_not="gsm8k: its samples are not there")
    last = plan.files.summary_csv.read_text().splitlines()
    assert last[1].endswith(f",{bars.standard_error!r},{bars.low!r},{bars.high!r}")
    assert last[-1].endswith(",,,")


def test_collect_of_nothing_names_the_planned_groups(tmp_path: Path) -> None:
    group = Group("both", MMLU.subsets)
    mmlu = collect(make_plan(tmp_path, (replace(MMLU, groups=(group,)),)), DONE).datasets[0]
    assert [(g.name, g.members, g.score) for g in mmlu.groups] == [("both", MMLU.subsets, None)]


def test_collect_after_a_timeout_keeps_what_is_scored(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    write_result(plan.files.progress, half_done())
    write_opencompass_results(plan.files, half_done())
    result = collect(plan, Launch(TIMED_OUT, 143, "stopped after 60 s"))
    mmlu, gsm8k = result.datasets
    assert (mmlu.status, mmlu.score, mmlu.aggregation) == (TIMEOUT, 62.5, "mean of 1 of 2 subsets")
    assert mmlu.reason == Reason("timeout", "stopped after 60 s")
    assert (gsm8k.status, gsm8k.score) == (TIMEOUT, None)
    assert not result.is_complete
    assert result.average is None


def test_collect_after_running_out_of_memory_says_so(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    write_result(plan.files.progress, half_done())
    write_opencompass_results(plan.files, half_done())
    mmlu, gsm8k = collect(plan, Launch(OUT_OF_MEMORY, 137)).datasets
    assert (mmlu.status, gsm8k.status) == (PARTIAL, FAILED)
    assert gsm8k.reason == Reason("out_of_memory", "the evaluation process ran out of memory")


def test_collect_after_a_crash_finds_the_root_cause(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    plan.files.launch_log.parent.mkdir(parents=True)
    plan.files.launch_log.write_text(
        "Traceback (most recent call last):\n  File x\nOSError: [Errno 28] No space left\n"
    )
    result = collect(plan, Launch(CRASHED, 1, "the evaluation process ended with code 1"))
    assert [d.status for d in result.datasets] == [FAILED, FAILED]
    assert result.datasets[0].reason == Reason(
        "crashed",
        "the evaluation process ended with code 1: OSError: [Errno 28] No space left",
        "logs/launch.log",
    )
    assert [s.status for s in result.datasets[0].subsets] == [FAILED, FAILED]


def test_collect_refuses_a_score_that_opencompass_does_not_bear_out(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    write_result(plan.files.result, scored_result())
    write_opencompass_results(plan.files, scored_result())
    (plan.files.results / MODEL_ABBR / "gsm8k.json").write_text('{"accuracy": 45.0}')
    (plan.files.results / MODEL_ABBR / "lukaemon_mmlu_anatomy.json").write_text('{"accur')
    mmlu, gsm8k = collect(plan, DONE).datasets
    assert (gsm8k.status, gsm8k.score) == (FAILED, None)
    assert gsm8k.reason is not None
    assert gsm8k.reason.message == "OpenCompass's result says 45.0, result.json says 45.7"
    assert (mmlu.status, mmlu.score) == (PARTIAL, 50.0)


def test_collect_refuses_missing_predictions(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    done = scored_result()
    short = replace(done.datasets[1].subsets[0], completed=15)
    done = replace(done, datasets=(done.datasets[0], replace(done.datasets[1], subsets=(short,))))
    write_result(plan.files.result, done)
    write_opencompass_results(plan.files, done)
    gsm8k = collect(plan, DONE).datasets[1]
    assert gsm8k.status == FAILED
    assert gsm8k.reason is not None
    assert gsm8k.reason.message == "15 of 16 samples have a prediction"


def test_collect_refuses_another_evaluations_result(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    write_result(plan.files.result, replace(scored_result(), fingerprint="9" * 64))
    result = collect(plan, DONE)
    assert [d.status for d in result.datasets] == [FAILED, FAILED]
    assert result.failure == Reason(
        "results_foreign", "result.json belongs to another evaluation (99999999)"
    )


def test_collect_of_an_unreadable_result_fails_every_dataset(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    plan.files.result.parent.mkdir(parents=True)
    plan.files.result.write_text('{"schema_version": 1, "datasets": [')
    result = collect(plan, DONE)
    assert result.failure is not None
    assert result.failure.kind == "results_unreadable"
    assert {d.status for d in result.datasets} == {FAILED}


def test_failed_result_gives_every_dataset_the_reason(tmp_path: Path) -> None:
    reason = Reason("preflight", "no engine")
    result = failed_result(make_plan(tmp_path), reason)
    assert [(d.status, d.reason) for d in result.datasets] == [(FAILED, reason)] * 2
    assert result.fingerprint == FINGERPRINT
    assert not result.is_complete


@pytest.mark.parametrize(
    ("second", "status"),
    [({"accuracy": 50.0}, OK), ({"accuracy": 51.0}, FAILED), ({"score": 50.0}, FAILED)],
)
def test_the_score_of_runs_must_be_the_mean_of_their_files(
    tmp_path: Path, second: dict[str, float], status: str
) -> None:
    plan = make_plan(tmp_path, (GSM8K,))
    gsm8k = scored_result().datasets[1]
    subset = replace(gsm8k.subsets[0], score=40.0, repeats=2, expected=8, completed=8)
    result = replace(scored_result(), datasets=(replace(gsm8k, score=40.0, subsets=(subset,)),))
    write_result(plan.files.result, result)
    folder = plan.files.results / MODEL_ABBR
    folder.mkdir(parents=True)
    (folder / "gsm8k_run1.json").write_text('{"accuracy": 30.0}')
    (folder / "gsm8k_run2.json").write_text(json.dumps(second))
    assert [d.status for d in collect(plan, DONE).datasets] == [status]


def test_a_torn_result_of_opencompass_is_refused_though_its_score_is_there(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, (GSM8K,))
    result = replace(scored_result(), datasets=scored_result().datasets[1:])
    write_result(plan.files.result, result)
    write_opencompass_results(plan.files, result)
    path = plan.files.results / MODEL_ABBR / "gsm8k.json"
    details = [{"pred": ["4"], "correct": [True]}, {"pred": ["5"], "correct": [False]}]
    whole = json.dumps({"accuracy": 45.7, "details": details}, indent=4)
    path.write_text(whole)
    assert collect(plan, DONE).datasets[0].status == OK
    path.write_text(whole[: whole.rindex("pred")])
    (gsm8k,) = collect(plan, DONE).datasets
    assert gsm8k.reason is not None
    assert (gsm8k.status, gsm8k.reason.kind) == (FAILED, "results_unreadable")
    assert gsm8k.reason.message.startswith("OpenCompass's result cannot be read: ValueError: not a")

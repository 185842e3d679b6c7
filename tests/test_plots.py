import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest

from ftbench.plots import (
    Effect,
    Scored,
    forest,
    parallel_coordinates,
    score_bars,
    score_over_steps,
    subset_heatmap,
)
from ftbench.plots.drawing import GREY, short, signed
from ftbench.plots.parallel import differing

BASE = Scored(
    "tiny · greedy",
    {"mmlu": 50.0, "gsm8k": 20.0},
    {"mmlu": {"anatomy": 60.0, "law": 40.0, "virology": 50.0}},
    is_base=True,
)
TUNED = Scored(
    "r16 · greedy",
    {"mmlu": 54.0, "gsm8k": 17.5},
    {"mmlu": {"anatomy": 61.0, "law": 55.0, "virology": 46.0}},
    params={"train.learning_rate": "1e-4", "adapter.r": "16"},
)
OTHER = Scored(
    "r8 · greedy",
    {"mmlu": 51.0, "gsm8k": 30.0},
    params={"train.learning_rate": "1e-4", "adapter.r": "8"},
)


def texts(svg: str) -> list[str]:
    """Every text of a picture, in the order of drawing."""
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    return ["".join(e.itertext()) for e in root.iter("{http://www.w3.org/2000/svg}text")]


def test_bars_show_scores_and_differences_against_the_base() -> None:
    shown = texts(score_bars([BASE, TUNED]))
    assert [t for t in shown if re.match(r"\d+\.\d", t)] == [
        # The base: average, mmlu, gsm8k; then the adapter.
        "35.0",
        "50.0",
        "20.0",
        "35.8  (+0.8)",
        "54.0  (+4.0)",
        "17.5  (-2.5)",
    ]
    for label in ("average", "mmlu", "gsm8k", "tiny · greedy", "r16 · greedy"):
        assert label in shown


def test_bars_without_a_base_show_no_difference() -> None:
    assert "54.0" in texts(score_bars([TUNED]))


def test_bars_of_one_dataset_have_no_average() -> None:
    assert "average" not in texts(score_bars([Scored("r16", {"mmlu": 54.0})]))


def test_bars_say_where_a_model_has_no_score() -> None:
    partly = Scored("partly", {"mmlu": float("nan"), "gsm8k": 0.0})
    shown = texts(score_bars([BASE, partly]))
    # Neither for mmlu nor for an average over gsm8k alone.
    assert shown.count("no score") == 2
    assert "0.0  (-20.0)" in shown


def test_bars_of_many_models_are_sorted_by_average_in_a_panel_per_dataset() -> None:
    models = [Scored(f"model {n}", {"mmlu": 40.0 + n, "gsm8k": 20.0}) for n in range(5)]
    shown = texts(score_bars([BASE, *models]))
    labels = [t for t in shown if t.startswith("model") or t == BASE.label]
    ranked = ["tiny · greedy", *(f"model {n}" for n in (4, 3, 2, 1, 0))]
    assert labels[:6] == ranked
    assert {"average", "mmlu", "gsm8k"} <= set(shown)


def test_the_base_is_grey() -> None:
    assert GREY in score_bars([BASE, TUNED])
    assert GREY not in score_bars([TUNED, OTHER])


def test_heatmap_puts_the_greatest_gain_on_top() -> None:
    shown = texts(subset_heatmap([TUNED, BASE], "mmlu"))
    assert [t for t in shown if t in ("anatomy", "law", "virology")] == [
        "law",
        "anatomy",
        "virology",
    ]
    assert [t for t in shown if re.match(r"\d+\.\d", t)] == [
        "40.0",
        "55.0  +15.0",
        "60.0",
        "61.0  +1.0",
        "50.0",
        "46.0  -4.0",
    ]


def test_heatmap_without_a_base_is_sorted_by_score() -> None:
    shown = texts(subset_heatmap([TUNED], "mmlu"))
    assert [t for t in shown if t in ("anatomy", "law", "virology")] == [
        "anatomy",
        "law",
        "virology",
    ]


def test_heatmap_marks_a_missing_subset() -> None:
    partly = Scored("partly", {}, {"mmlu": {"law": 41.0}})
    assert texts(subset_heatmap([BASE, partly], "mmlu")).count("–") == 2


def test_curves_follow_the_steps_whatever_the_order() -> None:
    checkpoints = [
        Scored(f"checkpoint-{step}", {"mmlu": score}, step=step)
        for step, score in ((500, 52.0), (1000, 55.0), (250, 48.0))
    ]
    shown = texts(score_over_steps([*checkpoints, BASE]))
    assert [t for t in shown if t in ("48.0", "52.0", "55.0")] == ["48.0", "52.0", "55.0"]
    assert "base model" in shown
    assert {"250", "500", "1000"} <= set(shown)


def test_curves_of_settings_are_told_apart() -> None:
    models = [
        Scored(f"{setting} {step}", {"mmlu": 50.0 + step}, params={"setting": setting}, step=step)
        for setting in ("greedy", "temperature 0.7")
        for step in (1, 2)
    ]
    assert {"greedy", "temperature 0.7"} <= set(texts(score_over_steps(models)))


def test_parallel_coordinates_show_only_params_that_differ() -> None:
    shown = texts(parallel_coordinates([BASE, TUNED, OTHER]))
    assert {"adapter.r", "8", "16", "average", "mmlu", "gsm8k"} <= set(shown)
    assert "learning_rate" not in shown
    # Names stand in the order of the last score: gsm8k.
    names = [t for t in shown if t.endswith("greedy")]
    assert names == ["r8 · greedy", "tiny · greedy", "r16 · greedy"]


def test_the_base_has_no_say_in_which_params_differ() -> None:
    base = Scored("base", {"mmlu": 1.0}, is_base=True, params={"adapter": "base"})
    tuned = Scored("r16", {"mmlu": 2.0}, params={"adapter": "r16"})
    assert differing([base, tuned]) == []


@pytest.mark.parametrize(
    "draw",
    [
        score_bars,
        score_over_steps,
        parallel_coordinates,
        lambda models: subset_heatmap(models, "mmlu"),
    ],
)
@pytest.mark.parametrize(
    "models",
    [
        [],
        [Scored("empty", {})],
        [BASE],
        [BASE, TUNED],
        [
            Scored(
                f"{'a long name ' * 9}{n}",
                {"mmlu": float(n), **{f"dataset-{d}": 50.0 for d in range(2)}},
                {"mmlu": {f"subject_{s:02d}": float(s) for s in range(20)}},
                params={"adapter.r": str(n), "lr": f"1e-{n % 5}", "one": "same"},
                step=10 * n,
            )
            for n in range(30)
        ],
    ],
    ids=["none", "empty", "base", "two", "thirty"],
)
def test_every_picture_is_drawn_of_few_and_many(draw, models) -> None:
    assert texts(draw(models))


def test_names_are_drawn_as_they_are() -> None:
    hostile = "$x^2$ </text><script>alert(1)</script>\x00\n中文"
    shown = texts(score_bars([Scored(hostile, {"m&m <b>": 5.0})]))
    assert "$x^2$ </text><script>alert(1)</script> 中文" in shown
    assert "m&m <b>" in shown


def test_pictures_are_the_same_every_time() -> None:
    models = "[Scored('base', {'m': 50.0}, is_base=True), Scored('tuned', {'m': 54.0})]"
    code = f"from ftbench.plots import *; print(score_bars({models}), end='')"
    # Another process has other hashes and ids.
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert run.stdout.decode() == score_bars(eval(models))


def test_short_cuts_in_the_middle() -> None:
    assert short("abcdefghij", 5) == "ab…ij"
    assert short("a  b\nc", 5) == "a b c"


def test_a_minus_is_a_hyphen_in_labels_and_on_axes() -> None:
    drawn = forest([Effect("gsm8k", -3.0, -5.0, -1.0, "worse")])
    assert ">-3.0<" in drawn and ">-5<" in drawn
    assert "\u2212" not in drawn


def test_signed_says_when_nothing_changed() -> None:
    assert [signed(d) for d in (1.25, -1.26, 0.04, -0.04)] == ["+1.2", "-1.3", "±0.0", "±0.0"]

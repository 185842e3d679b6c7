"""Strict reading of a judge's reply: one verdict that nobody could read otherwise, or none."""

import pytest
from ftbench_eval.verdicts import (
    BOXED_SHARE,
    DECIMAL,
    TEN_POINTS,
    TRUE_FALSE,
    Form,
    form_of,
    read_verdict,
)
from hypothesis import given
from hypothesis import strategies as st

GENERIC = "generic_llmjudge_postprocess"
# The lines that the prompts of OpenCompass 0.5.4 have.
LETTERS = form_of(GENERIC, "Grade it as one of:\n    A: CORRECT \n    B: INCORRECT\n    Just")
THREE = form_of(GENERIC, "A: CORRECT \nB: INCORRECT\nC: INVALID\nJust return the letters")
CLOSE = form_of(GENERIC, "    A: very close to the answer\n    B: not very close to the answer\n")


def read(reply: str, form: Form | None) -> bool | None:
    assert form is not None
    verdict = read_verdict(reply, form)
    assert verdict.known is (verdict.correct is not None)
    return verdict.correct


@pytest.mark.parametrize(
    "reply",
    [
        "A",
        " a \n",
        "A.",
        "**A**",
        "`A`",
        '"A"',
        "(A)",
        "[[A]]",
        "A: CORRECT",
        "**A**: CORRECT",
        "A) CORRECT",
        "A. Correct.",
        "A - correct",
        "CORRECT",
        "Correct.",
        "Verdict: A",
        "Final verdict: **A: CORRECT**",
        "The verdict is A.",
        "Judgement: CORRECT",
        r"\boxed{A}",
        r"$\boxed{\text{CORRECT}}$",
        "A\n\nBoth give 4, as B would not.",
        "Both give 4, as B would not.\n\nA",
        "<think>Is it B?\nB</think>\n\nA",
        "A\nA",
    ],
)
def test_read_verdict_takes_one_that_stands_alone(reply: str) -> None:
    assert read(reply, LETTERS) is True


@pytest.mark.parametrize("reply", ["B", "B: INCORRECT", "INCORRECT", "Grade: B", "b) incorrect"])
def test_read_verdict_takes_incorrect(reply: str) -> None:
    assert read(reply, LETTERS) is False


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "   \n",
        "As the reference says B, CORRECT",
        "A or B",
        "A\nB",
        "A: INCORRECT",
        "B: CORRECT",
        "CORRECT, no: INCORRECT",
        "Not CORRECT",
        "NOT_ATTEMPTED",
        "C",
        "The answer is A",
        "Answer: A",
        "I think it is A, but B may do as well.",
        "It begins\nA\nand goes on",
        "<think>A",
        "A</think>",
        "<think>A</think>",
        "正确",
        "A B",
        "AA",
    ],
)
def test_read_verdict_takes_nothing_that_can_be_doubted(reply: str) -> None:
    assert read(reply, LETTERS) is None


@pytest.mark.parametrize(
    ("reply", "correct"),
    [("C", False), ("C: INVALID", False), ("INVALID", False), ("A: CORRECT", True), ("B", False)],
)
def test_read_verdict_knows_a_third_letter_where_the_prompt_has_one(
    reply: str, correct: bool
) -> None:
    assert read(reply, THREE) is correct


def test_read_verdict_knows_the_words_of_the_prompt() -> None:
    assert read("A: very close to the answer", CLOSE) is True
    assert read("not very close to the answer", CLOSE) is False
    assert read("CORRECT", CLOSE) is None


def test_read_verdict_keeps_unknown_replies_from_the_metric() -> None:
    assert LETTERS is not None
    canonical = read_verdict("As the reference says B, CORRECT", LETTERS).canonical
    assert not {"A", "B", "C"} & set(canonical)


@pytest.mark.parametrize(("reply", "correct"), [("True", True), ("**False**", False), ("A", None)])
def test_read_verdict_true_or_false(reply: str, correct: bool | None) -> None:
    assert read(reply, TRUE_FALSE) is correct


@pytest.mark.parametrize(
    ("form", "reply", "canonical"),
    [
        (BOXED_SHARE, r"Three of four, so \boxed{0.75}.", r"\boxed{0.750000}"),
        (BOXED_SHARE, r"\boxed{1.5}", None),
        (BOXED_SHARE, "0.5", None),
        (BOXED_SHARE, "\\boxed{0.2} and\n\\boxed{0.3}", None),
        (TEN_POINTS, "7", "7"),
        (TEN_POINTS, "Score: 7/10", "7"),
        (TEN_POINTS, "11", None),
        (TEN_POINTS, "between 5 and 7", None),
        (DECIMAL, "-3", "-3.000000000000"),
        (DECIMAL, "2.5e-2", "0.025000000000"),
        (DECIMAL, "about 3", None),
        (DECIMAL, "nan", None),
    ],
)
def test_read_verdict_takes_a_number_in_its_range(
    form: Form, reply: str, canonical: str | None
) -> None:
    verdict = read_verdict(reply, form)
    assert verdict.correct is None
    assert (verdict.canonical if verdict.known else None) == canonical


def test_form_of_an_unknown_postprocessor_is_none() -> None:
    assert form_of("arenahard_postprocess", "A: CORRECT\nB: INCORRECT") is None


@given(st.text())
def test_read_verdict_never_fails(reply: str) -> None:
    for form in (LETTERS, THREE, CLOSE, TRUE_FALSE, BOXED_SHARE, TEN_POINTS, DECIMAL):
        assert form is not None
        verdict = read_verdict(reply, form)
        assert verdict.known or verdict.correct is None


@given(st.text(), st.sampled_from(["A", "B", "A: CORRECT", "INCORRECT"]))
def test_a_verdict_inside_a_sentence_is_none(text: str, verdict: str) -> None:
    assert read(f"{verdict} it is, said {text.replace(chr(10), ' ')} they", LETTERS) is None

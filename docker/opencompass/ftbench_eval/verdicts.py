"""Reads a judge's reply strictly: one verdict that nobody could read otherwise, or none.

OpenCompass takes the first A or B of a reply, wherever it stands (0.5.4,
``generic_llmjudge_postprocess``): "As the reference says B, CORRECT" scores because of its "As",
and so do "C: INVALID" and "NOT_ATTEMPTED", for the A in them, while a bare "CORRECT" does not.
Standard library only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

NO_VERDICT = "the judge's reply is not a verdict"


@dataclass(frozen=True)
class Verdict:
    """What a judge said of one sample.

    Attributes:
        canonical: The same in the form that OpenCompass's own postprocessor reads without doubt;
            what it counts as no success where the reply is no verdict.
        correct: Whether the answer is right; None when the reply does not say, or is a score.
        known: The reply is a verdict, or a score in its range.
    """

    canonical: str
    correct: bool | None
    known: bool


@dataclass(frozen=True)
class Words:
    """A judge that answers in one of a few words.

    Attributes:
        verdicts: What may be said, as ``_normal`` writes it, with the canonical form of each.
        right: The canonical form of a right answer.
        nothing: Stands for a reply that is no verdict; OpenCompass counts it as not right.
    """

    verdicts: dict[str, str]
    right: str
    nothing: str


@dataclass(frozen=True)
class Number:
    """A judge that answers with a number.

    Attributes:
        pattern: A line that is such an answer; its group is the number.
        least, most: The range.
        canonical: Format of what OpenCompass's postprocessor reads.
    """

    pattern: str
    least: float
    most: float
    canonical: str


_DEFAULT_LETTERS = {"A": "CORRECT", "B": "INCORRECT"}

TRUE_FALSE = Words({"TRUE": "TRUE", "FALSE": "FALSE"}, "TRUE", "")
"""SciReasoner's PEER."""

_DECIMAL = r"([-+]?\d+(?:\.\d+)?|[-+]?\.\d+)"

BOXED_SHARE = Number(r".*\\boxed\{\s*" + _DECIMAL + r"\s*\}[.\s$]*", 0.0, 1.0, "\\boxed{{{:.6f}}}")
"""chem_exam: the share of sub-questions that are right, boxed."""

TEN_POINTS = Number(r"(?:score\s*[:=]\s*)?(\d+)(?:\s*/\s*10)?", 0.0, 10.0, "{:.0f}")
"""eese; OpenCompass reads whole numbers only (0.5.4)."""

DECIMAL = Number(r"([-+]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?)", -1e15, 1e15, "{:.12f}")
"""matbench, where the judge takes a number out of an answer and does not judge it. OpenCompass
loses the sign of "-3" and the power of "2e-3" (0.5.4), hence the canonical form."""

Form = Words | Number

_LETTER_FORMS = (
    "generic_llmjudge_postprocess",
    "generic_llmjudge_academic_postprocess",
    "livereasonbench_postprocess",
    "medbullets_llmjudge_postprocess",
    "medmcqa_llmjudge_postprocess",
    "supergpqa_llmjudge_postprocess",
    "MedXpertQA_llmjudge_postprocess",
)

_OTHER_FORMS: dict[str, Form] = {
    "peer_llm_judge_postprocess": TRUE_FALSE,
    "chem_exam_score_llmjudge_postprocess": BOXED_SHARE,
    "eese_score_postprocess_dict": TEN_POINTS,
    "numerical_llmjudge_postprocess": DECIMAL,
}


def form_of(postprocessor: str, prompt: str) -> Form | None:
    """What a preset's judge is asked to answer.

    Args:
        postprocessor: Name of the function with which the preset reads replies.
        prompt: What the judge is asked, with its placeholders.

    Returns:
        None for a preset whose replies are read in some other way.
    """
    if postprocessor in _LETTER_FORMS:
        return _letters(prompt)
    return _OTHER_FORMS.get(postprocessor)


def _letters(prompt: str) -> Words:
    """The letters that a prompt offers, and what stands behind them: ``C: NOT_ATTEMPTED``.

    Only A is right. OpenCompass finds neither A nor B in the small letters of "unknown".
    """
    offered: dict[str, str] = {}
    for letter, meaning in re.findall(r"(?m)^\s*([ABC]):[ \t]*(\S.*?)\s*$", prompt):
        offered.setdefault(letter, meaning)
    offered = offered if {"A", "B"} <= offered.keys() else _DEFAULT_LETTERS
    words = {_normal(meaning): letter for letter, meaning in offered.items()}
    return Words(words | {letter: letter for letter in offered}, "A", "unknown")


def read_verdict(reply: str, form: Form) -> Verdict:
    """Reads one reply.

    A verdict stands alone on the first or the last line, bare or as "A: CORRECT", with nothing but
    marks of emphasis and a full stop around it, perhaps behind "Verdict:" or the like. Lines that
    say different things are no verdict, and neither is a sentence.

    Args:
        reply: The judge's text; a thought in <think> tags before it does not count.
        form: What was asked for.
    """
    lines = [line for line in map(_bare, _spoken(reply).splitlines()) if line]
    if isinstance(form, Number):
        return _read_number(lines, form)
    verdicts = [_word(line, form) for line in lines]
    said = {verdict for verdict in verdicts if verdict is not None}
    if len(said) != 1 or (verdicts[0] is None and verdicts[-1] is None):
        return Verdict(form.nothing, None, known=False)
    canonical = said.pop()
    return Verdict(canonical, canonical == form.right, known=True)


def _spoken(reply: str) -> str:
    """The reply without the thought before it; nothing when the thought does not end."""
    _, end, spoken = reply.rpartition("</think>")
    if end:
        return spoken if "<think>" not in spoken else ""
    return "" if "<think>" in reply else reply


def _bare(line: str) -> str:
    """A line without emphasis, quotes and what introduces a verdict."""
    line = line.strip().strip("*_`\"'“”").strip()
    line = re.sub(
        r"(?i)^(?:the\s+)?(?:final\s+)?(?:verdict|judge?ment|grade)(?:\s+is)?\s*:?\**\s*[:：]?\s*",
        "",
        line,
        count=1,
    )
    boxed = re.fullmatch(r"\$?\\boxed\{(?:\\text\{)?([A-Za-z_ :]+)\}?\}\$?\.?", line)
    return (boxed[1] if boxed else line).strip("*_`\"'“”[]()").rstrip(".。").strip("*_`\"'“”[]()")


def _word(line: str, form: Words) -> str | None:
    """The verdict of a line, in canonical form; None when it is none."""
    whole = form.verdicts.get(_normal(line))
    if whole is not None:
        return whole
    # "A: CORRECT", "A) CORRECT", "A - CORRECT": both halves must say the same.
    first, _, second = re.sub(r"\s*[:：.)=]\s*|\s+-\s+", "\n", line, count=1).partition("\n")
    found = form.verdicts.get(_normal(first))
    return found if found is not None and form.verdicts.get(_normal(second)) == found else None


def _normal(text: str) -> str:
    return " ".join(re.sub(r"[*_`\"'“”]+", " ", text).upper().split())


def _read_number(lines: list[str], form: Number) -> Verdict:
    unknown = Verdict("", None, known=False)
    if not lines:
        return unknown
    found = re.fullmatch(form.pattern, lines[-1], re.IGNORECASE)
    alone = len(lines) == 1 or "boxed" in form.pattern
    if found is None or not alone or sum(line.count("\\boxed") for line in lines) > 1:
        return unknown
    if not form.least <= float(found[1]) <= form.most:
        return unknown
    return Verdict(form.canonical.format(float(found[1])), None, known=True)

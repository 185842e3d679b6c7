"""bbh, drop and triviaqa."""

from __future__ import annotations

import json
from pathlib import Path

from tests.benchmarks.truth import (
    LETTERS,
    Benchmark,
    Case,
    Row,
    subset_names,
    write_csv,
    write_lines,
    write_text,
)

# What stands behind the first "answer is ", there the first "(X)", else the first capital letter.
BBH_CHOICE = (
    Case("Step by step. So the answer is ({right}).", True, "{right}"),
    Case("So the answer is {wrong}.", False, "{wrong}"),
    Case("Of these, ({right}) fits best.", True, "{right}"),
    Case("It must be {right}", False, "I"),
    Case("", False, ""),
    Case("Then the answer is ({right}). Or the answer is ({wrong}).", True, "{right}"),
)

# By subset: the target in the file, and how OpenCompass writes it when it compares.
BBH_TARGETS = {
    "multistep_arithmetic_two": ("-50", "-50"),
    "navigate": ("No", "No"),
    "dyck_languages": ("] ) )", "] ) )"),
    "word_sorting": ("ant bee cow", "ant bee cow"),
    "sports_understanding": ("yes", "Yes"),
    "boolean_expressions": ("False", "False"),
    "object_counting": ("7", "7"),
    "formal_fallacies": ("invalid", "invalid"),
    "causal_judgement": ("Yes", "Yes"),
    "web_of_lies": ("no", "No"),
}
# Reply to a target, whether it is right, and what is taken: what stands behind the last "answer
# is", up to the end of the line, without a full stop and bold marks; capitals do not matter.
BBH_FREE = (
    ("Step by step. So the answer is {target}.", True, "{compared}"),
    ("So the answer is **{target}**", True, "{compared}"),
    ("So the answer is perhaps {target}", False, "perhaps {target}"),
    ("", False, ""),
    ("The answer is wrong. The ANSWER IS: {target}\nOr not.", True, "{compared}"),
)


def _bbh_rows() -> dict[str, list[Row]]:
    rows: dict[str, list[Row]] = {}
    choices = free = 0
    for abbr, name in _BBH.items():
        marker = f"Question {abbr}:"
        if name in BBH_TARGETS:
            target, compared = BBH_TARGETS[name]
            reply, correct, extracted = BBH_FREE[free % len(BBH_FREE)]
            terms = {"target": target, "compared": compared}
            reply, extracted = reply.format(**terms), extracted.format(**terms)
            rows[abbr] = [Row(marker, reply, correct, extracted, compared)]
            free += 1
        else:
            rows[abbr] = [BBH_CHOICE[choices % len(BBH_CHOICE)].row(marker, LETTERS[choices % 4])]
            choices += 1
    return rows


_BBH = subset_names("bbh", "bbh-")
_BBH_ROWS = _bbh_rows()


def write_bbh(folder: Path) -> None:
    """``data/BBH/data/NAME.json``, as BIG-bench Hard publishes it."""
    for abbr, name in _BBH.items():
        examples = [
            {
                "input": row.marker,
                "target": BBH_TARGETS[name][0] if name in BBH_TARGETS else f"({row.reference})",
            }
            for row in _BBH_ROWS[abbr]
        ]
        text = json.dumps({"canary": "none", "examples": examples})
        write_text(folder / "data/BBH/data" / f"{name}.json", text)


# What stands behind "Answer:" contains one of the references, or is part of one.
DROP = (
    Row("drop 0: how many?", "Two and two.\nAnswer: 4", True, None, "4"),
    Row("drop 1: who?", "answer: The Bears!", True, None, "bears|the Chicago Bears"),
    Row("drop 2: how many?", "Answer: 5", False, None, "7"),
    Row("drop 3: how many?", "It was 12 in the end", True, None, "12"),
    # Part of the reference is enough.
    Row("drop 4: how many?", "Answer: 1", True, None, "10"),
    Row("drop 5: how many?", "", False, None, "3"),
    Row("drop 6: how many?", "I do not know", False, None, "eight"),
)


def write_drop(folder: Path) -> None:
    """``data/drop_simple_eval/dev.jsonl``; several references are parted by ``|``."""
    rows = [
        {
            "context": f"Passage: The game.\nQuestion: {row.marker}\nAnswer:",
            "completion": "",
            "ref_text": row.reference,
        }
        for row in DROP
    ]
    write_lines(folder / "data/drop_simple_eval/dev.jsonl", rows)


# Of the first line, in small letters, what stands behind "answer is" and before a comma or full
# stop; right when one of the references stands in it.
TRIVIAQA = (
    Row("trivia 0: which town", "The answer is Paris.", True, "paris", '["paris", "lutetia"]'),
    Row("trivia 1: which town", "A: It is in old Lutetia", True, None, '["paris", "lutetia"]'),
    Row("trivia 2: which town", "London", False, "london", '["paris"]'),
    Row("trivia 3: which town", "Hm, it is Paris", False, "hm", '["paris"]'),
    Row("trivia 4: which town", "", False, "", '["paris"]'),
    Row("trivia 5: which town", "I cannot say\nParis", False, "i cannot say", '["paris"]'),
)
TRIVIAQA_ANSWERS = (["Paris", "Lutetia"], ["Paris", "Lutetia"], *[["Paris"]] * 4)


def write_triviaqa(folder: Path) -> None:
    """``data/triviaqa/trivia-{dev,test}.qa.csv``: question, tab, Python list of answers."""
    rows = [
        [row.marker, repr(answers)] for row, answers in zip(TRIVIAQA, TRIVIAQA_ANSWERS, strict=True)
    ]
    write_csv(folder / "data/triviaqa/trivia-dev.qa.csv", rows, delimiter="\t")
    write_csv(folder / "data/triviaqa/trivia-test.qa.csv", rows, delimiter="\t")


BENCHMARKS = (
    # 17 = 2 * 6 + 5 choices: 2 * 3 right ones and 2 among the first five; and 2 * 3 free ones.
    Benchmark("bbh", "score", 100 * 14 / 27, _BBH_ROWS, write_bbh),
    Benchmark("drop", "accuracy", 100 * 4 / 7, {"drop": DROP}, write_drop),
    Benchmark("triviaqa", "score", 100 / 3, {"triviaqa": TRIVIAQA}, write_triviaqa),
)

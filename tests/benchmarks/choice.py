"""arc, hellaswag (by generation and by perplexity), winogrande, boolq and gpqa."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.exams import OPTIONS
from tests.benchmarks.truth import LETTERS, Benchmark, Row, write_csv, write_lines

# OpenCompass's first_option_postprocess: phrases first, then any capital letter of an option.
ARC_C = (
    Row("arc-c 0: which?", "B", True, "B", "B"),
    Row("arc-c 1: which?", "The answer is (C) because water expands.", True, "C", "C"),
    Row("arc-c 2: which?", "D. The sun is a star.", False, "D", "A"),
    Row("arc-c 3: which?", "I cannot tell.", False, "", "D"),
    Row("arc-c 4: which?", "", False, "", "A"),
    # It takes the article for the option.
    Row("arc-c 5: which?", "A good question! Nobody knows.", True, "A", "A"),
)
ARC_E = (
    Row("arc-e 0: which?", "Answer: B", True, "B", "B"),
    Row("arc-e 1: which?", r"\boxed{C}", True, "C", "C"),
    Row("arc-e 2: which?", "answer: d", False, "", "D"),
    Row("arc-e 3: which?", "Both B and C", False, "C", "A"),
    Row("arc-e 4: which?", "The correct answer is: A", True, "A", "A"),
)


def write_arc(folder: Path) -> None:
    """Questions in ARC's own JSON lines; ARC-Easy names its options by numbers, as some rows do.

    A question with three options comes first: OpenCompass leaves it out.
    """
    three = {
        "id": "three",
        "question": {"stem": "left out", "choices": _choices("ABC")},
        "answerKey": "A",
    }
    for name, rows, labels in (
        ("ARC-c/ARC-Challenge-Dev", ARC_C, LETTERS),
        ("ARC-e/ARC-Easy-Dev", ARC_E, "1234"),
    ):
        questions = [
            {
                "id": f"Mercury_{i}",
                "question": {"stem": row.marker, "choices": _choices(labels)},
                "answerKey": labels[LETTERS.index(str(row.reference))],
            }
            for i, row in enumerate(rows)
        ]
        write_lines(folder / "data/ARC" / f"{name}.jsonl", [three, *questions])


def _choices(labels: str) -> list[dict[str, str]]:
    return [{"text": OPTIONS[i], "label": label} for i, label in enumerate(labels)]


HELLASWAG = (
    Row("(swag 0)", "A) pours it", True, "A", "A"),
    Row("(swag 1)", "B", True, "B", "B"),
    Row("(swag 2)", "The answer is D.", False, "D", "C"),
    Row("(swag 3)", "walks off", False, "", "D"),
    Row("(swag 4)", "", False, "", "A"),
)
ENDINGS = ("pours the tea.", "drinks the tea.", "spills the tea.", "sells the tea.")
# Options are numbers here; the likeliest ending is the answer.
HELLASWAG_PPL = (
    Row("(swag 0)", ENDINGS[0], True, "0", "0"),
    Row("(swag 1)", ENDINGS[2], False, "2", "1"),
    Row("(swag 2)", ENDINGS[2], True, "2", "2"),
    Row("(swag 3)", ENDINGS[3], True, "3", "3"),
    Row("(swag 4)", ENDINGS[1], False, "1", "0"),
)


def write_hellaswag(folder: Path) -> None:
    """Validation rows, and 25 of the training split for ten examples in the prompt."""

    def line(text: str, gold: int) -> dict[str, object]:
        query = f"Making tea: Ann takes a cup. {text} She"
        return {"query": query, "choices": list(ENDINGS), "gold": gold}

    train = [line("An example.", i % 4) for i in range(25)]
    write_lines(folder / "data/hellaswag/hellaswag_train_sampled25.jsonl", train)
    rows = [line(row.marker, LETTERS.index(str(row.reference))) for row in HELLASWAG]
    write_lines(folder / "data/hellaswag/hellaswag.jsonl", rows)


WINOGRANDE = (
    Row("(wino 0)", "A", True, "A", "A"),
    Row("(wino 1)", "The answer is B.", True, "B", "B"),
    # The name begins like the other option.
    Row("(wino 2)", "Ann", False, "A", "B"),
    Row("(wino 3)", "neither", False, "", "B"),
    Row("(wino 4)", "", False, "", "A"),
)


def write_winogrande(folder: Path) -> None:
    """``data/winogrande/dev.jsonl``, with ``_`` for the name and 1 or 2 for the answer."""
    rows = [
        {
            "qID": f"Q{i}-1",
            "sentence": f"Ann asked Bea because _ knew more. {row.marker}",
            "option1": "Ann",
            "option2": "Bea",
            "answer": str(1 + "AB".index(str(row.reference))),
        }
        for i, row in enumerate(WINOGRANDE)
    ]
    write_lines(folder / "data/winogrande/dev.jsonl", rows)


# The first capital letter, whatever it is.
BOOLQ = (
    Row("is it so in boolq 0", "A", True, "A", "A"),
    Row("is it so in boolq 1", "No", False, "N", "B"),
    Row("is it so in boolq 2", "B. No", True, "B", "B"),
    Row("is it so in boolq 3", "yes", False, "", "A"),
    Row("is it so in boolq 4", "", False, "", "A"),
    Row("is it so in boolq 5", "The passage says: B", False, "T", "B"),
)


def write_boolq(folder: Path) -> None:
    """``data/SuperGLUE/BoolQ/val.jsonl``; the label is a word."""
    rows = [
        {
            "question": row.marker,
            "passage": "Tea -- Tea is a drink.",
            "idx": i,
            "label": {"A": "true", "B": "false"}[str(row.reference)],
        }
        for i, row in enumerate(BOOLQ)
    ]
    write_lines(folder / "data/SuperGLUE/BoolQ/val.jsonl", rows)


# As mmlu. The right option is the first of the file, and the loader turns the options by 1, 2, 3, 0
# places in turn: D, C, B, A.
GPQA = (
    Row("gpqa 0: which?", "ANSWER: D", True, "D", "D"),
    Row("gpqa 1: which?", "Long thought.\nANSWER: C\nANSWER: A", True, "C", "C"),
    Row("gpqa 2: which?", "The answer is B", False, "", "B"),
    Row("gpqa 3: which?", "answer: a", False, "a", "A"),
    Row("gpqa 4: which?", "", False, "", "D"),
    Row("gpqa 5: which?", "**ANSWER: C**", True, "C", "C"),
)


def write_gpqa(folder: Path) -> None:
    """``data/gpqa/gpqa_diamond.csv``: the question is column 8, the right answer column 9."""
    names = ["Question", "Correct Answer", *(f"Incorrect Answer {i}" for i in (1, 2, 3))]
    before = ["Pre-Revision", *(f"Pre-Revision {name}" for name in names), "Self-reported"]
    rows = [[*("" for _ in before), row.marker, *OPTIONS, "why"] for row in GPQA]
    write_csv(folder / "data/gpqa/gpqa_diamond.csv", [[*before, *names, "Explanation"], *rows])


BENCHMARKS = (
    # Two presets: 3 of 6 rows and 3 of 5 are right.
    Benchmark("arc", "accuracy", 55.0, {"ARC-c": ARC_C, "ARC-e": ARC_E}, write_arc),
    Benchmark("hellaswag", "accuracy", 40.0, {"hellaswag": HELLASWAG}, write_hellaswag),
    Benchmark("hellaswag:ppl", "accuracy", 60.0, {"hellaswag-ppl": HELLASWAG_PPL}, write_hellaswag),
    Benchmark("winogrande", "accuracy", 40.0, {"winogrande": WINOGRANDE}, write_winogrande),
    Benchmark("boolq", "accuracy", 100 / 3, {"BoolQ": BOOLQ}, write_boolq),
    Benchmark("gpqa", "accuracy", 50.0, {"GPQA_diamond": GPQA}, write_gpqa),
)

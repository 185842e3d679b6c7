"""Writes the demo's training examples, and its benchmark data in OpenCompass's on-disk formats.

No question of the benchmark is among the training examples: those are drawn around them.

Source of the formats: opencompass/datasets/mmlu.py and gsm8k.py, 0.5.4.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from ftbench.catalogue import load_catalogue
from ftbench.demo.world import (
    ADAPTER_WORDS,
    BASE_WORDS,
    KINDS,
    Choice,
    Story,
    additions,
    choices,
    repetitions,
    take_new,
)
from ftbench.schema import write_atomically

MMLU_ROWS = 8
"""Questions of each of the 57 subjects."""

GSM8K_ROWS = 16

_BASE_EXAMPLES = (1000, 1000)
_ADAPTER_EXAMPLES = (600, 1500)
"""Multiple-choice questions and stories that each stage of the training sees."""

_ABBR_PREFIX = "lukaemon_mmlu_"


def write_examples(folder: Path) -> None:
    """Writes ``base.jsonl`` and ``adapter.jsonl``: what the two stages of the training see."""
    asked = {question.question for question in _mmlu_questions()}
    asked |= {story.question for story in _gsm8k_questions()}
    num_choices, num_stories = _BASE_EXAMPLES
    base: list[Choice | Story] = [
        *take_new(choices(1, BASE_WORDS), num_choices, asked),
        *take_new(repetitions(2), num_stories, asked),
    ]
    num_choices, num_stories = _ADAPTER_EXAMPLES
    adapter: list[Choice | Story] = [
        *take_new(choices(3, ADAPTER_WORDS), num_choices, asked),
        *take_new(additions(4), num_stories, asked),
    ]
    _write_lines(folder / "base.jsonl", map(_example, base))
    _write_lines(folder / "adapter.jsonl", map(_example, adapter))


def write_benchmarks(data_dir: Path) -> None:
    """Writes mmlu and gsm8k.

    Args:
        data_dir: Receives ``data/mmlu`` and ``data/gsm8k``.
    """
    questions = _mmlu_questions()
    mmlu = data_dir / "data" / "mmlu"
    for position, subject in enumerate(subjects()):
        rows = questions[position * MMLU_ROWS : (position + 1) * MMLU_ROWS]
        _write(mmlu / "test" / f"{subject}_test.csv", _csv(rows))
        # OpenCompass reads the development split too; the preset shows no example of it.
        _write(mmlu / "dev" / f"{subject}_dev.csv", _csv(rows[:1]))
    stories = [
        {"question": s.question, "answer": f"{s.answer}\n#### {s.answer}"}
        for s in _gsm8k_questions()
    ]
    for split in ("train", "test"):
        _write_lines(data_dir / "data" / "gsm8k" / f"{split}.jsonl", stories)


def subjects() -> list[str]:
    """Names of the 57 mmlu subjects."""
    return [abbr.removeprefix(_ABBR_PREFIX) for abbr in load_catalogue().resolve("mmlu").subsets]


def _mmlu_questions() -> list[Choice]:
    return take_new(choices(5, ADAPTER_WORDS), MMLU_ROWS * len(subjects()), set())


def _gsm8k_questions() -> list[Story]:
    return take_new(additions(6), GSM8K_ROWS, set())


def _example(question: Choice | Story) -> dict[str, object]:
    options = {"options": KINDS} if isinstance(question, Choice) else {}
    return asdict(question) | options


def _csv(rows: Iterable[Choice]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([c.question, *KINDS, c.answer] for c in rows)
    return text.getvalue()


def _write_lines(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    _write(path, "".join(json.dumps(row) + "\n" for row in rows))


def _write(path: Path, text: str) -> None:
    # A second demonstration leaves alone what an evaluation may be reading.
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_atomically(path, text)

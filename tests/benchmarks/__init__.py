"""Small benchmarks with a known truth: files in the formats that OpenCompass reads, and a script.

Each module holds a few datasets: their rows with scripted replies, chosen so that every way of
taking an answer from a reply happens, and the writer of their files. No row is of a published
benchmark but HumanEval's.
"""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks import choice, code, exams, instructions, maths, reasoning
from tests.benchmarks.truth import Benchmark

BENCHMARKS: tuple[Benchmark, ...] = (
    *exams.BENCHMARKS,
    *choice.BENCHMARKS,
    *reasoning.BENCHMARKS,
    *maths.BENCHMARKS,
    *code.BENCHMARKS,
    *instructions.BENCHMARKS,
)


def write_data(folder: Path) -> None:
    """Writes every benchmark's files below ``folder/data``."""
    for benchmark in BENCHMARKS:
        benchmark.write(folder)


def script() -> dict[str, dict[str, str]]:
    """What the scripted model answers: by ``generation`` or ``likelihood``, marker to reply."""
    replies: dict[str, dict[str, str]] = {"generation": {}, "likelihood": {}}
    for benchmark in BENCHMARKS:
        role = "likelihood" if benchmark.name.endswith(":ppl") else "generation"
        for rows in benchmark.subsets.values():
            for row in rows:
                assert row.marker not in replies[role], f"two rows have the marker {row.marker}"
                replies[role][row.marker] = row.reply
    return replies

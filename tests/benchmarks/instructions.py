"""ifeval: what needs NLTK's sentences and words, langdetect, and the loose reading."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.benchmarks.truth import Benchmark, Row, write_lines

# Strict: all instructions of a row are followed. Inside: the row, its instructions and their
# arguments.
IFEVAL: tuple[tuple[Row, dict[str, dict[str, Any]]], ...] = (
    (
        Row("ifeval 0: no commas", "All is fine. There is none here.", True),
        {"punctuation:no_comma": {}},
    ),
    # Three sentences, for "Mr." ends none.
    (
        Row("ifeval 1: three sentences", "Mr. Smith went home. He sat down. He slept.", True),
        {"length_constraints:number_sentences": {"num_sentences": 4, "relation": "less than"}},
    ),
    (
        Row("ifeval 2: two words in capitals", "This is VERY GOOD.", True),
        {
            "change_case:capital_word_frequency": {
                "capital_frequency": 2,
                "capital_relation": "at least",
            }
        },
    ),
    (
        Row(
            "ifeval 3: in German",
            "Das ist ein ganz gewöhnlicher Satz über das Wetter und die kleine Stadt am Fluss.",
            True,
        ),
        {"language:response_language": {"language": "de"}},
    ),
    # Followed only when the first line is left out, which the loose reading may.
    (
        Row("ifeval 4: in quotation marks", 'Here it is:\n"Hello there"', False),
        {"startend:quotation": {}},
    ),
    # One of two.
    (
        Row("ifeval 5: small letters, no commas", "this is all small, but for a comma", False),
        {"change_case:english_lowercase": {}, "punctuation:no_comma": {}},
    ),
    (Row("ifeval 6: no commas", "", False), {"punctuation:no_comma": {}}),
    (
        Row("ifeval 7: tea and cup", "The tea is in the CUP.", True),
        {"keywords:existence": {"keywords": ["tea", "cup"]}},
    ),
)


def write_ifeval(folder: Path) -> None:
    """``data/ifeval/input_data.jsonl``, as Google publishes it."""
    rows = [
        {
            "key": 1000 + i,
            "prompt": row.marker,
            "instruction_id_list": list(instructions),
            "kwargs": list(instructions.values()),
        }
        for i, (row, instructions) in enumerate(IFEVAL)
    ]
    write_lines(folder / "data/ifeval/input_data.jsonl", rows)


BENCHMARKS = (
    Benchmark(
        "ifeval",
        "Prompt-level-strict-accuracy",
        62.5,
        {"IFEval": [row for row, _ in IFEVAL]},
        write_ifeval,
        # Of 8 prompts 5 are followed, with the loose reading 6; of 9 instructions 6, and 7.
        {
            "Prompt-level-strict-accuracy": 100 * 5 / 8,
            "Inst-level-strict-accuracy": 100 * 6 / 9,
            "Prompt-level-loose-accuracy": 100 * 6 / 8,
            "Inst-level-loose-accuracy": 100 * 7 / 9,
        },
    ),
)

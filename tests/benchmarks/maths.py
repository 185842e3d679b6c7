"""gsm8k, math and math500."""

from __future__ import annotations

import json
from pathlib import Path

from tests.benchmarks.truth import Benchmark, Row, write_lines, write_text

# The last number before another "Question:"; without one OpenCompass says NULL, which is no answer.
GSM8K = (
    Row("gsm8k 0: how many?", "9 eggs at $2 are 18.\nThe answer is 18", True, "18", "18"),
    Row("gsm8k 1: how many?", "The answer is 1234.", True, "1234", "1234"),
    Row("gsm8k 2: how many?", "The answer is 1,234.", False, "234", "1234"),
    Row("gsm8k 3: how much?", "It costs $5.00", True, "5.00", "5"),
    Row("gsm8k 4: how cold?", "The answer is -3 degrees", True, "-3", "-3"),
    Row("gsm8k 5: how many?", "The answer is seven.", False, "", "7"),
    Row("gsm8k 6: how many?", "", False, "", "7"),
    Row("gsm8k 7: how many?", "The answer is 12\n\nQuestion: 3 + 4?\n7", True, "12", "12"),
    Row("gsm8k 8: how many?", "The answer is 6. I looked 2 times.", False, "2", "6"),
)


def write_gsm8k(folder: Path) -> None:
    """``data/gsm8k/{train,test}.jsonl``; the answer stands behind ``####``, with commas."""
    rows = [
        {"question": row.marker, "answer": f"Think.\n#### {int(str(row.reference)):,}"}
        for row in GSM8K
    ]
    write_lines(folder / "data/gsm8k/test.jsonl", rows)
    write_lines(folder / "data/gsm8k/train.jsonl", [{"question": "?", "answer": "So.\n#### 1"}])


# Only LaTeX counts as an answer, a box before all else; equal values are equal.
MATH = (
    (
        Row(
            "math 0: find it",
            "So it is $(2)(12) = \\boxed{24}.$\nFinal Answer: The final answer is $24$. I hope it "
            "is correct.",
            True,
        ),
        "We get $2 \\cdot 12 = \\boxed{24}.$",
    ),
    (Row("math 1: find it", r"\boxed{0.5}", True), r"It is $\boxed{\frac{1}{2}}$."),
    (Row("math 2: find it", r"It is $\boxed{12\text{ cm}}$.", True), r"It is \boxed{12}."),
    (Row("math 3: find it", r"\boxed{(x+1)^2}", True), r"It is \boxed{x^2+2x+1}."),
    (Row("math 4: find it", "The answer is 16.", False), r"It is \boxed{16}."),
    (Row("math 5: find it", r"\boxed{8}", False), r"It is \boxed{7}."),
    (Row("math 6: find it", "", False), r"It is \boxed{3}."),
    # Nobody can be right; OpenCompass's list of details leaves the row out and the next one shifts.
    (Row("math 7: find it", r"\boxed{1}", False, reference="", read=False), r"It is \boxed{}."),
    # All boxes together are the answer.
    (Row("math 8: find it", r"Try \boxed{4}. No: \boxed{9}", False), r"It is \boxed{9}."),
    (Row("math 9: find it", r"\boxed{\left[2,5\right)}", True), r"It is \boxed{[2,5)}."),
)


def write_math(folder: Path) -> None:
    """``data/math/math.json``: problems by their number, with whole solutions."""
    problems = {
        str(i): {"problem": row.marker, "level": "Level 5", "type": "Algebra", "solution": solution}
        for i, (row, solution) in enumerate(MATH)
    }
    write_text(folder / "data/math/math.json", json.dumps(problems))


# The whole solution is the reference here; its box is found in it.
MATH500 = (
    (
        Row(
            "math500 0: convert it",
            r"The radius is 3: \[\boxed{\left( 3, \frac{\pi}{2} \right)}\]",
            True,
        ),
        r"We have that $r = \sqrt{0^2 + 3^2} = 3.$  Also, the angle is $\frac{\pi}{2}.$  "
        r"Therefore, it is $\boxed{\left( 3, \frac{\pi}{2} \right)}.$",
    ),
    (Row("math500 1: find it", r"\boxed{10}", False), r"It is $3 \cdot 3 = \boxed{9}$."),
    (Row("math500 2: find it", "9", False), r"It is $\boxed{9}$."),
    (Row("math500 3: find it", "", False), r"It is $\boxed{9}$."),
    (Row("math500 4: find it", r"So $\boxed{\frac{3}{4}}$.", True), r"It is $\boxed{0.75}$."),
)


def write_math500(folder: Path) -> None:
    """``data/math/test_prm800k_500.jsonl``, in PRM800K's own fields."""
    rows = [
        {
            "problem": row.marker,
            "solution": solution,
            "answer": solution.partition(r"\boxed{")[2].rpartition("}")[0],
            "subject": "Algebra",
            "level": 2,
            "unique_id": f"test/algebra/{i}.json",
        }
        for i, (row, solution) in enumerate(MATH500)
    ]
    write_lines(folder / "data/math/test_prm800k_500.jsonl", rows)


BENCHMARKS = (
    Benchmark("gsm8k", "accuracy", 100 * 5 / 9, {"gsm8k": GSM8K}, write_gsm8k),
    Benchmark("math", "accuracy", 50.0, {"math": [row for row, _ in MATH]}, write_math),
    Benchmark(
        "math500", "accuracy", 40.0, {"math-500": [row for row, _ in MATH500]}, write_math500
    ),
)

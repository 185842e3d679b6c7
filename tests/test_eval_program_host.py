"""Programs in processes of their own, for real: what they can do, and what their tests see."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ftbench_eval import program_tests, sandbox
from ftbench_eval.program_host import ANSWER, TEST, Failed, NoReply, ProgramHost, Request
from ftbench_eval.remote_program import Program
from ftbench_eval.sandbox import ProgramLimits

pytestmark = pytest.mark.skipif(bool(sandbox.unavailable()), reason=sandbox.unavailable())

ONE_SECOND = Request(TEST, 1.0)
PROBLEM = {
    "prompt": "import math\n\ndef double(x):\n",
    "test": "def check(candidate):\n    assert math.floor(candidate(2)) == 4\n",
    "entry_point": "double",
}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProgramHost]:
    yield ProgramHost(tmp_path_factory.mktemp("programs"), (os.getpid(),))


def call_f(program: Program, source: str, *args: Any) -> Any:
    """What ``f`` of a program returns, and its arguments afterwards."""
    program.load(source)
    return program.names(["f"])["f"](*args), args


def attempt(host: ProgramHost, expression: str) -> str:
    """What comes of an expression in a program: its value as text, or the error."""
    try:
        return str(host.run(ONE_SECOND, call_f, f"import os\ndef f(): return {expression}")[0])
    except Failed as exc:
        return str(exc)


@pytest.mark.parametrize(
    "expression",
    [
        "open('/etc/shadow')",
        "open('/proc/self/environ')",
        "open(f'/proc/{os.getppid()}/environ')",
        "os.listdir('/root')",
        "open('/tmp/planted', 'w')",
        "os.rename('/tmp', '/tmp2')",
        "os.fork()",
        "os.execv('/bin/true', ['true'])",
        "os.kill(os.getppid(), 0)",
        "os.chmod('/tmp', 0)",
        "__import__('socket').socket()",
    ],
)
def test_a_program_is_not_permitted(host: ProgramHost, expression: str) -> None:
    assert "ermi" in attempt(host, expression)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("sorted(os.environ)[:1]", "['HOME']"),
        ("len([open(name, 'w').write('x') for name in 'ab'])", "2"),
        ("__import__('math').floor(2.5)", "2"),
        ("print('x' * 10**7)", "None"),
    ],
)
def test_a_program_may(host: ProgramHost, expression: str, value: str) -> None:
    assert attempt(host, expression) == value


def test_arguments_that_a_program_changes_arrive_changed(host: ProgramHost) -> None:
    source = "def f(items):\n    items.append(3)\n    return (1, {2})"
    assert host.run(ONE_SECOND, call_f, source, [1]) == ((1, {2}), ([1, 3],))


def test_memory_is_limited(host: ProgramHost) -> None:
    request = Request(TEST, 5.0, ProgramLimits(memory=64 << 20))
    with pytest.raises(Failed) as failed:
        host.run(request, call_f, "def f(): return len(bytearray(1 << 30))")
    assert failed.value.kind == "MemoryError"


def test_a_file_is_limited(host: ProgramHost) -> None:
    assert "too large" in attempt(host, "open('big', 'wb').write(bytes(1 << 25))")


def test_an_answer_that_never_ends_is_ended(host: ProgramHost) -> None:
    with pytest.raises(NoReply):
        host.run(Request(ANSWER, 0.0, ProgramLimits(cpu_s=30)), eval, "sum(iter(int, 1))")


def test_an_answer_that_raises_says_what(host: ProgramHost) -> None:
    with pytest.raises(Failed) as failed:
        host.run(Request(ANSWER, 1.0), eval, "1 / 0")
    assert (failed.value.kind, str(failed.value)) == ("ZeroDivisionError", "division by zero")


def test_two_programs_at_a_time_do_not_meet(host: ProgramHost) -> None:
    assert attempt(host, "open('left', 'w').write('x')") == "1"
    assert attempt(host, "os.listdir('.')") == "[]"


@pytest.mark.parametrize(
    ("completion", "verdict"),
    [
        ("    return 2 * x", "passed"),
        ("    return 3 * x", "failed: "),
        ("    return y", "failed: name 'y' is not defined"),
        ("    return {}['k']", "failed: 'k'"),
        ("    return (", "failed: '(' was never closed (<string>, line 4)"),
        ("    while True: pass", "timed out"),
        ("    return 4\ndef check(candidate): pass\nimport math\nmath.floor = lambda x: 4",
         "passed"),
        ("    return 5\nmath.floor = lambda x: 4", "failed: "),
        ("    import os; os._exit(0)", "failed: the program ended its process with exit code 0"),
    ],
)  # fmt: skip
def test_humaneval_says(host: ProgramHost, completion: str, verdict: str) -> None:
    request = Request(TEST, 0.5)
    assert host.run(request, program_tests.humaneval, PROBLEM, completion, 0.5) == verdict


def test_a_test_knows_a_function_called_like_a_built_in(host: ProgramHost) -> None:
    source, test = "def sum(a, b): return a * b", "assert sum(2, 5) == 10"
    program = host.run(ONE_SECOND, run_plain, source, test)
    assert program is None


def run_plain(program: Program, source: str, test: str) -> None:
    program.load(source)
    program_tests._run(program, test, {})


def test_folders_of_programs_go_with_them(host: ProgramHost, tmp_path: Path) -> None:
    other = ProgramHost(tmp_path)
    assert attempt(other, "os.mkdir('closed', 0)") == "None"
    deadline = time.monotonic() + 10
    while list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list(tmp_path.iterdir()) == []

"""Running one process: lines, deadline, signals. Every test runs a real process."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ftbench.process import LineLog, Terminated, run_process, stop_on_signals

CATCHES_TERM = """
import signal, sys, time
def stop(*_):
    print("finishing", flush=True)
    sys.exit(7)
signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
time.sleep(60)
"""

IGNORES_TERM = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(60)
"""

LEAVES_A_CHILD = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
"""


def run(tmp_path, code, on_line=lambda line: None, **limits):
    argv = [sys.executable, "-u", "-c", code]
    log = tmp_path / "logs" / "program.log"
    return run_process(argv, env={}, cwd=tmp_path, log=log, on_line=on_line, **limits)


def is_gone(pid: int) -> bool:
    """A killed process ends a moment after the signal was sent."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_run_process_hands_on_lines_and_writes_them_to_the_log(weird_tmp_path):
    lines: list[str] = []
    code = "import sys; print('out'); print('err', file=sys.stderr); print('é', end='')"
    env = {"PYTHONIOENCODING": "utf-8"}
    log = weird_tmp_path / "a.log"
    argv = [sys.executable, "-u", "-c", code]
    ended = run_process(argv, env=env, cwd=weird_tmp_path, log=log, on_line=lines.append)
    assert (ended.exit_code, ended.timed_out) == (0, False)
    assert lines == ["out", "err", "é"]
    assert log.read_text(encoding="utf-8") == "out\nerr\né"


def test_run_process_gives_the_program_only_the_given_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("PLANTED", "secret")
    lines: list[str] = []
    run(tmp_path, "import os; print(os.environ.get('PLANTED'))", lines.append)
    assert lines == ["None"]


def test_run_process_reports_the_exit_code(tmp_path):
    assert run(tmp_path, "raise SystemExit(3)").exit_code == 3


def test_run_process_counts_a_signal_as_a_shell_does(tmp_path):
    assert run(tmp_path, "import os; os.kill(os.getpid(), 9)").exit_code == 137


def test_run_process_at_its_deadline_lets_the_program_finish_its_writing(tmp_path):
    lines: list[str] = []
    ended = run(tmp_path, CATCHES_TERM, lines.append, timeout_s=1)
    assert (ended.exit_code, ended.timed_out) == (7, True)
    assert lines == ["ready", "finishing"]
    assert 1 <= ended.seconds < 5


def test_run_process_kills_what_ignores_the_request_to_stop(tmp_path):
    ended = run(tmp_path, IGNORES_TERM, timeout_s=1, grace_s=0.5)
    assert (ended.exit_code, ended.timed_out) == (137, True)
    assert 1.5 <= ended.seconds < 5


def test_run_process_waits_for_a_program_that_closed_its_output(tmp_path):
    code = "import os, time; os.close(1); os.close(2); time.sleep(0.5); os._exit(4)"
    ended = run(tmp_path, code)
    assert ended.exit_code == 4
    assert ended.seconds >= 0.5


def test_run_process_ends_what_the_program_left_behind(tmp_path):
    lines: list[str] = []
    ended = run(tmp_path, LEAVES_A_CHILD, lines.append)
    assert ended.exit_code == 0
    assert ended.seconds < 10
    assert is_gone(int(lines[0]))


def test_run_process_stops_the_program_when_a_callback_fails(tmp_path):
    pids: list[int] = []

    def fail(line: str) -> None:
        pids.append(int(line))
        raise ValueError("callback")

    with pytest.raises(ValueError, match="callback"):
        run(tmp_path, "import os, time; print(os.getpid()); time.sleep(60)", fail, grace_s=1)
    assert is_gone(pids[0])


@pytest.mark.parametrize(
    ("signum", "raised"),
    [(signal.SIGINT, "KeyboardInterrupt"), (signal.SIGTERM, "Terminated")],
)
def test_a_signal_stops_the_program_and_then_the_launcher(tmp_path, signum, raised):
    launcher = f"""
import sys
from pathlib import Path
from ftbench.process import run_process
try:
    run_process(
        [sys.executable, "-u", "-c", {CATCHES_TERM!r}],
        env={{}}, cwd=Path({str(tmp_path)!r}), log=Path({str(tmp_path / "a.log")!r}),
        on_line=lambda line: print(line, flush=True))
except KeyboardInterrupt as exc:
    print(type(exc).__name__, flush=True)
"""
    argv = [sys.executable, "-u", "-c", launcher]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signum)
        said, _ = process.communicate(timeout=20)
    assert said == f"{raised}\n"
    # The program itself got SIGTERM and had time to write.
    assert (tmp_path / "a.log").read_text() == "ready\nfinishing\n"


def test_stop_on_signals_puts_the_old_handlers_back():
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signals():
        with pytest.raises(Terminated) as raised:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)
        assert raised.value.signum == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before


def test_stop_on_signals_leaves_an_ignored_signal_alone():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signals():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_stop_on_signals_works_in_a_thread():
    entered: list[bool] = []

    def enter() -> None:
        with stop_on_signals():
            entered.append(True)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered == [True]


def test_line_log_joins_pieces_and_keeps_the_last_state_of_a_progress_bar(tmp_path):
    lines: list[str] = []
    with LineLog(tmp_path / "a.log", lines.append) as log:
        for piece in (b"one\ntw", b"o \xc3", b"\xa9\r\n 10%\r 20%\n", b"rest"):
            log.write(piece)
    assert lines == ["one", "two é", " 20%", "rest"]
    assert (tmp_path / "a.log").read_bytes() == b"one\ntwo \xc3\xa9\r\n 10%\r 20%\nrest"


def test_line_log_appends_to_the_log_of_a_run_that_goes_on(tmp_path):
    for word in (b"first\n", b"second\n"):
        with LineLog(tmp_path / "a.log", lambda line: None) as log:
            log.write(word)
    assert (tmp_path / "a.log").read_bytes() == b"first\nsecond\n"


def hide(piece: bytes) -> bytes:
    return piece.replace(b"planted", b"***")


def test_line_log_takes_secrets_out_of_lines_that_come_in_pieces(tmp_path):
    lines: list[str] = []
    with LineLog(tmp_path / "log", lines.append, hide) as log:
        for piece in (b"a pla", b"nted b\nc pl", b"anted\r", b"50%\rplan", b"ted"):
            log.write(piece)
    assert (tmp_path / "log").read_bytes() == b"a *** b\nc ***\r50%\r***"
    assert lines == ["a *** b", "***"]


def test_line_log_with_secrets_holds_no_endless_line_back(tmp_path):
    with LineLog(tmp_path / "log", lambda line: None, hide) as log:
        log.write(b"x" * 70_000)
        assert (tmp_path / "log").stat().st_size == 70_000


TELLS_ITS_SIGNAL = """
import os, signal, sys, time
def tell(signum, frame):
    print(signal.Signals(signum).name, flush=True)
    sys.exit(0)
for signum in (signal.SIGINT, signal.SIGTERM):
    signal.signal(signum, tell)
os.kill(PARENT, signal.SIG)
time.sleep(60)
"""


@pytest.mark.parametrize("passes_on", [True, False])
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_run_process_passes_the_signal_on_that_stopped_us(tmp_path, name, passes_on):
    code = TELLS_ITS_SIGNAL.replace("PARENT", str(os.getpid())).replace("SIG)", f"{name})")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, code, passes_on=passes_on)
    received = (tmp_path / "logs" / "program.log").read_text()
    assert received == (f"{name}\n" if passes_on else "SIGTERM\n")

"""The watcher's command line."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import pytest

from ftbench.watch.options import parse_options
from ftbench.watch.processes import ProcessId, identify, is_alive, parse_process


def test_folder_and_settings_are_told_apart_in_any_order() -> None:
    for line in ("out limit=2 --once +a=b ~c", "--once limit=2 +a=b out ~c"):
        options = parse_options(line.split())
        assert (options.folder, options.settings) == (Path("out"), ("limit=2", "+a=b", "~c"))
        assert options.once


def test_folder_whose_name_looks_like_a_setting_is_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lr=0.1").mkdir()
    options = parse_options(["lr=0.1", "limit=2"])
    assert (options.folder, options.settings) == (Path("lr=0.1"), ("limit=2",))


@pytest.mark.parametrize(
    "line, said",
    [
        ("", "say which folder to follow"),
        ("limit=2", "say which folder to follow"),
        ("one two limit=2", "neither a setting nor the folder: two"),
        ("--experiment e out limit=2", "neither a setting nor the folder: out"),
        ("--experiment e --every 3", "choose among the checkpoints of a folder"),
        ("out --where x", "--where chooses among the runs"),
        ("out --poll -1", "seconds, 0 or more"),
        ("out --settle nan", "seconds, 0 or more"),
        ("out --since tomorrow", "2026-11-24T18:00"),
        ("out --until-exit-of 0", "PID or PID:START"),
        ("out --retries -1", "0 or more"),
        ("out --no-such", "unrecognized arguments"),
    ],
)
def test_wrong_line_is_refused(line: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_options(line.split())
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_moments_are_read_as_people_write_them() -> None:
    def since(text: str) -> object:
        return parse_options(["out", "--since", text]).since

    assert since("1790000000.5") == 1790000000.5
    assert since("2026-11-24T18:00") == datetime(2026, 11, 24, 18, 0).timestamp()
    assert since("now") == "now"


def test_processes_may_be_several() -> None:
    options = parse_options(["out", "--after-exit-of", "7:12", "--until-exit-of", "8:1"])
    assert (options.after, options.until) == ((ProcessId(7, 12),), (ProcessId(8, 1),))
    assert options.has_end


def test_process_is_known_by_its_start() -> None:
    me = parse_process(str(os.getpid()))
    assert me == identify(os.getpid())
    assert is_alive(me)
    assert not is_alive(ProcessId(me.pid, me.start + 1))
    assert parse_process(str(me)) == me


def test_process_that_has_ended_is_dead_before_anybody_has_looked() -> None:
    pid = os.posix_spawnp("true", ["true"], os.environ)
    process = parse_process(str(pid))
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert Path(f"/proc/{pid}").exists() and not is_alive(process)
    os.waitpid(pid, 0)
    assert not is_alive(parse_process(str(pid)))

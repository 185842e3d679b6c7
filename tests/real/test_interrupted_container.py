"""Ctrl-C at the terminal while a container evaluates, and the same command again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import docker
import pytest

from ftbench.errors import EXIT_INTERRUPTED
from ftbench.schema import OK, RunFiles, read_result
from ftbench.workspace import run_dirs
from tests.real.conftest import Demo

pytestmark = [
    pytest.mark.container,
    pytest.mark.opencompass,
    pytest.mark.slow,
    pytest.mark.usefixtures("eval_image"),
]


def start(demo: Demo, folder: Path) -> subprocess.Popen[str]:
    """Asks gsm8k one by one, with plain prompts, which the demo's model answers at length."""
    command = [
        *(sys.executable, "-m", "ftbench.run", "datasets=[gsm8k]", "runtime.num_gpus=0"),
        *(f"model.adapter={demo.adapter}", "model.type=base", "backend.batch_size=1"),
        *(f"data_dir={demo.folder / 'data'}", "workspace=workspace", "tracking=none"),
    ]
    # A shell in the background ignores SIGINT, and so would its child.
    return subprocess.Popen(
        command,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        cwd=folder,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def partial_lines(folder: Path) -> list[str]:
    """The whole lines of what is answered so far; the first heads the others."""
    paths = list((folder / "workspace").glob("benchmark_results/*/predictions/*/answers.jsonl"))
    return paths[0].read_text().split("\n")[1:-1] if paths else []


def test_interrupt_stops_the_container_and_the_same_command_goes_on(
    demo: Demo, tmp_path: Path
) -> None:
    process = start(demo, tmp_path)
    deadline = time.monotonic() + 300
    while len(partial_lines(tmp_path)) < 3:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "nothing was answered"
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == EXIT_INTERRUPTED
    assert printed.count("Final Decision: False\n") == 1
    assert "interrupted; the same command goes on" in printed
    client = docker.from_env()
    label = f"org.ftbench.workspace={tmp_path / 'workspace'}"
    assert client.containers.list(all=True, filters={"label": label}) == []
    client.close()
    kept = [json.loads(line) for line in partial_lines(tmp_path)]
    assert 3 <= len(kept) < 16

    again = start(demo, tmp_path)
    printed, _ = again.communicate(timeout=900)
    assert again.returncode == 0, printed
    (folder,) = run_dirs(tmp_path / "workspace")
    files = RunFiles(folder)
    (gsm8k,) = read_result(files.summary).datasets
    assert (gsm8k.status, gsm8k.subsets[0].completed) == (OK, 16)
    (path,) = files.predictions.glob("*/gsm8k.json")
    final = json.loads(path.read_text())
    for answer in kept:
        assert final[str(answer["at"])]["prediction"] == answer["value"]

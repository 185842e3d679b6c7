"""The fork server, forked from a process that has imported; here it imports next to nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

DRIVER = """
import json, multiprocessing, os, sys, time
from ftbench_eval.fork_server import start_fork_server, without_secrets

def look(_):
    print(json.dumps({
        "environ": dict(os.environ),
        "began_with": open("/proc/self/environ").read(),
        "server_began_with": open(f"/proc/{os.getppid()}/environ").read(),
        "open": [os.readlink(f"/proc/{os.getppid()}/fd/{n}") for n in os.listdir(
            f"/proc/{os.getppid()}/fd")],
        "server": os.getppid(),
        "imported": "colorsys" in sys.modules,
    }), flush=True)
    time.sleep(float(sys.argv[1]))

if __name__ == "__main__":
    without_secrets(os.environ)
    kept = open(__file__)
    start_fork_server(os.environ, ["colorsys"])
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1" and "OMP_NUM_THREADS" not in os.environ
    process = multiprocessing.get_context("forkserver").Process(target=look, args=(1,))
    process.start()
    process.join()
    print(json.dumps(process.exitcode), flush=True)
"""


def start(folder: Path, seconds: float) -> subprocess.Popen[str]:
    script = folder / "driver.py"
    script.write_text(DRIVER)
    path = os.pathsep.join([str(ROOT), str(ROOT / "docker" / "opencompass")])
    secrets = {"HF_TOKEN": "hf_plantedSecretToken123", "OC_JUDGE_API_KEY": "sk-planted"}
    return subprocess.Popen(
        [sys.executable, script, str(seconds)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": "0,1"}
        | secrets,
        stdout=subprocess.PIPE,
        text=True,
    )


def seen_by(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def test_a_scoring_process_has_what_was_imported_and_no_secret(tmp_path: Path) -> None:
    process = start(tmp_path, 0)
    seen = seen_by(process)
    printed, _ = process.communicate(timeout=60)
    assert (process.returncode, printed) == (0, "0\n")
    assert seen["imported"]
    assert seen["environ"]["CUDA_VISIBLE_DEVICES"] == ""
    assert seen["environ"]["OMP_NUM_THREADS"] == "1"
    for variables in (str(seen["environ"]), seen["began_with"], seen["server_began_with"]):
        assert "planted" not in variables
    assert str(tmp_path / "driver.py") not in seen["open"]


def test_the_fork_server_ends_with_its_parent_however_that_ends(tmp_path: Path) -> None:
    process = start(tmp_path, 1.0)
    server = seen_by(process)["server"]
    os.kill(server, 0)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    deadline = time.monotonic() + 30
    while Path(f"/proc/{server}").exists() and " Z " not in stat_of(server):
        assert time.monotonic() < deadline, "the fork server is still there"
        time.sleep(0.05)


def stat_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return " Z "

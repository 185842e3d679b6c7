"""Confinement inside the real container: without privileges, as the engine lets it."""

import json

import pytest

from tests.container.conftest import USER

pytestmark = pytest.mark.container

# Three programs of a model, started as a scoring process starts them.
CODE = r"""
import json, os, sys, tempfile
from pathlib import Path
sys.path.insert(0, "/app")
from ftbench_eval import program_tests, sandbox
from ftbench_eval.program_host import TEST, ProgramHost, Request

def verdict(host, completion):
    problem = {"prompt": "def two():\n", "entry_point": "two",
               "test": "def check(candidate):\n    assert candidate() == 2\n"}
    return host.run(Request(TEST, 5.0), program_tests.humaneval, problem, completion, 5.0)

scratch = Path(tempfile.mkdtemp())
os.environ["HF_TOKEN"] = "hf_plantedSecretToken123"
os.mkdir(scratch / "programs")
host = ProgramHost(scratch / "programs", (os.getpid(),))
print(json.dumps({
    "unavailable": sandbox.unavailable(),
    "right": verdict(host, "    return 2"),
    "writes": verdict(host, f"    return open({str(scratch / 'planted')!r}, 'w').write('ab')"),
    "reads": verdict(host, "    return open('/proc/1/environ').read()"),
    "forks": verdict(host, "    import os\n    while True: os.fork()"),
}))
"""


def test_programs_are_confined_in_the_container(client, eval_image):
    said = client.containers.run(
        eval_image,
        ["-c", CODE],
        entrypoint="/opt/ftbench/bin/python",
        user=USER,
        network_mode="none",
        cap_drop=["ALL"],
        security_opt=["no-new-privileges:true"],
        read_only=True,
        tmpfs={"/tmp": "rw,exec,nosuid,nodev,size=64m,mode=1777"},
        pids_limit=64,
        remove=True,
    )
    found = json.loads(said)
    assert found["unavailable"] == ""
    assert found["right"] == "passed"
    assert "Permission denied" in found["writes"]
    assert "Permission denied" in found["reads"]
    assert "Operation not permitted" in found["forks"]

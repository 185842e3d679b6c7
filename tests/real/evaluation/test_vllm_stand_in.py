"""The whole program with OpenCompass's vLLM wrappers, on an engine that only has vLLM's interface.

No GPU and no vLLM: see ``tests/vllm_stand_in.py`` for what it follows, and what it cannot tell.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from ftbench.schema import Result, RunFiles, read_result
from tests.real.evaluation.conftest import ABBR, Program

PACKAGES = {
    "vllm/__init__.py": "from tests.vllm_stand_in import LLM, SamplingParams\n",
    "vllm/lora/__init__.py": "",
    "vllm/lora/request.py": "from tests.vllm_stand_in import LoRARequest\n",
    "ray/__init__.py": "def is_initialized():\n    return False\n",
    # The program makes sure that its GPUs are there.
    "sitecustomize.py": "import torch.cuda\ntorch.cuda.device_count = lambda: 2\n",
}


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    for name, text in PACKAGES.items():
        path = tmp_path / "packages" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "packages"


def run(program: Program, packages: Path, output: Path, **variables: str) -> Result:
    environ = program.environment(output, "gsm8k,race", USE_VLLM="true", **variables)
    environ["PYTHONPATH"] = os.pathsep.join([str(packages), environ["PYTHONPATH"]])
    ran = subprocess.run(
        [program.python, *program.command], env=environ, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return read_result(RunFiles(output).result)


def predictions(output: Path) -> dict[str, object]:
    folder = RunFiles(output).predictions / ABBR
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def test_stream_gives_what_opencompass_own_order_gives(
    program: Program, packages: Path, tmp_path: Path
) -> None:
    stock, stream, copies = (tmp_path / name for name in ("stock", "stream", "copies"))
    run(program, packages, stock, NUM_GPUS="1", INFERENCE_ORDER="stock")
    one = run(program, packages, stream, NUM_GPUS="1")
    two = run(program, packages, copies, NUM_GPUS="2", DATA_PARALLEL="2", TENSOR_PARALLEL="1")
    expected = predictions(stock)
    assert len(expected) == 3
    assert predictions(stream) == expected
    assert predictions(copies) == expected
    assert (one.model.parallel, two.model.parallel) == ("", "2 copies on 1 GPU each")
    counted = [s.mean_output_tokens for s in one.datasets[0].subsets]
    assert counted == [s.mean_output_tokens for s in two.datasets[0].subsets] != [None]

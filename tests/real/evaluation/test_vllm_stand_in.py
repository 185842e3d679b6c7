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
from tests.real.evaluation.conftest import ABBR, Program, kept_answers

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
    ran = start(program, packages, output, **variables)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return read_result(RunFiles(output).result)


def start(
    program: Program, packages: Path, output: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    environ = program.environment(output, "gsm8k,race", USE_VLLM="true", **variables)
    environ["PYTHONPATH"] = os.pathsep.join([str(packages), environ["PYTHONPATH"]])
    return subprocess.run(
        [program.python, *program.command], env=environ, capture_output=True, text=True, check=False
    )


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
    for result in (one, two):
        canary = result.model.canary
        assert canary is not None
        assert (canary.prompts, canary.changed, canary.noise) == (8, 8, 0.0)
        assert canary.max_logprob_difference == len(str(program.checkpoints / "adapter"))
    counted = [s.mean_output_tokens for s in one.datasets[0].subsets]
    assert counted == [s.mean_output_tokens for s in two.datasets[0].subsets] != [None]


@pytest.mark.parametrize(
    "gpus",
    [
        {"NUM_GPUS": "1"},
        {"NUM_GPUS": "2", "DATA_PARALLEL": "2", "TENSOR_PARALLEL": "1"},
    ],
    ids=["one", "two"],
)
def test_an_engine_that_drops_the_adapter_is_asked_nothing(
    program: Program, packages: Path, tmp_path: Path, gpus: dict[str, str]
) -> None:
    drops = "from tests import vllm_stand_in\nvllm_stand_in.DROPS_LORA = True\n"
    engine = packages / "vllm" / "__init__.py"
    engine.write_text(engine.read_text() + drops)
    output = tmp_path / "output"
    ran = start(program, packages, output, **gpus)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    result = read_result(RunFiles(output).result)
    assert result.failure is not None
    assert result.failure.kind == "adapter"
    assert result.failure.message == (
        "the adapter has no effect: 8 fixed prompts were answered alike with it and without it. "
        "Likely cause: its weights are not zero, so vLLM dropped it, or they are too small to "
        "matter; MERGE_ADAPTER=always (backend.merge_adapter=always) puts it into the weights. "
        "CANARY=false (canary=false) evaluates all the same"
    )
    assert ran.stdout.splitlines()[-1] == f"ftbench: failed: {result.failure.message}"
    canary = result.model.canary
    assert canary is not None
    assert (canary.prompts, canary.changed, canary.max_logprob_difference) == (8, 0, 0.0)
    assert kept_answers(output) == []
    assert [d.reason for d in result.datasets] == [result.failure] * 2

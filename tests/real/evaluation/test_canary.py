"""The canary on the tiny model: what it takes, what it refuses, and what it says then."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.made_once import made_once
from tests.real.evaluation.conftest import Program

SCRIPT = Path(__file__).parent / "canary_cases.py"

ALIKE = "the adapter has no effect: 8 fixed prompts were answered alike with it and without it"
EVEN_SO = "CANARY=false (canary=false) evaluates all the same"
CANCELS = "Likely cause: each product of its lora_B and lora_A is zero"


@pytest.fixture(scope="module")
def cases(program: Program, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    def make(folder: Path) -> None:
        environ = program.environment(folder, "race")
        ran = subprocess.run(
            [program.python, SCRIPT, program.checkpoints, folder],
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        (folder / "cases.json").write_text(ran.stdout.splitlines()[-1])

    folder = made_once(tmp_path_factory, "canary-cases", make)
    found: dict[str, Any] = json.loads((folder / "cases.json").read_text())
    return found


@pytest.mark.parametrize("name", ["trained", "trained in bfloat16", "perplexity"])
def test_a_trained_adapter_changes_every_answer(cases: dict[str, Any], name: str) -> None:
    canary = cases[name]["canary"]
    assert cases[name]["refused"] == ""
    assert (canary["prompts"], canary["changed"], canary["noise"]) == (8, 8, 0.0)
    assert canary["max_logprob_difference"] > 1


@pytest.mark.parametrize("name", ["faint", "faint in bfloat16"])
def test_an_adapter_that_changes_no_answer_is_taken(cases: dict[str, Any], name: str) -> None:
    canary = cases[name]["canary"]
    assert cases[name]["refused"] == ""
    assert (canary["changed"], canary["noise"]) == (0, 0.0)
    assert 0 < canary["max_logprob_difference"] < 0.5


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("zero", "every lora_B is zero, as before the first step of training"),
        ("scale of zero", "its lora_alpha is 0, by which every change is multiplied"),
        (
            "lost in rounding",
            "its weights are not zero, but so small that bfloat16 rounds their effect away "
            "(DTYPE=float32, model.dtype=float32, keeps more of it)",
        ),
        ("switched off", "the loaded model has it, switched off"),
    ],
)
def test_an_adapter_without_effect_is_refused(cases: dict[str, Any], name: str, cause: str) -> None:
    canary = cases[name]["canary"]
    assert cases[name]["refused"] == f"{ALIKE}. Likely cause: {cause}. {EVEN_SO}"
    # Exactly: the same kernels on the same batch give the same bits.
    assert (canary["changed"], canary["max_logprob_difference"], canary["noise"]) == (0, 0.0, 0.0)


def test_what_rounding_leaves_of_a_sum_that_cancels_is_no_effect(cases: dict[str, Any]) -> None:
    case = cases["cancelling"]
    assert case["canary"]["changed"] == 0
    assert 0 < case["canary"]["max_logprob_difference"] < 1e-3
    assert case["refused"].startswith(f"{ALIKE}, log-probabilities differ by ")
    assert case["refused"].endswith(f" at most. {CANCELS}. {EVEN_SO}")
    assert CANCELS in cases["cancelling perplexity"]["refused"]


def test_an_adapter_that_opencompass_ignored_is_refused(cases: dict[str, Any]) -> None:
    assert cases["not put on"]["refused"] == (
        "the adapter has no effect: the loaded model carries none. Likely cause: OpenCompass's "
        "wrapper HuggingFacewithChatTemplate ignored its peft_path"
    )


def test_merging_is_compared_with_the_base(cases: dict[str, Any]) -> None:
    merged, nil = cases["merged"], cases["merged cancelling"]
    # Five projections in two layers; the rest of the tensors are the base's.
    assert merged["canary"]["changed_weights"] == 10
    assert (merged["canary"]["weights"], merged["refused"], merged["written"]) == (27, "", True)
    assert nil["refused"].startswith("the adapter has no effect: merging it changed ")
    assert nil["refused"].endswith(f"of 27 weight tensors of the base. {CANCELS}. {EVEN_SO}")
    assert not nil["written"]

"""What is kept to repeat a score: all of it, honestly, and no secret."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from ftbench import __version__
from ftbench.config import BackendConf, ModelConf, TrackingConf
from ftbench.errors import ConfigError
from ftbench.plan import Plan
from ftbench.provenance import (
    BITWISE,
    CLOSE,
    JUDGED,
    SAMPLED,
    determinism,
    provenance,
    read_provenance,
    revision_of,
    searchable,
)
from ftbench.provenance import Code as CodeFacts
from ftbench.repository import Commit
from ftbench.run import Outcome
from ftbench.runtimes.base import Launch
from ftbench.schema import ModelFacts, Result, read_result, write_result
from ftbench.tracking.contents import run_params, run_tags
from tests.builders import make_plan, scored_result
from tests.run_fixtures import World, finish, make_world

TOKEN = "hf_plantedSecretToken123"
KEY = "sk-plantedSecretKey456"
PASSWORD = "plantedSecretPassword789"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = make_world(tmp_path, monkeypatch)
    world.runtime.programs = [finish_on_a_machine]
    return world


def finish_on_a_machine(plan: Plan) -> Launch:
    launch = finish(plan)
    result = read_result(plan.files.result)
    facts = ModelFacts(device="cpu", dtype="float32")
    write_result(
        plan.files.result,
        replace(result, model=facts, versions={"torch": "2.9"}, hardware={"cpu": "EPYC"}),
    )
    return replace(launch, identity={**launch.identity, "image_digest": "sha256:1d"})


def test_provenance_of_an_evaluation_lies_in_its_run_folder(world: World) -> None:
    outcome = world.evaluate()
    value = read_provenance(outcome.plan.files)
    assert (value["kind"], value["schema_version"]) == ("ftbench.provenance", 1)
    assert value["fingerprint"] == outcome.plan.fingerprint
    assert value["cwd"] == str(world.folder)
    assert value["code"]["ftbench"]["version"] == __version__
    assert value["code"]["working_directory"] == {"commit": None, "is_dirty": None}
    assert value["packages"] == {"torch": "2.9"}
    assert value["hardware"] == {"cpu": "EPYC"}
    assert value["seed"] == 0
    assert value["determinism"]["level"] == BITWISE
    assert value["program"]["image_digest"] == "sha256:1d"
    assert value["model"]["adapter"] == str(world.adapter)
    assert len(value["model"]["adapter_sha256"]) == len(value["model"]["base_sha256"]) == 64
    assert [d["name"] for d in value["datasets"]] == ["mmlu", "gsm8k"]
    assert value["settings"]["backend"]["seed"] == 0
    assert value["settings"]["workspace"] == str(world.workspace)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_provenance_has_the_commit_of_the_working_directory(world: World) -> None:
    who = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "adapter"], ["commit", "-qm", "first"]):
        subprocess.run([*who, *words], cwd=world.folder, check=True)
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=world.folder, check=True, capture_output=True, text=True
    )
    outcome = world.evaluate()
    commit = {"commit": head.stdout.strip(), "is_dirty": False}
    assert read_provenance(outcome.plan.files)["code"]["working_directory"] == commit
    assert outcome.result is not None
    tags = run_tags(outcome.plan, outcome.result, None)
    assert (tags["ftbench.git_commit"], tags["ftbench.git_dirty"]) == (commit["commit"], "false")
    assert tags["ftbench.determinism"] == "bitwise"
    assert tags["ftbench.cpu"] == "EPYC"


def test_a_dry_run_asks_no_git(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftbench.line.find_code", None)
    assert world.evaluate(dry_run=True).exit_code == 0


def test_a_found_result_keeps_its_provenance(world: World) -> None:
    files = world.evaluate().plan.files
    before = files.provenance.read_bytes()
    assert world.evaluate().plan.files.root == files.root
    assert files.provenance.read_bytes() == before


def test_no_secret_is_written(world: World) -> None:
    uri = f"http://user:{PASSWORD}@localhost:1/x"
    command = ("python", "-m", "ftbench.run", f"tracking.uri={uri}", f"--hub={TOKEN}", KEY)
    world.host = replace(
        world.host,
        command=command,
        secrets={"HF_TOKEN": TOKEN, "OC_JUDGE_API_KEY": KEY},
        tracker_secrets=(PASSWORD,),
    )
    outcome = world.evaluate(
        # It cannot be reached: nothing is recorded, and everything is on the disk.
        tracking=TrackingConf(name="none", uri=uri),
        model=ModelConf(adapter=str(world.adapter)),
    )
    assert outcome.exit_code == 0
    files = [path for path in world.folder.rglob("*") if path.is_file()]
    written = {path: path.read_bytes() for path in files}
    assert outcome.plan.files.provenance in written
    for secret in (TOKEN, KEY, PASSWORD):
        assert [path for path, content in written.items() if secret.encode() in content] == []
    assert outcome.result is not None
    texts = [*run_tags(outcome.plan, outcome.result, None).values()]
    texts += run_params(outcome.plan, None).values()
    assert not any(secret in text for text in texts for secret in (TOKEN, KEY, PASSWORD))
    assert not any(secret in world.printed for secret in (TOKEN, KEY, PASSWORD))


def test_a_setting_that_holds_a_secret_is_refused_without_repeating_it(world: World) -> None:
    world.host = replace(world.host, secrets={"HF_TOKEN": TOKEN})
    with pytest.raises(ConfigError) as refused:
        world.evaluate(backend=BackendConf(custom_prompt=f"Use {TOKEN}."))
    (problem,) = refused.value.problems
    assert problem.tried == "backend.custom_prompt"
    assert "it holds the value of HF_TOKEN" in problem.happened
    assert TOKEN not in str(refused.value)
    assert not world.workspace.exists()


def level(plan: Plan, result: Result | None = None, **facts: str) -> str:
    model = ModelFacts(**({"device": "cpu", "dtype": "float32"} | facts))  # type: ignore[arg-type]
    return determinism(plan, replace(result or scored_result(), model=model))[0]


def test_determinism_is_said_honestly(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, environment={"TEMPERATURE": "0.0", "BATCH_SIZE": "8"})
    assert level(plan) == BITWISE
    assert level(plan, dtype="bfloat16") == level(plan, dtype="") == CLOSE
    assert level(plan, device="cuda:0") == CLOSE
    drawn = replace(plan, environment={"TEMPERATURE": "0.7", "SEED": "3"})
    assert level(drawn) == SAMPLED
    assert level(replace(plan, environment={"TEMPERATURE": "0", "USE_VLLM": "true"})) == CLOSE
    mmlu, gsm8k = scored_result().datasets
    judged = replace(gsm8k, subsets=(replace(gsm8k.subsets[0], label="judged by grader"),))
    assert level(plan, replace(scored_result(), datasets=(mmlu, judged))) == JUDGED


def test_revision_is_that_of_the_hubs_cache(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--a--b" / "snapshots" / ("ab12" * 10)
    assert revision_of(snapshot) == "ab12" * 10
    assert revision_of(tmp_path / "mine") is None
    assert revision_of(None) is None


def test_provenance_of_a_plan_of_before_has_no_settings(tmp_path: Path) -> None:
    code = CodeFacts(tmp_path, Commit(), Commit("ab" * 20, True))
    value = provenance(make_plan(tmp_path), scored_result(), code)
    assert (value["settings"], value["seed"]) == ({}, None)
    assert json.loads(json.dumps(value)) == value
    found = searchable(value)
    assert (found["ftbench_commit"], found["ftbench_dirty"]) == ("ab" * 20, "true")
    assert "git_commit" not in found


def test_a_broken_file_gives_no_tags() -> None:
    assert searchable({}) == searchable({"code": 1, "hardware": {}}) == {}


def test_outcome_is_unaffected_where_git_is_missing(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    outcome: Outcome = world.evaluate()
    assert outcome.exit_code == 0
    assert read_provenance(outcome.plan.files)["code"]["ftbench"]["commit"] is None

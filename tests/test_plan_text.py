"""A dry run's text: the plan, exactly and completely."""

from dataclasses import replace
from pathlib import Path

from ftbench.options import DatasetOptions
from ftbench.plan import DatasetPlan, Mount, Plan, TrackingPlan, write_plan
from ftbench.plan_text import plan_text
from ftbench.schema import write_result
from tests.builders import FINGERPRINT, GSM8K, make_plan, scored_result


def section(plan: Plan, title: str) -> list[str]:
    """The lines of one section, without their indent."""
    lines = plan_text(plan, ["env"], []).splitlines()
    start = lines.index(f"{title}:") + 1
    body = lines[start:]
    end = next((i for i, line in enumerate(body) if not line.startswith("  ")), len(body))
    return [line.removeprefix("  ") for line in body[:end]]


def test_plan_text_shows_everything(weird_tmp_path: Path) -> None:
    w = weird_tmp_path
    plan = make_plan(w, mounts=(Mount(w / "base", "/b"), Mount(w, "/w", read_only=False)))
    assert plan_text(plan, ["env", "-i", "A=1", "python", "p.py"], ["one", "two"]) == (
        f"""dry run: nothing is started

model:
  name: tiny-ft-ab12ab12
  base: tiny
  adapter: {w}/adapter
datasets:
  mmlu: mmlu/mmlu_openai_simple_evals_gen_b618ea.py (gen, 2 subsets)
  gsm8k: gsm8k/gsm8k_gen_1d7fe4.py (gen, 1 subset)
run folder:
  {w}/benchmark_results/20261124_120000 (new)
fingerprint:
  {FINGERPRINT}
  adapter_sha256={"c" * 64}
  base=sha256:{"d" * 64}
environment:
  NUM_GPUS=0
secrets, by name:
  none are forwarded
mounts:
  {w}/base -> /b (read-only)
  {w} -> /w (read-write)
limits:
  timeout: 60 s, then 5 s to stop
  GPUs: 0
tracking:
  none
command:
  env \\
    -i A=1 \\
    python \\
    p.py
notes:
  one
  two"""
    )


def test_plan_text_says_which_run_folder_answers_or_goes_on(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    write_plan(plan)
    assert section(plan, "run folder") == [f"{plan.run_dir} (goes on)"]
    write_result(plan.files.summary, scored_result())
    assert section(plan, "run folder") == [
        f"{plan.run_dir} (complete: it answers, nothing is launched)"
    ]
    other = replace(plan, run_dir=plan.run_dir.with_name("another"))
    assert section(other, "run folder") == [f"{other.run_dir} (new)"]


def test_plan_text_names_secrets_and_never_their_values(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, secrets=("HF_TOKEN", "OC_JUDGE_API_KEY"))
    assert section(plan, "secrets, by name") == ["HF_TOKEN", "OC_JUDGE_API_KEY"]


def test_plan_text_says_that_a_base_would_be_downloaded(tmp_path: Path) -> None:
    plan = make_plan(tmp_path)
    plan = replace(plan, model=replace(plan.model, base_folder=None, adapter=None))
    assert section(plan, "model") == [
        "name: tiny-ft-ab12ab12",
        "base: tiny",
        "base folder: none yet; it would be downloaded first",
        "adapter: none, the model itself is evaluated",
    ]


def test_plan_text_shows_the_limits_of_a_container(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, runtime="docker", num_gpus=2, gpu_ids=("1", "GPU-7"))
    assert section(plan, "limits") == [
        "timeout: 60 s, then 5 s to stop",
        "GPUs: 1,GPU-7",
        "memory: no limit",
        "shm: 64m",
        "tmp: 64m",
        "processes: 256",
        "network: none",
        "user: 1000:1000",
        "image: ftbench-opencompass:test-cpu",
    ]


def test_plan_text_says_where_scores_go(tmp_path: Path) -> None:
    tracking = TrackingPlan("mlflow", "http://t")
    plan = make_plan(tmp_path, tracking=tracking)
    assert section(plan, "tracking") == ["mlflow: http://t", "experiment: ftbench"]
    linked = replace(plan, tracking=replace(tracking, training_run_id="r1", write_back="tags"))
    assert section(linked, "tracking") == [
        "mlflow: http://t",
        "experiment: the training run's",
        "training run: r1 (receives tags)",
    ]
    named = replace(plan, tracking=replace(tracking, experiment="mine"))
    assert section(named, "tracking") == ["mlflow: http://t", "experiment: mine"]


def test_plan_text_quotes_the_command_for_a_shell(tmp_path: Path) -> None:
    text = plan_text(make_plan(tmp_path), ["docker", "run", "--rm", "-e", "A=b c", "x'y"], [])
    assert text.endswith(
        "command:\n  docker run \\\n    --rm \\\n    -e 'A=b c' \\\n    'x'\"'\"'y'"
    )


def test_plan_text_shows_options_and_what_is_not_known_yet(tmp_path: Path) -> None:
    gsm8k = replace(GSM8K, options=DatasetOptions(limit=3, num_runs=4, pass_k=(1, 4)))
    mine = DatasetPlan("mine", ("/home/me/mine.py",), "own", (), ())
    assert section(make_plan(tmp_path, (gsm8k, mine)), "datasets") == [
        "gsm8k: gsm8k/gsm8k_gen_1d7fe4.py (gen, 1 subset): limit=3, num_runs=4, pass_k=[1,4]",
        "mine: /home/me/mine.py (own, read by the evaluation)",
    ]

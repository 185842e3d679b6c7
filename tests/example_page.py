"""An experiment that looks like a real one, for pictures and browser tests: all of it is made up.

Six adapters of two ranks and three learning rates, one of them with four checkpoints, and their
base, each asked in two settings; scores, answers and losses come from a random generator with a
fixed seed. Recording is real: run folders as an evaluation leaves them go through
``ftbench.tracking.record``.

    python -m tests.example_page FOLDER     # makes FOLDER/mlflow.db
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient

from ftbench import tracking
from ftbench.plan import DatasetPlan, ModelPlan, TrackingPlan
from ftbench.schema import OK, DatasetResult, ModelFacts, Result, Sample, SubsetResult
from tests.builders import make_plan
from tests.tracking_fixtures import write_run_folder

EXPERIMENT = "support-assistant (example data)"
BASE = "example/base-1.5b-instruct"
SETTINGS = {"greedy": "0.0", "temperature 0.7": "0.7"}
SUBJECTS = (
    "abstract_algebra anatomy astronomy business_ethics clinical_knowledge college_biology "
    "college_chemistry college_computer_science college_mathematics college_medicine "
    "college_physics computer_security conceptual_physics econometrics electrical_engineering "
    "elementary_mathematics formal_logic global_facts high_school_biology high_school_chemistry "
    "high_school_computer_science high_school_european_history high_school_geography "
    "high_school_government_and_politics high_school_macroeconomics high_school_mathematics "
    "high_school_microeconomics high_school_physics high_school_psychology "
    "high_school_statistics high_school_us_history high_school_world_history human_aging "
    "human_sexuality international_law jurisprudence logical_fallacies machine_learning "
    "management marketing medical_genetics miscellaneous moral_disputes moral_scenarios "
    "nutrition philosophy prehistory professional_accounting professional_law "
    "professional_medicine professional_psychology public_relations security_studies sociology "
    "us_foreign_policy virology world_religions"
).split()
"""The 57 subsets of MMLU. Source: Hendrycks et al. 2021."""

_STARTED = 1_790_000_000.0
_GAINS = {"mmlu": 1.0, "gsm8k": 4.5, "arc_c": 1.5, "hellaswag": 0.6, "ifeval": -2.5}
"""How far a good adapter moves from the base, in points: it forgets some instruction following."""
_LEVELS = {"mmlu": 55.0, "gsm8k": 46.0, "arc_c": 62.0, "hellaswag": 68.0, "ifeval": 41.0}


@dataclass(frozen=True)
class Adapter:
    """One fine-tune of the example.

    Attributes:
        strength: How much of a good adapter's gain it has.
        step: Training step of the checkpoint, or None for the end of training.
    """

    run: str
    rank: int
    learning_rate: str
    strength: float
    step: int | None = None

    @property
    def folder(self) -> str:
        return self.run if self.step is None else f"{self.run}/checkpoint-{self.step}"


ADAPTERS = (
    Adapter("support-r8-lr5e-5", 8, "5e-05", 0.7),
    Adapter("support-r8-lr2e-4", 8, "0.0002", 1.1),
    Adapter("support-r32-lr5e-5", 32, "5e-05", 1.0),
    Adapter("support-r32-lr1e-3", 32, "0.001", -1.6),
    Adapter("support-r8-lr1e-3", 8, "0.001", -0.7),
    *(
        Adapter("support-r32-lr2e-4", 32, "0.0002", strength, step)
        for step, strength in ((250, 0.4), (500, 1.0), (750, 1.6), (1000, 1.4))
    ),
)


def fill(folder: Path, uri: str = "", rows: int = 4, adapters: Sequence[Adapter] = ADAPTERS) -> str:
    """Makes the run folders and records them.

    Args:
        folder: An empty folder for adapters, run folders and, without ``uri``, the database.
        uri: Tracking URI to record into.
        adapters: Which to evaluate.
        rows: Samples of each MMLU subset; the other datasets have 25 times as many.

    Returns:
        The tracking URI.
    """
    uri = uri or f"sqlite:///{folder}/mlflow.db"
    client = MlflowClient(uri)
    experiment_id = client.create_experiment(
        EXPERIMENT, artifact_location=(folder / "mlruns").as_uri()
    )
    trained: dict[str, str] = {}
    for number, (adapter, setting) in enumerate(_evaluations(adapters)):
        run_id = None
        if adapter is not None:
            if adapter.run not in trained:
                trained[adapter.run] = _train(client, experiment_id, adapter)
            run_id = trained[adapter.run]
        plan = TrackingPlan(
            "mlflow", uri, EXPERIMENT, run_id, step=adapter.step if adapter else None
        )
        _record(folder, plan, adapter, setting, number, rows)
    return uri


def _evaluations(adapters: Sequence[Adapter]) -> Iterator[tuple[Adapter | None, str]]:
    """Adapters first, the base in between: its differences then reach those before it too."""
    for setting in SETTINGS:
        yield adapters[0], setting
        yield None, setting
        yield from ((adapter, setting) for adapter in adapters[1:])


def _train(client: MlflowClient, experiment_id: str, adapter: Adapter) -> str:
    """A training run with a loss curve, as a trainer leaves it."""
    from mlflow.entities import Metric, Param

    chance = random.Random(adapter.run)
    run = client.create_run(experiment_id, run_name=f"train {adapter.run}")
    losses = [
        Metric(
            "loss",
            0.9 + 1.6 * 2.7 ** (-step / 220) + chance.gauss(0, 0.03) - 0.1 * adapter.strength,
            int(_STARTED * 1000) + step,
            step,
        )
        for step in range(0, 1001, 20)
    ]
    params = {
        "learning_rate": adapter.learning_rate,
        "lora_r": str(adapter.rank),
        "num_train_epochs": "3",
        "per_device_train_batch_size": "8",
        "lr_scheduler_type": "cosine",
    }
    client.log_batch(
        run.info.run_id, metrics=losses, params=[Param(k, v) for k, v in params.items()]
    )
    client.set_terminated(run.info.run_id, "FINISHED")
    return str(run.info.run_id)


def _record(
    folder: Path,
    plan: TrackingPlan,
    adapter: Adapter | None,
    setting: str,
    number: int,
    rows: int,
) -> None:
    result = _result(adapter, setting, number, rows)
    path = _adapter_folder(folder, adapter) if adapter else None
    workspace = folder / "runs" / f"{number:02d}"
    made = make_plan(
        workspace,
        tuple(
            DatasetPlan(d.name, (f"{d.name}/{d.name}_gen.py",), "gen", (), ())
            for d in result.datasets
        ),
        run_dir=workspace / "benchmark_results" / "20260921_143320",
        model=ModelPlan(BASE, None, path),
        model_abbr=result.model_abbr,
        fingerprint=result.fingerprint,
        parameters={
            "backend.name": "transformers",
            "backend.temperature": SETTINGS[setting],
            "backend.max_out_len": "1024",
            "backend.batch_size": "8",
        },
        command=("python", "-m", "ftbench.run", f"model.adapter={adapter and adapter.folder}"),
        tracking=plan,
    )
    write_run_folder(made, result, _sample)
    tracking.record(made, result)


def _adapter_folder(folder: Path, adapter: Adapter) -> Path:
    path = folder / adapter.folder
    path.mkdir(parents=True, exist_ok=True)
    config = {"peft_type": "LORA", "r": adapter.rank, "lora_alpha": 2 * adapter.rank}
    (path / "adapter_config.json").write_text(json.dumps(config))
    return path


def _result(adapter: Adapter | None, setting: str, number: int, rows: int) -> Result:
    chance = random.Random(f"{adapter} {setting}")
    strength = adapter.strength if adapter else 0.0
    noise = 0.0 if setting == "greedy" else -1.5

    def score(name: str, subset: str) -> float:
        own = random.Random(subset).gauss(0, 11) if name == "mmlu" else 0.0
        gain = _GAINS[name] * strength * (1 if strength > 0 or name != "ifeval" else -3)
        spread = 2.5 if name == "mmlu" else 0.6
        return max(3.0, min(97.0, _LEVELS[name] + own + gain + noise + chance.gauss(0, spread)))

    datasets = []
    for name in _LEVELS:
        subsets = SUBJECTS if name == "mmlu" else [name]
        size = rows if name == "mmlu" else 25 * rows
        parts = tuple(_subset(name, s, score(name, s), size, strength) for s in subsets)
        mean = sum(part.score or 0.0 for part in parts) / len(parts)
        aggregation = f"mean of {len(parts)} subsets" if len(parts) > 1 else "single subset"
        datasets.append(
            DatasetResult(
                name, OK, None, "accuracy", mean, aggregation, len(parts), 0.0, parts, mean
            )
        )
    started = _STARTED + 900 * number
    return Result(
        fingerprint=f"{random.Random(f'{adapter}{setting}').getrandbits(256):064x}",
        model_abbr="base-1.5b-ft-example" if adapter else "base-1.5b-base-example",
        stage="done",
        started_at=started,
        finished_at=started + 840,
        model=ModelFacts(opencompass_type="HuggingFacewithChatTemplate", device="cuda"),
        versions={"opencompass": "0.5.4"},
        datasets=tuple(datasets),
    )


def _subset(name: str, subset: str, score: float, size: int, strength: float) -> SubsetResult:
    return SubsetResult(
        abbr=name if subset == name else f"lukaemon_{name}_{subset}",
        name=subset,
        status=OK,
        metric="accuracy",
        score=score,
        metrics={"accuracy": score},
        expected=size,
        completed=size,
        correct_known=size,
        truncated=round(0.02 * size) if name == "gsm8k" else 0,
        empty=0,
        unextracted=0,
        mean_output_tokens=120.0 + 10 * strength if name in ("gsm8k", "ifeval") else 4.0,
        preset=f"{name}/{name}_gen.py",
        prompt_hash=f"{random.Random(name).getrandbits(64):016x}",
        data_hash=f"{random.Random(name + subset).getrandbits(64):016x}",
    )


def _sample(subset: SubsetResult, index: int) -> Sample:
    """Short sums for gsm8k and letters elsewhere; none is a question of the real benchmark."""
    chance = random.Random(f"{subset.abbr} {index}")
    right = chance.random() * 100 < (subset.score or 0.0)
    if subset.abbr == "gsm8k":
        first, second = chance.randint(3, 40), chance.randint(3, 40)
        wrong = second + chance.choice((-10, -1, 1, 10))
        answer = first + (second if right else wrong)
        prompt = f"Mia has {first} stickers and gets {second} more. How many has she now?"
        text = f"She starts with {first} stickers and gets {second} more.\nThe answer is {answer}"
        cut = not right and index % 7 == 3
        return Sample(
            subset=subset.abbr,
            index=index,
            prompt=prompt,
            prediction=f"{text[:40]} so we count on and on" if cut else text,
            extracted="" if cut else str(answer),
            reference=str(first + second),
            correct=right,
            truncated=cut,
            output_tokens=1024 if cut else 27,
        )
    reference = chance.choice("ABC")
    letter = reference if right else chance.choice([c for c in "ABC" if c != reference])
    topic = subset.name.replace("_", " ")
    return Sample(
        subset=subset.abbr,
        index=index,
        prompt=f"Example question {index} on {topic}: which letter?\nA. one\nB. two\nC. three",
        prediction=f"The answer is {letter}.",
        extracted=letter,
        reference=reference,
        correct=right,
        truncated=False,
        output_tokens=5,
    )


if __name__ == "__main__":
    target = Path(sys.argv[1]).absolute()
    target.mkdir(parents=True, exist_ok=True)
    print(fill(target))

"""What one evaluation puts into MLflow as text: tags and params. It only reads small files."""

from __future__ import annotations

import importlib.metadata
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftbench.comparison.comparable import asked
from ftbench.comparison.fitting import group_of
from ftbench.plan import Plan
from ftbench.provenance import searchable
from ftbench.schema import OK, Result
from ftbench.score_rows import flag_lines
from ftbench.tracking.archive import fingerprint_tag
from ftbench.tracking.baseline import ASKED_TAG, GROUP_TAG
from ftbench.tracking.environment import redact
from ftbench.tracking.names import (
    MAX_PARAM,
    MAX_TAG,
    cut,
    data_digest,
    metric_key,
    model_label,
    setting_label,
)
from ftbench.tracking.scores import overall_status
from ftbench.validity import labels

_ADAPTER_FIELDS = (
    "peft_type",
    "r",
    "lora_alpha",
    "lora_dropout",
    "target_modules",
    "modules_to_save",
    "bias",
    "use_dora",
    "use_rslora",
)
FLAGGED_TAG = "ftbench.flagged"
"""Names of the datasets whose scores are flagged, or NOT_FLAGGED."""
NOT_FLAGGED = "none"
SWEEP_TAG = "ftbench.sweep_id"
"""The sweep that a benchmark run is a job of; the sweep's own run has it too."""
_FAILURE_TAG = "ftbench.failure"
_REASON_TAG = "ftbench.reason."
_LABEL_TAG = "ftbench.label."
_REUSED_TAG = "ftbench.reused."
_PASSING = (_REASON_TAG, _LABEL_TAG, _REUSED_TAG)

_CHANGING = ("tracking.sweep_id", "baseline", "gate.", "canary", "feedback.")
"""A param never changes: what is done once may be a job of several sweeps, be compared with several
baselines, and be held against several policies. Tags say so."""
_BASE_COLOUR = "#8a8a8a"
"""Grey in every chart, so that the base model is told from the adapters."""


@dataclass(frozen=True)
class TrainingRun:
    """What is needed of the training run.

    Attributes:
        link: Its address inside MLflow's UI.
        status: MLflow's own word, such as FINISHED or FAILED.
        output_model_ids: LoggedModels that it already names as its outputs.
        loss_key: Its most telling loss metric; empty when it logged none.
    """

    run_id: str
    experiment_id: str
    name: str
    status: str
    params: dict[str, str] = field(default_factory=dict)
    output_model_ids: tuple[str, ...] = ()
    loss_key: str = ""

    @property
    def link(self) -> str:
        return run_link(self.experiment_id, self.run_id)


def run_link(experiment_id: str, run_id: str) -> str:
    """A run's address inside MLflow's UI, as its Markdown notes take it."""
    return f"#/experiments/{experiment_id}/runs/{run_id}"


def run_params(plan: Plan, training: TrainingRun | None) -> dict[str, str]:
    """Params of the benchmark run: what was asked, of which adapter, trained how.

    The training run's params come along as ``train.*``: MLflow's charts of params against scores
    need both on one run.
    """
    params = {
        "base_model": plan.model.base,
        "base_identity": plan.fingerprint_parts.get("base", "")[:16],
        "adapter": model_label(plan) if plan.model.adapter else "base",
        "setting": setting_label(plan),
        **{k: v for k, v in plan.parameters.items() if not k.startswith(_CHANGING)},
        **{f"adapter.{key}": value for key, value in _adapter_facts(plan.model.adapter).items()},
    }
    if plan.tracking.step is not None:
        params["step"] = str(plan.tracking.step)
    if training is not None:
        params |= {f"train.{key}": value for key, value in training.params.items()}
    return {metric_key(key): cut(redact(value), MAX_PARAM) for key, value in params.items()}


def run_tags(plan: Plan, result: Result, training: TrainingRun | None) -> dict[str, str]:
    """Tags of the benchmark run that follow from plan and result."""
    tags = {
        # Lists the run among MLflow's evaluation runs, which show score columns unasked.
        "mlflow.runType": "genai_evaluate",
        "mlflow.source.name": "ftbench",
        "mlflow.source.type": "JOB",
        "ftbench.kind": "eval",
        "ftbench.fingerprint": plan.fingerprint,
        "ftbench.status": overall_status(result),
        "ftbench.model_abbr": plan.model_abbr,
        "ftbench.runtime": plan.runtime,
        "ftbench.run_dir": str(plan.run_dir),
        GROUP_TAG: group_of(run_params(plan, training)),
        # Always there, so that recording again with another threshold leaves no old flag.
        FLAGGED_TAG: ", ".join(flagged_names(result)) or NOT_FLAGGED,
        "ftbench.flags": "; ".join(flag_lines(result.datasets)) or NOT_FLAGGED,
    }
    if plan.model.adapter is None:
        tags["mlflow.runColor"] = _BASE_COLOUR
    else:
        tags["ftbench.adapter"] = str(plan.model.adapter)
        tags["ftbench.adapter_sha256"] = plan.fingerprint_parts.get("adapter_sha256", "")
    if plan.tracking.sweep_id:
        tags[SWEEP_TAG] = plan.tracking.sweep_id
    if training is not None:
        tags["ftbench.train_run_id"] = training.run_id
        tags["ftbench.train_status"] = training.status
    for planned in plan.datasets:
        tags[fingerprint_tag(planned.name)] = planned.fingerprint
    for dataset in result.datasets:
        tags[f"{_REUSED_TAG}{dataset.name}"] = dataset.reused_from
        tags[f"{ASKED_TAG}{dataset.name}"] = asked(dataset)
        if dataset.status != OK:
            reason = dataset.reason
            text = (
                f"{dataset.status}: {reason.kind}: {reason.message}" if reason else dataset.status
            )
            tags[f"{_REASON_TAG}{dataset.name}"] = text
        if own := labels(dataset.subsets):
            tags[f"{_LABEL_TAG}{dataset.name}"] = ", ".join(own)
        prompts = sorted({s.prompt_hash for s in dataset.subsets if s.prompt_hash})
        if prompts:
            tags[f"ftbench.prompt.{dataset.name}"] = ",".join(prompts)
    if result.failure:
        tags[_FAILURE_TAG] = f"{result.failure.kind}: {result.failure.message}"
    tags |= {f"ftbench.version.{name}": value for name, value in _versions(result).items()}
    tags |= _launch_tags(plan)
    found = searchable(_json_object(plan.files.provenance))
    tags |= {f"ftbench.{name}": value for name, value in found.items()}
    return {metric_key(key): cut(redact(value), MAX_TAG) for key, value in tags.items() if value}


def is_passing_tag(key: str) -> bool:
    """Whether a tag holds only while ``run_tags`` names it, such as why a dataset is not ok."""
    return key == _FAILURE_TAG or key.startswith(_PASSING)


def flagged_names(result: Result) -> tuple[str, ...]:
    """Names of the datasets with a score that is flagged."""
    return tuple(d.name for d in result.datasets if d.flags and d.score is not None)


def model_tags(plan: Plan) -> dict[str, str]:
    """Tags of the LoggedModel: where its weights are, and what they are."""
    tags = {"ftbench.model_abbr": plan.model_abbr, "ftbench.base_model": plan.model.base}
    if plan.model.adapter is not None:
        tags["ftbench.adapter"] = str(plan.model.adapter)
        tags["ftbench.adapter_sha256"] = plan.fingerprint_parts.get("adapter_sha256", "")
    return {key: cut(redact(value), MAX_TAG) for key, value in tags.items() if value}


def dataset_digests(result: Result) -> dict[str, str]:
    """Digest of each dataset's data, by dataset name; those without one are left out."""
    digests = {dataset.name: data_digest(dataset) for dataset in result.datasets}
    return {name: digest for name, digest in digests.items() if digest}


def model_type(plan: Plan) -> str:
    """Kind of the LoggedModel: ``adapter``, or ``base`` for a model evaluated as it is."""
    return "adapter" if plan.model.adapter else "base"


def _versions(result: Result) -> dict[str, str]:
    versions = dict(result.versions)
    try:
        versions["ftbench"] = importlib.metadata.version("ftbench")
    except importlib.metadata.PackageNotFoundError:
        # Run from a checkout that is not installed.
        versions.pop("ftbench", None)
    return versions


def _launch_tags(plan: Plan) -> dict[str, str]:
    facts = _json_object(plan.files.launch)
    known = {"image_digest": "ftbench.image_digest"}
    return {known.get(key, f"ftbench.launch.{key}"): str(value) for key, value in facts.items()}


def _adapter_facts(adapter: Path | None) -> dict[str, str]:
    if adapter is None:
        return {}
    config = _json_object(adapter / "adapter_config.json")
    return {
        name: _flat(config[name]) for name in _ADAPTER_FIELDS if config.get(name) not in (None, [])
    }


def _flat(value: Any) -> str:
    return ",".join(sorted(map(str, value))) if isinstance(value, list) else str(value)


def _json_object(path: Path) -> dict[str, Any]:
    """A JSON object from a file; empty when the file is gone: recording goes on without it."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}

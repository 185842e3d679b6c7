"""What differs between runs: models, settings, the adapters' and the trainings' parameters."""

from __future__ import annotations

from collections.abc import Sequence

from ftbench.comparison.evaluated import Evaluated
from ftbench.comparison.values import Setting

_ELSEWHERE = (
    "tracking.",
    "workspace",
    "data_dir",
    "download",
    "reuse",
    "baseline",
    "dry_run",
    "timeout",
    "flag_above",
    "model.adapter",
    "model.base",
    "datasets",
    "suite.",
    "base_model",
    "adapter",
    "setting",
    "runtime.",
    "training.",
)
"""Where things lie and how long they may take decides no score; models and datasets have rows and
columns of their own. A name that ends in a dot stands for everything below it."""
_KEPT = ("runtime.name", "runtime.num_gpus")
_PACKAGES = ("opencompass", "torch", "transformers", "vllm")
"""Versions that can move a score."""


def differing_settings(runs: Sequence[Evaluated]) -> tuple[Setting, ...]:
    """Everything that not all runs have alike, the evaluation's settings first."""
    tables = [_facts(run) for run in runs]
    keys = sorted({key for table in tables for key in table}, key=_order)
    rows = [Setting(key, tuple(table.get(key, "") for table in tables)) for key in keys]
    return tuple(row for row in rows if _differs(row))


def _differs(setting: Setting) -> bool:
    """What only adapters have does not differ from a base model that has none of it."""
    values = set(setting.values)
    if setting.key.startswith(("adapter.", "train.")) or setting.key in ("training run", "step"):
        values.discard("")
    return len(values) > 1


def _facts(run: Evaluated) -> dict[str, str]:
    facts = {key: value for key, value in run.params.items() if _is_told(key)}
    facts["base model"] = run.base_model
    facts["training run"] = run.training_name
    versions = {p: run.result.versions.get(p, "") for p in _PACKAGES}
    facts |= {f"version.{name}": version for name, version in versions.items() if version}
    facts |= {"step": str(run.step)} if run.step is not None else {}
    return facts


def _is_told(key: str) -> bool:
    if key in _KEPT:
        return True
    return not any(key == e or (e.endswith(".") and key.startswith(e)) for e in _ELSEWHERE)


def _order(key: str) -> tuple[int, str]:
    kinds = ("base model", "training run", "step")
    prefixes = ("train.", "version.", "runtime.")
    if key in kinds:
        return kinds.index(key), ""
    if key.startswith("adapter."):
        return 4, key
    found = next((i for i, prefix in enumerate(prefixes) if key.startswith(prefix)), None)
    return (3 if found is None else 5 + found), key

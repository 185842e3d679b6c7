"""Names that MLflow accepts and people can read: metric keys, run names, file names.

Source of the limits: mlflow 3.17 ``utils/validation.py`` (measured over HTTP).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from ftbench.checkpoint.kept import origin
from ftbench.plan import Plan
from ftbench.schema import DatasetResult

MAX_KEY = 250
MAX_PARAM = 6000
MAX_TAG = 8000

_GENERIC_FOLDER = re.compile(
    r"(adapter|adapters|checkpoint|checkpoint-\d+|final|last|best|lora|model|out|output|outputs)",
    re.IGNORECASE,
)


def metric_key(*segments: str) -> str:
    """Joins segments into a metric, param or tag key.

    Args:
        segments: Parts such as ``"bench", "mmlu"``; a slash inside one becomes ``_``.

    Returns:
        A key of at most 250 characters. A longer one is cut and ends in a hash of the whole.
    """
    key = "/".join(_segment(segment) for segment in segments)
    if len(key) <= MAX_KEY:
        return key
    digest = hashlib.sha256(key.encode()).hexdigest()[:8]
    return f"{key[: MAX_KEY - 9].rstrip('/')}-{digest}"


def file_stem(name: str) -> str:
    """A dataset's name as a file name that every artifact store takes."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".")[:120] or "_"


def file_stems(names: Iterable[str]) -> dict[str, str]:
    """A file name for each dataset of a run, every one another."""
    stems: dict[str, str] = {}
    for name in names:
        stem = file_stem(name)
        while stem in stems.values():
            stem += "_"
        stems[name] = stem
    return stems


def cut(text: str, limit: int) -> str:
    """Shortens text visibly; MLflow would do it silently."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def model_label(plan: Plan) -> str:
    """The evaluated model as people call it: the adapter's folder, or the base model's name.

    A folder name that says nothing, such as ``checkpoint-500``, gets its parent in front.
    """
    path = plan.model.adapter or plan.model.base_folder
    if path is None:
        return plan.model.base
    path = origin(path)
    if _GENERIC_FOLDER.fullmatch(path.name) and path.parent.name:
        return f"{path.parent.name}/{path.name}"
    return path.name


_ROWS = {
    "test_range": "rows {}",
    "split": "{} half",
    "limit": "first {}",
    "num_shots": "{} shots",
    "num_runs": "{} runs",
}
"""Options of all datasets, in the words of a label."""


def setting_label(plan: Plan) -> str:
    """How the model was asked, in a few words, such as ``vllm, temperature 0.7, first 8``."""
    values = plan.parameters
    backend = values.get("backend.name") or "transformers"
    temperature = float(values.get("backend.temperature") or 0.0)
    words = [] if backend == "transformers" else [backend]
    words += [f"temperature {temperature:g}" if temperature > 0 else "greedy"]
    words += [text.format(values[key]) for key, text in _ROWS.items() if _is_set(values.get(key))]
    if any("per_dataset." in key and _is_set(value) for key, value in values.items()):
        words.append("options by dataset")
    words += ["custom prompt"] if _is_set(values.get("backend.custom_prompt")) else []
    return ", ".join(words)


def run_name(plan: Plan) -> str:
    """Name of the benchmark run: model and setting."""
    return f"{model_label(plan)} · {setting_label(plan)}"


def logged_model_name(plan: Plan) -> str:
    """The run's name without what MLflow forbids in a LoggedModel's name."""
    return re.sub(r"[/:.%\"']", "-", run_name(plan))


def eval_key(plan: Plan) -> str:
    """What identifies this evaluation among all: its fingerprint and its run folder's name.

    Recording the same folder again finds the same benchmark run, wherever the folder was moved.
    Evaluating again (``reuse=never``) makes another run: each keeps its own scores.
    """
    return f"{plan.fingerprint[:16]}-{plan.run_dir.name}"


def data_digest(dataset: DatasetResult) -> str | None:
    """Identity of the questions that were asked, from the subsets' data hashes.

    It depends on the data alone, not on the prompt: MLflow's Models page makes one column per
    digest, and the same questions in another prompt are to stand in the same column.

    Returns:
        16 hex digits; None when no subset knows its data.
    """
    hashes = {subset.abbr: subset.data_hash for subset in dataset.subsets}
    if not any(hashes.values()):
        return None
    if len(hashes) == 1:
        return next(iter(hashes.values()))[:36]
    lines = "\n".join(f"{abbr} {digest}" for abbr, digest in sorted(hashes.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def loss_keys(keys: Iterable[str]) -> tuple[str, ...]:
    """The loss metrics among a training run's metrics, the training loss first."""
    losses = [key for key in keys if "loss" in key.lower() and not key.startswith("system/")]
    usual = ("loss", "train/loss", "train_loss", "training_loss", "eval_loss", "eval/loss")
    return tuple(sorted(losses, key=lambda k: (usual.index(k) if k in usual else len(usual), k)))


def sqlite_path(uri: str) -> Path | None:
    """The database file of a ``sqlite:///`` URI; None for any other URI."""
    if not uri.startswith("sqlite:///"):
        return None
    return Path(uri.removeprefix("sqlite:///").partition("?")[0])


def _segment(text: str) -> str:
    legal = re.sub(r"[^\w.\- ]", "_", text.replace("@", "_at_")).strip()
    return legal if legal.strip(".") else "_"


def _is_set(value: str | None) -> bool:
    return value not in (None, "", "None", "null")

"""What a gate decided, on the benchmark run; and the alias of a registered model that moves on it.

    ftbench.gate, ftbench.gate_policy, ftbench.gate_reasons     tags of the newest decision
    gate.json                                                   every limit

The alias moves to the version whose tag ``ftbench.weights`` names the very bytes that were
evaluated; where there is none, to a new one, which points at the LoggedModel of the benchmark run
and says where the weights are. A version that a training run registered may be another checkpoint
of it: it is used only with that tag.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftbench.tracking.asking import asking
from ftbench.tracking.environment import redact
from ftbench.tracking.names import MAX_TAG, cut, sqlite_path
from ftbench.tracking.store import creation_lock, open_store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

DOCUMENT = "gate.json"
_WEIGHTS = "ftbench.weights"
_RUN = "ftbench.eval_run_id"
_SHA256 = re.compile(r"(sha256:)?[0-9a-f]{64}")


def record_gate(uri: str, run_id: str, tags: Mapping[str, str], document: str) -> None:
    """Puts a decision on a benchmark run; an earlier one is replaced.

    Args:
        uri: Tracking URI without credentials.
        run_id: The benchmark run.
        tags: The decision in short.
        document: The decision as JSON.

    Raises:
        TrackingError: The tracker did not take it.

    Side effects: writes to the tracker.
    """
    from mlflow.entities import RunTag

    with asking(uri, f"recording the gate's decision into {redact(uri)}"):
        client = open_store(uri)
        with tempfile.TemporaryDirectory(prefix="ftbench-gate-") as folder:
            path = Path(folder) / DOCUMENT
            path.write_text(document, encoding="utf-8")
            client.log_artifact(run_id, str(path))
        # After the document: who sees the tag finds what it stands for.
        shown = [RunTag(key, cut(redact(value), MAX_TAG)) for key, value in tags.items()]
        client.log_batch(run_id, tags=shown)


def move_alias(uri: str, run_id: str, registered_model: str, alias: str) -> str:
    """Moves an alias to the version of a registered model that a benchmark run evaluated.

    Args:
        uri: Tracking URI without credentials.
        run_id: The benchmark run, which has passed.
        registered_model: Its name; it is made when there is none.
        alias: Such as ``champion``.

    Returns:
        What became of it, in one sentence.

    Raises:
        TrackingError: The registry did not take it.

    Side effects: writes to the registry.
    """
    tried = f"moving the alias {alias} of the registered model {registered_model}"
    with asking(uri, tried):
        client = open_store(uri)
        run = client.get_run(run_id)
        with creation_lock(uri):
            before = _alias_version(client, registered_model, alias)
            versions = _versions(client, registered_model)
            version = _version_of(run, versions) or _new_version(client, uri, run, registered_model)
            if before != version:
                client.set_registered_model_alias(registered_model, alias, version)
    if before == version:
        return f"{registered_model}@{alias} is version {version} already"
    return f"{registered_model}@{alias} is version {version} now (it was {before or 'unset'})"


def _alias_version(client: MlflowClient, name: str, alias: str) -> str:
    """Version that the alias stands on; empty for none. A model that is not there is made."""
    from mlflow.exceptions import MlflowException

    try:
        aliases = client.get_registered_model(name).aliases
    except MlflowException as exc:
        if exc.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        client.create_registered_model(name)
        return ""
    return str(aliases.get(alias, ""))


def _versions(client: MlflowClient, name: str) -> list[Any]:
    found: list[Any] = []
    token: str | None = None
    # MLflow's filter takes a name in single quotes or in double ones.
    quoted = f'"{name}"' if "'" in name else f"'{name}'"
    while True:
        page = client.search_model_versions(f"name={quoted}", max_results=1000, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def _version_of(run: Run, versions: list[Any]) -> str:
    """The newest version of the weights that were evaluated; empty where there is none."""
    weights = _weights(run)
    numbers = [int(v.version) for v in versions if weights and v.tags.get(_WEIGHTS) == weights]
    return str(max(numbers)) if numbers else ""


def _new_version(client: MlflowClient, uri: str, run: Run, name: str) -> str:
    tags = {
        _WEIGHTS: _weights(run),
        _RUN: run.info.run_id,
        "ftbench.adapter": run.data.tags.get("ftbench.adapter", ""),
        "ftbench.base_model": run.data.params.get("base_model", ""),
    }
    models = run.inputs.model_inputs if run.inputs else []
    model_id = models[0].model_id if models else None
    made = client.create_model_version(
        name,
        source=_source(client, uri, run, model_id),
        # A server refuses a source of which it does not know whose it is (mlflow 3.17).
        model_id=model_id,
        run_id=run.data.tags.get("ftbench.train_run_id") or run.info.run_id,
        tags={key: value for key, value in tags.items() if value},
        description="Registered by ftbench's gate. Its tags say where the weights are.",
    )
    return str(made.version)


def _source(client: MlflowClient, uri: str, run: Run, model_id: str | None) -> str:
    """The LoggedModel that was evaluated, in words that the registry understands."""
    if model_id is None:
        return str(run.info.artifact_uri)
    if sqlite_path(uri) is None:
        return f"models:/{model_id}"
    # A database's registry looks the model up in the process's global tracking URI (mlflow 3.17).
    return str(client.get_logged_model(model_id).artifact_location)


def _weights(run: Run) -> str:
    """sha256 of the weights that were evaluated: of the adapter, else of the full model.

    Empty where it is not known: what two models may share, such as a name, is no identity.
    """
    tags = run.data.tags
    known = tags.get("ftbench.adapter_sha256") or tags.get("ftbench.base_sha256", "")
    return known if _SHA256.fullmatch(known) else ""

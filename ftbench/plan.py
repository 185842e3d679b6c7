"""Turns a configuration into exactly what will happen: the value that ``launch`` executes.

Building a plan reads files (to fingerprint them) and starts nothing. ``dry_run=true`` prints it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ftbench.errors import Problem, ResultError
from ftbench.options import DatasetOptions
from ftbench.schema import Group, RunFiles, from_json, to_json, write_atomically


@dataclass(frozen=True)
class Mount:
    """A folder of the host as the evaluation program sees it.

    Attributes:
        source: Absolute path on the host.
        target: Absolute path inside the container; equal to source in the local runtime.
    """

    source: Path
    target: str
    read_only: bool = True


@dataclass(frozen=True)
class DatasetPlan:
    """One dataset as the user named it, resolved through the catalogue.

    Attributes:
        name: The user's name, which heads every table.
        presets: OpenCompass preset files below ``opencompass/configs/datasets``; ``arc`` has two.
        mode: ``gen``, ``ppl`` or another of OpenCompass's inferencer kinds.
        subsets: OpenCompass abbrs, in preset order.
        data_paths: Paths below the data folder that must exist, such as ``data/mmlu``.
        groups: Which subsets are averaged together, inner groups first.
        options: Which rows are asked, and how often.
        fingerprint: sha256 over everything that decides its scores, whatever is asked beside it.
        earlier: Run folder that has it complete, to be taken over from there; None: it is
            evaluated.
    """

    name: str
    presets: tuple[str, ...]
    mode: str
    subsets: tuple[str, ...]
    data_paths: tuple[str, ...]
    groups: tuple[Group, ...] = ()
    options: DatasetOptions = field(default_factory=DatasetOptions)
    fingerprint: str = ""
    earlier: Path | None = None


@dataclass(frozen=True)
class ModelPlan:
    """What is evaluated, on the host.

    Attributes:
        base: Hugging Face id or absolute path, as recorded.
        base_folder: Local folder of the base model; None when it must be downloaded.
        adapter: Absolute adapter folder, or None.
    """

    base: str
    base_folder: Path | None
    adapter: Path | None


@dataclass(frozen=True)
class TrackingPlan:
    """Where the scores go.

    Attributes:
        kind: ``mlflow`` or ``none``.
        uri: Tracking URI without credentials; sqlite paths are absolute.
        experiment: Name of the experiment, or None: the training run's own, else ``ftbench``.
        write_back: What the training run receives: ``metrics``, ``tags`` or ``none``.
        step: Training step of the scores on the training run; None: the last of its loss.
        sweep_id: The sweep that this evaluation is a job of, or None.
    """

    kind: str
    uri: str = ""
    experiment: str | None = None
    training_run_id: str | None = None
    nest: bool = False
    write_back: str = "metrics"
    request_timeout_s: int = 30
    step: int | None = None
    sweep_id: str | None = None


@dataclass(frozen=True)
class Plan:
    """One evaluation, complete: everything that a runtime needs and nothing to decide.

    Attributes:
        runtime: ``docker`` or ``local``.
        workspace: Absolute folder of this model's evaluations.
        run_dir: ``<workspace>/benchmark_results/<timestamp>``.
        fingerprint: sha256 over everything that decides the scores, 64 hex digits.
        fingerprint_parts: What went into it, for provenance and to say why two differ; the adapter
            bytes' sha256 is ``adapter_sha256``, the base's identity is ``base``.
        parameters: The resolved configuration, flat (``backend.batch_size``), without secrets.
        command: The command line that asked for this, one argument each.
        environment: Variables of the evaluation program, in ``schema.VARIABLES`` order first;
            no secret is among them.
        secrets: Names of secrets to forward, as files.
        mounts: Host folders the program sees.
        flag_above: Share of truncated, empty or unextracted answers, 0 to 1, above which a score is
            flagged; it is no part of the fingerprint.
        network: None for no network, else the network's name (docker).
        user: ``uid:gid`` that the container runs as.
        gpu_ids: GPUs that it must have; empty: any ``num_gpus`` of the pool. A launch holds them,
            and says in ``launch.json`` which they were.
        gpu_pool: GPUs that jobs share; empty: those lent by a batch system, or of the machine.
    """

    runtime: str
    workspace: Path
    run_dir: Path
    model: ModelPlan
    model_abbr: str
    datasets: tuple[DatasetPlan, ...]
    fingerprint: str
    fingerprint_parts: dict[str, str]
    parameters: dict[str, str]
    command: tuple[str, ...]
    tracking: TrackingPlan
    environment: dict[str, str]
    secrets: tuple[str, ...]
    mounts: tuple[Mount, ...]
    timeout_s: int
    stop_grace_s: int
    image: str
    num_gpus: int
    gpu_ids: tuple[str, ...]
    memory: str | None
    shm_size: str
    tmp_size: str
    pids_limit: int
    network: str | None
    user: str
    python: str | None
    environment_folder: Path | None
    flag_above: float = 0.05
    gpu_pool: tuple[str, ...] = ()

    @property
    def reused(self) -> tuple[DatasetPlan, ...]:
        """The datasets that are taken over from earlier runs."""
        return tuple(dataset for dataset in self.datasets if dataset.earlier is not None)

    @property
    def is_launched(self) -> bool:
        """Some dataset is to be evaluated."""
        return len(self.reused) < len(self.datasets)

    @property
    def files(self) -> RunFiles:
        """Every file name of the run folder."""
        return RunFiles(self.run_dir)

    @property
    def base_fingerprint(self) -> str:
        """Fingerprint of the base model's evaluation with everything else the same."""
        return fingerprint_of({**self.fingerprint_parts, "adapter_sha256": ""})


def fingerprint_of(parts: Mapping[str, str]) -> str:
    """sha256 of the parts, 64 hex digits."""
    return hashlib.sha256(json.dumps(dict(parts), sort_keys=True).encode()).hexdigest()


def write_plan(plan: Plan) -> None:
    """Writes ``plan.json`` into the run folder, so that every later stage can be run again."""
    write_atomically(plan.files.plan, json.dumps(to_json(plan), ensure_ascii=False, indent=1))
    with plan.files.plan.open("rb") as file:
        # Whose folder it is, everything in it depends on: also after the machine lost its power.
        os.fsync(file.fileno())


def read_plan(run_dir: Path) -> Plan:
    """Reads the plan of a run folder.

    Raises:
        ResultError: There is none, or it does not parse.
    """
    path = RunFiles(run_dir).plan
    try:
        plan = from_json(Plan, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as exc:
        raise ResultError(
            Problem(f"reading {path}", f"{type(exc).__name__}: {exc}", "evaluate again")
        ) from exc
    assert isinstance(plan, Plan)
    return plan

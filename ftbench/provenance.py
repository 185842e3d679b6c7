"""Everything that is needed to repeat a score, in one file: ``provenance.json``.

Gathers what the stages have said (plan, launch, result) and adds what only the host can know: the
commits of the working directory and of ftbench. ``docs/reproduce.md`` describes its keys.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftbench import __version__
from ftbench.host import command_line
from ftbench.plan import Plan
from ftbench.repository import Commit, find_commit
from ftbench.schema import Result, RunFiles, to_json, write_atomically

PROVENANCE_VERSION = 1
"""Rises when a key changes its meaning or goes; new keys leave it as it is."""

BITWISE = "bitwise"
CLOSE = "close"
SAMPLED = "sampled"
JUDGED = "judged"


@dataclass(frozen=True)
class Code:
    """Which code asked for an evaluation.

    Attributes:
        cwd: Folder that the command ran in.
        working_directory: Its commit.
        ftbench: ftbench's own commit, where it is a checkout.
    """

    cwd: Path
    working_directory: Commit
    ftbench: Commit


def find_code(cwd: Path) -> Code:
    """Asks git, at most six short processes; call it when something is launched, not before."""
    package = Path(__file__).resolve().parent
    checkout = package.parent
    # In an environment below somebody's checkout, that commit would be another project's.
    is_checkout = (checkout / "pyproject.toml").is_file() and (checkout / ".git").exists()
    own = find_commit(checkout) if is_checkout else Commit()
    return Code(cwd, find_commit(cwd), own)


def write_provenance(plan: Plan, result: Result, code: Code) -> None:
    """Writes ``provenance.json`` into the run folder.

    Args:
        plan: What was launched; ``launch.json`` lies in its run folder.
        result: Collected.
        code: As it was when the launch began.
    """
    value = provenance(plan, result, code)
    write_atomically(plan.files.provenance, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def read_provenance(files: RunFiles) -> dict[str, Any]:
    """What ``write_provenance`` wrote; empty where there is none, or it does not parse."""
    return _json_object(files.provenance)


def provenance(plan: Plan, result: Result, code: Code) -> dict[str, Any]:
    """The content of ``provenance.json``."""
    level, why = determinism(plan, result)
    return {
        "kind": "ftbench.provenance",
        "schema_version": PROVENANCE_VERSION,
        "command": list(plan.command),
        "command_line": command_line(plan.command),
        "cwd": str(code.cwd),
        "settings": plan.settings,
        "fingerprint": plan.fingerprint,
        "fingerprint_parts": plan.fingerprint_parts,
        "model": _model(plan, result),
        "datasets": _datasets(plan, result),
        "seed": plan.settings.get("backend", {}).get("seed"),
        "determinism": {"level": level, "why": why},
        "code": {
            "ftbench": {"version": __version__, **_commit(code.ftbench)},
            "working_directory": _commit(code.working_directory),
        },
        "program": _program(plan),
        "packages": result.versions,
        "host_python": platform.python_version(),
        "hardware": result.hardware,
        "started_at": result.started_at,
        "finished_at": result.finished_at,
    }


def determinism(plan: Plan, result: Result) -> tuple[str, str]:
    """How nearly the same evaluation gives the same scores again, and why.

    Args:
        plan: Its environment says how the model was asked.
        result: Says on what, and with which numbers.
    """
    said, facts = plan.environment, result.model
    if any("judged by" in s.label for d in result.datasets for s in d.subsets):
        return JUDGED, "a judge model decides, which another machine serves"
    if float(said.get("TEMPERATURE") or 0) > 0:
        seed = said.get("SEED", "")
        return SAMPLED, f"answers are drawn: the same with seed {seed} only where numbers are equal"
    if said.get("USE_VLLM") == "true":
        return CLOSE, "vLLM forms its batches as requests come: equal scores often, not always"
    if facts.device and facts.device != "cpu":
        return CLOSE, f"GPU kernels ({facts.device}) may add in another order"
    if facts.dtype != "float32":
        return CLOSE, f"{facts.dtype or 'unknown'} numbers are rounded coarsely"
    where = "the same kind of processor with as many threads"
    if said.get("BATCH_SIZE") or said.get("INFERENCE_ORDER") == "stock":
        return BITWISE, f"greedy, float32 on {where}, the same batches"
    return BITWISE, f"greedy, float32 on {where}, and memory for the same batches"


def _model(plan: Plan, result: Result) -> dict[str, Any]:
    parts, folder = plan.fingerprint_parts, plan.model.base_folder
    return {
        "base": plan.model.base,
        "base_folder": str(folder) if folder else None,
        "base_revision": revision_of(folder),
        "base_sha256": parts.get("base", ""),
        "adapter": str(plan.model.adapter) if plan.model.adapter else None,
        "adapter_sha256": parts.get("adapter_sha256", ""),
        "loaded_as": to_json(result.model),
    }


def revision_of(folder: Path | None) -> str | None:
    """The commit of a model in the hub's cache; None for any other folder."""
    is_snapshot = folder is not None and folder.parent.name == "snapshots"
    if folder is None or not is_snapshot or not re.fullmatch("[0-9a-f]{40}", folder.name):
        return None
    return folder.name


def _datasets(plan: Plan, result: Result) -> list[dict[str, Any]]:
    planned = {dataset.name: dataset for dataset in plan.datasets}
    found = []
    for dataset in result.datasets:
        own = planned.get(dataset.name)
        found.append(
            {
                "name": dataset.name,
                "fingerprint": own.fingerprint if own else "",
                "presets": list(own.presets) if own else [],
                "options": own.options.given() if own else {},
                "reused_from": dataset.reused_from or None,
                "subsets": {
                    s.abbr: {
                        "preset": s.preset,
                        "mode": s.mode,
                        "prompt_sha256": s.prompt_hash,
                        "data_sha256": s.data_hash,
                        "samples": s.expected,
                        "repeats": s.repeats,
                    }
                    for s in dataset.subsets
                },
            }
        )
    return found


def _program(plan: Plan) -> dict[str, Any]:
    launch = _json_object(plan.files.launch)
    parts = plan.fingerprint_parts
    return {
        "runtime": plan.runtime,
        "image": plan.image if plan.runtime == "docker" else None,
        "image_digest": launch.get("image_digest"),
        "program_sha256": parts.get("program", ""),
        "packages_sha256": parts.get("lock", ""),
        "opencompass_config_sha256": _sha256(plan.files.opencompass_config),
        "launch": launch,
    }


def _commit(commit: Commit) -> dict[str, Any]:
    return {"commit": commit.commit or None, "is_dirty": commit.is_dirty}


def _sha256(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def _json_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def searchable(value: Mapping[str, Any]) -> dict[str, str]:
    """What of ``provenance.json`` runs are searched by, as names and texts."""
    try:
        code, hardware = value["code"], value["hardware"]
        own, here = code["ftbench"], code["working_directory"]
        found = {
            "git_commit": here["commit"],
            "git_dirty": here["is_dirty"],
            "ftbench_commit": own["commit"],
            "ftbench_dirty": own["is_dirty"],
            "base_sha256": value["model"]["base_sha256"],
            "base_revision": value["model"]["base_revision"],
            "data_sha256": value["fingerprint_parts"].get("data_sha256"),
            "determinism": value["determinism"]["level"],
            "cpu": hardware.get("cpu"),
            "gpus": hardware.get("gpus"),
            "driver": hardware.get("driver"),
        }
    except (KeyError, TypeError, AttributeError):
        return {}
    texts = {name: str(item) for name, item in found.items() if item not in (None, "")}
    return {
        name: text.lower() if text in ("True", "False") else text for name, text in texts.items()
    }

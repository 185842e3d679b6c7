"""The command that repeats an evaluation: the same settings, everything that can be pinned pinned.

Each setting that differs from today's defaults is written out: neither the folder that the command
is typed in nor the files of ``conf/`` that were chosen then matter.
"""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftbench.checkpoint.kept import origin
from ftbench.compose import compose_config
from ftbench.config import ModelConf
from ftbench.host import Host
from ftbench.model_source import locate_model
from ftbench.options import OPTION_NAMES
from ftbench.quoting import quoted
from ftbench.reproduce.original import Original

PROGRAM = ("python", "-m", "ftbench.run")

_PLAIN = re.compile(r"(?!(?:null|true|false|nan|inf)$)[A-Za-z/_][\w/.\-]*", re.IGNORECASE)
"""Texts that Hydra takes as they are."""

_ALTERNATIVES = {"split": "test_range", "test_range": "split"}


@dataclass(frozen=True)
class Wanted:
    """What the repetition is asked with.

    Attributes:
        settings: By name, as ``plan.settings`` has them.
        notes: What was decided that the original did not say.
    """

    settings: dict[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def overrides(self) -> tuple[str, ...]:
        """The settings as Hydra takes them."""
        return tuple(overrides_of(self.settings))

    @property
    def command(self) -> tuple[str, ...]:
        """The command line, one argument each."""
        return (*PROGRAM, *self.overrides)

    def with_image(self, image: str | None) -> Wanted:
        """The same with another image."""
        settings = copy.deepcopy(self.settings)
        settings["runtime"]["image"] = image
        return dataclasses.replace(self, settings=settings)


def wanted_of(original: Original, host: Host, workspace: Path, is_recorded: bool) -> Wanted:
    """What repeats an evaluation, with nothing of it overwritten.

    Args:
        original: The evaluation.
        host: This machine.
        workspace: Absolute folder for the repetition.
        is_recorded: It goes into the tracker that the original is in.
    """
    settings = copy.deepcopy(original.plan.settings)
    _fold_suite(settings)
    settings |= {"reuse": "never", "workspace": str(workspace), "baseline": "none"}
    # One score is repeated: nothing is trained, compared or decided again.
    for group in ("training", "gate"):
        settings.pop(group, None)
    settings["model"], notes = _model(original, host)
    settings["tracking"] = _tracking(original, is_recorded)
    return Wanted(settings, tuple(notes))


def overrides_of(settings: Mapping[str, Any]) -> Iterator[str]:
    """Overrides of everything that differs from the defaults.

    Args:
        settings: As ``plan.settings`` has them.
    """
    default = dataclasses.asdict(compose_config(["datasets=[]", "model.base=any"]))
    default["model"]["base"] = None
    default["datasets"] = None
    yield from _differing(settings, default, "")
    for name, options in (settings.get("per_dataset") or {}).items():
        for option in OPTION_NAMES:
            if options.get(option) is not None:
                yield f"per_dataset.{name}.{option}={hydra_value(options[option])}"


def hydra_value(value: Any) -> str:
    """A JSON value in the words of Hydra's override grammar."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) else quoted(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(map(hydra_value, value))}]"
    return repr(value)


def _differing(
    settings: Mapping[str, Any], default: Mapping[str, Any], prefix: str
) -> Iterator[str]:
    for key, value in settings.items():
        # What this ftbench has no key for, it cannot be told; the fingerprint shows what matters.
        if key == "per_dataset" or key not in default:
            continue
        if isinstance(value, dict):
            yield from _differing(value, default[key] or {}, f"{prefix}{key}.")
        elif value != default[key]:
            yield f"{prefix}{key}={hydra_value(value)}"


def _fold_suite(settings: dict[str, Any]) -> None:
    """The suite's datasets and options among those of the command: its file may change."""
    suite = settings["suite"]
    settings["datasets"] = list(dict.fromkeys([*suite["datasets"], *settings["datasets"]]))
    merged: dict[str, dict[str, Any]] = {k: dict(v) for k, v in suite["per_dataset"].items()}
    for name, own in settings["per_dataset"].items():
        options = merged.setdefault(name, {})
        given = {option: value for option, value in own.items() if value is not None}
        for option in given:
            if option in _ALTERNATIVES and _ALTERNATIVES[option] not in given:
                options[_ALTERNATIVES[option]] = None
        options |= given
    settings["per_dataset"] = merged
    settings["suite"] = {"name": "", "datasets": [], "per_dataset": {}}


def _model(original: Original, host: Host) -> tuple[dict[str, Any], list[str]]:
    model, parts = dict(original.plan.settings["model"]), original.plan.fingerprint_parts
    planned, notes = original.plan.model, []
    if planned.adapter is not None:
        model["adapter"], found = _adapter(original, planned.adapter)
        notes += found
    if planned.base_folder is not None and str(planned.base_folder) != planned.base:
        # A hub's name means its main branch of today; the folder means one revision for ever.
        source = locate_model(ModelConf(base=planned.base), host)
        if source.base_identity != parts.get("base") and planned.base_folder.is_dir():
            model["base"] = str(planned.base_folder)
            notes += [f"{planned.base} is another revision now; the one of then is still cached"]
    return model, notes


def _adapter(original: Original, folder: Path) -> tuple[str, list[str]]:
    """Where the adapter is now: its folder, its checkpoint, or the run that trained it."""
    if folder.is_dir():
        return str(folder), []
    if origin(folder).is_dir():
        return str(origin(folder)), [f"{folder} was kept for its evaluation only"]
    pattern = re.compile(r"model\.adapter=[\"']?(runs:/[^\"']+)[\"']?")
    named = [found[1] for a in original.plan.command if (found := pattern.fullmatch(a))]
    run_id = original.plan.tracking.training_run_id
    if not named and run_id and original.plan.tracking.step is None:
        named = [f"runs:/{run_id}"]
    if named:
        return named[-1], [f"{folder} is gone; its training run may have the adapter: {named[-1]}"]
    return str(folder), []


def _tracking(original: Original, is_recorded: bool) -> dict[str, Any]:
    """Where the repetition is recorded: beside the original, and nowhere on its training run."""
    tracking: dict[str, Any] = dict(original.plan.settings["tracking"])
    if original.tracker is not None:
        if tracking.get("uri") != original.tracker.uri:
            # Ids of one tracker mean nothing in another.
            tracking["training_run_id"] = None
        tracking |= {"name": "mlflow", "uri": original.tracker.uri}
        tracking["experiment"] = original.experiment
    if not is_recorded or tracking["name"] == "none":
        return {"name": "none"}
    return tracking | {"write_back": "none", "sweep_id": None, "nest": False}

"""What is otherwise now than it was then, and what makes a repetition impossible."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console

from ftbench import __version__
from ftbench.compose import compose_config
from ftbench.errors import ConfigError, LaunchError, Problem, ReproductionError
from ftbench.hardware import machine_facts
from ftbench.host import Host
from ftbench.plan import Plan
from ftbench.ready import Ready, make_ready
from ftbench.reproduce.command import Wanted
from ftbench.reproduce.original import Original
from ftbench.runtimes import make_runtime

_MACHINE = ("machine", "cpu", "gpus", "driver", "compute_capability")
"""Facts of the hardware that kernels and their rounding depend on."""

_PARTS = {
    "program": "evaluation program",
    "lock": "locked packages",
    "schema": "schema of results",
}

_MEANT = ("base", "adapter_sha256", "data_sha256", "datasets")


@dataclass(frozen=True)
class Difference:
    """Something that is otherwise.

    Attributes:
        what: Such as ``torch``.
        then, now: As text; empty when unknown.
    """

    what: str
    then: str
    now: str

    def __str__(self) -> str:
        return f"{self.what}: {self.then or 'unknown'} then, {self.now or 'unknown'} now"


@dataclass(frozen=True)
class Surroundings:
    """What was found before the repetition.

    Attributes:
        wanted: What is asked for, with the image pinned where it still is on the engine.
        differences: Between then and now; any of them may change a score.
        problems: What keeps the evaluation from being repeated.
        notes: What a reader should know, one sentence each.
    """

    wanted: Wanted
    differences: tuple[Difference, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...] = ()


def look_around(original: Original, wanted: Wanted, host: Host) -> Surroundings:
    """Compares the machine and the files of now with those of then; starts and downloads nothing.

    Args:
        original: The evaluation.
        wanted: What is to be asked for.
        host: This machine.

    Raises:
        ReproductionError: This ftbench does not take the settings.
    """
    ready = _ready(wanted, host)
    plan = ready.plan()
    problems = [*ready.source.problems, *ready.chosen.problems, *ready.refused]
    problems += _changed(original, plan, ready)
    wanted, of_image, found = _with_image(original, wanted, plan, host)
    problems += found
    notes = [*wanted.notes]
    if ready.chosen.missing and not ready.chosen.problems:
        notes += ["data is downloaded first; whether it is that of then, the scores will show"]
    if ready.source.must_be_downloaded:
        notes += [f"{ready.source.base} is downloaded first, in its revision of today"]
    differences = (*of_image, *_before(original, plan))
    return Surroundings(wanted, differences, tuple(dict.fromkeys(problems)), tuple(notes))


def differences_after(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    """What differed between two evaluations that are over, by their ``provenance.json``."""
    found: list[Difference] = []
    for group in ("packages", "hardware"):
        old, new = then.get(group) or {}, now.get(group) or {}
        for name in sorted(old.keys() | new.keys()):
            if old.get(name) != new.get(name):
                found += [Difference(name, str(old.get(name, "")), str(new.get(name, "")))]
    for name, path in {
        "image": ("program", "image_digest"),
        "evaluation program": ("program", "program_sha256"),
        "locked packages": ("program", "packages_sha256"),
        "ftbench": ("code", "ftbench", "version"),
        "ftbench's commit": ("code", "ftbench", "commit"),
        "commit here": ("code", "working_directory", "commit"),
    }.items():
        old_text, new_text = _at(then, path), _at(now, path)
        if old_text != new_text:
            found += [Difference(name, old_text[:40], new_text[:40])]
    old_parts, new_parts = then.get("fingerprint_parts") or {}, now.get("fingerprint_parts") or {}
    found += _parts(old_parts, new_parts, set(_PARTS))
    return found


def _ready(wanted: Wanted, host: Host) -> Ready:
    try:
        config = compose_config([*wanted.overrides, "dry_run=true"])
        return make_ready(config, host, Console(quiet=True))
    except ConfigError as exc:
        raise ReproductionError(exc.problems) from exc


def _changed(original: Original, plan: Plan, ready: Ready) -> Iterator[Problem]:
    """Weights and questions that are not those of then; what is not there is said elsewhere."""
    then, now = original.plan.fingerprint_parts, plan.fingerprint_parts
    model = plan.model
    if now.get("base") != then.get("base") and not (
        ready.source.problems or ready.source.must_be_downloaded
    ):
        yield _change(f"model {model.base}", then.get("base", ""), now.get("base", ""))
    if now.get("adapter_sha256") != then.get("adapter_sha256") and not ready.source.problems:
        old, new = then.get("adapter_sha256", ""), now.get("adapter_sha256", "")
        yield _change(f"adapter {model.adapter}", old, new)
    if now.get("data_sha256") != then.get("data_sha256") and not ready.chosen.missing:
        old, new = then.get("data_sha256", ""), now.get("data_sha256", "")
        yield _change(f"data in {ready.chosen.data_dir}", old, new)
    before, after = (_by_name(p.get("datasets", "[]")) for p in (then, now))
    for name in before:
        if before[name] != after.get(name):
            happened = f"it asks something else now: {after.get(name)} in place of {before[name]}"
            yield Problem(f"dataset {name}", happened, _of_version(original))


def _change(tried: str, then: str, now: str) -> Problem:
    then, now = then.removeprefix("sha256:"), now.removeprefix("sha256:")
    happened = f"its content has changed: {then[:12] or 'none'} then, {now[:12] or 'none'} now"
    return Problem(tried, happened, "bring back the files of then")


def _by_name(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, identity in json.loads(text):
        found.setdefault(name, []).append(identity)
    return found


def _of_version(original: Original) -> str:
    version = _at(original.provenance, ("code", "ftbench", "version"))
    return f"use the files of then, and ftbench {version}" if version else "use the files of then"


def _with_image(
    original: Original, wanted: Wanted, plan: Plan, host: Host
) -> tuple[Wanted, list[Difference], list[Problem]]:
    """Pins the image of then where the engine has it and it holds this ftbench's program."""
    try:
        runtime = make_runtime(plan, host)
        if plan.runtime != "docker":
            return wanted, [], runtime.check(plan)
        digest = _at(original.provenance, ("program", "image_digest"))
        if digest:
            problems = runtime.check(replace(plan, image=digest))
            if not any(digest in problem.tried for problem in problems):
                return wanted.with_image(digest), [], problems
        difference = Difference("image", digest, f"{plan.image} (that of then is not usable here)")
        return wanted, [difference], runtime.check(plan)
    except LaunchError as exc:
        return wanted, [], list(exc.problems)


def _before(original: Original, plan: Plan) -> Iterator[Difference]:
    then = original.provenance
    yield from _parts(original.plan.fingerprint_parts, plan.fingerprint_parts, set(_MEANT))
    version = _at(then, ("code", "ftbench", "version"))
    if version != __version__:
        yield Difference("ftbench", version, __version__)
    if hardware := then.get("hardware"):
        here = machine_facts(plan.num_gpus, os.environ)
        for name in _MACHINE:
            if hardware.get(name, "") != here.get(name, ""):
                yield Difference(name, hardware.get(name, ""), here.get(name, ""))


def _parts(
    then: Mapping[str, str], now: Mapping[str, str], left_out: set[str]
) -> Iterator[Difference]:
    for name in sorted((then.keys() | now.keys()) - left_out):
        old, new = then.get(name, ""), now.get(name, "")
        if old != new:
            is_hash = len(old) == len(new) == 64
            shown = (old[:12], new[:12]) if is_hash else (old, new)
            yield Difference(_PARTS.get(name, name), *shown)


def _at(value: Any, path: tuple[str, ...]) -> str:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return str(value) if value else ""

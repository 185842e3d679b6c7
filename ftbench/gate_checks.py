"""Finds what is wrong with a gate's policy, before anything is evaluated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ftbench.config import shown_names
from ftbench.errors import Problem

if TYPE_CHECKING:
    from omegaconf import DictConfig

TIERS = ("critical", "supporting", "advisory")

_SHARES = (
    "max_drop_share",
    "min_coverage",
    "max_truncated",
    "max_empty",
    "max_unextracted",
)

_LIMITS = ("floor", "max_drop", "max_drop_share")


def gate_problems(cfg: DictConfig) -> Iterator[Problem]:
    """Everything that is wrong with ``gate`` by itself, and with what it takes for granted.

    Args:
        cfg: The whole composed configuration.
    """
    gate = cfg.gate
    rules = {"gate.rule": gate.rule}
    rules |= {f"gate.per_dataset.{name}": rule for name, rule in gate.per_dataset.items()}
    for name, rule in rules.items():
        yield from _rule_problems(name, rule)
    if gate.alias and not gate.registered_model:
        happened = "moves in a registered model, and none is named"
        yield Problem(f"gate.alias={gate.alias}", happened, "gate.registered_model=NAME")
    if gate.registered_model and not gate.alias:
        happened = "has an alias that moves, and none is named"
        cure = "gate.alias=champion"
        yield Problem(f"gate.registered_model={gate.registered_model}", happened, cure)
    if not gate.name:
        if gate.alias or any(_asks(rule) for rule in rules.values()):
            happened = "limits are set, and no gate is chosen"
            yield Problem("gate", happened, "gate=no_regression, or gate.name=NAME for your own")
        return
    if not any(_asks(rule) for rule in rules.values()):
        happened = "it has no floor and no limit for a drop, so it could decide nothing"
        yield Problem(f"gate={gate.name}", happened, "gate.rule.max_drop=2 or gate.rule.floor=60")
    if cfg.baseline in (None, "none") and any(_is_drop(rule) for rule in rules.values()):
        happened = "it limits how far a score may lie below the baseline's, and baseline is none"
        yield Problem(f"gate={gate.name}", happened, "baseline=base, or baseline=RUN")
    if gate.alias and cfg.tracking.name == "none":
        yield Problem(f"gate.alias={gate.alias}", "is in MLflow, and tracking is none")
    yield from _missing(cfg)


def _rule_problems(name: str, rule: DictConfig) -> Iterator[Problem]:
    if rule.tier is not None and rule.tier not in TIERS:
        yield Problem(f"{name}.tier={rule.tier}", f"must be one of {', '.join(TIERS)}")
    for key in _SHARES:
        value = rule[key]
        if value is not None and not 0 <= value <= 1:
            yield Problem(f"{name}.{key}={value}", "must be between 0 and 1")
    for key, least in (("max_drop", 0), ("min_samples", 1)):
        value = rule[key]
        if value is not None and not value >= least:
            yield Problem(f"{name}.{key}={value}", f"must be at least {least}")


def _missing(cfg: DictConfig) -> Iterator[Problem]:
    """Datasets that the policy decides by and that are not to be evaluated."""
    known = shown_names(cfg)
    missing = [
        name
        for name, rule in cfg.gate.per_dataset.items()
        if name not in known
        and (rule.tier or cfg.gate.rule.tier) != "advisory"
        and (_asks(rule) or _asks(cfg.gate.rule))
    ]
    # Without a dataset there is nothing to do, and nothing to decide.
    if missing and known:
        names = ", ".join(missing)
        happened = f"it decides by {names}, and the datasets are {', '.join(known)}"
        cure = f"evaluate {names} too, or gate.per_dataset.{missing[0]}.tier=advisory"
        yield Problem(f"gate={cfg.gate.name}", happened, cure)


def _is_drop(rule: DictConfig) -> bool:
    return rule.max_drop is not None or rule.max_drop_share is not None


def _asks(rule: DictConfig) -> bool:
    return any(rule[key] is not None for key in _LIMITS)

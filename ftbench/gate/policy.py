"""What must hold of a model's scores, as values; from ``conf/gate/*.yaml``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ftbench.config import GateConf, GateRuleConf
from ftbench.errors import Problem

CRITICAL = "critical"
SUPPORTING = "supporting"
ADVISORY = "advisory"

_DROPS = {"max_drop", "max_drop_share"}

INTERVAL = "interval"
SCORE = "score"


@dataclass(frozen=True)
class Rule:
    """What the score of one dataset must hold.

    Attributes:
        tier: CRITICAL, SUPPORTING or ADVISORY.
        floor: The least score, in its own unit; None: any.
        max_drop: How far it may lie below the baseline's, in the same unit; None: any.
        max_drop_share: The same as a share of the baseline's score, 0 to 1; None: any.
        min_coverage: Share of the samples that must stand behind the score, 0 to 1.
        min_samples: Rows that must stand behind it.
        max_truncated, max_empty, max_unextracted: Shares of its answers, 0 to 1.
    """

    tier: str = CRITICAL
    floor: float | None = None
    max_drop: float | None = None
    max_drop_share: float | None = None
    min_coverage: float = 1.0
    min_samples: int = 1
    max_truncated: float = 0.05
    max_empty: float = 0.05
    max_unextracted: float = 0.05

    @property
    def needs_baseline(self) -> bool:
        return self.max_drop is not None or self.max_drop_share is not None

    @property
    def is_asking(self) -> bool:
        """It has some limit for the score."""
        return self.floor is not None or self.needs_baseline


@dataclass(frozen=True)
class Policy:
    """What must hold of a model's scores.

    Attributes:
        name: As the user chose it.
        evidence: INTERVAL or SCORE.
        rule: For datasets without one of their own.
        rules: Of single datasets, by name.
        allowed_supporting: SUPPORTING datasets that may break a limit.
    """

    name: str
    evidence: str = INTERVAL
    rule: Rule = field(default_factory=Rule)
    rules: Mapping[str, Rule] = field(default_factory=dict)
    allowed_supporting: int = 0

    def rule_of(self, dataset: str) -> Rule:
        """What a dataset must hold."""
        return self.rules.get(dataset, self.rule)

    @property
    def needs_baseline(self) -> bool:
        """Some limit is one against a baseline."""
        return any(rule.needs_baseline for rule in (self.rule, *self.rules.values()))


def make_policy(conf: GateConf) -> Policy | None:
    """The policy of a checked configuration; None where no gate is chosen."""
    if not conf.name:
        return None
    rule = _rule(conf.rule, Rule())
    return Policy(
        name=conf.name,
        evidence=conf.evidence,
        rule=rule,
        rules={name: _rule(own, rule) for name, own in conf.per_dataset.items()},
        allowed_supporting=conf.allowed_supporting,
    )


def never_decided(conf: GateConf, datasets: Sequence[str]) -> Iterator[Problem]:
    """What keeps a model from passing, whatever its scores, when it has no baseline.

    Args:
        conf: The chosen gate.
        datasets: Names of what is evaluated.
    """
    policy = make_policy(conf)
    if policy is None:
        return
    rules = {name: policy.rule_of(name) for name in datasets}
    dropped = {name: rule.tier for name, rule in rules.items() if rule.needs_baseline}
    open_ = [name for name, tier in dropped.items() if tier == CRITICAL]
    supporting = [name for name, tier in dropped.items() if tier == SUPPORTING]
    open_ += supporting if len(supporting) > policy.allowed_supporting else []
    if open_:
        happened = (
            f"it limits how far {', '.join(open_)} may lie below the baseline's score, and there "
            "is none: without an adapter this is the base model itself, or a full model whose "
            "base is not known. It could never be decided"
        )
        cure = "baseline=RUN, a run of the model that it comes from, or a gate without max_drop "
        yield Problem(f"gate={conf.name}", happened, cure + "and max_drop_share, such as floors")


def _rule(conf: GateRuleConf, start: Rule) -> Rule:
    given = {name: value for name, value in dataclasses.asdict(conf).items() if value is not None}
    if _DROPS & given.keys():
        # A dataset with a limit of its own for the drop has only that one.
        given = dict.fromkeys(_DROPS) | given
    return dataclasses.replace(start, **given)

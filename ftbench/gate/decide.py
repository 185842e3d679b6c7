"""Whether a model passes: every limit of a policy held against its scores.

A score that cannot be stood behind is never judged, neither way: partial, cut off or unreadable
answers, too few samples, or a baseline that was asked otherwise make a check inconclusive.
"""

from __future__ import annotations

from collections.abc import Iterator

from ftbench.comparison.comparable import coverage as coverage_text
from ftbench.decision import BREACH, INCONCLUSIVE, NOT_APPLICABLE, PASS, Check, Decision
from ftbench.deltas import Delta, Deltas
from ftbench.gate.policy import ADVISORY, CRITICAL, INTERVAL, SUPPORTING, Policy, Rule
from ftbench.schema import FAILED, SKIPPED, TIMEOUT, DatasetResult, Result
from ftbench.validity import Count, validity_of


def decide(policy: Policy, result: Result, deltas: Deltas | None = None) -> Decision:
    """Holds every limit of a policy against an evaluation.

    Args:
        policy: What must hold.
        result: The collected evaluation.
        deltas: Its scores against the baseline's, or why there are none; None: nobody asked.
    """
    deltas = deltas or Deltas("", why_not="baseline=none")
    by_name = {dataset.name: dataset for dataset in result.datasets}
    names = dict.fromkeys([*by_name, *(n for n, rule in policy.rules.items() if rule.is_asking)])
    checks: list[Check] = []
    for name in names:
        checks += _Judge(name, policy, by_name.get(name), deltas).checks()
    outcome, reasons = _overall(policy, checks)
    if result.failure is not None:
        reasons = (f"the evaluation failed: {result.failure.message}", *reasons)
        outcome = BREACH if outcome == BREACH else INCONCLUSIVE
    baseline = deltas.title if deltas.datasets else ""
    return Decision(policy.name, outcome, reasons, tuple(checks), baseline)


class _Judge:
    """Holds one dataset against its rule."""

    def __init__(
        self, name: str, policy: Policy, dataset: DatasetResult | None, deltas: Deltas
    ) -> None:
        self._name = name
        self._policy = policy
        self._rule = policy.rule_of(name)
        self._dataset = dataset
        self._delta = deltas.of(name)
        self._why_no_delta = deltas.why_not or "the baseline did not evaluate it"
        self._is_baseline = deltas.is_itself

    def checks(self) -> Iterator[Check]:
        """One per limit; where the score is not to be judged, each says why."""
        refusal = _refusal(self._dataset, self._rule)
        if self._rule.floor is not None:
            yield self._refused(_floor_words(self._rule), refusal) or self._floor()
        for words, drop in self._drops():
            yield self._refused(words, refusal) or self._drop(words, drop)

    def _drops(self) -> Iterator[tuple[str, float | None]]:
        """Limits against the baseline: in words, and in the score's unit where that is known."""
        rule = self._rule
        if rule.max_drop is not None:
            yield f"at most {rule.max_drop:g} below the baseline", rule.max_drop
        if rule.max_drop_share is not None:
            start = self._delta.baseline_score if self._delta else None
            drop = None if start is None else rule.max_drop_share * start
            yield f"at most {100 * rule.max_drop_share:g} % of the baseline below it", drop

    def _refused(self, words: str, refusal: str) -> Check | None:
        return self._check(words, INCONCLUSIVE, refusal) if refusal else None

    def _check(self, words: str, outcome: str, found: str) -> Check:
        return Check(self._name, self._rule.tier, words, outcome, found)

    def _floor(self) -> Check:
        assert self._dataset is not None and self._dataset.score is not None
        assert self._rule.floor is not None
        score, error = self._dataset.score, self._dataset.uncertainty
        words = _floor_words(self._rule)
        if self._policy.evidence != INTERVAL:
            outcome = PASS if score >= self._rule.floor else BREACH
            return self._check(words, outcome, f"{score:.2f}")
        if error is None or error.low is None or error.high is None:
            why = error.why_not if error is not None and error.why_not else "it was not computed"
            return self._check(words, INCONCLUSIVE, f"{score:.2f} has no interval: {why}")
        found = f"{score:.2f} {_ends(error.low, error.high)}"
        return self._check(words, _side(error.low, error.high, self._rule.floor), found)

    def _drop(self, words: str, drop: float | None) -> Check:
        delta = self._delta
        if self._is_baseline:
            return self._check(words, NOT_APPLICABLE, self._why_no_delta)
        if delta is None:
            return self._check(words, INCONCLUSIVE, f"there is no baseline: {self._why_no_delta}")
        if delta.difference is None or drop is None:
            why = f"not comparable: {delta.why_not or 'the baseline has no score'}"
            return self._check(words, INCONCLUSIVE, why)
        if self._policy.evidence != INTERVAL:
            outcome = PASS if delta.difference >= -drop else BREACH
            return self._check(words, outcome, f"{delta.difference:+.2f}")
        if delta.low is None or delta.high is None:
            why = delta.why_not or "it was not computed"
            return self._check(
                words, INCONCLUSIVE, f"{delta.difference:+.2f} has no interval: {why}"
            )
        outcome = _side(delta.low, delta.high, -drop)
        found = f"{delta.difference:+.2f} {_ends(delta.low, delta.high)}"
        return self._check(
            words, outcome, found + (_noise(delta) if outcome == INCONCLUSIVE else "")
        )


def _refusal(dataset: DatasetResult | None, rule: Rule) -> str:
    """Why a dataset's score is not judged; empty where it is."""
    if dataset is None:
        return "not evaluated"
    if dataset.status in (FAILED, TIMEOUT, SKIPPED) or dataset.score is None:
        reason = f": {dataset.reason.message}" if dataset.reason else ""
        return f"{dataset.status}{reason}"
    share = _coverage(dataset)
    if share < rule.min_coverage:
        return f"{dataset.status}: {coverage_text(dataset)}, at least {rule.min_coverage:.0%} asked"
    rows = sum(s.completed // max(1, s.repeats) for s in dataset.subsets if s.score is not None)
    if rows < rule.min_samples:
        return f"{rows} samples, at least {rule.min_samples} asked"
    return _invalid(dataset, rule)


def _coverage(dataset: DatasetResult) -> float:
    """Share of the samples behind the score, 0 to 1; of the subsets where sizes are not known."""
    scored = [subset for subset in dataset.subsets if subset.score is not None]
    if not dataset.subsets or not all(subset.expected for subset in dataset.subsets):
        return len(scored) / len(dataset.subsets) if dataset.subsets else 0.0
    expected = sum(subset.expected for subset in dataset.subsets)
    return sum(min(subset.completed, subset.expected) for subset in scored) / expected


def _invalid(dataset: DatasetResult, rule: Rule) -> str:
    found = validity_of(dataset.subsets)
    limits: tuple[tuple[Count | None, float, str], ...] = (
        (found.truncated, rule.max_truncated, "reached the generation limit"),
        (found.empty, rule.max_empty, "are empty"),
        (found.unextracted, rule.max_unextracted, "held nothing that the evaluator could take"),
    )
    return "; ".join(
        f"{count} {words}, at most {limit:.0%} may"
        for count, limit, words in limits
        if count is not None and count.share > limit
    )


def _side(low: float, high: float, limit: float) -> str:
    if low >= limit:
        return PASS
    return BREACH if high < limit else INCONCLUSIVE


def _ends(low: float, high: float) -> str:
    return f"[{low:.2f}, {high:.2f}]"


def _noise(delta: Delta) -> str:
    if delta.detectable is None:
        return ""
    return f"; less than {delta.detectable:.1f} is noise in {delta.rows} questions"


def _floor_words(rule: Rule) -> str:
    return f"at least {rule.floor:g}"


def _overall(policy: Policy, checks: list[Check]) -> tuple[str, tuple[str, ...]]:
    """The outcome, and the checks that led to it or that a reader should see."""
    decisive = [check for check in checks if check.tier != ADVISORY]
    if not decisive:
        return INCONCLUSIVE, ("nothing that decides was checked",)
    is_exempt = all(check.outcome == NOT_APPLICABLE for check in decisive)
    outcome = NOT_APPLICABLE if is_exempt else PASS
    broken = _datasets(checks, SUPPORTING, BREACH)
    open_ = _datasets(checks, SUPPORTING, INCONCLUSIVE) - broken
    if _datasets(checks, CRITICAL, BREACH) or len(broken) > policy.allowed_supporting:
        outcome = BREACH
    elif (
        _datasets(checks, CRITICAL, INCONCLUSIVE)
        or len(broken) + len(open_) > policy.allowed_supporting
    ):
        outcome = INCONCLUSIVE
    order = (BREACH, INCONCLUSIVE, NOT_APPLICABLE)
    failed = [check for check in checks if check.outcome in order]
    failed.sort(key=lambda check: order.index(check.outcome))
    return outcome, tuple(check.text for check in failed)


def _datasets(checks: list[Check], tier: str, outcome: str) -> set[str]:
    return {c.dataset for c in checks if c.tier == tier and c.outcome == outcome}

"""What the canary showed, in one sentence, for everyone who reports it."""

from __future__ import annotations

from ftbench.schema import Canary


def canary_sentence(canary: Canary | None) -> str:
    """One sentence; empty where there is nothing to say.

    Args:
        canary: Of ``ModelFacts``.
    """
    if canary is None:
        return ""
    if canary.skipped:
        return f"Canary: skipped ({canary.skipped}): nothing shows that the adapter has an effect."
    if not canary.prompts:
        return (
            f"Canary: merging the adapter changed {canary.changed_weights} of {canary.weights} "
            "weight tensors."
        )
    asked = f"{canary.changed} of {canary.prompts} fixed prompts"
    moved = f"log-probabilities by up to {canary.max_logprob_difference or 0.0:.3g}"
    if canary.changed:
        return f"Canary: the adapter changes the answers to {asked}, and {moved}."
    if canary.max_logprob_difference:
        return f"Canary: the adapter changes no answer ({asked}), but {moved}: its effect is small."
    return f"Canary: the adapter changes the answers to {asked}: it has no effect."


def changed_fraction(canary: Canary | None) -> float | None:
    """Share of the prompts whose answers the adapter changes, 0 to 1; None where none was asked."""
    if canary is None or not canary.prompts:
        return None
    return canary.changed / canary.prompts

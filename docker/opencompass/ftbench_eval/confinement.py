"""Which datasets may be scored where scoring cannot be confined, and what a user is told."""

from __future__ import annotations

from collections.abc import Iterable

from ftbench.catalogue import load_catalogue
from ftbench.preset import CODE, EVAL
from ftbench.schema import Reason
from ftbench_eval.code_walls import NOT_EACH_ALONE
from ftbench_eval.sandbox import unavailable

_CURE = "a kernel with Landlock (5.13 or newer) and an engine that lets it through are needed"


def refusal(preset: str) -> Reason | None:
    """Why a preset is not scored on this machine, or None.

    Args:
        preset: Its path below ``opencompass/configs/datasets``.
    """
    why = unavailable()
    if not why:
        return None
    needs = set(load_catalogue().entries.get(preset, {}).get("needs", ()))
    if not needs & {CODE, EVAL}:
        return None
    what = "runs programs" if CODE in needs else "evaluates answers"
    return Reason("unconfined", f"its evaluator {what} that the model wrote; {why}; {_CURE}")


def notes(presets: Iterable[str]) -> tuple[str, ...]:
    """What a user should know about the confinement of a run.

    Args:
        presets: Of every subset, as ``refusal`` takes them.
    """
    why = unavailable()
    if why:
        return (f"Scoring was not confined: {why}. No dataset that runs what a model wrote ran.",)
    together = sorted({preset.split("/")[0] for preset in presets} & set(NOT_EACH_ALONE))
    return tuple(
        f"{family}: its programs were confined together, not each by itself." for family in together
    )

"""Chooses the preset behind each family, and the other names that people use."""

from __future__ import annotations

from collections.abc import Iterable

from ftbench.catalogue import Catalogue, choose, is_usable, normalise

_NO_DATASETS = {
    "collections",
    "contamination",
    "demo",
    "inference_ppl",
    "judge",
    "promptbench",
    "subjective",
}
"""Folders of presets that are not one dataset: none of them stands for the folder."""

_GROUPS = ("SuperGLUE", "GLUE", "CLUE", "FewCLUE")
"""Benchmarks whose parts are families of their own, such as SuperGLUE_BoolQ."""

_ALIASES: dict[str, tuple[str, ...]] = {
    "aime": ("aime2024", "aime2025"),
    "arc": ("ARC_c", "ARC_e"),
    "arc_agi": ("ARC_Prize_Public_Evaluation",),
    "arc_challenge": ("ARC_c",),
    "arc_easy": ("ARC_e",),
    "bigbench_hard": ("bbh",),
    "csqa": ("commonsenseqa",),
    "hendrycks_math": ("math",),
    "gpqa_diamond": ("gpqa",),
    "lcb": ("livecodebench",),
    "math500": ("math/math_500_gen.py",),
    "natural_questions": ("nq",),
    "openbookqa": ("obqa",),
    "social_iqa": ("siqa",),
    "squad2": ("squad20",),
}
"""What people say and OpenCompass does not; the generator checks that each leads somewhere."""


def default_presets(catalogue: Catalogue) -> dict[str, str]:
    """The default preset's path of every family; empty where none stands out."""
    defaults = {}
    for family in families(catalogue.entries):
        presets = catalogue.presets(family)
        chosen = None if family in _NO_DATASETS else choose(family, filter(is_usable, presets))
        defaults[family] = chosen.path if chosen else ""
    return defaults


def families(paths: Iterable[str]) -> list[str]:
    """First folders, sorted."""
    return sorted({path.split("/")[0] for path in paths})


def aliases(defaults: dict[str, str]) -> dict[str, list[str]]:
    """Other names: hand-made ones, benchmark groups, and group members by their own name.

    Raises:
        ValueError: A hand-made name leads nowhere, or hides a family.
    """
    known = {normalise(family) for family in defaults}
    found = {name: list(targets) for name, targets in _ALIASES.items()}
    for name, targets in found.items():
        lost = [t for t in targets if "/" not in t and not defaults.get(t)]
        if lost or normalise(name) in known:
            raise ValueError(f"alias {name}: {lost or 'is a family already'}")
    parts: dict[str, list[str]] = {}
    for group in _GROUPS:
        members = [f for f in defaults if f.startswith(f"{group}_") and defaults[f]]
        found[group.lower()] = members
        for member in members:
            parts.setdefault(member.removeprefix(f"{group}_").lower(), []).append(member)
    for part, members in parts.items():
        if len(members) == 1 and normalise(part) not in known:
            found.setdefault(part, members)
    return dict(sorted(found.items()))

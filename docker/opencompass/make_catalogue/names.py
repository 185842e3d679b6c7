"""Chooses the preset behind each family, and the other names that people use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ftbench.catalogue import Catalogue
from ftbench.preset import Preset, choose, is_usable, normalise
from make_catalogue.about import Indexed
from make_catalogue.prompts import shots_in_name

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

_VERSIONS = {"livereasonbench"}
"""Families whose presets are one benchmark at several dates, not parts of it."""

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


def default_presets(catalogue: Catalogue, index: Sequence[Indexed]) -> dict[str, tuple[str, ...]]:
    """The paths of the presets that stand for each family: mostly one, none where none stands out.

    Args:
        catalogue: With all entries.
        index: OpenCompass's own, which knows what belongs together.
    """
    return {family: _defaults(catalogue, family, index) for family in families(catalogue.entries)}


def _defaults(catalogue: Catalogue, family: str, index: Sequence[Indexed]) -> tuple[str, ...]:
    usable = [preset for preset in catalogue.presets(family) if is_usable(preset)]
    if family in _NO_DATASETS or not usable:
        return ()
    chosen = choose(family, usable)
    if chosen:
        return (chosen.path,)
    by_path = {preset.path: preset for preset in usable}
    for row in index:
        listed = [by_path[path] for path in row.presets if path in by_path]
        if listed:
            return tuple(p.path for p in (listed if are_parts(listed) else listed[:1]))
    known = {preset.name for preset in usable}
    unique = [preset for preset in usable if preset.same_as not in known]
    is_whole = family not in _VERSIONS and are_parts(unique)
    return tuple(preset.path for preset in unique) if is_whole else ()


def are_parts(presets: Sequence[Preset]) -> bool:
    """Whether presets can be one dataset: no subset is in two, nor in two numbers of examples."""
    subsets = [subset for preset in presets for subset in preset.subsets]
    is_alike = len({shots_in_name(preset.name) for preset in presets}) == 1
    return is_alike and len(set(subsets)) == len(subsets)


def families(paths: Iterable[str]) -> list[str]:
    """First folders, sorted."""
    return sorted({path.split("/")[0] for path in paths})


def aliases(defaults: dict[str, tuple[str, ...]]) -> dict[str, list[str]]:
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

"""Resolves the names that people use for datasets to OpenCompass's presets.

``catalogue.json`` beside this file is generated from the OpenCompass of the lock file
(``scripts/catalogue``) and holds every preset. Standard library only: host and evaluation program
share this module, so that a name means the same on both sides.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftbench.preset import (
    JUDGE,
    JUDGE_OPTIONAL,
    DataSource,
    Preset,
    expand,
    is_usable,
    normalise,
)
from ftbench.schema import Group

_HASHED = re.compile(r"_[0-9a-f]{6}$")

_ROOT = "opencompass/configs/datasets/"

_NUM_SUGGESTIONS = 3


class UnknownDataset(Exception):
    """A name that stands for no dataset, or for several.

    Attributes:
        name: As the user wrote it.
        suggestions: Names that would resolve, nearest first.
    """

    def __init__(self, name: str, reason: str, suggestions: Iterable[str] = ()) -> None:
        super().__init__(reason)
        self.name = name
        self.suggestions = tuple(suggestions)


class UnusableDataset(UnknownDataset):
    """A preset that exists and cannot be scored on a local model; the message says why."""


@dataclass(frozen=True)
class Catalogue:
    """Every preset of one OpenCompass version, and the names that lead to them.

    Attributes:
        opencompass_version: The version it was generated from.
        families: Folder name to the path of its default preset; empty where none stands out.
        aliases: Other names to the names or paths that they stand for.
        downloads: Part of a data path to the URL and md5 of the archive that brings it.
        entries: Preset path to its raw entry.
        about: Family to what is said of all its presets: name, categories, languages, paper.
        groups: Key of a group to its raw entry; a preset's entry names the keys.
        parts: Family to the paths of the presets that are its dataset together, where it comes in
            several files, such as ``teval`` in English and in Chinese.
    """

    opencompass_version: str
    families: dict[str, str]
    aliases: dict[str, tuple[str, ...]]
    downloads: dict[str, tuple[str, str]]
    entries: dict[str, dict[str, Any]] = field(repr=False)
    about: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    groups: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    parts: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def resolve(self, name: str) -> Preset:
        """The one preset that a name stands for.

        Args:
            name: A family (``mmlu``), preset (``mmlu_ppl``), preset path, or another known name;
                case and punctuation do not matter. ``:ppl``, ``:judge`` and so on choose another
                mode, ``@4d595a`` the preset with that hash.

        Raises:
            UnknownDataset: It stands for none or for several.
            UnusableDataset: Its preset does not load, or needs what a local model is not.
        """
        members = self.members(name)
        if len(members) > 1:
            raise UnknownDataset(name, f"it stands for {len(members)} presets", members)
        stem, variant, digest = _split(members[0])
        family = self._family(stem)
        if variant or digest:
            found = self._variant(name, family, variant, digest)
        else:
            path = self._exact(stem) or (self._default(name, family) if family else "")
            found = self.preset(path or self._loosely(name, stem))
        if found.problem:
            others = [p.name for p in self.presets(found.family) if is_usable(p)]
            raise UnusableDataset(
                name,
                f"its preset {found.path} cannot be used: {found.problem}",
                _nearest(found.name, others),
            )
        return found

    def resolve_all(self, name: str) -> tuple[Preset, ...]:
        """Every preset that a name stands for: ``arc`` is two datasets.

        Raises:
            UnknownDataset: As ``resolve``.
        """
        return tuple(self.resolve(member) for member in self.members(name))

    def members(self, name: str) -> tuple[str, ...]:
        """The names that a name stands for: itself, or those of a group such as ``arc``."""
        stem, variant, digest = _split(name)
        family = self._family(stem)
        if self._exact(stem) or family:
            is_whole = not (variant or digest or self._exact(stem))
            return (is_whole and self.parts.get(family)) or (name,)
        wanted = normalise(stem)
        known = (targets for alias, targets in self.aliases.items() if normalise(alias) == wanted)
        targets = next(known, (stem,))
        suffix = (f":{variant}" if variant else "") + (f"@{digest}" if digest else "")
        return tuple(f"{target}{suffix}" for target in targets)

    def names(self) -> list[str]:
        """The names to show a user: families with a default, and other names; sorted."""
        families = [family for family, default in self.families.items() if default]
        return sorted([*families, *self.parts, *self.aliases], key=str.lower)

    def presets(self, family: str) -> list[Preset]:
        """Every preset of a family, usable or not."""
        return [self.preset(path) for path in self.entries if path.startswith(f"{family}/")]

    def preset(self, path: str) -> Preset:
        """The preset of a path, usable or not.

        Raises:
            KeyError: There is none.
        """
        family = path.split("/")[0]
        entry = self.about.get(family, {}) | self.entries[path]
        return Preset(
            name=_stem(path),
            path=path,
            mode=entry.get("mode", ""),
            subsets=self._subsets(entry.get("subsets", [])),
            family=family,
            sources=tuple(DataSource(where, kind) for kind, where in entry.get("sources", [])),
            needs=tuple(entry.get("needs", [])),
            evaluators=tuple(entry.get("evaluators", [])),
            same_as=entry.get("same_as", ""),
            problem=entry.get("problem", ""),
            groups=tuple(map(self._group, entry.get("groups", []))),
            display_name=entry.get("name", family),
            categories=tuple(entry.get("categories", [])),
            languages=tuple(entry.get("languages", [])),
            paper=entry.get("paper", ""),
            shots=entry.get("shots"),
            num_rows=entry.get("num_rows"),
        )

    def _subsets(self, listed: str | list[str]) -> tuple[str, ...]:
        # A long list stands once; later presets name the preset that has it.
        patterns = self.entries[listed]["subsets"] if isinstance(listed, str) else listed
        return tuple(expand(patterns))

    def _group(self, key: str) -> Group:
        entry = self.groups[key]
        members = entry["members"]
        # Two groups over the same subsets differ in their weights.
        patterns = self.groups[members]["members"] if isinstance(members, str) else members
        weights = tuple(map(float, entry.get("weights", [])))
        return Group(entry["name"], tuple(expand(patterns)), weights)

    def _exact(self, stem: str) -> str:
        """Path of the preset with exactly this path or base name."""
        wanted = stem.lower().removeprefix(_ROOT).removesuffix(".py")
        if "/" in wanted:
            return next((path for path in self.entries if path.lower() == f"{wanted}.py"), "")
        return self._best([path for path in self.entries if _stem(path).lower() == wanted])

    def _loosely(self, name: str, stem: str) -> str:
        """Path of the preset with this base name but for punctuation, or an error that helps."""
        wanted = normalise(stem)
        found = self._best([path for path in self.entries if normalise(_stem(path)) == wanted])
        if not found:
            near = _nearest(stem, self.names()) or _nearest(stem, map(_stem, self.entries))
            raise UnknownDataset(
                name, f"OpenCompass {self.opencompass_version} has no dataset of this name", near
            )
        return found

    def _best(self, paths: list[str]) -> str:
        # Some base names stand in two folders, such as mgsm_gen in mgsm and in PMMEval: the folder
        # with the name in it is meant.
        own = [p for p in paths if normalise(_stem(p)).startswith(normalise(p.split("/")[0]))]
        return (own or paths or [""])[0]

    def _family(self, stem: str) -> str:
        wanted = normalise(stem)
        return next((f for f in self.families if normalise(f) == wanted), "") if wanted else ""

    def _default(self, name: str, family: str) -> str:
        if self.families[family]:
            return self.families[family]
        usable = [preset for preset in self.presets(family) if is_usable(preset)]
        if usable:
            reason = f"none of its {len(usable)} presets stands out; name one of them"
            raise UnknownDataset(name, reason, [preset.name for preset in usable])
        problems = list(dict.fromkeys(p.problem for p in self.presets(family) if p.problem))
        raise UnusableDataset(name, f"none of its presets can be used: {problems[0]}")

    def _variant(self, name: str, family: str, variant: str, digest: str) -> Preset:
        if not family:
            stem = _split(name)[0]
            near = _nearest(stem, [f for f in self.families if self.families[f]])
            raise UnknownDataset(name, "a variant needs the name of a dataset before it", near)
        presets = [p for p in self.presets(family) if p.name.endswith(f"_{digest}")]
        presets = presets if digest else self.presets(family)
        fitting = [p for p in presets if _is_variant(p, variant)]
        usable = [preset for preset in fitting if is_usable(preset)]
        chosen = choose(family, usable, variant or "any")
        if chosen or len(fitting) == 1:
            return chosen or fitting[0]
        if fitting and not usable:
            raise UnusableDataset(name, f"none of its presets can be used: {fitting[0].problem}")
        offered = usable or [preset for preset in self.presets(family) if is_usable(preset)]
        wanted = " ".join(filter(None, (variant, digest)))
        reason = f"{len(usable) or 'no'} presets of {family} fit '{wanted}'; name one"
        raise UnknownDataset(name, reason, [preset.name for preset in offered])


def load_catalogue(path: Path | None = None) -> Catalogue:
    """Reads a catalogue.

    Args:
        path: The file; None for the one that is shipped.
    """
    text = (path or Path(__file__).with_name("catalogue.json")).read_text(encoding="utf-8")
    value = json.loads(text)
    return Catalogue(
        opencompass_version=value["opencompass"],
        families=value["families"],
        aliases={name: tuple(targets) for name, targets in value["aliases"].items()},
        downloads={key: (url, md5) for key, (url, md5) in value["downloads"].items()},
        entries=value["presets"],
        about=value.get("about", {}),
        groups=value.get("groups", {}),
        parts={family: tuple(paths) for family, paths in value.get("parts", {}).items()},
    )


def choose(family: str, candidates: Iterable[Preset], variant: str = "any") -> Preset | None:
    """Chooses the preset that stands for a family, by OpenCompass's naming habits.

    Args:
        family: Name of the folder.
        candidates: Usable presets of it.
        variant: ``any``, or the mode (``judge`` too) that they were narrowed to.

    Returns:
        The one that the first decisive rule leaves; None when every rule leaves several or none.
    """
    listed = list(candidates)
    known = {preset.name for preset in listed}
    # Presets that only pass on another one are no rivals of it.
    unique = [preset for preset in listed if preset.same_as not in known]
    for rule in _rules(family.lower(), variant):
        for pool in (listed, unique):
            left = [preset for preset in pool if rule(preset)]
            if len(left) == 1:
                return left[0]
    return None


def _rules(family: str, variant: str) -> list[Callable[[Preset], bool]]:
    def is_rule_scored(preset: Preset) -> bool:
        return preset.mode == "gen" and not {JUDGE, JUDGE_OPTIONAL} & set(preset.needs)

    def is_hashed(preset: Preset) -> bool:
        return bool(_HASHED.search(preset.name))

    def is_named(*names: str) -> Callable[[Preset], bool]:
        return lambda preset: preset.name.lower() in names

    if variant != "any":
        return [
            is_named(f"{family}_{variant}", f"{family}_llm_judge_gen", f"{family}_llmjudge_gen"),
            lambda preset: not is_hashed(preset),
            lambda preset: True,
        ]
    return [
        is_named(f"{family}_gen"),
        lambda preset: is_rule_scored(preset) and not is_hashed(preset),
        is_named(f"{family}_ppl"),
        lambda preset: is_rule_scored(preset) and is_hashed(preset),
        is_named(family),
        lambda preset: JUDGE_OPTIONAL in preset.needs,
        lambda preset: JUDGE in preset.needs and not is_hashed(preset),
        lambda preset: JUDGE in preset.needs,
        lambda preset: _HASHED.sub("", preset.name).lower() == f"{family}_gen",
        # Of a family by context length the one that every model has room for.
        is_named(f"{family}_4k_gen", f"{family}_4k"),
        lambda preset: True,
    ]


def _is_variant(preset: Preset, variant: str) -> bool:
    judged = bool({JUDGE, JUDGE_OPTIONAL} & set(preset.needs))
    return not variant or (judged if variant == JUDGE else preset.mode == variant and not judged)


def _split(name: str) -> tuple[str, str, str]:
    """A name's stem, its variant (``ppl``) and its hash (``4d595a``), either empty."""
    stem, _, digest = name.strip().partition("@")
    stem, _, variant = stem.partition(":")
    if ":" in digest:
        digest, _, variant = digest.partition(":")
    return stem.strip(), variant.strip().lower(), digest.strip().lower()


def _stem(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".py")


def _nearest(name: str, known: Iterable[str]) -> list[str]:
    by_normal: dict[str, str] = {}
    for each in known:
        by_normal.setdefault(normalise(each), each)
    near = difflib.get_close_matches(normalise(name), by_normal, n=_NUM_SUGGESTIONS, cutoff=0.6)
    return [by_normal[each] for each in near]

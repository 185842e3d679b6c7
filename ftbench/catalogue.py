"""Resolves the names that people use for datasets to OpenCompass's presets.

``catalogue.json`` beside this file is generated from the OpenCompass of the lock file
(``scripts/catalogue``) and holds every preset. Standard library only: host and evaluation program
share this module, so that a name means the same on both sides.
"""

from __future__ import annotations

import difflib
import functools
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftbench.preset import (
    JUDGE,
    DataSource,
    Preset,
    choose,
    expand,
    is_usable,
    is_variant,
    normalise,
)
from ftbench.schema import Group

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
    _made: dict[str, Preset] = field(default_factory=dict, init=False, repr=False, compare=False)

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
        if variant or digest:
            found = self._variant(name, stem, variant, digest)
        else:
            path = self._exact(stem) or self._default(name, self._family(stem))
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
        return [self.preset(path) for path in self._by_family.get(family, [])]

    def preset(self, path: str) -> Preset:
        """The preset of a path, usable or not.

        Raises:
            KeyError: There is none.
        """
        if path not in self._made:
            self._made[path] = self._make(path)
        return self._made[path]

    def _make(self, path: str) -> Preset:
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
        return self._best(self._by_stem.get(wanted, []))

    def _loosely(self, name: str, stem: str) -> str:
        """Path of the preset with this base name but for punctuation, or an error that helps."""
        wanted = normalise(stem)
        found = self._best(
            [p for s, ps in self._by_stem.items() if normalise(s) == wanted for p in ps]
        )
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
        return self._by_name.get(normalise(stem), "")

    @functools.cached_property
    def _by_name(self) -> dict[str, str]:
        """Families by their names without case and punctuation."""
        return {normalise(family): family for family in reversed(self.families)}

    @functools.cached_property
    def _by_family(self) -> dict[str, list[str]]:
        return _grouped(self.entries, lambda path: path.split("/")[0])

    @functools.cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        return _grouped(self.entries, lambda path: _stem(path).lower())

    def _default(self, name: str, family: str) -> str:
        if not family or self.families[family]:
            return self.families.get(family, "")
        usable = [preset for preset in self.presets(family) if is_usable(preset)]
        if usable:
            reason = f"none of its {len(usable)} presets stands out; name one of them"
            raise UnknownDataset(name, reason, [preset.name for preset in usable])
        problems = list(dict.fromkeys(p.problem for p in self.presets(family) if p.problem))
        raise UnusableDataset(name, f"none of its presets can be used: {problems[0]}")

    def _variant(self, name: str, stem: str, variant: str, digest: str) -> Preset:
        family, series = self._series(name, stem)
        presets = [p for p in self.presets(family) if p.name.startswith(series)]
        fitting = [p for p in presets if is_variant(p, variant, digest)]
        usable = [preset for preset in fitting if is_usable(preset)]
        own = [p for p in usable if p.path == self.families[family] and JUDGE in p.needs]
        chosen = own[0] if own else choose(series or family, usable, variant or "any")
        if chosen or len(fitting) == 1:
            return chosen or fitting[0]
        if fitting and not usable:
            raise UnusableDataset(name, f"none of its presets can be used: {fitting[0].problem}")
        offered = usable or [preset for preset in presets if is_usable(preset)]
        wanted = " ".join(filter(None, (variant, digest)))
        reason = f"{len(usable) or 'no'} presets of {series or family} fit '{wanted}'; name one"
        raise UnknownDataset(name, reason, [preset.name for preset in offered])

    def _series(self, name: str, stem: str) -> tuple[str, str]:
        """The family whose presets a variant is chosen from, and what their names begin with."""
        family = self._family(stem)
        path = "" if family else self._exact(stem)
        if path:  # math500 is one preset of math: its variants are called alike
            return path.split("/")[0], re.split(r"_(?:gen|ppl)(?:_|$)", _stem(path))[0]
        if not family:
            near = _nearest(stem, [f for f in self.families if self.families[f]])
            raise UnknownDataset(name, "a variant needs the name of a dataset before it", near)
        return family, ""


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


def _split(name: str) -> tuple[str, str, str]:
    """A name's stem, its variant (``ppl``) and its hash (``4d595a``), either empty."""
    stem, _, digest = name.strip().partition("@")
    stem, _, variant = stem.partition(":")
    if ":" in digest:
        digest, _, variant = digest.partition(":")
    return stem.strip(), variant.strip().lower(), digest.strip().lower()


def _stem(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".py")


def _grouped(paths: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for path in paths:
        grouped.setdefault(key(path), []).append(path)
    return grouped


def _nearest(name: str, known: Iterable[str]) -> list[str]:
    by_normal: dict[str, str] = {}
    for each in known:
        by_normal.setdefault(normalise(each), each)
    near = difflib.get_close_matches(normalise(name), by_normal, n=_NUM_SUGGESTIONS, cutoff=0.6)
    return [by_normal[each] for each in near]

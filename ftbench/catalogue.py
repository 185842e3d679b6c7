"""Resolves the names that people use for datasets to OpenCompass's presets.

``catalogue.json`` beside this file is generated from the OpenCompass of the lock file
(``scripts/catalogue``) and holds every preset. Standard library only: host and evaluation program
share this module, so that a name means the same on both sides.
"""

from __future__ import annotations

import difflib
import itertools
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftbench.schema import Group

DOWNLOAD = "download"
LOCAL = "local"
HUB = "hub"

JUDGE = "judge"
JUDGE_OPTIONAL = "judge_optional"
CODE = "code"
EVAL = "eval"
NETWORK = "network"

_HASHED = re.compile(r"_[0-9a-f]{6}$")

_ROOT = "opencompass/configs/datasets/"

_NUM_SUGGESTIONS = 3


@dataclass(frozen=True)
class DataSource:
    """One place that a dataset's rows come from.

    Attributes:
        path: Below the data folder, such as ``data/mmlu``; with kind ``hub`` a Hugging Face id.
        kind: ``download`` (OpenCompass can fetch it), ``local`` (bring it by hand) or ``hub``.
    """

    path: str
    kind: str


@dataclass(frozen=True)
class Preset:
    """One OpenCompass dataset config file.

    Attributes:
        name: Base name without ``.py``, such as ``mmlu_gen``.
        path: Below ``opencompass/configs/datasets``, such as ``mmlu/mmlu_gen.py``.
        mode: How the model is asked: ``gen``, ``ppl``, ``ll``, ``clp``, ``chat``, ``agent`` ...;
            ``mixed`` when the subsets differ.
        subsets: OpenCompass abbrs, in preset order, each once.
        family: First folder of the path.
        sources: Where the data comes from.
        needs: ``judge`` (no score without a judge model), ``judge_optional`` (rules first, a judge
            where they fail), ``code`` (runs model-written programs), ``eval`` (calls eval on
            answers), ``network`` (speaks to a server while it runs), ``package:NAME`` (a package
            that the lock file does not have).
        evaluators: Class names.
        same_as: Name of a preset that says exactly the same, or empty.
        problem: Why it cannot be used, or empty.
        groups: Means over some of its subsets, members before the groups that contain them.
    """

    name: str
    path: str
    mode: str
    subsets: tuple[str, ...]
    family: str
    sources: tuple[DataSource, ...] = ()
    needs: tuple[str, ...] = ()
    evaluators: tuple[str, ...] = ()
    same_as: str = ""
    problem: str = ""
    groups: tuple[Group, ...] = ()


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
    """

    opencompass_version: str
    families: dict[str, str]
    aliases: dict[str, tuple[str, ...]]
    downloads: dict[str, tuple[str, str]]
    entries: dict[str, dict[str, Any]] = field(repr=False)

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
            raise UnknownDataset(name, f"it stands for {len(members)} datasets", members)
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
        if self._exact(stem) or self._family(stem):
            return (name,)
        wanted = normalise(stem)
        known = (targets for alias, targets in self.aliases.items() if normalise(alias) == wanted)
        targets = next(known, (stem,))
        suffix = (f":{variant}" if variant else "") + (f"@{digest}" if digest else "")
        return tuple(f"{target}{suffix}" for target in targets)

    def names(self) -> list[str]:
        """The names to show a user: families with a default, and other names; sorted."""
        families = [family for family, default in self.families.items() if default]
        return sorted([*families, *self.aliases], key=str.lower)

    def presets(self, family: str) -> list[Preset]:
        """Every preset of a family, usable or not."""
        return [self.preset(path) for path in self.entries if path.startswith(f"{family}/")]

    def preset(self, path: str) -> Preset:
        """The preset of a path, usable or not.

        Raises:
            KeyError: There is none.
        """
        entry = self.entries[path]
        return Preset(
            name=_stem(path),
            path=path,
            mode=entry.get("mode", ""),
            subsets=self._subsets(entry.get("subsets", [])),
            family=path.split("/")[0],
            sources=tuple(DataSource(where, kind) for kind, where in entry.get("sources", [])),
            needs=tuple(entry.get("needs", [])),
            evaluators=tuple(entry.get("evaluators", [])),
            same_as=entry.get("same_as", ""),
            problem=entry.get("problem", ""),
        )

    def _subsets(self, listed: str | list[str]) -> tuple[str, ...]:
        # A long list stands once; later presets name the preset that has it.
        patterns = self.entries[listed]["subsets"] if isinstance(listed, str) else listed
        return tuple(expand(patterns))

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
        lambda preset: True,
    ]


def is_usable(preset: Preset) -> bool:
    """Whether a preset can be scored on a local model, and is still meant to be used."""
    return not preset.problem and not preset.name.startswith(("deprecated_", "internal_", "__"))


def _is_variant(preset: Preset, variant: str) -> bool:
    judged = bool({JUDGE, JUDGE_OPTIONAL} & set(preset.needs))
    return not variant or (judged if variant == JUDGE else preset.mode == variant and not judged)


def normalise(name: str) -> str:
    """A name without case and punctuation; a plus sign is a word: humaneval+ is another dataset."""
    return re.sub(r"[\W_]+", "", name.lower().replace("+", "plus"))


def expand(patterns: Iterable[str]) -> list[str]:
    """Expands ``ceval-{law|physics}`` to its names; groups multiply, the last one fastest."""
    names: list[str] = []
    for pattern in patterns:
        parts = re.split(r"\{([^{}]*)\}", pattern)
        choices = [part.split("|") if i % 2 else [part] for i, part in enumerate(parts)]
        names += map("".join, itertools.product(*choices))
    return names


def common_start(names: Sequence[str]) -> str:
    """The longest text that all names begin with."""
    shortest, longest = min(names), max(names)
    pairs = enumerate(zip(shortest, longest, strict=False))
    end = next((i for i, (left, right) in pairs if left != right), len(shortest))
    return shortest[:end]


def subset_name(abbr: str, preset: Preset) -> str:
    """The short name of a subset inside its dataset: ``lukaemon_mmlu_anatomy`` is ``anatomy``.

    What all subsets of the preset begin with is left out, up to the last separator.
    """
    shared = common_start(preset.subsets) if len(preset.subsets) > 1 else ""
    cut = re.match(r".*[-_]", shared)
    return (abbr.removeprefix(cut.group()) if cut else abbr) or abbr


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

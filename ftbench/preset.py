"""One preset of OpenCompass as the catalogue describes it: its subsets, data, needs and groups.

What names lead to it is in ``catalogue``. Standard library only: host and evaluation program share
this module.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ftbench.schema import Group

BUNDLED = "bundled"
DOWNLOAD = "download"
HUB = "hub"
GATED = "gated"
LOCAL = "local"

JUDGE = "judge"
JUDGE_OPTIONAL = "judge_optional"
CODE = "code"
EVAL = "eval"
NETWORK = "network"
SERVICE = "service"
PACKAGE = "package:"

_HASHED = re.compile(r"_[0-9a-f]{6}$")


@dataclass(frozen=True)
class DataSource:
    """One place that a dataset's rows come from.

    Attributes:
        path: Below the data folder, such as ``data/mmlu``; with kind ``hub`` or ``gated`` a Hugging
            Face id; with kind ``bundled`` below OpenCompass's own folder, empty where code makes
            the rows.
        kind: ``bundled`` (comes with OpenCompass), ``download`` (OpenCompass can fetch it),
            ``hub``, ``gated`` (on the hub, for accounts that accepted its terms), or ``local``
            (bring it by hand).
    """

    path: str
    kind: str

    @property
    def is_on_hub(self) -> bool:
        """Whether ``path`` is a Hugging Face id."""
        return self.kind in (HUB, GATED)


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
            answers), ``network`` (speaks to a server while it runs), ``service`` (sends what the
            model wrote to a server that runs it), ``package:NAME`` (a package that the lock file
            does not have).
        evaluators: Class names.
        same_as: Name of a preset that says exactly the same, or empty.
        problem: Why it cannot be used, or empty.
        groups: Means over some of its subsets; a group's members all exist, groups before it.
        display_name: As its authors write it, such as ``GSM8K``.
        categories: What it asks about, such as ``Math``; OpenCompass's words.
        languages: Of its prompts and questions: ``english``, ``chinese``, ``multilingual``; empty
            where they do not tell.
        paper: Address of its paper or page, or empty.
        shots: Solved examples before each question; None where the preset does not tell.
        num_rows: Questions in all subsets, where the data comes with OpenCompass; None elsewhere.
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
    display_name: str = ""
    categories: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    paper: str = ""
    shots: int | None = None
    num_rows: int | None = None


def is_usable(preset: Preset) -> bool:
    """Whether a preset can be scored on a local model, and is still meant to be used."""
    return not preset.problem and not preset.name.startswith(("deprecated_", "internal_", "__"))


def is_variant(preset: Preset, variant: str, digest: str = "") -> bool:
    """Whether a preset is what ``name:variant@digest`` asks for; either may be empty."""
    if digest and not preset.name.endswith(f"_{digest}"):
        return False
    judged = bool({JUDGE, JUDGE_OPTIONAL} & set(preset.needs))
    return not variant or (judged if variant == JUDGE else preset.mode == variant and not judged)


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
            lambda preset: JUDGE in preset.needs,
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

"""Finds the names that have to do with a word."""

from __future__ import annotations

from dataclasses import dataclass

from ftbench.catalogue import Catalogue
from ftbench.preset import Preset, normalise


@dataclass(frozen=True)
class Hit:
    """A name that has to do with a word.

    Attributes:
        presets: What the name stands for.
        where: The subset or preset that the word is in, where the name's own description lacks it.
    """

    name: str
    presets: tuple[Preset, ...]
    where: str = ""


def find_names(catalogue: Catalogue, word: str) -> list[Hit]:
    """Names with a word in them, in their description, or in one of their presets or subsets.

    Args:
        catalogue: Where to look.
        word: Case and punctuation do not matter; ``math``, ``chinese``, ``code`` or ``judge`` find
            categories, languages and needs as well.

    Returns:
        Those whose name or description has it first.
    """
    wanted = normalise(word)
    near: list[Hit] = []
    far: list[Hit] = []
    for name in catalogue.names() if wanted else []:
        presets = catalogue.resolve_all(name)
        if wanted in _described(name, presets):
            near.append(Hit(name, presets))
        elif where := _within(catalogue, presets, wanted):
            far.append(Hit(name, presets, where))
    return near + far


def _described(name: str, presets: tuple[Preset, ...]) -> str:
    texts = [name]
    for preset in presets:
        texts += [preset.family, preset.display_name, *preset.categories, *preset.languages]
        texts += preset.needs
    return "\n".join(map(normalise, texts))


def _within(catalogue: Catalogue, presets: tuple[Preset, ...], wanted: str) -> str:
    """The first subset with the word in it, or else the first other preset."""
    subsets = (subset for preset in presets for subset in preset.subsets)
    families = dict.fromkeys(preset.family for preset in presets)
    others = (preset.name for family in families for preset in catalogue.presets(family))
    return next((text for text in (*subsets, *others) if wanted in normalise(text)), "")

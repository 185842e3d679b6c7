"""Says from the prompts of a subset how many solved examples they show, and their languages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

_FIXED = "fix_id_list"

_DRAWN = "ice_num"

_QUESTION = re.compile(r"(?m)^\s*(?:Q|Question|Problem|问题|题目|问)\s?\d*\s?[:：.]")

_FILLED = re.compile(r"\{\w+\}")

_EXAMPLES = re.compile(r"\{_?hint\}|\bexamples?\b|\bfew-shot\b|示例|例子", re.IGNORECASE)

_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_ARABIC = re.compile(r"[\u0600-\u06ff]")
_LATIN = re.compile(r"[A-Za-z]")

_LEAST_LETTERS = 20
"""Letters from which on a prompt tells its language: ``Q: {question}`` is in none."""

_CHINESE_SHARE = 0.15
"""A Chinese prompt names its answers ``A`` to ``D`` and its columns in English."""

# Not zh: with it agieval, which has an LSAT-AR, would be in three languages.
_CODES = frozenset(
    "ar bn cs de deu en eng es fa fr fra he hi hu id it ja ko nl pl pt ru sr sw te th tr vi".split()
)
_NAMES = frozenset(
    "arabic bengali finnish german japanese korean russian swahili telugu thai".split()
)

_LEAST_CODES = 3

_CHINESE_NAME = re.compile(r"(?i)^chinese_|(?:^|[-_/])(?:zh|cn)(?:$|[-_/.])")


_IN_NAME = re.compile(r"(?i)(?<![\da-z])(\d+|zero|one)[-_]?shot")

_WORDS = {"zero": 0, "one": 1}


def shots_in_name(path: str) -> int | None:
    """Solved examples that the name of a preset promises, such as ``bbh_0shot_nocot_gen.py``."""
    said = _IN_NAME.search(path)
    if said is None:
        return None
    word = said[1].lower()
    return int(word) if word.isdecimal() else _WORDS[word]


def shots(dataset: dict[str, Any]) -> int | None:
    """Solved examples before each question; None where the config does not tell.

    Args:
        dataset: OpenCompass dataset config in plain values, types by name.
    """
    inference = dataset.get("infer_cfg") or {}
    retriever = inference.get("retriever") or {}
    if isinstance(retriever.get(_FIXED), list):
        return len(retriever[_FIXED])
    if retriever.get(_DRAWN):
        return int(retriever[_DRAWN])
    if not str(retriever.get("type")).endswith("ZeroRetriever"):
        return None
    counts = {_shots_in(template) for template in _templates(inference)}
    return counts.pop() if len(counts) == 1 else None


def _templates(inference: dict[str, Any]) -> Iterator[Any]:
    """Each alternative prompt: one for ``gen``, one per label for ``ppl``."""
    config = inference.get("prompt_template") or inference.get("ice_template") or {}
    template = config.get("template")
    by_label = isinstance(template, dict) and not {"round", "begin", "end"} & set(template)
    yield from template.values() if by_label else [template]


def _shots_in(template: Any) -> int | None:
    texts = list(texts_in(template))
    rounds = template.get("round", []) if isinstance(template, dict) else []
    answers = [turn for turn in rounds if turn.get("role") == "BOT"]
    solved = [turn for turn in answers if not _FILLED.search(str(turn.get("prompt", "")))]
    if len(rounds) > 2 and solved:
        return len(solved)
    whole = "\n".join(texts)
    questions = len(_QUESTION.findall(whole))
    if questions > 1:
        return questions - 1
    return None if _EXAMPLES.search(whole) else 0


def texts_in(template: Any) -> Iterator[str]:
    """Every text of a prompt template, in order."""
    if isinstance(template, str):
        yield template
    elif isinstance(template, dict):
        for key, value in template.items():
            if key not in ("type", "role", "api_role", "fallback_role", "ice_token", "sep_token"):
                yield from texts_in(value)
    elif isinstance(template, (list, tuple)):
        for item in template:
            yield from texts_in(item)


def languages(names: Sequence[str], datasets: Iterable[dict[str, Any]]) -> set[str]:
    """Languages of a family: ``english``, ``chinese``, ``arabic`` or ``multilingual``.

    Args:
        names: Of the family, its presets and subsets.
        datasets: OpenCompass dataset configs of one preset, in plain values.
    """
    words = {word for name in names for word in re.split(r"[-_./]", name.lower())}
    if len(words & _CODES) >= _LEAST_CODES or len(words & _NAMES) >= _LEAST_CODES:
        return {"multilingual"}
    found = {_language("\n".join(texts_in(d.get("infer_cfg")))) for d in datasets}
    if any(_CHINESE_NAME.search(name) for name in names):
        found.add("chinese")
    return found - {""}


def _language(text: str) -> str:
    text = _FILLED.sub("", text)
    latin, chinese, arabic = (len(p.findall(text)) for p in (_LATIN, _CHINESE, _ARABIC))
    if latin + chinese + arabic < _LEAST_LETTERS:
        return ""
    if chinese > _CHINESE_SHARE * latin:
        return "chinese"
    return "arabic" if arabic > latin else "english"

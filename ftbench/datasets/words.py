"""Says in plain words what the catalogue records of a preset."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ftbench.preset import (
    BUNDLED,
    CODE,
    DOWNLOAD,
    EVAL,
    GATED,
    HUB,
    JUDGE,
    JUDGE_OPTIONAL,
    LOCAL,
    NETWORK,
    PACKAGE,
    SERVICE,
    Preset,
)

HOW_DATA_COMES = {
    BUNDLED: "comes with OpenCompass",
    DOWNLOAD: "can be downloaded",
    HUB: "can be downloaded from the Hugging Face hub",
    GATED: "on the Hugging Face hub, for accounts that accepted its terms (HF_TOKEN)",
    LOCAL: "to be brought by hand",
}

_NEEDS = {
    JUDGE: "a judge model: judge.model, judge.api_base",
    JUDGE_OPTIONAL: "a judge model where its rules fail (without one: scored by its rules alone)",
    CODE: "runs programs that the model writes",
    EVAL: "calls eval on the model's answers",
    NETWORK: "speaks to a server while it runs",
    SERVICE: "sends what the model writes to a server outside: allow_outside_services=true",
}

_SHORT_NEEDS = {
    JUDGE: "judge",
    JUDGE_OPTIONAL: "judge or rules",
    CODE: "runs code",
    EVAL: "evals answers",
    NETWORK: "network",
    SERVICE: "outside service",
}


def need_in_words(need: str) -> str:
    """What a need asks for, as a sentence's end."""
    package = need.removeprefix(PACKAGE)
    return _NEEDS.get(need, f"the package {package}, which the evaluation environment lacks")


def short_needs(needs: Collection[str]) -> list[str]:
    """Each need in two words; packages, of which some presets lack eight, together."""
    packages = [need.removeprefix(PACKAGE) for need in needs if need.startswith(PACKAGE)]
    # A service is reached over the network anyway.
    hidden = {NETWORK} if SERVICE in needs else set()
    words = [_SHORT_NEEDS[need] for need in needs if need in _SHORT_NEEDS and need not in hidden]
    if len(packages) > 1:
        return [*words, f"{len(packages)} packages"]
    return words + [f"package {package}" for package in packages]


def subsets_in_words(presets: Sequence[Preset]) -> str:
    """How many subsets some presets have together."""
    count = sum(len(preset.subsets) for preset in presets)
    return "1 subset" if count == 1 else f"{count} subsets"


def shots_in_words(presets: Sequence[Preset]) -> str:
    """Solved examples before each question, such as ``5-shot``; empty where that is not known."""
    counts = {preset.shots for preset in presets}
    only = counts.pop() if len(counts) == 1 else None
    return "" if only is None else f"{only}-shot"


def summary(presets: Sequence[Preset]) -> list[str]:
    """Columns that tell presets of one name apart: subsets, mode, shots, data, needs."""
    modes = dict.fromkeys(preset.mode for preset in presets)
    kinds = dict.fromkeys(source.kind for preset in presets for source in preset.sources)
    needs = dict.fromkeys(need for preset in presets for need in preset.needs)
    return [
        subsets_in_words(presets),
        "+".join(modes),
        shots_in_words(presets),
        "+".join(kinds),
        ", ".join(short_needs(needs)),
    ]

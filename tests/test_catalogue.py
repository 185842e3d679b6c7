"""Names of datasets: what they stand for, and what helps when they stand for nothing."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftbench.catalogue import (
    Catalogue,
    UnknownDataset,
    UnusableDataset,
    load_catalogue,
)
from ftbench.preset import DataSource, Preset, choose, expand, normalise, subset_name


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("mmlu", "mmlu/mmlu_gen.py"),
        ("gsm8k", "gsm8k/gsm8k_gen.py"),
        ("MMLU", "mmlu/mmlu_gen.py"),
        ("GSM-8k ", "gsm8k/gsm8k_gen.py"),
        ("ARC-c", "ARC_c/ARC_c_gen.py"),
        ("human_eval", "humaneval/humaneval_gen.py"),
        ("humaneval+", "humaneval_plus/humaneval_plus_gen.py"),
        ("HumanEval Plus", "humaneval_plus/humaneval_plus_gen.py"),
        ("mmlu:ppl", "mmlu/mmlu_ppl.py"),
        ("Race:PPL", "race/race_ppl.py"),
        ("gsm8k@1d7fe4", "gsm8k/gsm8k_gen_1d7fe4.py"),
        ("mmlu_ppl", "mmlu/mmlu_ppl.py"),
        ("mmlu/mmlu_gen_4d595a.py", "mmlu/mmlu_gen_4d595a.py"),
        ("opencompass/configs/datasets/mmlu/mmlu_gen_4d595a", "mmlu/mmlu_gen_4d595a.py"),
        # It stands in PMMEval as well; the folder of its own name is meant.
        ("mgsm_gen", "mgsm/mgsm_gen.py"),
    ],
)
def test_resolve_finds_the_preset_that_a_name_stands_for(
    catalogue: Catalogue, name: str, path: str
) -> None:
    assert catalogue.resolve(name).path == path


def test_resolve_tells_what_a_preset_is(catalogue: Catalogue) -> None:
    mmlu = catalogue.resolve("mmlu")
    assert (mmlu.name, mmlu.family, mmlu.mode, mmlu.needs) == ("mmlu_gen", "mmlu", "gen", ())
    assert mmlu.sources == (DataSource("data/mmlu", "download"),)
    assert len(mmlu.subsets) == len(set(mmlu.subsets)) == 57
    assert mmlu.subsets[0] == "lukaemon_mmlu_college_biology"
    assert catalogue.resolve("humaneval").needs == ("code",)


def test_resolve_refuses_a_name_of_two_datasets_and_names_them(catalogue: Catalogue) -> None:
    with pytest.raises(UnknownDataset, match=r"^it stands for 2 presets$") as caught:
        catalogue.resolve("arc:ppl")
    assert caught.value.suggestions == ("ARC_c:ppl", "ARC_e:ppl")


def test_resolve_all_gives_every_dataset_of_a_name(catalogue: Catalogue) -> None:
    assert [p.path for p in catalogue.resolve_all("arc:ppl")] == [
        "ARC_c/ARC_c_ppl.py",
        "ARC_e/ARC_e_ppl.py",
    ]
    assert [p.path for p in catalogue.resolve_all("mmlu")] == ["mmlu/mmlu_gen.py"]


@pytest.mark.parametrize(
    ("name", "reason", "suggestions"),
    [
        ("gms8k", "OpenCompass 0.5.4 has no dataset of this name", ("gsm8k",)),
        ("mmlux", "OpenCompass 0.5.4 has no dataset of this name", ("mmlu", "mmmlu", "cmmlu")),
        ("", "OpenCompass 0.5.4 has no dataset of this name", ()),
        ("gms8k:ppl", "a variant needs the name of a dataset before it", ("gsm8k",)),
        ("subjective", "none of its 1 presets stands out; name one of them", ("judgerbench",)),
    ],
)
def test_resolve_of_an_unknown_name_suggests_near_ones(
    catalogue: Catalogue, name: str, reason: str, suggestions: tuple[str, ...]
) -> None:
    with pytest.raises(UnknownDataset) as caught:
        catalogue.resolve(name)
    assert not isinstance(caught.value, UnusableDataset)
    assert (caught.value.name, str(caught.value)) == (name, reason)
    assert caught.value.suggestions == suggestions


@pytest.mark.parametrize("wanted", ["ppl", "@ffffff"])
def test_resolve_of_a_variant_that_is_not_there_offers_the_usable_presets(
    catalogue: Catalogue, wanted: str
) -> None:
    with pytest.raises(UnknownDataset) as caught:
        catalogue.resolve(f"gsm8k:{wanted}".replace(":@", "@"))
    assert str(caught.value) == f"no presets of gsm8k fit '{wanted.strip('@')}'; name one"
    assert {"gsm8k_gen", "gsm8k_gen_1d7fe4"} <= set(caught.value.suggestions)


def test_resolve_of_an_unusable_preset_says_why(catalogue: Catalogue) -> None:
    with pytest.raises(UnusableDataset) as caught:
        catalogue.resolve("aime2024_cascade_eval_rawprompt_gen_2f2c96")
    assert str(caught.value) == (
        "its preset aime2024/aime2024_cascade_eval_rawprompt_gen_2f2c96.py cannot be used: its "
        "prompts are raw chat messages, which OpenCompass 0.5.4 sends to API models only"
    )
    assert "aime2024_cascade_eval_gen_5e9f4f" in caught.value.suggestions


def test_resolve_of_a_family_without_a_usable_preset_says_why(catalogue: Catalogue) -> None:
    with pytest.raises(UnusableDataset) as caught:
        catalogue.resolve("cibench")
    assert str(caught.value) == (
        "none of its presets can be used: it drives an agent with tools, which a local model in "
        "OpenCompass 0.5.4 is not"
    )


def test_every_name_that_is_shown_resolves_to_something_usable(catalogue: Catalogue) -> None:
    presets = [p for name in catalogue.names() for p in catalogue.resolve_all(name)]
    assert len(presets) > 200
    assert not [p.path for p in presets if p.problem or not p.subsets]


def test_every_preset_file_is_accounted_for(catalogue: Catalogue) -> None:
    presets = [catalogue.preset(path) for path in catalogue.entries]
    problems = Counter(p.problem.partition(":")[0] for p in presets if p.problem)
    print(f"{len(presets)} preset files, {sum(problems.values())} cannot be used:", problems)
    assert len(presets) == 1514
    assert not [p.path for p in presets if not p.problem and not (p.subsets and p.evaluators)]


def test_at_least_200_families_resolve_to_a_default(catalogue: Catalogue) -> None:
    found = {family for family, default in catalogue.families.items() if default}
    found |= set(catalogue.parts)
    print(f"{len(found)} of {len(catalogue.families)} families resolve to a default")
    assert len(catalogue.families) == 238
    assert len(found) >= 200


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("cmmlu", ["cmmlu/cmmlu_gen.py"]),
        ("c-eval", ["ceval/ceval_gen.py"]),
        ("bbh", ["bbh/bbh_gen.py"]),
        ("arc", ["ARC_c/ARC_c_gen.py", "ARC_e/ARC_e_gen.py"]),
        ("ARC Challenge", ["ARC_c/ARC_c_gen.py"]),
        ("arc_easy", ["ARC_e/ARC_e_gen.py"]),
        ("hellaswag", ["hellaswag/hellaswag_gen.py"]),
        ("math", ["math/math_gen.py"]),
        ("math500", ["math/math_500_gen.py"]),
        ("MATH-500", ["math/math_500_gen.py"]),
        ("math500:judge", ["math/math_500_llmjudge_gen_6ff468.py"]),
        ("humaneval", ["humaneval/humaneval_gen.py"]),
        ("mbpp", ["mbpp/mbpp_gen.py"]),
        ("mbpp+", ["mbpp_plus/mbpp_plus_gen.py"]),
        ("ifeval", ["IFEval/IFEval_gen.py"]),
        ("gpqa", ["gpqa/gpqa_gen.py"]),
        ("gpqa:judge", ["gpqa/gpqa_llm_judge_gen.py"]),
        # Its default is judged already.
        ("hle:judge", ["HLE/hle_gen.py"]),
        ("aime", ["aime2024/aime2024_gen.py", "aime2025/aime2025_cascade_eval_gen_5e9f4f.py"]),
        ("boolq", ["SuperGLUE_BoolQ/SuperGLUE_BoolQ_gen.py"]),
        ("winogrande", ["winogrande/winogrande_gen.py"]),
        ("truthfulqa", ["truthfulqa/truthfulqa_gen.py"]),
        ("triviaqa", ["triviaqa/triviaqa_gen.py"]),
        ("drop", ["drop/drop_gen.py"]),
        # Benchmarks that come in several files, and by context length.
        ("teval", ["teval/teval_en_gen.py", "teval/teval_zh_gen.py"]),
        ("ruler", ["ruler/ruler_4k_gen.py"]),
        ("lawbench", ["lawbench/lawbench_zero_shot_gen_002588.py"]),
    ],
)
def test_names_that_people_use_lead_to_their_presets(
    catalogue: Catalogue, name: str, paths: list[str]
) -> None:
    assert [preset.path for preset in catalogue.resolve_all(name)] == paths


def test_mmlu_has_its_four_categories_and_the_whole(catalogue: Catalogue) -> None:
    mmlu = catalogue.resolve("mmlu")
    assert [(group.name, len(group.members)) for group in mmlu.groups] == [
        ("mmlu-humanities", 13),
        ("mmlu-stem", 19),
        ("mmlu-social-science", 12),
        ("mmlu-other", 13),
        ("mmlu", 57),
        ("mmlu-weighted", 57),
    ]
    weighted = mmlu.groups[-1]
    assert (
        dict(zip(weighted.members, weighted.weights, strict=True))["lukaemon_mmlu_professional_law"]
        == 1534
    )


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("bbh", {"bbh": 27}),
        ("mgsm", {"mgsm_latin": 5, "mgsm_non_latin": 6, "mgsm": 11}),
        ("mmlu_pro", {"mmlu_pro": 14}),
        ("mmmlu", {"mmmlu": 14}),
        (
            "agieval",
            {"agieval-chinese": 12, "agieval-english": 9, "agieval-gaokao": 9, "agieval": 21},
        ),
    ],
)
def test_groups_are_those_that_opencompass_reports(
    catalogue: Catalogue, name: str, groups: dict[str, int]
) -> None:
    found = {group.name: len(group.members) for group in catalogue.resolve(name).groups}
    assert found == groups


def test_group_members_are_subsets_or_earlier_groups(catalogue: Catalogue) -> None:
    for path in catalogue.entries:
        preset = catalogue.preset(path)
        known = set(preset.subsets)
        for group in preset.groups:
            assert known.issuperset(group.members), (path, group.name)
            assert group.name not in known, (path, group.name)
            assert len(group.weights) in (0, len(group.members)), (path, group.name)
            known.add(group.name)


def test_presets_tell_what_they_are_about(catalogue: Catalogue) -> None:
    gsm8k = catalogue.resolve("gsm8k")
    assert (gsm8k.display_name, gsm8k.categories, gsm8k.shots) == ("GSM8K", ("Math",), 4)
    assert catalogue.resolve("math500").display_name == "MATH500"
    # The index calls piqa OpenBookQA as well.
    assert catalogue.resolve("piqa").display_name == "piqa"
    assert catalogue.resolve("cmmlu").languages == ("chinese",)
    assert catalogue.resolve("mmlu_ppl").shots == 5


def test_sources_tell_what_takes_an_agreement_and_what_comes_along(catalogue: Catalogue) -> None:
    assert catalogue.resolve("hle").sources == (DataSource("cais/hle", "gated"),)
    bundled = catalogue.resolve("unconditional_rna_gen")
    assert (bundled.sources, bundled.num_rows) == ((DataSource("", "bundled"),), 5150)


def test_needs_tell_who_sends_code_away(catalogue: Catalogue) -> None:
    assert "service" in catalogue.resolve("bigcodebench").needs
    assert "service" in catalogue.resolve("humanevalx").needs
    assert "service" not in catalogue.resolve("mbpp").needs


PIECES = st.sampled_from([*"@:/+_-. ", "mmlu", "gsm8k", "ppl", "1d7fe4", ".py", "arc", "judge"])
NAMES = st.lists(PIECES, max_size=6).map("".join) | st.text(max_size=20)


@settings(max_examples=50, deadline=None)
@given(NAMES)
def test_resolve_of_any_text_gives_a_usable_preset_or_says_why(
    catalogue: Catalogue, name: str
) -> None:
    try:
        preset = catalogue.resolve(name)
    except UnknownDataset as exc:
        assert str(exc)
    else:
        assert preset.path in catalogue.entries
        assert not preset.problem


def test_normalise_keeps_a_plus_sign_as_a_word() -> None:
    assert normalise("ARC-c") == normalise("arc_C ") == "arcc"
    assert normalise("HumanEval+") == "humanevalplus"


def test_expand_multiplies_groups_with_the_last_one_fastest() -> None:
    assert expand(["a", "b{1|2}c{x|y}"]) == ["a", "b1cx", "b1cy", "b2cx", "b2cy"]


def test_subset_name_drops_what_all_subsets_begin_with() -> None:
    subsets = ("lukaemon_mmlu_anatomy", "lukaemon_mmlu_astronomy")
    assert subset_name(subsets[0], preset("mmlu_gen", subsets=subsets)) == "anatomy"
    assert subset_name("gsm8k", preset("gsm8k_gen", subsets=("gsm8k",))) == "gsm8k"
    assert subset_name("bbh", preset("bbh_gen", subsets=("bbh", "bbh_x"))) == "bbh"


def preset(name: str, mode: str = "gen", **other: object) -> Preset:
    values = {"subsets": ("s",), "family": "fam"} | other
    return Preset(name, f"fam/{name}.py", mode, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("candidates", "variant", "chosen"),
    [
        ([preset("fam_gen_123abc"), preset("fam_gen"), preset("fam_ppl", "ppl")], "any", "fam_gen"),
        ([preset("fam_0shot_gen"), preset("fam_0shot_gen_123abc")], "any", "fam_0shot_gen"),
        ([preset("fam_ppl", "ppl"), preset("a_gen"), preset("b_gen")], "any", "fam_ppl"),
        ([preset("a_gen"), preset("b_gen", same_as="a_gen")], "any", "a_gen"),
        ([preset("a_judge_gen", needs=("judge",)), preset("b_gen_123abc")], "any", "b_gen_123abc"),
        ([preset("a_gen"), preset("b_gen")], "any", None),
        ([preset("fam_ppl", "ppl"), preset("fam_ppl_123abc", "ppl")], "ppl", "fam_ppl"),
    ],
)
def test_choose_takes_what_the_first_decisive_habit_leaves(
    candidates: list[Preset], variant: str, chosen: str | None
) -> None:
    found = choose("fam", candidates, variant)
    assert (found.name if found else None) == chosen

"""What the catalogue's generator reads out of presets and the index, without OpenCompass."""

from __future__ import annotations

from typing import Any

import pytest
from make_catalogue.about import Indexed, about, about_presets, drop_shared_names, read_index
from make_catalogue.names import are_parts
from make_catalogue.prompts import languages, shots, shots_in_name

from ftbench.preset import Preset

ZERO = {"type": "opencompass.openicl.icl_retriever.ZeroRetriever"}
SOLVED = [{"role": "HUMAN", "prompt": "Q: 1+1?"}, {"role": "BOT", "prompt": "2"}]
ASKED = {"role": "HUMAN", "prompt": "Q: {question}"}


def dataset(template: Any, retriever: dict[str, Any] = ZERO) -> dict[str, Any]:
    return {"infer_cfg": {"prompt_template": {"template": template}, "retriever": retriever}}


@pytest.mark.parametrize(
    ("template", "count"),
    [
        ("{question}", 0),
        ({"round": [ASKED, {"role": "BOT", "prompt": "{answer}"}]}, 0),
        ({"round": [*SOLVED, *SOLVED, ASKED]}, 2),
        ("Q: 1+1?\nA: 2\nQ: 1+2?\nA: 3\nQ: {question}\nA:", 2),
        ({"A": {"round": [*SOLVED, ASKED]}, "B": {"round": [*SOLVED, ASKED]}}, 1),
        ("Follow the given examples.\n{_hint}\n{question}", None),
    ],
)
def test_shots_counts_the_solved_examples_of_a_prompt(template: Any, count: int | None) -> None:
    assert shots(dataset(template)) == count


@pytest.mark.parametrize(
    ("retriever", "count"),
    [
        ({"type": "FixKRetriever", "fix_id_list": [0, 2, 4]}, 3),
        ({"type": "TopkRetriever", "ice_num": 8}, 8),
        ({"type": "MDLRetriever"}, None),
    ],
)
def test_shots_is_what_the_retriever_brings(retriever: dict[str, Any], count: int | None) -> None:
    assert shots(dataset("{question}", retriever)) == count


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("bbh/bbh_0shot_nocot_gen.py", 0),
        ("korbench_single_3_shot_gen.py", 3),
        ("lawbench_one_shot_gen_002588.py", 1),
        ("gsm8k_gen.py", None),
    ],
)
def test_shots_in_name_is_what_a_preset_promises(name: str, count: int | None) -> None:
    assert shots_in_name(name) == count


@pytest.mark.parametrize(
    ("names", "prompt", "found"),
    [
        (
            ["cmmlu/cmmlu_gen.py"],
            "以下是关于{_name}的单项选择题，请直接给出正确答案的选项。",
            {"chinese"},
        ),
        (["mmlu/mmlu_gen.py"], "There is a single choice question: {input}", {"english"}),
        (["drop/drop_gen.py"], "Q: {question}", set()),
        (["mgsm/mgsm_gen.py", "mgsm_bn", "mgsm_de", "mgsm_sw"], "{question}", {"multilingual"}),
        (["teval/teval_zh_gen.py"], "{prompt}", {"chinese"}),
        (["simple/chinese_gen.py", "traditional_chinese_medicine"], "{prompt}", set()),
    ],
)
def test_languages_come_from_prompts_and_names(
    names: list[str], prompt: str, found: set[str]
) -> None:
    assert languages(names, [dataset(prompt)]) == found


ROWS = [
    Indexed("math", "MATH", ("Math",), "https://a", ("math/math_gen.py",)),
    Indexed("math500", "MATH500", ("Math",), "https://b", ("math/math_prm_gen.py",)),
    Indexed("piqa", "OpenBookQA", ("Knowledge",), "https://c", ("piqa/piqa_gen.py",)),
]


def test_about_takes_the_row_of_the_whole_family() -> None:
    assert about("math", ["math/math_gen.py"], [], ROWS) == {
        "name": "MATH",
        "categories": ["Math"],
        "paper": "https://a",
    }


def test_about_of_a_family_in_no_index_comes_from_its_name_and_needs() -> None:
    assert about("gaokao_math", [], [], ROWS) == {"categories": ["Math", "Examination"]}
    assert about("cruxeval", [], ["code"], ROWS) == {"categories": ["Code"]}


def test_about_presets_names_those_that_are_another_benchmark() -> None:
    families = {"math": {"name": "MATH"}}
    paths = ["math/math_gen.py", "math/math_500_gen.py", "math/math_prm_gen.py", "piqa/piqa_gen.py"]
    of_math500 = {"name": "MATH500", "paper": "https://b"}
    assert about_presets(families, paths, ROWS) == {
        "math/math_500_gen.py": of_math500,
        "math/math_prm_gen.py": of_math500,
    }


def test_drop_shared_names_leaves_a_name_to_its_bearer() -> None:
    families = {
        "openbookqa": {"name": "OpenBookQA"},
        "piqa": {"name": "OpenBookQA"},
        "mmlu": {"name": "MMLU"},
    }
    drop_shared_names(families)
    assert families == {"openbookqa": {"name": "OpenBookQA"}, "piqa": {}, "mmlu": {"name": "MMLU"}}


def test_read_index_has_every_row_of_the_index() -> None:
    index = read_index()
    assert len(index) == 229
    assert index[0] == Indexed(
        "ifeval",
        "IFEval",
        ("Instruction Following",),
        "https://arxiv.org/pdf/2311.07911",
        ("IFEval/IFEval_gen.py",),
    )


def test_are_parts_wants_other_subsets_asked_alike() -> None:
    english = Preset("f_en_gen", "f/a.py", "gen", ("en",), "f")
    chinese = Preset("f_zh_gen", "f/b.py", "gen", ("zh",), "f")
    few_shot = Preset("f_zh_5shot_gen", "f/c.py", "gen", ("zh-few",), "f")
    assert are_parts([english, chinese])
    assert not are_parts([english, english])
    assert not are_parts([english, few_shot])

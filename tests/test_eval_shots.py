"""Examples before each question: where they can be chosen, and what is said where not."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from ftbench_eval.shots import choose_shots, refuse_shots, written_shots

from ftbench.catalogue import Catalogue

ASKED = [{"role": "HUMAN", "prompt": "{question}"}]
SHOWN = [*ASKED, {"role": "BOT", "prompt": "{answer}"}]


def from_rows(*ids: int) -> dict[str, Any]:
    return {
        "infer_cfg": {
            "ice_template": {"template": {"round": SHOWN}},
            "prompt_template": {"template": {"begin": "</E>", "round": ASKED}, "ice_token": "</E>"},
            "retriever": {"type": "x.FixKRetriever", "fix_id_list": list(ids)},
        }
    }


def written(shots: int) -> dict[str, Any]:
    return {
        "infer_cfg": {
            "prompt_template": {"template": {"round": [*SHOWN * shots, *ASKED]}},
            "retriever": {"type": "x.ZeroRetriever"},
        }
    }


@pytest.mark.parametrize(
    ("ids", "shots", "expected"),
    [
        ((0, 2, 4), 3, [0, 2, 4]),
        ((0, 2, 4), 1, [0]),
        ((0, 2, 4), 5, [0, 2, 4, 1, 3]),
    ],
)
def test_examples_from_rows(ids: tuple[int, ...], shots: int, expected: list[int]) -> None:
    config = from_rows(*ids)
    assert choose_shots(config, shots)
    assert config["infer_cfg"]["retriever"]["fix_id_list"] == expected


def test_no_example_needs_another_retriever() -> None:
    config = from_rows(0, 1)
    assert choose_shots(config, 0)
    assert config["infer_cfg"]["retriever"] == {
        "type": "opencompass.openicl.icl_retriever.ZeroRetriever"
    }
    assert choose_shots(config, 2)
    assert config["infer_cfg"]["retriever"] == {
        "type": "opencompass.openicl.icl_retriever.FixKRetriever",
        "fix_id_list": [0, 1],
    }


@pytest.mark.parametrize(("own", "shots"), [(0, 0), (4, 4)])
def test_a_prompt_that_has_that_number_already(own: int, shots: int) -> None:
    config = written(own)
    before = copy.deepcopy(config)
    assert choose_shots(config, shots)
    assert config == before


@pytest.mark.parametrize(("own", "shots"), [(0, 1), (4, 0), (4, 5)])
def test_written_examples_cannot_be_chosen(own: int, shots: int) -> None:
    assert not choose_shots(written(own), shots)


def test_other_retrievers_choose_for_themselves() -> None:
    config = from_rows(0)
    config["infer_cfg"]["retriever"] = {"type": "x.TopkRetriever", "ice_num": 8}
    assert not choose_shots(config, 8)


@pytest.mark.parametrize(
    ("template", "shots"),
    [
        ({"round": ASKED}, 0),
        ({"round": [*SHOWN, *SHOWN, *ASKED]}, 2),
        ({"begin": SHOWN, "round": ASKED}, 1),
        ({"A": {"round": SHOWN}, "B": {"round": SHOWN}}, 0),
        ({"A": "{question} A", "B": "{question} B"}, 0),
        ("{question}", 0),
        ("Q: 1+1 A: 2\n" * 200 + "{question}", None),
        ({"round": [{"role": "HUMAN", "prompt": "Q: 1+1 A: 2\n" * 200}]}, None),
    ],
)
def test_written_shots(template: Any, shots: int | None) -> None:
    assert written_shots({"prompt_template": {"template": template}}) == shots


def test_refusal_names_the_presets_that_have_that_number() -> None:
    entries = {f"g/{name}.py": {"mode": "gen"} for name in ("g_gen", "g_0shot", "g_rows", "broken")}
    catalogue = Catalogue("0.5.4", {"g": "g/g_gen.py"}, {}, {}, entries)

    def load(path: Path) -> list[Any]:
        return [{"g_0shot": written(0), "g_rows": from_rows(1)}[path.stem]]

    asked = catalogue.preset("g/g_gen.py")
    refused = refuse_shots(asked, 0, catalogue, load, Path("/presets"))
    assert (refused.kind, str(refused)) == (
        "unsupported",
        "num_shots=0: the examples of g_gen cannot be chosen; presets with 0: g_0shot, g_rows",
    )
    none = refuse_shots(asked, 7, catalogue, lambda path: [written(0)], Path("/presets"))
    assert (
        str(none) == "num_shots=7: the examples of g_gen cannot be chosen, nor those of its family"
    )

"""``show NAME``: what stands behind a name, where its data is, how another preset is chosen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ftbench.catalogue import load_catalogue
from ftbench.datasets.__main__ import main
from ftbench.datasets.show import look_up, shortest_name
from ftbench.errors import EXIT_CONFIG, EXIT_OK

CATALOGUE = load_catalogue()


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["show", *arguments]) == EXIT_OK
    return capsys.readouterr().out


def test_show_tells_what_a_dataset_is(capsys: pytest.CaptureFixture[str]) -> None:
    page = shown(capsys, "MMLU")
    assert page.startswith("MMLU (Understanding, english) https://arxiv.org/pdf/2009.03300\n")
    assert "  preset     mmlu/mmlu_gen.py (gen, 0-shot)\n" in page
    assert "  subsets    57: lukaemon_mmlu_college_biology, " in page
    assert (
        "  means      mmlu-humanities (13), mmlu-stem (19), mmlu-social-science (12), "
        "mmlu-other (13), mmlu (57), mmlu-weighted (weighted 57)\n"
    ) in page
    assert "  run it     python -m ftbench.run ... 'datasets=[MMLU]'\n" in page


def test_show_tells_where_the_data_is_looked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COMPASS_DATA_CACHE", str(tmp_path))
    place = tmp_path / "data" / "gsm8k"
    assert (
        f"  data       {place} is not here; can be downloaded: "
        "python -m ftbench.datasets fetch gsm8k\n"
    ) in shown(capsys, "gsm8k")
    place.mkdir(parents=True)
    (place / "test.jsonl").write_bytes(b"x" * 1200)
    assert f"  data       {place} is here (1.2 kB)\n" in shown(capsys, "gsm8k")


def test_show_tells_what_a_dataset_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert "  needs      runs programs that the model writes\n" in shown(capsys, "humaneval")


def test_show_shows_every_preset_of_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    page = shown(capsys, "arc")
    assert [line.split()[1] for line in page.splitlines() if line.startswith("  preset ")] == [
        "ARC_c/ARC_c_gen.py",
        "ARC_e/ARC_e_gen.py",
    ]


def test_show_says_why_presets_cannot_be_used(capsys: pytest.CaptureFixture[str]) -> None:
    page = shown(capsys, "mmlu")
    assert (
        "(mmlu_openai_0shot_nocot_llmjudge_gen_216503): a judge model compares open answers, "
        "which needs OpenCompass's subjective evaluation\n"
    ) in page


@pytest.mark.parametrize("name", ["mmlu", "arc", "gsm8k", "race", "teval", "ruler"])
def test_show_offers_names_that_choose_exactly_those_presets(name: str) -> None:
    others = look_up(CATALOGUE, name).others
    assert others
    for text, preset in others.items():
        assert [found.path for found in CATALOGUE.resolve_all(text)] == [preset.path]


def test_shortest_name_prefers_the_mode_and_then_the_hash() -> None:
    assert shortest_name(CATALOGUE, CATALOGUE.preset("mmlu/mmlu_ppl.py")) == "mmlu:ppl"
    assert shortest_name(CATALOGUE, CATALOGUE.preset("gsm8k/gsm8k_gen_17d0dc.py")) == "gsm8k@17d0dc"


def test_show_suggests_for_an_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "mmluu"]) == EXIT_CONFIG
    assert capsys.readouterr().err == (
        "mmluu: OpenCompass 0.5.4 has no dataset of this name\n  try: mmlu, mmmlu, cmmlu\n"
    )


def test_show_as_json_holds_presets_data_and_the_names_of_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COMPASS_DATA_CACHE", str(tmp_path))
    value = json.loads(shown(capsys, "mmlu", "--json"))
    (preset,) = value["presets"]
    assert (preset["path"], preset["shots"], len(preset["subsets"])) == ("mmlu/mmlu_gen.py", 0, 57)
    assert preset["groups"][1]["name"] == "mmlu-stem"
    place = str(tmp_path / "data" / "mmlu")
    assert preset["sources"] == [
        {"path": "data/mmlu", "kind": "download", "place": place, "is_here": False}
    ]
    assert value["other_presets"]["mmlu:ppl"] == "mmlu/mmlu_ppl.py"
    assert "mmlu/mmlu_xfinder_gen_4d595a.py" in value["unusable_presets"]

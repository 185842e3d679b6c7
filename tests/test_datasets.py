"""Finding datasets: a line each, by a word, and everything about one."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftbench.catalogue import load_catalogue
from ftbench.datasets import listing, main, search_names
from ftbench.errors import EXIT_CONFIG, EXIT_OK

CATALOGUE = load_catalogue()


def test_list_has_a_line_for_every_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == EXIT_OK
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == CATALOGUE.names()
    assert len(lines) > 200


def test_listing_tells_subsets_mode_data_and_needs() -> None:
    assert [line.split(maxsplit=1)[1] for line in listing(CATALOGUE, ["mmlu", "humaneval"])] == [
        "57 subsets, gen, download",
        "1 subset, gen, download, code",
    ]


def test_listing_names_the_members_of_a_group() -> None:
    assert listing(CATALOGUE, ["arc"]) == [f"{'arc':<28} ARC_c, ARC_e"]


@pytest.mark.parametrize(
    ("word", "found"),
    [("gsm8k", "gsm8k"), ("GSM-8K", "gsm8k"), ("anatomy", "mmlu"), ("challenge", "arc_challenge")],
)
def test_search_looks_into_names_presets_and_subsets(word: str, found: str) -> None:
    assert found in search_names(CATALOGUE, word)


def test_search_without_a_hit_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "zzzz"]) == EXIT_CONFIG
    assert capsys.readouterr().err == (
        "no dataset has to do with 'zzzz'\n  try: python -m ftbench.datasets list\n"
    )


def test_show_tells_where_the_data_is_looked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COMPASS_DATA_CACHE", str(tmp_path))
    assert main(["show", "GSM8K"]) == EXIT_OK
    place = tmp_path / "data" / "gsm8k"
    shown = capsys.readouterr().out
    assert shown.startswith("gsm8k\n  preset:    gsm8k/gsm8k_gen.py (gen)\n")
    assert f"  data:      {place} is not here; downloaded on first use\n" in shown
    assert "    gsm8k_gen_17d0dc (1 subset, gen, download)\n" in shown
    place.mkdir(parents=True)
    (place / "test.jsonl").write_text("{}")
    main(["show", "gsm8k"])
    assert f"  data:      {place} is here\n" in capsys.readouterr().out


def test_show_tells_what_a_dataset_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "humaneval"]) == EXIT_OK
    assert "  needs:     runs programs that the model writes\n" in capsys.readouterr().out


def test_show_shows_every_member_of_a_group(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "arc"]) == EXIT_OK
    shown = capsys.readouterr().out.splitlines()
    assert [line for line in shown if not line.startswith(" ")] == ["ARC_c", "ARC_e"]


def test_show_suggests_for_an_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "mmluu"]) == EXIT_CONFIG
    assert capsys.readouterr().err == (
        "mmluu: OpenCompass 0.5.4 has no dataset of this name\n  try: mmlu, mmmlu, cmmlu\n"
    )

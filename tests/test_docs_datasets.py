"""What docs/datasets.md tells people to type is what ftbench takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from ftbench.catalogue import UnknownDataset, load_catalogue
from ftbench.compose import compose_config
from ftbench.datasets.__main__ import main
from ftbench.datasets.suites import read_suites
from ftbench.errors import EXIT_OK

TEXT = (Path(__file__).parents[1] / "docs" / "datasets.md").read_text(encoding="utf-8")
CATALOGUE = load_catalogue()
COMMANDS = [
    line.partition("  #")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines()
]


def rows(head: str) -> list[list[str]]:
    """The cells of the table with this first line."""
    table = re.search(re.escape(head) + r"\n\|[-|]+\n((?:\|.*\n)+)", TEXT)
    assert table is not None, head
    lines = table.group(1).splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def spans(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


NAMES = [name for row in rows("| you write | it stands for |") for name in spans(row[0])]
ANSWERS = [*rows("| you want | say |"), *rows("| for | say |")]
OPTIONS = [span for row in ANSWERS for span in spans(row[1]) if "=" in span]
PROSE = re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)
OVERRIDES = [span for span in spans(PROSE) if re.match(r"(suite|datasets)=\S", span)]


FETCH = "python -m ftbench.datasets fetch "


@pytest.mark.parametrize("line", [line for line in COMMANDS if not line.startswith(FETCH)])
def test_commands_of_the_guide_succeed(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(shlex.split(line)[3:]) == EXIT_OK
    assert capsys.readouterr().out


NAMES += [name for line in COMMANDS if line.startswith(FETCH) for name in line.split()[4:]]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_the_guide_resolve_and_can_be_typed(name: str) -> None:
    assert CATALOGUE.resolve_all(name)
    config = compose_config(["model.adapter=out", f"datasets=[{name}]"])
    assert config.datasets == [name]


@pytest.mark.parametrize("text", [*OPTIONS, *OVERRIDES])
def test_options_of_the_guide_compose(text: str) -> None:
    text = text.replace("=URL", "=http://gpu-box:8000/v1")
    given = ["model.adapter=out", *shlex.split(text)]
    compose_config(given if "datasets=" in text else [*given, "datasets=[mmlu]"])


def test_the_guide_names_every_suite() -> None:
    assert {spans(row[0])[0] for row in rows("| suite | for |")} == {s.name for s in read_suites()}


def test_the_guide_shows_the_error_of_an_unknown_name() -> None:
    with pytest.raises(UnknownDataset) as caught:
        CATALOGUE.resolve_all("gms8k")
    assert f"datasets: 'gms8k': {caught.value}\n  try: one of: gsm8k" in TEXT


def test_the_guide_has_what_the_tests_above_look_for() -> None:
    assert len(COMMANDS) == 5
    assert len(NAMES) >= 15
    assert len(OPTIONS) >= 10
    assert len(OVERRIDES) >= 3

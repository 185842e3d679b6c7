"""The help: every option with its opening comment, every key with its meaning and default."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from ftbench import help_text as module
from ftbench.config import (
    BackendConf,
    Config,
    FeedbackConf,
    GateConf,
    GateRuleConf,
    JudgeConf,
    ModelConf,
    RuntimeConf,
    TrackingConf,
    TrainingConf,
)
from ftbench.help_text import help_text, key_docs


def test_help_text_begins_with_what_to_type() -> None:
    lines = help_text().splitlines()
    assert lines[0] == (
        "ftbench evaluates a fine-tuned model with OpenCompass and records its scores in MLflow."
    )
    assert lines[2] == "  python -m ftbench.run model.adapter=DIR datasets=[mmlu,gsm8k]"


def test_help_text_gives_each_option_its_own_meaning() -> None:
    assert (
        "  suite=quick           knowledge and arithmetic, the two that every fine-tune should "
        "report.\n"
    ) in help_text()
    assert "  runtime=docker        an isolated container.\n" in help_text()


def test_help_text_gives_each_key_its_default_and_meaning() -> None:
    assert ("  backend.seed=0\n      Seed of every random generator.\n") in help_text()


def test_help_text_fits_a_terminal_of_100_columns() -> None:
    assert max(map(len, help_text().splitlines())) <= 100


def test_help_text_reads_options_from_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in {
        "plain": "name: plain\n",
        "told": "# @package _global_\n# Select with suite=told: what it is\n# for.\nname: told\n",
        "bare": "# Select with suite=bare.\nname: bare\n",
    }.items():
        (tmp_path / "suite").mkdir(exist_ok=True)
        (tmp_path / "suite" / f"{name}.yaml").write_text(text)
    monkeypatch.setattr(module, "conf_dir", lambda: tmp_path)
    text = help_text()
    choices = text[text.index("Choices") : text.index("Keys")]
    assert choices == (
        "Choices (group=option):\n"
        "  suite=bare\n"
        "  suite=plain\n"
        "  suite=told            what it is for.\n"
        "\n"
    )


def test_key_docs_writes_defaults_as_they_are_typed() -> None:
    docs = {name: (doc, default) for name, doc, default in key_docs()}
    assert docs["limit"] == ("First N rows of each subset; null: all.", "null")
    assert docs["dry_run"] == ("Print exactly what would be launched, and stop.", "false")
    assert docs["backend.top_p"][1] == "1.0"
    assert docs["datasets"][1] == ""


@pytest.mark.parametrize(
    ("prefix", "cls"),
    [
        ("", Config),
        ("model.", ModelConf),
        ("backend.", BackendConf),
        ("runtime.", RuntimeConf),
        ("tracking.", TrackingConf),
        ("judge.", JudgeConf),
        ("gate.", GateConf),
        ("gate.rule.", GateRuleConf),
        ("training.", TrainingConf),
        ("feedback.", FeedbackConf),
    ],
)
def test_key_docs_has_every_field_of_the_configuration(prefix: str, cls: type) -> None:
    groups = {"suite", "model", "backend", "runtime", "tracking", "judge", "training", "feedback"}
    groups |= {"gate", "rule"}
    fields = {f"{prefix}{f.name}" for f in dataclasses.fields(cls) if f.name not in groups}
    documented = {name for name, doc, _ in key_docs() if doc}
    assert fields
    assert fields <= documented


def test_help_text_needs_no_configuration_library() -> None:
    code = (
        "import sys; sys.modules['hydra'] = sys.modules['omegaconf'] = None\n"
        "from ftbench.help_text import help_text; help_text()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

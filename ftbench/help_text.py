"""The text of ``--help``: every choice and every key, with its meaning where it is defined.

Reads the option files' opening comments and the documentation of the configuration classes; needs
neither Hydra nor OmegaConf, so that it answers at once.
"""

from __future__ import annotations

import ast
import itertools
import re
import textwrap
from pathlib import Path

from ftbench import config
from ftbench.paths import conf_dir

_USAGE = """\
ftbench evaluates a fine-tuned model with OpenCompass and records its scores in MLflow.

  python -m ftbench.run model.adapter=DIR datasets=[mmlu,gsm8k]
  python -m ftbench.run model.adapter=DIR suite=quick runtime=local
  python -m ftbench.run model.adapter=DIR datasets=[mmlu] dry_run=true   prints, starts nothing
  python -m ftbench.run -m model.adapter=DIR1,DIR2 datasets=[mmlu]       a sweep: one run for each

Quote arguments with brackets in zsh: 'datasets=[mmlu,gsm8k]'."""

_FOOTER = """\
A folder of your own options: --config-dir DIR, with the same groups in it.
Hydra's own flags: python -m ftbench.run --hydra-help"""

_GROUPS = {
    "model": config.ModelConf,
    "backend": config.BackendConf,
    "runtime": config.RuntimeConf,
    "tracking": config.TrackingConf,
    "judge": config.JudgeConf,
    "gate": config.GateConf,
    "gate.rule": config.GateRuleConf,
    "training": config.TrainingConf,
    "feedback": config.FeedbackConf,
}


def help_text() -> str:
    """The whole help."""
    groups = [*sorted(conf_dir().glob("*/")), conf_dir() / "hydra" / "launcher"]
    choices = [line for group in groups for line in _choices(group)]
    keys = [line for name, doc, default in key_docs() for line in _key_lines(name, doc, default)]
    return "\n".join(
        [
            _USAGE,
            "",
            "Choices (group=option):",
            *choices,
            "",
            "Keys (key=value):",
            *keys,
            "",
            _FOOTER,
        ]
    )


def key_docs() -> list[tuple[str, str, str]]:
    """Every key with its meaning and its default, as text."""
    docs = [
        (name, doc, default)
        for name, doc, default in _field_docs("Config")
        if name not in (*_GROUPS, "suite")
    ]
    for group, cls in _GROUPS.items():
        own = [(f"{group}.{name}", doc, dflt) for name, doc, dflt in _field_docs(cls.__name__)]
        docs += [(name, doc, dflt) for name, doc, dflt in own if name not in _GROUPS]
    return docs


def _field_docs(class_name: str) -> list[tuple[str, str, str]]:
    # The string under a field is not kept at run time, so it is read from the source.
    tree = ast.parse(Path(config.__file__).read_text(encoding="utf-8"))
    body = next(n.body for n in tree.body if isinstance(n, ast.ClassDef) and n.name == class_name)
    docs = []
    for field, text in itertools.pairwise(body):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            doc = " ".join(str(text.value.value).split())
            docs.append((field.target.id, doc, _default(field)))
    return docs


def _default(field: ast.AnnAssign) -> str:
    if isinstance(field.value, ast.Constant):
        value = field.value.value
        return (
            "null"
            if value is None
            else str(value).lower()
            if isinstance(value, bool)
            else str(value)
        )
    return ""


def _key_lines(name: str, doc: str, default: str) -> list[str]:
    head = f"  {name}={default}" if default else f"  {name}"
    return [head, *textwrap.wrap(doc, 90, initial_indent="      ", subsequent_indent="      ")]


def _choices(group: Path) -> list[str]:
    lines = []
    for option in sorted(group.glob("*.yaml")):
        comment = [
            line.lstrip("# ").rstrip()
            for line in option.read_text(encoding="utf-8").splitlines()
            if line.startswith("#") and "@package" not in line
        ]
        text = re.sub(r"^Select with [^:]*: ", "", " ".join(comment))
        text = re.sub(r"^Select with (.*?)\.$", "", text)
        head = f"  {group.relative_to(conf_dir())}={option.stem}"
        is_long = len(head) > 23
        lines += [head] if is_long or not text else []
        first = "" if is_long else f"{head:<24}"
        lines += textwrap.wrap(text, 98, initial_indent=f"{first:<24}", subsequent_indent=" " * 24)
    return lines

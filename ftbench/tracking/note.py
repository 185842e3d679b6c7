"""The Markdown that people read at the top of a run's page in MLflow.

The benchmark run's note is ours. The training run's note is its owner's: ours is one section
between two markers, and the rest is never touched.
"""

from __future__ import annotations

import html
import re
import shlex
from dataclasses import dataclass

from ftbench.canary_words import canary_sentence
from ftbench.plan import Plan
from ftbench.schema import OK, Result
from ftbench.score_rows import ANSWERS, INTERVAL, MARK, ScoreRow, cells, flag_lines, result_rows
from ftbench.tracking.baseline import Comparison
from ftbench.tracking.contents import flagged_names, run_link
from ftbench.tracking.environment import redact
from ftbench.tracking.names import MAX_TAG, cut, metric_key, model_label, setting_label
from ftbench.tracking.scores import HEADLINE, headlines, overall_status
from ftbench.tracking.views import LEADERBOARD, TRAINING, view_path
from ftbench.validity import notes

BEGIN = "<!-- ftbench:begin -->"
END = "<!-- ftbench:end -->"
BASE_BEGIN = "<!-- ftbench:base -->"
BASE_END = "<!-- ftbench:/base -->"
NOTE_TAG = "mlflow.note.content"

_MARK = f"\\{MARK}"
_INDENT = "&emsp;"


@dataclass(frozen=True)
class RunRow:
    """One benchmark run in the training run's note.

    Attributes:
        link: Address of the run inside MLflow's UI, such as ``#/experiments/1/runs/ab12``.
        scores: Headline scores by dataset name, in percent; ``avg`` among them when known.
        flagged: Names of the datasets whose scores are flagged.
    """

    name: str
    link: str
    status: str
    scores: dict[str, float]
    flagged: frozenset[str] = frozenset()


def run_note(
    plan: Plan, result: Result, training: tuple[str, str] | None, experiment_id: str
) -> str:
    """Note of the benchmark run; ``with_comparison`` adds the difference against the base.

    Args:
        plan: What was evaluated.
        result: What came out.
        training: Name and link of the training run, or None.
        experiment_id: Of the benchmark run, whose views it links to.

    Returns:
        Markdown of at most 8000 characters.
    """
    done = sum(dataset.status == OK for dataset in result.datasets)
    scores = {
        score.key.removeprefix(HEADLINE): score.value
        for score in headlines(result)
        if score.key.startswith(HEADLINE)
    }
    # MLflow folds a note away after four lines, so the scores come first.
    flagged = frozenset(metric_key(name) for name in flagged_names(result))
    head = f"**{_score_line(scores, flagged) or 'no score'}**"
    asked = f"{done} of {len(result.datasets)} datasets"
    lines = [f"{head} (ftbench: {overall_status(result)}, {asked})", ""]
    lines += [BASE_BEGIN, BASE_END, ""]
    if sentences := flag_lines(result.datasets):
        lines += [*(f"- {_MARK} {_cell(sentence)}" for sentence in sentences), ""]
    if training:
        lines += [f"Training run: [{_cell(training[0])}]({training[1]})", ""]
    lines += [f"All runs: {_view_links(experiment_id)}", ""]
    lines += _score_table(result)
    if result.failure:
        lines += ["", f"Failed: {_cell(result.failure.message)}"]
    facts = [f"- Model: {_code(model_label(plan))}, base {_code(plan.model.base)}"]
    facts += [f"- Setting: {setting_label(plan)}"]
    remarks = (canary_sentence(result.model.canary), *result.model.notes)
    facts += [f"- {_cell(note)}" for note in remarks if note]
    facts += [f"- {_cell(f'{d.name}: {n}')}" for d in result.datasets for n in notes(d.subsets)]
    facts += [
        "- Answers: `samples.html` (what is wrong, by subset), `samples/` (tables), "
        "`predictions/` (all, parquet)",
        "- Pictures: `plots/`",
        f"- Fingerprint: `{plan.fingerprint[:16]}`",
    ]
    command = redact(shlex.join(plan.command))
    reproduce = ["", "Reproduce:", "", "```sh", command, "```"]
    text = "\n".join([*lines, "", *facts, *reproduce])
    return text if len(text) <= MAX_TAG else cut("\n".join([*lines, "", *facts]), MAX_TAG)


def with_comparison(note: str, line: str) -> str:
    """A benchmark run's note with its difference against the base put in, or replaced.

    Args:
        note: As ``run_note`` made it.
        line: Markdown of one paragraph; empty takes it out.
    """
    before, begin, rest = note.partition(BASE_BEGIN)
    _, end, after = rest.partition(BASE_END)
    if not begin or not end:
        return note
    section = f"{BASE_BEGIN}\n{line}\n{BASE_END}" if line else f"{BASE_BEGIN}\n{BASE_END}"
    return before + section + after


def comparison_line(comparison: Comparison) -> str:
    """A comparison with the base model's run as Markdown."""
    base = comparison.base.info
    link = f"[{_cell(base.run_name)}]({run_link(base.experiment_id, base.run_id)})"
    line = f"Against {link}: **{_cell(comparison.text)}**"
    if comparison.left_out:
        reasons = "; ".join(_cell(f"{name}: {why}") for name, why in comparison.left_out)
        line += f" (not compared: {reasons})"
    return line


def experiment_note(experiment_id: str) -> str:
    """Description of an experiment that has none."""
    return (
        "Benchmark scores of fine-tuned models and their base, written by **ftbench**.\n\n"
        f"Which is best, where, and by how much: {_view_links(experiment_id)}"
    )


def _view_links(experiment_id: str) -> str:
    links = {
        "leaderboard": view_path(experiment_id, LEADERBOARD),
        "charts": view_path(experiment_id, LEADERBOARD, "CHART"),
        "loss and scores": view_path(experiment_id, TRAINING, "CHART"),
    }
    return " · ".join(f"[{name}]({path.removeprefix('/')})" for name, path in links.items())


def training_note(note: str, rows: list[RunRow]) -> str | None:
    """The training run's note with our section put in, or replaced.

    Args:
        note: The note as it is; empty when there is none.
        rows: All benchmark runs of this training run, newest first.

    Returns:
        The new note, or None when the owner's text leaves no room: it is never cut.
    """
    before, after = _around_section(note)
    for count in range(len(rows), 0, -1):
        section = "\n".join([BEGIN, *_section(rows[:count], len(rows) - count), END])
        text = "\n\n".join(part for part in (before, section, after) if part)
        if len(text) <= MAX_TAG:
            return text
    return None


def _around_section(note: str) -> tuple[str, str]:
    match = re.search(re.escape(BEGIN) + ".*?" + re.escape(END), note, re.DOTALL)
    if match is None:
        return note.rstrip("\n"), ""
    return note[: match.start()].rstrip("\n"), note[match.end() :].strip("\n")


def _section(rows: list[RunRow], left_out: int) -> list[str]:
    names = list(dict.fromkeys(name for row in rows for name in row.scores))
    names = [n for n in names if n == "avg"] + [n for n in names if n != "avg"]
    newest = rows[0]
    line = _score_line(newest.scores, newest.flagged) or "no score"
    lines = [f"**Benchmark: {line}** ([{_cell(newest.name)}]({newest.link}), {newest.status})", ""]
    lines += ["| " + " | ".join(["benchmark run", *map(_cell, names), "status"]) + " |"]
    lines += ["|---|" + "---:|" * len(names) + "---|"]
    for row in rows:
        cells = [f"[{_cell(row.name)}]({row.link})"]
        cells += [_score(row.scores[n], n, row.flagged) if n in row.scores else "" for n in names]
        lines += ["| " + " | ".join([*cells, row.status]) + " |"]
    if any(row.flagged for row in rows):
        lines += ["", f"{_MARK} flagged: the benchmark run says why"]
    return [*lines, "", f"… and {left_out} more"] if left_out else lines


def _score_line(scores: dict[str, float], flagged: frozenset[str]) -> str:
    names = sorted(scores, key=lambda name: name != "avg")
    return ", ".join(f"{_cell(name)} {_score(scores[name], name, flagged)}" for name in names)


def _score(value: float, name: str, flagged: frozenset[str]) -> str:
    # What is averaged from a flagged score is no better than that.
    is_flagged = name in flagged or (name == "avg" and bool(flagged))
    return f"{value:.2f}&nbsp;{_MARK}" if is_flagged else f"{value:.2f}"


def _score_table(result: Result) -> list[str]:
    if not result.datasets:
        return ["No datasets were asked for."]
    rows = result_rows(result)
    has_means = any(row.weighted_score is not None for row in rows)
    has_bars = any(cells(row).interval for row in rows)
    bars = (INTERVAL,) if has_bars else ()
    means = ("score", *bars, "weighted by samples") if has_means else ("score", *bars)
    heads = ("dataset", *means, "what it is", "samples", *ANSWERS, "status")
    left = ("dataset", "what it is", "status")
    lines = ["| " + " | ".join(heads) + " |"]
    lines += ["|" + "|".join("---" if head in left else "---:" for head in heads) + "|"]
    for row in rows:
        line = " | ".join(map(_cell, _score_cells(row, has_means, has_bars)))
        lines += [f"| {_INDENT * row.depth}{line} |"]
    return lines


def _score_cells(row: ScoreRow, has_means: bool, has_bars: bool) -> tuple[str, ...]:
    own = cells(row)
    means = (own.score, *([own.interval] if has_bars else []))
    means += (own.weighted,) if has_means else ()
    reason = f": {cut(row.reason.message, 300)}" if row.reason else ""
    return own.name, *means, own.what, own.samples, *own.answers, own.status + reason


def _cell(text: str) -> str:
    # MLflow's Markdown shows the backslash before a "<", trims cells and wraps before a mark.
    escaped = re.sub(r"([\\|\[\]*_`])", r"\\\1", html.escape(redact(text), quote=False))
    return " ".join(escaped.split()).replace(f" {_MARK}", f"&nbsp;{_MARK}")


def _code(text: str) -> str:
    return "`" + redact(text).replace("`", "'").replace("\n", " ") + "`"

"""A comparison as one HTML file that loads nothing: to send, to print, to read on a phone."""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files

from ftbench.comparison.drawings import DIFFERENCES
from ftbench.comparison.markup import Markup, breakable, data_table, join, tag
from ftbench.comparison.page_details import (
    difference_chip,
    flips_section,
    losses_section,
    movers_section,
)
from ftbench.comparison.values import Average, Comparison, Line, Standing
from ftbench.comparison.verdicts import (
    CHANCE,
    average_word,
    explanations,
    headlines,
    interval,
    word,
)
from ftbench.comparison.words import (
    average_line,
    average_text,
    commands,
    flag_sentences,
    not_compared,
    score_text,
    verdict,
)

MAX_COLUMNS_OF_RUNS = 4
"""More runs than these stand in rows, their datasets in columns."""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""The browser itself keeps the page from loading anything."""


def comparison_page(comparison: Comparison, pictures: Mapping[str, str]) -> str:
    """The whole page.

    Args:
        comparison: What is shown; every text of it is escaped.
        pictures: SVG texts by title; they are taken as they are.
    """
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("title", verdict(comparison)),
        tag("style", Markup(_style())),
    )
    body = tag(
        "body",
        _header(comparison),
        tag("main", *_sections(comparison, pictures)),
        tag("footer", tag("p", f"{CHANCE} {_made_by()}", class_="small")),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def _sections(comparison: Comparison, pictures: Mapping[str, str]) -> list[Markup]:
    scores = [tag("h2", "Scores"), _score_table(comparison), _notes(comparison)]
    forests = {t: svg for t, svg in pictures.items() if t.startswith(DIFFERENCES)}
    others = {t: svg for t, svg in pictures.items() if t not in forests}
    sections = [
        scores,
        _pictures("Differences", forests),
        losses_section(comparison),
        flips_section(comparison),
        movers_section(comparison),
        _pictures("Pictures", others),
        _settings(comparison),
        [tag("h2", "Runs"), _runs(comparison)],
        _again(comparison),
    ]
    return [tag("section", *section) for section in sections if section]


def _pictures(heading: str, found: Mapping[str, str]) -> list[Markup]:
    drawn = [_picture(title, svg) for title, svg in found.items()]
    return [tag("h2", heading), *drawn] if drawn else []


def _header(comparison: Comparison) -> Markup:
    count = len(comparison.runs)
    runs = "1 benchmark run" if count == 1 else f"{count} benchmark runs"
    return tag(
        "header",
        tag("p", f"ftbench comparison of {runs}", class_="kind"),
        tag("h1", verdict(comparison)),
        tag("p", average_line(comparison), class_="small"),
    )


def _score_table(comparison: Comparison) -> Markup:
    if len(comparison.runs) > MAX_COLUMNS_OF_RUNS:
        return _by_run(comparison)
    heads = [tag("th", "dataset", scope="col")]
    heads += [
        tag("th", breakable(label), _baseline_tag(comparison, i), scope="col")
        for i, label in enumerate(comparison.labels)
    ]
    rows = []
    for dataset in comparison.datasets:
        rows += [_line_row(dataset.line, "")]
        rows += [_line_row(group, "group") for group in dataset.groups]
    if len(comparison.datasets) > 1 and comparison.averaged:
        cells = [tag("td", *_average(average)) for average in comparison.averages]
        rows += [tag("tr", tag("th", "avg", scope="row"), *cells, class_="average")]
    return data_table(heads, rows)


def _line_row(line: Line, kind: str) -> Markup:
    indent = f"padding-left:{0.7 + 0.8 * line.depth:.1f}rem" if line.depth else ""
    name = tag("th", breakable(line.name), scope="row", style=indent, title=line.metric)
    return tag("tr", name, *(_score_cell(s) for s in line.standings), class_=kind)


def _score_cell(standing: Standing) -> Markup:
    score = tag("span", score_text(standing), class_="best" if standing.is_best else "")
    if standing.why_not:
        mark = tag("span", "not comparable", class_="difference none") if standing.status else ""
        return tag("td", score, " ", mark, title=standing.why_not)
    if standing.difference is None:
        return tag("td", score)
    said = " ".join(filter(None, (interval(standing.paired), word(standing))))
    chip = difference_chip(standing.difference.value, standing.paired)
    return tag("td", score, " ", chip, tag("small", said), title=standing.unpaired_why)


def _average(average: Average) -> list[Markup]:
    score, difference = average_text(average), average.difference
    if difference is None:
        return [join(score)]
    chip = difference_chip(difference.value, average.paired)
    said = " ".join(filter(None, (interval(average.paired), average_word(average))))
    return [join(score, " "), chip, tag("small", said)]


def _by_run(comparison: Comparison) -> Markup:
    heads = [tag("th", "run", scope="col"), tag("th", "avg", scope="col")]
    heads += [tag("th", dataset.name, scope="col") for dataset in comparison.datasets]
    rest = [i for i in range(len(comparison.runs)) if i not in comparison.ranking]
    rows = []
    for index in (*comparison.ranking, *rest):
        is_ranked = index in comparison.ranking
        rank = f"{comparison.ranking.index(index) + 1}. " if is_ranked else ""
        name = [join(rank, breakable(comparison.labels[index])), _baseline_tag(comparison, index)]
        cells = [tag("td", *_average(comparison.averages[index]))]
        cells += [_score_cell(d.line.standings[index]) for d in comparison.datasets]
        kind = "" if is_ranked else "unranked"
        rows += [tag("tr", tag("th", *name, scope="row"), *cells, class_=kind)]
    return data_table(heads, rows)


def _baseline_tag(comparison: Comparison, index: int) -> Markup:
    if index != comparison.baseline or len(comparison.runs) == 1:
        return Markup()
    return join(" ", tag("span", "baseline", class_="tag"))


def _notes(comparison: Comparison) -> Markup:
    lines = [
        *headlines(comparison),
        *not_compared(comparison),
        *explanations(comparison),
        *flag_sentences(comparison),
        *comparison.notes,
    ]
    return tag("ul", *(tag("li", line) for line in lines), class_="small") if lines else Markup()


def _picture(title: str, svg: str) -> Markup:
    # Before the element stand an XML declaration and a doctype, which HTML does not know.
    element = Markup(svg[svg.index("<svg") :])
    kind = "picture narrow" if title.startswith(DIFFERENCES) else "picture"
    return tag("figure", tag("figcaption", title), tag("div", element, class_=kind))


def _settings(comparison: Comparison) -> list[Markup]:
    if not comparison.settings:
        return []
    heads = [tag("th", "setting", scope="col")]
    heads += [tag("th", breakable(n), scope="col", class_="left") for n in comparison.labels]
    rows = [
        tag(
            "tr",
            tag("th", breakable(setting.key), scope="row"),
            *(tag("td", value or "-", class_="value") for value in setting.values),
        )
        for setting in comparison.settings
    ]
    return [tag("h2", "What differs"), data_table(heads, rows)]


def _runs(comparison: Comparison) -> Markup:
    names = ("run", "base model", "setting", "evaluated", "pages")
    heads = [tag("th", name, scope="col", class_="left") for name in names]
    rows = []
    for label, run in zip(comparison.labels, comparison.runs, strict=True):
        links = {"run": run.link, "model": run.model_link, "training": run.training_link}
        pages = [tag("a", name, href=link) for name, link in links.items() if link]
        spaced = [part for page in pages for part in (page, " ")]
        evaluated = time.strftime("%Y-%m-%d %H:%M", time.gmtime(run.started_ms / 1000))
        base = tag(
            "td", breakable(_last_part(run.base_model)), title=run.base_model, class_="value"
        )
        cells = [base, tag("td", run.setting, class_="value")]
        cells += [tag("td", f"{evaluated} UTC" if run.started_ms else "-", class_="value date")]
        cells += [tag("td", *(spaced or [run.key]), class_="value")]
        rows += [tag("tr", tag("th", breakable(label), scope="row"), *cells)]
    return data_table(heads, rows)


def _last_part(base_model: str) -> str:
    """A folder's own name; a name of a hub as it is."""
    return base_model.rstrip("/").rpartition("/")[2] if base_model.startswith("/") else base_model


def _again(comparison: Comparison) -> list[Markup]:
    found = commands(comparison)
    if not found:
        return []
    parts = [join(tag("h3", label), tag("pre", command)) for label, command in found]
    return [tag("h2", "Evaluate again"), *parts]


def _style() -> str:
    return files("ftbench.comparison").joinpath("page.css").read_text(encoding="utf-8")


def _made_by() -> str:
    try:
        return f"Made by ftbench {version('ftbench')}."
    except PackageNotFoundError:
        return "Made by ftbench."  # a checkout that is not installed

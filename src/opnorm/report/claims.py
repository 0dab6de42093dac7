"""The claims of the paper, each with what decides it and what the experiment says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import groupby

from opnorm.report import tables
from opnorm.report.contents import Contents, ReportFigure
from opnorm.report.html import Html, element, join, table
from opnorm.report.tables import Row

COLUMNS = ("claim", "section", "statement", "statistic", "estimate", "low", "high", "verdict", "figure")
VERDICTS = {"supported": "✓", "refuted": "✗", "inconclusive": "?"}
"""Each verdict's sign; the words are in the table."""

_EXPLANATION = (
    "What decides each claim, and with which margin, was fixed before the results were seen. A claim is supported or "
    "refuted where the whole 95 % interval says so, else inconclusive. A refuted claim is a result like any other."
)


def section(contents: Contents) -> Html:
    """Claims in a table per section of the paper, after a line that counts verdicts."""
    if contents.claims is None:
        return element("p", "This experiment has no table of claims.")
    rows = tables.read(contents.claims, COLUMNS)
    if not rows:
        return element("p", "None of the paper's claims can be judged with the analyses of this experiment.")
    figures = {figure.name: figure for figure in contents.figures}
    order = list(dict.fromkeys(row["section"] for row in rows))
    ordered = sorted(rows, key=lambda row: order.index(row["section"]))
    parts = [_part(name, part, figures) for name, part in groupby(ordered, key=lambda row: row["section"])]
    return join([summary(rows), element("p", _EXPLANATION), *parts])


def summary(rows: Iterable[Row]) -> Html:
    """How many claims have which verdict."""
    counts = dict.fromkeys(VERDICTS, 0)
    for row in rows:
        counts[row["verdict"]] = counts.get(row["verdict"], 0) + 1
    items = [element("li", element("b", str(count)), " ", _verdict(verdict)) for verdict, count in counts.items()]
    return element("ul", *items, class_="verdicts", aria_label="Number of claims by verdict")


def _part(name: str, rows: Iterable[Row], figures: Mapping[str, ReportFigure]) -> Html:
    title = re.sub(r"(?<![\w.])(?=\d)", "Section ", name, count=1)
    title = title[:1].upper() + title[1:]
    header = ("Claim", "Verdict", "Statistic", "Estimate and 95 % interval", "Figure")
    cells = [
        (
            row["statement"],
            _verdict(row["verdict"]),
            row["statistic"],
            _estimate(row),
            _link(row["figure"], figures),
        )
        for row in rows
    ]
    return join(
        [
            element("h3", title),
            table(header, cells, caption=f"Claims: {title}", words=5, class_="claims"),
        ]
    )


def _verdict(verdict: str) -> Html:
    known = verdict if verdict in VERDICTS else "other"
    sign = element("span", VERDICTS.get(verdict, "·"), aria_hidden="true")
    return element("span", sign, " ", verdict, class_=f"verdict {known}")


def _link(name: str, figures: Mapping[str, ReportFigure]) -> str:
    return element("a", figures[name].title, href=f"#{figures[name].anchor}") if name in figures else name


def _estimate(row: Row) -> Html:
    low, high = tables.written(row["low"]), tables.written(row["high"])
    return element("span", f"{tables.written(row['estimate'])} [{low}, {high}]", class_="estimate")

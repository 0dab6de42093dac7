"""The claims of the paper, each with what decides it and what the experiment says."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain, groupby
from pathlib import Path

from opnorm.claims.claim import OWN
from opnorm.report import doubts, tables
from opnorm.report.contents import Contents, ReportFigure
from opnorm.report.html import Html, download, element, join, table
from opnorm.report.interval import draw
from opnorm.report.tables import Row

COLUMNS = (
    "claim", "section", "statement", "statistic", "estimate", "low", "high", "criterion", "verdict", "figure", "seeds",
    "samples",
)  # fmt: skip
VERDICTS = {"supported": "✓", "refuted": "✗", "inconclusive": "?"}
"""Each verdict's sign; the words are in the table."""

_EXPLANATION = (
    "What decides each claim, and with which margin, is in the code and the same for every experiment. A claim is "
    "supported where the whole 95 % interval is where the statistic has to be (shaded), refuted where all of it is "
    "elsewhere, on one side, and else inconclusive. A refuted claim is a result like any other. With one seed a row "
    "speaks of these networks, not of other trainings."
)


def section(contents: Contents) -> Html:
    """Claims in a table per section of the paper, after a line that counts verdicts."""
    if contents.claims is None:
        return element("p", "This experiment has no table of claims.")
    rows = tables.read(contents.claims, COLUMNS)
    if not rows:
        nothing = element("p", "None of the paper's claims can be judged with the analyses of this experiment.")
        return join([nothing, _not_judged(contents.not_judged)])
    figures = {figure.name: figure for figure in contents.figures}
    ordered = groupby(sorted(rows, key=_place), key=lambda row: row["section"])
    sections = {name: list(part) for name, part in ordered}
    parts = [_part(name, part, figures) for name, part in sections.items()]
    introduction = [_summary(rows), element("p", _EXPLANATION), doubts.section(contents), _overview(sections)]
    rest = [_not_judged(contents.not_judged), element("p", download(Path(contents.claims)))]
    return join([*introduction, *parts, *rest])


def _not_judged(reasons: Mapping[str, str]) -> Html | None:
    """Claims that are not in the table, folded away, by reason."""
    if not reasons:
        return None
    by_reason: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        by_reason.setdefault(reason, []).append(name.replace("_", " "))
    items = [element("li", f"{', '.join(names)}: {reason}.") for reason, names in by_reason.items()]
    return element("details", element("summary", f"Not judged: {len(reasons)} claims"), element("ul", *items))


def _place(row: Row) -> tuple[int, list[int], str]:
    """The abstract comes first, then the paper's sections by their numbers, then what has no number, our own last."""
    name = row["section"]
    number = re.match(r"[\d.]+", name)
    rank = 1 if number else (0 if name.startswith("abstract") else 2 + (name == OWN))
    return rank, [int(part) for part in re.findall(r"\d+", number[0] if number else "")], name


def _summary(rows: Iterable[Row]) -> Html:
    """How many claims have which verdict."""
    items = [element("li", element("b", str(n)), " ", _verdict(verdict)) for verdict, n in _counts(rows).items()]
    return element("ul", *items, class_="verdicts", aria_label="Number of claims by verdict")


def _overview(sections: Mapping[str, list[Row]]) -> Html:
    """How many have which, section by section, each of which is a link."""
    verdicts = _counts(chain.from_iterable(sections.values()))
    rows = [
        (element("a", _title(name), href=f"#{_anchor(name)}"), *(str(_counts(part)[verdict]) for verdict in verdicts))
        for name, part in sections.items()
    ]
    header = ("Claims of", *map(_verdict, verdicts))
    return table(header, rows, caption="Number of claims by section and verdict", class_="overview")


def _counts(rows: Iterable[Row]) -> Counter[str]:
    counts = Counter(dict.fromkeys(VERDICTS, 0))
    counts.update(row["verdict"] for row in rows)
    return counts


def _title(name: str) -> str:
    title = re.sub(r"(?<![\w.])(?=\d)", "Section ", name, count=1)
    return title[:1].upper() + title[1:]


def _anchor(name: str) -> str:
    return "claims-" + re.sub(r"\W+", "-", name)


def _part(name: str, rows: Iterable[Row], figures: Mapping[str, ReportFigure]) -> Html:
    title = _title(name)
    header = ("Claim", "Verdict", "Statistic, and where it has to be", "Estimate and 95 % interval", "Figure")
    cells = [
        (
            row["statement"],
            _verdict(row["verdict"]),
            join([row["statistic"], ": ", element("b", row["criterion"])]),
            _estimate(row),
            _link(row["figure"], figures),
        )
        for row in rows
    ]
    listed = table(header, cells, caption=f"Claims: {title}", words=5, class_="claims cards")
    return join([element("h3", title, id=_anchor(name)), listed])


def _verdict(verdict: str) -> Html:
    known = verdict if verdict in VERDICTS else "other"
    sign = element("span", VERDICTS.get(verdict, "·"), aria_hidden="true")
    return element("span", sign, " ", verdict, class_=f"verdict {known}")


def _link(name: str, figures: Mapping[str, ReportFigure]) -> str:
    return element("a", figures[name].title, href=f"#{figures[name].anchor}") if name in figures else name


def _estimate(row: Row) -> Html:
    estimate, low, high = (tables.written(row[name]) for name in ("estimate", "low", "high"))
    # A check has no interval.
    written = estimate if row["low"] == row["high"] != "" else f"{estimate} [{low},\u00a0{high}]"
    drawn_from = [_counted(row[name], name) for name in ("seeds", "samples") if row[name]]
    return join([element("span", written, class_="estimate"), _drawn(row), element("small", ", ".join(drawn_from))])


def _counted(number: str, what: str) -> str:
    written = tables.written(number)
    return f"{written} {what.removesuffix('s') if written == '1' else what}"


def _drawn(row: Row) -> Html | None:
    estimate, low, high = (tables.number(row[name]) for name in ("estimate", "low", "high"))
    return draw(estimate, low, high, row["criterion"])

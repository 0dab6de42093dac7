"""Figures with their captions and numbers, and the table of accuracies."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from pathlib import Path

from opnorm.errors import FileError
from opnorm.figures.context import FigureContext
from opnorm.report import doubts, tables
from opnorm.report.contents import Contents, ReportFigure
from opnorm.report.html import Html, data_uri, download, element, join, prose, table
from opnorm.report.tables import Row

ACCURACIES = "accuracies"
"""The figure whose numbers are a table of the report."""

MOST_ROWS = 200
"""Of numbers in the page; longer tables are for downloading alone."""

# Pictures are drawn at 300 points per inch, for print; on a screen their small type wants more room.
_PIXELS_PER_POINT = 96 / 300 * 1.4
# Points of a picture over two columns, which a phone shows a part of at a time.
_WIDE = 1300


def section(contents: Contents) -> Html:
    """Every figure of the experiment."""
    if not contents.figures:
        return element("p", "This experiment has no figures.")
    return join(_figure(figure, contents.context) for figure in contents.figures)


def accuracies(contents: Contents) -> Html:
    """A row per method, a column per attack."""
    found = [figure for figure in contents.figures if figure.name == ACCURACIES]
    if not found:
        return element("p", "This experiment does not measure accuracies.")
    rows = tables.read(found[0].csv, ("method", "epsilon", "mean", "standard_error", "n"))
    epsilons = sorted({row["epsilon"] for row in rows}, key=tables.number)
    cells = {(row["method"], row["epsilon"]): _accuracy(row) for row in rows}
    methods = list(dict.fromkeys(row["method"] for row in rows))
    samples = ", ".join(sorted({tables.written(row["n"]) for row in rows}))
    shown = table(
        ["Method", *(_attack(epsilon, contents.context) for epsilon in epsilons)],
        [
            [contents.context.label(method), *(cells.get((method, epsilon), tables.NOTHING) for epsilon in epsilons)]
            for method in methods
        ],
        caption=f"Accuracy on {contents.context.dataset} in percent, with its standard error over test samples "
        f"(n = {samples}) and, where there are several seeds, the deviation between them.",
    )
    return join([doubts.section(contents), shown])


def numbers(path: Path, caption: str, context: FigureContext, *, opened: bool = False) -> Html:
    """A csv as a table that opens, or is `opened`, if it is not too long; and as a file to download.

    Raises:
        FileError: it cannot be read.
    """
    rows = tables.read(path)
    link = download(path)
    if not 0 < len(rows) <= MOST_ROWS:
        return element("p", link, f" ({len(rows)} rows)", class_="download")
    shown = table(list(rows[0]), [_cells(row, context) for row in rows], caption=caption, words=_words(rows))
    return element("details", element("summary", f"Numbers ({len(rows)} rows)"), shown, element("p", link), open=opened)


def _figure(figure: ReportFigure, context: FigureContext) -> Html:
    picture, width, height = _picture(figure)
    image = element(
        "img",
        src=data_uri(picture, "image/png"),
        alt=f"Plot: {figure.title}. Its numbers are in the table or file below the caption.",
        width=round(width * _PIXELS_PER_POINT),
        height=round(height * _PIXELS_PER_POINT),
        class_="wide" if width > _WIDE else None,
    )
    paper = ", ".join(number.replace("figure", "Figure ").replace("table", "Table ") for number in figure.paper)
    return element(
        "section",
        element("h3", figure.title, element("small", f" {paper} of the paper") if paper else None),
        element(
            "figure",
            element("div", image, class_="scroll plot", tabindex=0, role="region", aria_label=f"Plot: {figure.title}"),
            element("figcaption", prose(figure.caption)),
        ),
        numbers(Path(figure.csv), f"Numbers of the figure {figure.title}", context),
        id=figure.anchor,
    )


def _picture(figure: ReportFigure) -> tuple[bytes, int, int]:
    """A PNG, and its width and height, with which it begins."""
    try:
        content = Path(figure.png).read_bytes()
    except OSError as error:
        raise FileError(f"{figure.png}: cannot be read ({error.strerror or error})") from error
    if content[:8] != b"\x89PNG\r\n\x1a\n" or len(content) < 24:
        raise FileError(f"{figure.png}: not a PNG; delete it and run again")
    width, height = struct.unpack(">II", content[16:24])
    return content, width, height


def _accuracy(row: Row) -> str:
    percent = {name: 100.0 * tables.number(row.get(name, "")) for name in ("mean", "standard_error", "seed_std")}
    text = f"{percent['mean']:.1f} ± {percent['standard_error']:.1f}"
    return text if math.isnan(percent["seed_std"]) else f"{text} (seeds {percent['seed_std']:.1f})"


def _attack(epsilon: str, context: FigureContext) -> str:
    return "clean" if tables.number(epsilon) == 0.0 else f"l{context.norm:g}, ε = {tables.written(epsilon)}"


def _cells(row: Row, context: FigureContext) -> list[str]:
    return [context.label(value) if name == "method" else tables.written(value, 4) for name, value in row.items()]


def _words(rows: Sequence[Row]) -> int:
    """How many columns, from the left, have words; at least the first counts as such."""
    for column, name in enumerate(rows[0]):
        if all(row[name] == "" or not math.isnan(tables.number(row[name])) for row in rows):
            return max(column, 1)
    return len(rows[0])

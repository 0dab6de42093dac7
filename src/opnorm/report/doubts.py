"""What gives reason to doubt the robust accuracies of an experiment, to be read before them."""

from __future__ import annotations

from opnorm.report import tables
from opnorm.report.contents import Contents
from opnorm.report.html import Html, element, join
from opnorm.report.tables import Row

SANITY = "sanity"
"""The figure whose numbers are the checks."""

ACCURACIES = "accuracies"
"""The figure whose numbers they are about."""

_COLUMNS = ("method", "check", "norm", "epsilon", "threshold", "mean")


def section(contents: Contents) -> Html | None:
    """The checks that a method's networks or the attacks on them did not pass, or that nothing was checked; None where
    there are no accuracies under attack."""
    found = [figure for figure in contents.figures if figure.name == SANITY]
    if not found:
        return _unchecked() if any(figure.name == ACCURACIES for figure in contents.figures) else None
    rows = tables.read(found[0].csv, _COLUMNS)
    # Not a number is no pass.
    failed = [row for row in rows if not tables.number(row["mean"]) <= tables.number(row["threshold"])]
    link = element("a", f"{len(rows)} checks", href=f"#{found[0].anchor}")
    if not failed:
        return element("p", join(["Of ", link, " of the attacks none gives reason to doubt accuracies under attack."]))
    items = [element("li", contents.context.label(row["method"]), ": ", _in_words(row)) for row in failed]
    title = element("b", "Accuracies under attack may be too high")
    many = "do" if len(failed) > 1 else "does"
    return element(
        "div", title, ": of ", link, f" {len(failed)} {many} not pass.", element("ul", *items), class_="doubts"
    )


def _unchecked() -> Html:
    title = element("b", "Accuracies under attack were not checked")
    analysis = element("code", SANITY)
    text = ": a longer attack may find more. The analysis ", analysis, " tells; this experiment does not list it."
    return element("div", title, *text, class_="doubts")


def _in_words(row: Row) -> str:
    # Of accuracy that rises the figure does not say to which radius.
    radius = f", ε = {tables.written(row['epsilon'])}" if tables.number(row["epsilon"]) else ""
    ball = "" if row["norm"] == "network" else f" (l{row['norm']}{radius})"
    value, threshold = tables.written(row["mean"]), tables.written(row["threshold"])
    return f"{row['check'].replace('_', ' ')}{ball}: {value}, at most {threshold} expected"

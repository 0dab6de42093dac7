"""What gives reason to doubt the robust accuracies of an experiment, to be read before them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from opnorm.attack_names import AFTER, attack_label, gain_allowed, ladder
from opnorm.report import tables
from opnorm.report.contents import Contents, ReportFigure
from opnorm.report.html import Html, element, join
from opnorm.report.tables import Row

SANITY, EVALUATION, ACCURACIES = "sanity", "evaluation", "accuracies"
"""The figures whose numbers are checks, from whose numbers further ones follow, and what they are about."""

_MOST_SHOWN = 8

_CHECKED = ("method", "check", "norm", "epsilon", "threshold", "mean")
_EVALUATED = ("method", "norm", "epsilon", "attack", "mean")


@dataclass(frozen=True)
class _Check:
    method: str
    words: str
    value: float
    threshold: float

    @property
    def passed(self) -> bool:
        # Not a number is no pass.
        return self.value <= self.threshold


def section(contents: Contents) -> Html | None:
    """The checks that a method's networks or the attacks on them did not pass, or that nothing was checked; None where
    there are no accuracies under attack."""
    checks = [*_of_sanity(contents), *_of_evaluation(contents)]
    if not checks:
        return _unchecked() if any(figure.name == ACCURACIES for figure in contents.figures) else None
    looked_at = [figure for figure in contents.figures if figure.name in (SANITY, EVALUATION)]
    links = [element("a", figure.title.lower(), href=f"#{figure.anchor}") for figure in looked_at]
    many = join([f"{len(checks)} checks (", *_enumerated(links), ")"])
    failed = [check for check in checks if not check.passed]
    if not failed:
        return element("p", join(["Of ", many, " of the attacks none gives reason to doubt accuracies under attack."]))
    items = [element("li", contents.context.label(check.method), ": ", _in_words(check)) for check in failed]
    title = element("b", "Accuracies under attack may be too high")
    verb = "do" if len(failed) > 1 else "does"
    return element("div", title, ": of ", many, f" {len(failed)} {verb} not pass.", _listed(items), class_="doubts")


def _listed(items: list[Html]) -> Html:
    """The items; many of them in a list that opens."""
    shown = element("ul", *items)
    return shown if len(items) <= _MOST_SHOWN else element("details", element("summary", "Which?"), shown)


def _enumerated(links: list[Html]) -> Iterator[Html | str]:
    for place, link in enumerate(links):
        yield from ([" and ", link] if place else [link])


def _unchecked() -> Html:
    title = element("b", "Accuracies under attack were not checked")
    analyses = element("code", EVALUATION), " and ", element("code", SANITY)
    text = ": a longer attack may find more. The analyses ", *analyses, " tell; this experiment lists neither."
    return element("div", title, *text, class_="doubts")


def _of_sanity(contents: Contents) -> Iterator[_Check]:
    for figure in _of(contents, SANITY):
        for row in tables.read(figure.csv, _CHECKED):
            words = row["check"].replace("_", " ") + _ball(row)
            yield _Check(row["method"], words, tables.number(row["mean"]), tables.number(row["threshold"]))


def _of_evaluation(contents: Contents) -> Iterator[_Check]:
    """What each stronger attack gains over the weaker one, and AutoAttack over the longest ascent, of all groups."""
    balls: dict[tuple[str, str, str], dict[str, Row]] = {}
    for figure in _of(contents, EVALUATION):
        for row in tables.read(figure.csv, _EVALUATED):
            balls.setdefault((row["method"], row["norm"], row["epsilon"]), {})[row["attack"]] = row
    for (method, _, _), rows in balls.items():
        for weaker, stronger in ladder(rows):
            gain = tables.number(rows[weaker]["mean"]) - tables.number(rows[stronger]["mean"])
            words = attack_label(f"{stronger}{AFTER}{weaker}") + " gains" + _ball(rows[stronger])
            # Of two accuracies with some digits each.
            yield _Check(method, words, round(gain, 9), gain_allowed(stronger))


def _of(contents: Contents, name: str) -> list[ReportFigure]:
    """The figure called so, and those of further groups of methods."""
    return [figure for figure in contents.figures if figure.name == name or figure.name.startswith(f"{name}_")]


def _in_words(check: _Check) -> str:
    return f"{check.words}: {tables.written(check.value)}, at most {tables.written(check.threshold)} expected"


def _ball(row: Row) -> str:
    if row["norm"] == "network":
        return ""
    # Of accuracy that rises the figure does not say to which radius.
    radius = f", ε = {tables.written(row['epsilon'])}" if tables.number(row["epsilon"]) else ""
    return f" (l{row['norm']}{radius})"

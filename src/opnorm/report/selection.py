"""How constants were chosen, and from what."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from opnorm.report import figures
from opnorm.report.contents import Constant, Contents
from opnorm.report.html import Html, element, join, table
from opnorm.report.tables import written

_FILE = element("a", "experiment file", href="#provenance")
_RECORDED = (
    "A recorded number is what its rule chose earlier: the experiment file keeps both, and this run took the number as "
    "it is. The target ",
    element("code", "selection"),
    " of the workflow, with the same experiment file, trains the candidates, lets the rules choose again, and says "
    "whether they choose what is recorded.",
)


def section(contents: Contents) -> Html:
    """The constants with their rules, then a table per choice, called after what it is about."""
    return join([*_constants(contents), *(_candidates(Path(path), contents) for path in contents.selection)])


def _constants(contents: Contents) -> list[Html]:
    measured = {Path(path).stem for path in contents.selection}
    rows = [
        (constant.name, written(constant.value, 4), _origin(constant, measured), _rule(constant))
        for constant in contents.constants
    ]
    header = ("Constant", "Value", "Chosen", "Rule")
    shown = table(header, rows, caption="Constants and their rules", words=4, class_="constants cards")
    return [shown, element("p", *_remark(contents.constants))]


def _remark(constants: Collection[Constant]) -> tuple[str, ...]:
    """What the words in the table mean."""
    rest = ("Numbers that are given, and all other constants, are in the ", _FILE, ".")
    if not any(constant.rule for constant in constants):
        return ("No constant of this experiment was chosen by a rule: all are given in the ", _FILE, ".")
    if any(constant.recorded for constant in constants):
        return (*_RECORDED, " ", *rest)
    return rest


def _origin(constant: Constant, measured: Collection[str]) -> Html | str:
    """Who chose the number: a rule in this run, the same earlier, or whoever wrote the experiment file."""
    if not constant.rule:
        return "given"
    words = "recorded" if constant.recorded else "in this run"
    if constant.table not in measured:
        return words
    return join([words, ": ", element("a", "candidates", href=f"#{_anchor(constant.table)}")])


def _rule(constant: Constant) -> str:
    grid = ", ".join(written(value, 4) for value in constant.grid)
    return f"{constant.rule}; out of {grid}" if constant.rule else ""


def _candidates(path: Path, contents: Contents) -> Html:
    name = path.stem
    title = contents.context.labels.get(name, name.replace("_", " ").capitalize())
    numbers = figures.numbers(path, f"Selection: {title}", contents.context, opened=True)
    return element("section", element("h3", title), numbers, id=_anchor(name))


def _anchor(table: str) -> str:
    return f"selection-{table}"

"""The README's table of the paper's statements and of what collected results say of them."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from opnorm.claims.claim import OWN
from opnorm.errors import FileError
from opnorm.reference.markdown import table
from opnorm.reference.statements import STATEMENTS, Statement
from opnorm.report.claims import COLUMNS, VERDICTS
from opnorm.report.interval import limits
from opnorm.report.tables import Row, number, read
from opnorm.tables import write_text

EXPERIMENTS = {
    "cifar10": "CIFAR-10",
    "cifar10_full": "CIFAR-10, all methods",
    "cifar10_wrn": "CIFAR-10, WRN-28-10",
    "cifar10_small": "CIFAR-10, reduced",
    "digits_full": "digits",
}
"""Experiments that have a column where they are collected, and its name; the first that judges a statement shows its
figure."""

COMMAND = "python -m opnorm.reference table"
BEGIN, END = f"<!-- {COMMAND}: begin -->\n", f"<!-- {COMMAND}: end -->\n"
"""Lines of the README; what is between them is written by the command."""

Claims = Mapping[str, Sequence[Row]]
"""The rows of claims by experiment."""


def write_table(readme: Path, reference: Path) -> None:
    """Put the table in its place in a text.

    Raises:
        FileError: the text or a table of claims cannot be read, or the text lacks the lines `BEGIN` and `END`.
    """
    try:
        text = readme.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise FileError(f"{readme}: not a readable text ({error})") from error
    write_text(with_table(text, claims_table(reference, os.path.relpath(reference, readme.parent))), readme)


def with_table(text: str, written: str) -> str:
    """`text` with `written` between the lines `BEGIN` and `END`.

    Raises:
        FileError: it lacks one of them.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise FileError(f"no place for the table: add these lines, in this order:\n{BEGIN}{END}")
    return f"{before}{begin}{written}{end}{after}"


def claims_table(reference: Path, link: str) -> str:
    """A row per statement of the paper, a column per experiment, and a line that counts all claims, the paper's and
    others.

    Args:
        reference: the folder of collected experiments.
        link: how the text calls it.

    Raises:
        FileError: the claims of an experiment cannot be read.
    """
    paths = {name: reference / name / "claims.csv" for name in EXPERIMENTS}
    claims = {name: read(path, COLUMNS) for name, path in paths.items() if path.is_file()}
    titles = {name: EXPERIMENTS[name] for name in claims}
    heads = ("Sec.", "the paper says", "wanted", *(f"[{title}]" for title in titles.values()), "figure")
    figures = {statement: _figure(statement, claims) for statement in STATEMENTS}
    rows = [_row(statement, claims, figures[statement][1]) for statement in STATEMENTS]
    targets = [(title, f"{name}/README.md") for name, title in titles.items()]
    targets += [(_words(figure), f"{name}/figures/{figure}.png") for name, figure in dict.fromkeys(figures.values())]
    links = "\n".join(f"[{title}]: {link}/{target}" for title, target in targets)
    return f"{table(heads, rows)}\n\n{_summary(claims)}\n\n{links}\n"


def _row(statement: Statement, claims: Claims, figure: str) -> tuple[str, ...]:
    cells = [_cell(statement, rows) for rows in claims.values()]
    return statement.section, statement.words, _wanted(statement, claims), *cells, f"[{_words(figure)}]"


def _words(figure: str) -> str:
    """A figure's name, which may then go over several lines."""
    return figure.replace("_", " ")


def _cell(statement: Statement, rows: Sequence[Row]) -> str:
    """Verdicts on what decides the statement, those on what belongs to it, and the number for which it holds least."""
    deciding, further = _of(rows, *statement.decides), _of(rows, *statement.also)
    if not deciding:
        return "–"
    counts = verdicts(deciding) + (f" (+\u00a0{verdicts(further)})" if further else "")
    return f"{counts}<br>{interval(min(deciding, key=margin))}"


def verdicts(rows: Iterable[Row]) -> str:
    """How many claims have which verdict, in signs."""
    found = Counter(row["verdict"] for row in rows)
    return " ".join(f"{found[verdict]}\u00a0{sign}" for verdict, sign in VERDICTS.items() if found[verdict])


def margin(row: Row) -> float:
    """How far inside the interval is of where it has to be, negative where a part of it is outside."""
    lower, upper = limits(row["criterion"]) or (math.nan, math.nan)
    least = min(number(row["low"]) - lower, upper - number(row["high"]))
    return -math.inf if math.isnan(least) else least


def interval(row: Row) -> str:
    """Estimate and interval, to the first digit of half its width, or the second where the first is 1; where that is
    left of the units each to its own second digit. A check's estimate alone."""
    numbers = [number(row[name]) for name in ("estimate", "low", "high")]
    half = (numbers[2] - numbers[1]) / 2
    known = math.isfinite(half) and half > 0.0
    digits = -math.floor(math.log10(half / 2)) if known else 0
    kind = f"z,.{max(0, digits)}f" if known else ".3g"
    if digits < 0:
        numbers = [float(f"{value:.2g}") for value in numbers]
    estimate, low, high = (f"{value:{kind}}".replace("-", "−") for value in numbers)
    return f"{estimate} [{low},\u00a0{high}]" if half else estimate


def _wanted(statement: Statement, claims: Claims) -> str:
    """Where the numbers have to be, in signs."""
    lower, upper = limits(_deciding(statement, claims)[1]["criterion"]) or (math.nan, math.nan)
    if math.isinf(upper):
        words = f"> {lower:g}"
    elif math.isinf(lower):
        words = f"< {upper:g}"
    else:
        words = f"± {upper:g}" if lower == -upper else f"{lower:g} to {upper:g}"
    return words.replace("-", "−").replace(" ", "\u00a0")


def _figure(statement: Statement, claims: Claims) -> tuple[str, str]:
    experiment, row = _deciding(statement, claims)
    return experiment, row["figure"]


def _deciding(statement: Statement, claims: Claims) -> tuple[str, Row]:
    """The first experiment that judges a statement, and the first claim by which it does."""
    for experiment, rows in claims.items():
        for row in _of(rows, *statement.decides):
            return experiment, row
    known, wanted = ", ".join(claims) or "a column", " or ".join(statement.decides)
    raise FileError(f"no experiment of {known} has a claim called {wanted}")


def _of(rows: Iterable[Row], *families: str) -> list[Row]:
    return [row for row in rows if family(row["claim"]) in families]


def family(claim: str) -> str:
    """The name of a claim without the method, direction or attack that it is about."""
    return claim.partition(".")[0]


def _summary(claims: Claims) -> str:
    parts = {"All claims of the paper": False, "Beyond it, mostly checks of the attacks": True}
    counted = [
        f"{title}: {counts}."
        for title, own in parts.items()
        if (counts := _counted({name: _by_whom(rows, own=own) for name, rows in claims.items()}))
    ]
    return " ".join(counted)


def _by_whom(rows: Iterable[Row], *, own: bool) -> list[Row]:
    """Our own claims, or the paper's."""
    return [row for row in rows if (row["section"] == OWN) == own]


def _counted(claims: Claims) -> str:
    counts = [f"{EXPERIMENTS[name]} {verdicts(rows)} of {len(rows)}" for name, rows in claims.items() if rows]
    return "; ".join(counts)

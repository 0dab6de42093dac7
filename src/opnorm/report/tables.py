"""Tables of an experiment, read as words and written for people."""

from __future__ import annotations

import csv
import math
from collections.abc import Collection
from pathlib import Path

from opnorm.errors import FileError
from opnorm.report.contents import StrPath

Row = dict[str, str]
NOTHING = "–"
"""Stands for a number that is not there."""
_WORDS = {"": NOTHING, "nan": NOTHING, "True": "yes", "False": "no"}


def read(path: StrPath, columns: Collection[str] = ()) -> list[Row]:
    """The rows of a csv, field by column.

    Raises:
        FileError: it cannot be read, or lacks one of `columns`.
    """
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            missing = [column for column in columns if column not in (reader.fieldnames or ())]
            rows = list(reader)
    except (OSError, ValueError, csv.Error) as error:
        raise FileError(f"{path}: not a readable table ({error}); delete it and run again") from error
    if missing:
        raise FileError(f"{path}: lacks {', '.join(missing)}; delete it and run again")
    return rows


def number(field: str) -> float:
    """The number that `field` has, or NaN."""
    try:
        return float(field)
    except ValueError:
        return math.nan


def written(field: str | float, digits: int = 3) -> str:
    """A number to `digits` significant digits, yes or no for a truth value, and words as they are."""
    value = number(str(field))
    if math.isnan(value):
        return _WORDS.get(str(field), str(field))
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == round(value) and abs(value) < 1e6:
        return f"{value:.0f}".replace("-", "−")
    return f"{value:.{digits}g}".replace("-", "−")

"""What a claim is: declared here, judged in `run.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opnorm.attack_names import attack_label
from opnorm.claims.methods import Context, Method
from opnorm.claims.verdict import Rule

Floats = NDArray[np.float64]
OWN = "beyond the paper"
"""The section of what the paper does not say."""
# Means (..., K) over samples and seeds and the K places on the axis -> a number for each (...).
Reduction = Callable[[Floats, Floats], Floats]
# Numbers (...), one for each measure of each method -> the statistic (...).
Combination = Callable[[Sequence[Floats]], Floats]


def as_it_is(values: Floats) -> Floats:
    """The values themselves."""
    return values


@dataclass(frozen=True)
class Rows:
    """Some rows of an analysis' tables, as a curve over one of their columns.

    Attributes:
        analysis: whose tables.
        value: the measured column.
        where: column and value that the rows have; all others are averaged over.
        axis: the column along which the curve runs; None for a single number.
        transform: what is done to each value before anything is averaged.
    """

    analysis: str
    value: str
    where: tuple[tuple[str, Any], ...] = ()
    axis: str | None = None
    transform: Callable[[Floats], Floats] = as_it_is


@dataclass(frozen=True)
class Measure:
    """A number of a method: a curve, and what is read off it; where `among` is given, on the samples that those rows
    of the same method have."""

    rows: Rows
    reduction: Reduction
    among: Rows | None = None

    def looked_at(self) -> list[Rows]:
        """All rows that it takes."""
        return [self.rows] if self.among is None else [self.rows, self.among]


@dataclass(frozen=True)
class Case:
    """Methods that a claim is made about, in the order in which its statement names them.

    Attributes:
        methods: of which the statistic is made.
        norm, epsilon: the ball that is looked at.
        detail: what tells this case from others with the same methods, for the claim's name and statement.
        pooled: whether all methods are what the claim is about, and not the first, compared with the others.
        over: what was measured on more samples than the detail, and is closer to it than what was measured on all.
    """

    methods: tuple[Method, ...]
    norm: float
    epsilon: float
    detail: str = ""
    pooled: bool = False
    over: str = ""


Cases = Callable[[Context], list[Case]]


@dataclass(frozen=True)
class Statistic:
    """A number that decides claims.

    Attributes:
        words: what is computed; {0}, {1} stand for the methods' labels, {all} for all, {detail} for the case's.
        figure: where it can be seen.
        measures: case -> what is measured of each of its methods.
        combination: from all measures of the first method, the second, ... to the number.
        checked: whether it speaks of what was looked at alone, which is known and has no interval.
        least: whether `combination` is of each method by itself, and the smallest of these numbers decides.
    """

    words: str
    figure: str
    measures: Callable[[Case], Sequence[Measure]]
    combination: Combination
    checked: bool = False
    least: bool = False

    def looked_at(self, of: Case) -> list[Rows]:
        """All rows that it takes of each method."""
        return [rows for measure in self.measures(of) for rows in measure.looked_at()]


@dataclass(frozen=True)
class Claim:
    """A statement of the paper, for which experiments it can be decided, and how.

    Attributes:
        name: of the claim; its cases add the methods that they are about.
        section: where the paper makes it, or `OWN`.
        statement: in our own words, with the placeholders of `Statistic.words`.
        cases: context -> the cases, each a row of the result.
        statistic: what decides it.
        rule: where the statistic has to be.
    """

    name: str
    section: str
    statement: str
    cases: Cases
    statistic: Statistic
    rule: Rule


def where(**columns: Any) -> tuple[tuple[str, Any], ...]:
    """The `where` of `Rows`."""
    return tuple(columns.items())


def words(text: str, of: Case) -> str:
    """A statement, or a statistic in words, with the placeholders filled."""
    labels = [method.label for method in of.methods]
    return text.format(*labels, all=", ".join(labels), detail=attack_label(of.detail).replace("_", " "))


def full_name(claim: Claim, of: Case) -> str:
    """A name that no other row has."""
    subject = "" if of.pooled else of.methods[0].name
    return ".".join(part for part in (claim.name, subject, of.detail) if part)

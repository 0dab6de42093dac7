"""What a report is made of."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from opnorm.figures.context import FigureContext

StrPath = str | os.PathLike[str]


@dataclass(frozen=True)
class ReportFigure:
    """A figure of the experiment.

    Attributes:
        name: in the registry of figures.
        paper: the paper's figures and tables that it reproduces.
        caption: reStructuredText, of what `html.prose` knows.
        png, csv: the picture, and the numbers that it shows.
    """

    name: str
    paper: tuple[str, ...]
    caption: str
    png: StrPath
    csv: StrPath

    @property
    def title(self) -> str:
        """The name as words."""
        return self.name.replace("_", " ").capitalize()

    @property
    def anchor(self) -> str:
        """Where it is in the report."""
        return f"figure-{self.name}"


@dataclass(frozen=True)
class Constant:
    """A number on which a comparison depends, and who chose it.

    Attributes:
        name: what it is, in words.
        value: the number that the experiment has.
        rule: what chooses it, in words; empty where the experiment file gives the number alone.
        grid: what the rule chooses from.
        recorded: whether the experiment file says what the rule chooses, so that no candidates were compared.
        table: the name of the table of its candidates, where they are.
    """

    name: str
    value: float
    rule: str = ""
    grid: tuple[float, ...] = ()
    recorded: bool = False
    table: str = ""


@dataclass(frozen=True)
class Contents:
    """Everything that a report shows.

    Attributes:
        experiment: its name.
        context: how tables call its methods, and its threat model.
        figures: in the order in which they appear.
        provenance: what `provenance.record` found.
        claims: the table of claims, if there is one.
        not_judged: why claims are not in it, by their names.
        constants: the numbers that decide a comparison.
        selection: tables of the candidates from which this run chose some of them.
    """

    experiment: str
    context: FigureContext
    figures: tuple[ReportFigure, ...]
    provenance: Mapping[str, Any]
    claims: StrPath | None = None
    not_judged: Mapping[str, str] = field(default_factory=dict)
    constants: tuple[Constant, ...] = ()
    selection: tuple[StrPath, ...] = ()

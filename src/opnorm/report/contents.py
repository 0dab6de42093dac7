"""What a report is made of."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
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
class Contents:
    """Everything that a report shows.

    Attributes:
        experiment: its name.
        context: how tables call its methods, and its threat model.
        figures: in the order in which they appear.
        provenance: what `provenance.record` found.
        claims: the table of claims, if there is one.
        selection: tables of how constants were chosen, by name.
    """

    experiment: str
    context: FigureContext
    figures: tuple[ReportFigure, ...]
    provenance: Mapping[str, Any]
    claims: StrPath | None = None
    selection: tuple[StrPath, ...] = ()

"""How constants were chosen, and from what."""

from __future__ import annotations

from pathlib import Path

from opnorm.report import figures
from opnorm.report.contents import Contents
from opnorm.report.html import Html, element, join


def section(contents: Contents) -> Html:
    """A table per choice, called after the method or the number that it is about."""
    if not contents.selection:
        return element("p", "All constants of this experiment are given in its file; none was selected.")
    parts = []
    for path in map(Path, contents.selection):
        title = contents.context.labels.get(path.stem, path.stem.replace("_", " ").capitalize())
        parts += [element("h3", title), figures.numbers(path, f"Selection: {title}", contents.context, opened=True)]
    return join(parts)

"""One file per figure: a table of measurements -> a summary -> axes. No torch, no models.

Each figure's module has `summarise(table, context)`, `draw(summary, context)` and `KEYS`: the columns that identify
a point of the figure, and their types. `draw` sees nothing but the summary, which is written as a csv: a figure can
be redrawn from its csv alone.
"""

from __future__ import annotations

from dataclasses import dataclass

MAIN = "main"
"""The group of methods that figures draw unless they say otherwise."""

MIXED = "interpolation"
"""The group of mixtures of adversarial training and data-dependent spectral norm regularisation."""

LINF = "linf"
"""The group of methods trained in an l-infinity ball."""


@dataclass(frozen=True)
class FigureEntry:
    """Where a figure is and what it needs.

    Attributes:
        module: what draws it.
        analysis: the measurement whose tables it reads.
        paper: the paper's figures and tables that it reproduces, wholly or as a panel: "figure2", "table2".
        groups: of which methods it is drawn; without a method of each group there is no such figure.
    """

    module: str
    analysis: str
    paper: tuple[str, ...]
    groups: tuple[str, ...] = (MAIN,)


REGISTRY: dict[str, FigureEntry] = {
    "spectrum": FigureEntry("opnorm.figures.spectrum", "spectrum", ("figure2",)),
    "alignment": FigureEntry("opnorm.figures.alignment", "alignment", ("figure2",)),
    "robustness": FigureEntry("opnorm.figures.robustness", "robustness", ("figure3",)),
    "linearity": FigureEntry("opnorm.figures.linearity", "linearity", ("figure4",)),
    "dominant_singular_value": FigureEntry(
        "opnorm.figures.dominant_singular_value", "dominant_singular_value", ("figure4",)
    ),
    "activations": FigureEntry("opnorm.figures.activations", "activations", ("figure5", "figure9")),
    "alignment_distance": FigureEntry("opnorm.figures.alignment_distance", "alignment_distance", ()),
    "alignment_iterations": FigureEntry("opnorm.figures.alignment_iterations", "alignment_iterations", ()),
    "logit_alignment_iterations": FigureEntry(
        "opnorm.figures.logit_alignment_iterations", "logit_alignment_iterations", ()
    ),
    "attack_iterations": FigureEntry("opnorm.figures.attack_iterations", "attack_iterations", ()),
    "operator_norms": FigureEntry("opnorm.figures.operator_norms", "operator_norms", ("table1",)),
    "theorem": FigureEntry("opnorm.figures.theorem", "theorem", ()),
    "theorem_distance": FigureEntry("opnorm.figures.theorem_distance", "theorem_distance", ()),
    "logit_spectrum": FigureEntry("opnorm.figures.logit_spectrum", "logit_spectrum", ()),
    "logit_alignment": FigureEntry("opnorm.figures.logit_alignment", "logit_alignment", ()),
    "logit_dominant_singular_value": FigureEntry(
        "opnorm.figures.logit_dominant_singular_value", "logit_dominant_singular_value", ()
    ),
    "logit_direction": FigureEntry("opnorm.figures.logit_direction", "logit_direction", ()),
    "interpolation": FigureEntry("opnorm.figures.interpolation", "robustness", ("figure7",), (MAIN, MIXED)),
    "robustness_linf": FigureEntry("opnorm.figures.robustness", "robustness", (), (MAIN, LINF)),
    "explanations": FigureEntry("opnorm.figures.robustness", "robustness", (), (MAIN, "explanations")),
    "spectrum_explanations": FigureEntry("opnorm.figures.spectrum", "spectrum", (), (MAIN, "explanations")),
    "logit_spectrum_explanations": FigureEntry(
        "opnorm.figures.logit_spectrum", "logit_spectrum", (), (MAIN, "explanations")
    ),
    "evaluation": FigureEntry("opnorm.figures.evaluation", "evaluation", ()),
    "evaluation_interpolation": FigureEntry("opnorm.figures.evaluation", "evaluation", (), (MAIN, MIXED)),
    "evaluation_linf": FigureEntry("opnorm.figures.evaluation", "evaluation", (), (MAIN, LINF)),
    "evaluation_explanations": FigureEntry("opnorm.figures.evaluation", "evaluation", (), (MAIN, "explanations")),
    "sanity": FigureEntry("opnorm.figures.sanity", "sanity", ()),
    "sanity_interpolation": FigureEntry("opnorm.figures.sanity", "sanity", (), (MIXED,)),
    "sanity_linf": FigureEntry("opnorm.figures.sanity", "sanity", (), (LINF,)),
    "sanity_explanations": FigureEntry("opnorm.figures.sanity", "sanity", (), ("explanations",)),
    "accuracies": FigureEntry("opnorm.figures.accuracies", "robustness", ("table2",)),
}


def groups() -> list[str]:
    """The groups of methods that some figure draws, the main one first."""
    return list(dict.fromkeys(group for entry in REGISTRY.values() for group in entry.groups))


def aliases() -> dict[str, list[str]]:
    """The paper's numbers, each with the names of the figures that reproduce it."""
    found: dict[str, list[str]] = {}
    for name, entry in REGISTRY.items():
        for number in entry.paper:
            found.setdefault(number, []).append(name)
    return found

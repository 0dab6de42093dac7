"""The report of an experiment: one file that opens anywhere, without a network."""

from __future__ import annotations

from opnorm.report import claims, figures, made_by, selection
from opnorm.report.contents import Contents, StrPath
from opnorm.report.html import Html, element, join, page
from opnorm.report.style import STYLE
from opnorm.tables import write_text

_SECTIONS = {
    "claims": ("Claims", claims.section),
    "figures": ("Figures", figures.section),
    "accuracies": ("Accuracies", figures.accuracies),
    "selection": ("Selection", selection.section),
    "provenance": ("Provenance", made_by.section),
}
_PAPER = "https://arxiv.org/abs/1906.01527"


def write_report(contents: Contents, path: StrPath) -> None:
    """Write the report, whole or not at all; the same contents give the same bytes.

    Raises:
        FileError: a figure or a table cannot be read, or the report cannot be written.
    """
    write_text(render(contents), path)


def render(contents: Contents) -> Html:
    """The report as HTML, with pictures and tables in it."""
    sections = [
        element("section", element("h2", title), make(contents), id=name) for name, (title, make) in _SECTIONS.items()
    ]
    title = f"{contents.experiment}: report of opnorm"
    return page(title, STYLE, _header(contents), element("main", *sections))


def _header(contents: Contents) -> Html:
    context = contents.context
    methods = ", ".join(context.label(method) for method in context.methods)
    links = [element("li", element("a", title, href=f"#{name}")) for name, (title, _) in _SECTIONS.items()]
    return element(
        "header",
        element("h1", f"Experiment {contents.experiment}"),
        element(
            "p",
            f"{methods}; trained and measured on {context.dataset} under l{context.norm:g} perturbations of size "
            f"{context.epsilon:g}, and compared with what ",
            element("cite", "Adversarial Training is a Form of Data-dependent Operator Norm Regularization"),
            join(
                [" (Roth, Kilcher, Hofmann, NeurIPS 2020, ", element("a", "arXiv 1906.01527", href=_PAPER), ") says."]
            ),
        ),
        element("nav", element("ul", *links), aria_label="Sections"),
    )

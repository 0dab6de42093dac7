"""What a figure has to know of the experiment beyond its table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from opnorm.errors import SettingsError

if TYPE_CHECKING:
    from opnorm.settings import Experiment

RANDOM = "random"
"""What stands in the column `method` for networks that were never trained."""


@dataclass(frozen=True)
class FigureContext:
    """The experiment as figures see it.

    Attributes:
        methods: the drawn training methods in their order, which decides their colours and markers: those of the
            group main come first, and so look alike in all figures.
        labels: what legends call a method; a method that is not listed is called by its own name.
        norm: p of the training's threat model: 1, 2 or inf.
        epsilon: its radius, in units of images in [0, 1].
        dataset: the data set's name as labels show it.
        mixtures: of methods whose objective has such an option, its value.

    Raises:
        SettingsError: a method has the name that stands for untrained networks.
    """

    methods: tuple[str, ...]
    labels: Mapping[str, str]
    norm: float
    epsilon: float
    dataset: str
    mixtures: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if RANDOM in self.methods:
            raise SettingsError(f"methods.{RANDOM}: figures call untrained networks so; take another name")

    def label(self, method: str) -> str:
        """What legends call `method`."""
        return self.labels.get(method, "random network" if method == RANDOM else method)


def figure_context(experiment: Experiment, *groups: str) -> FigureContext:
    """What a figure of the methods of some groups has to know.

    The training's threat model is that of the methods of the last group where they have a norm and a radius in
    common, and otherwise the experiment's.
    """
    methods = experiment.methods_of(*groups)
    balls = {(method.threat.norm, method.threat.epsilon) for method in experiment.methods_of(groups[-1])}
    norm, epsilon = balls.pop() if len(balls) == 1 else (experiment.threat.norm, experiment.threat.epsilon)
    return FigureContext(
        methods=tuple(method.name for method in methods),
        labels={method.name: method.label for method in methods},
        norm=norm,
        epsilon=epsilon,
        dataset=experiment.dataset,
        mixtures={method.name: method.options["mixture"] for method in methods if "mixture" in method.options},
    )

"""What a figure has to know of the experiment beyond its table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from opnorm.errors import SettingsError

RANDOM = "random"
"""What stands in the column `method` for networks that were never trained."""


@dataclass(frozen=True)
class FigureContext:
    """The experiment as figures see it.

    Attributes:
        methods: the training methods in the experiment's order, which decides their colours and markers.
        labels: what legends call a method; a method that is not listed is called by its own name.
        norm: p of the training's threat model: 1, 2 or inf.
        epsilon: its radius, in units of images in [0, 1].
        dataset: the data set's name as labels show it.

    Raises:
        SettingsError: a method has the name that stands for untrained networks.
    """

    methods: tuple[str, ...]
    labels: Mapping[str, str]
    norm: float
    epsilon: float
    dataset: str

    def __post_init__(self) -> None:
        if RANDOM in self.methods:
            raise SettingsError(f"methods.{RANDOM}: figures call untrained networks so; take another name")

    def label(self, method: str) -> str:
        """What legends call `method`."""
        return self.labels.get(method, "random network" if method == RANDOM else method)

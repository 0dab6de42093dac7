"""What a figure has to know of the experiment beyond its table."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opnorm import objectives
from opnorm.errors import FileError, SettingsError
from opnorm.options import with_defaults
from opnorm.tables import write_text

if TYPE_CHECKING:
    from opnorm.settings import Experiment, Method
    from opnorm.threat_model import ThreatModel

RANDOM = "random"
"""What stands in the column `method` for networks that were never trained."""

# What mixtures are at the two ends.
_ENDS = {0.0: "data_dependent_snr", 1.0: "adversarial"}


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
        mixtures: of methods between d.d. SNR and adversarial training, the share of the latter, ends included.

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
        mixtures=_mixtures(methods),
    )


def _mixtures(methods: Sequence[Method]) -> dict[str, float]:
    """The mixtures' shares of adversarial training, and the methods that the first of them would be at 0 and at 1."""
    mixed = [method for method in methods if method.objective == "mixture"]
    found = {method.name: float(method.options["mixture"]) for method in mixed}
    for share, objective in _ENDS.items() if mixed else ():
        end = _as(objective, mixed[0])
        same = [method.name for method in methods if _as(method.objective, method) == end]
        if same and share not in found.values():
            found[same[0]] = share
    return found


def _as(objective: str, method: Method) -> tuple[str, ThreatModel, dict[str, Any]]:
    """All that decides the training of a method, were it one of this objective with the options that they share."""
    return objective, method.threat, with_defaults(method.options, objectives.REGISTRY[objective])


def write_contexts(contexts: Mapping[str, FigureContext], path: str | os.PathLike[str]) -> None:
    """Write what figures have to know, by their names, as JSON: with it their csvs can be drawn again."""
    plain = {name: {**asdict(context), "norm": f"{context.norm:g}"} for name, context in contexts.items()}
    write_text(json.dumps(plain, indent=2, ensure_ascii=False) + "\n", path)


def read_contexts(path: str | os.PathLike[str]) -> dict[str, FigureContext]:
    """The inverse of `write_contexts`.

    Raises:
        FileError: missing, or not such a file.
    """
    try:
        plain = json.loads(Path(path).read_text(encoding="utf-8"))
        return {
            name: FigureContext(**{**values, "norm": float(values["norm"]), "methods": tuple(values["methods"])})
            for name, values in plain.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise FileError(f"{path}: not a readable list of figures ({error})") from error

"""The experiment as claims see it: which method plays which part, by what it is and not by its name."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from opnorm import objectives
from opnorm.options import with_defaults

MAIN, LINF = "main", "linf"


@dataclass(frozen=True)
class Method:
    """A training method.

    Attributes:
        name, label, objective, group: as in the experiment file.
        options: of the objective, with those that the experiment file leaves out.
        norm, epsilon: the ball that its training looks at.
        iterations: of the attack that its training runs, where it runs one.
    """

    name: str
    label: str
    objective: str
    group: str
    options: Mapping[str, Any]
    norm: float
    epsilon: float
    iterations: int


Role = Callable[[Method], bool]


@dataclass(frozen=True)
class Context:
    """The experiment.

    Attributes:
        methods: in the experiment's order; where one method is to stand for a role, it is the first that has it.
        norm, epsilon: the experiment's threat model.
        analyses: what was measured, with its options.
    """

    methods: tuple[Method, ...]
    norm: float
    epsilon: float
    analyses: Mapping[str, Mapping[str, Any]]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Context:
        """From the plain values of `describe`."""
        methods = tuple(Method(**method) for method in values["methods"])
        return cls(methods, values["norm"], values["epsilon"], values["analyses"])

    def those(self, role: Role, group: str | None = MAIN) -> list[Method]:
        """The methods of a group, or of all where it is None, that have a role."""
        return [method for method in self.methods if group in (None, method.group) and role(method)]

    def first(self, role: Role, group: str | None = MAIN) -> list[Method]:
        """The first of them, or nothing: a list of at most one, to be looped over."""
        return self.those(role, group)[:1]


def describe(experiment: Any) -> dict[str, Any]:
    """An `opnorm.settings.Experiment` as plain values, for Snakemake's params."""
    methods = [
        {
            "name": method.name,
            "label": method.label,
            "objective": method.objective,
            "group": method.group,
            "options": with_defaults(method.options, objectives.REGISTRY[method.objective]),
            "norm": method.threat.norm,
            "epsilon": method.threat.epsilon,
            "iterations": method.threat.iterations,
        }
        for method in experiment.methods
    ]
    threat, analyses = experiment.threat, experiment.analyses
    return {"methods": methods, "norm": threat.norm, "epsilon": threat.epsilon, "analyses": analyses}


def any_method(method: Method) -> bool:
    """Whatever it is."""
    return True


def standard(method: Method) -> bool:
    """Empirical risk minimisation."""
    return method.objective == "standard"


def adversarial(method: Method) -> bool:
    """Adversarial training on attacked inputs alone, by an attack of several steps."""
    return _attacks_all(method) and method.iterations > 1


def single_step(method: Method) -> bool:
    """FGM training: the same with one step."""
    return _attacks_all(method) and method.iterations == 1


def explained(method: Method) -> bool:
    """What the paper explains to protect less against iterative attacks (Sec. 4.3)."""
    return single_step(method) or method.objective in ("input_gradient", "frobenius")


def mixed(method: Method) -> bool:
    """A mixture of adversarial training and d.d. SNR that is neither of the two (Sec. 5.3)."""
    return method.objective == "mixture" and 0.0 < method.options["mixture"] < 1.0


def data_dependent(method: Method) -> bool:
    """Data-dependent spectral or operator norm regularisation, by either solver."""
    return method.objective == "data_dependent_snr"


def solved_exactly(method: Method) -> bool:
    """The same with the exact maximiser."""
    return data_dependent(method) and method.options["solver"] == "exact"


def solved_by_power(method: Method) -> bool:
    """The same with the power method, as in the paper."""
    return data_dependent(method) and method.options["solver"] == "power"


def but_for_the_solver(method: Method) -> Hashable:
    """Equal for regularisers that differ in their solvers alone."""
    options = {(key, value) for key, value in method.options.items() if key not in ("solver", "iterations")}
    return method.norm, method.epsilon, frozenset(options)


def global_snr(method: Method) -> bool:
    """With one power iteration per update, as in the paper's main experiments."""
    return method.objective == "global_snr" and method.options["iterations"] == 1


def global_snr_many(method: Method) -> bool:
    """With more (Sec. 7.16)."""
    return method.objective == "global_snr" and method.options["iterations"] > 1


def regularised(method: Method) -> bool:
    """A regulariser whose weight was to match adversarial training's clean accuracy."""
    return data_dependent(method) or method.objective == "global_snr"


def robust(method: Method) -> bool:
    """Adversarial training and d.d. SNR, which the paper holds to be equivalent."""
    return adversarial(method) or data_dependent(method)


def _attacks_all(method: Method) -> bool:
    return method.objective == "adversarial" and method.options["fraction"] == 1.0

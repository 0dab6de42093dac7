"""Training methods, one file each, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opnorm.options import check_options, resolve

if TYPE_CHECKING:
    from opnorm.objectives.objective import Objective
    from opnorm.threat_model import ThreatModel

REGISTRY = {
    "standard": "opnorm.objectives.standard:Standard",
    "adversarial": "opnorm.objectives.adversarial:Adversarial",
    "global_snr": "opnorm.objectives.global_snr:GlobalSNR",
    "data_dependent_snr": "opnorm.objectives.data_dependent_snr:DataDependentSNR",
    "mixture": "opnorm.objectives.mixture:Mixture",
    "input_gradient": "opnorm.objectives.input_gradient:InputGradient",
    "frobenius": "opnorm.objectives.frobenius:Frobenius",
}

USED_OF_THREAT: dict[str, tuple[str, ...]] = {
    "standard": (),
    "global_snr": (),
    "data_dependent_snr": ("epsilon",),
    "input_gradient": (),
    "frobenius": (),
}
"""What a method trains with of its threat model, where that is not all of it: for the rest nothing is trained again."""


def build(name: str, threat: ThreatModel, **options: Any) -> Objective:
    """A training method by its registry name.

    Args:
        name: a key of `REGISTRY`.
        threat: the adversary that the method trains against, or whose ball it looks at.
        options: the method's own; see its class.

    Raises:
        SettingsError: no such name; an option that is unknown, missing or out of its range.
    """
    constructor = resolve(REGISTRY, "objective", name)
    objective: Objective = constructor(threat, **check_options(options, REGISTRY[name], name))
    return objective

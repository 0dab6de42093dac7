"""Between adversarial training and data-dependent spectral norm regularisation (Sec. 5.3, Fig. 7)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from opnorm.models.classifier import Classifier
from opnorm.objectives.adversarial import Adversarial
from opnorm.objectives.data_dependent_snr import DataDependentSNR
from opnorm.objectives.objective import Loss, Objective
from opnorm.options import Count, Fraction, NonNegative
from opnorm.threat_model import ThreatModel


class Mixture(Objective):
    """A convex combination: mixture (adversarial training) + (1 - mixture) (d.d. SNR).

    A share `mixture` of each batch is attacked, and counts with its cross-entropy (Eq. 14); the rest is clean, and
    counts with its cross-entropy and its penalty (Eq. 13 with p = q = 2). All terms are means over the whole batch, so
    that the penalty's constant is (1 - mixture) weight. 0 is d.d. SNR and 1 is adversarial training, exactly.
    """

    def __init__(
        self,
        threat: ThreatModel,
        *,
        mixture: Fraction,
        weight: NonNegative,
        solver: Literal["exact", "power"] = "exact",
        iterations: Count = 10,
    ) -> None:
        super().__init__(threat)
        self.adversarial = Adversarial(threat, fraction=mixture)
        self.regularised = DataDependentSNR(threat, weight=weight, solver=solver, iterations=iterations)

    def forward(self, model: Classifier, x: Tensor, y: Tensor, generator: torch.Generator) -> Loss:
        x, n = self.adversarial.attacked(model, x, y, generator)
        if n == len(x):
            z = model(x)
            return Loss({"classification": cross_entropy(z, y)}, z)
        v = self.regularised.maximizer(model, x[n:], generator)
        # Attacked examples stay in their place, and in the batch whose statistics BatchNorm takes.
        z, penalties = self.regularised.penalties(model, x, torch.cat([torch.zeros_like(x[:n]), v]))
        return Loss({"classification": cross_entropy(z, y), "penalty": penalties[n:].sum() / len(x)}, z)

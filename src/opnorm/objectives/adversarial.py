"""Adversarial training by projected gradient ascent (Eq. 14; Sec. 5.1, method ii)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from opnorm.attacks import projected_gradient_ascent
from opnorm.models.classifier import Classifier
from opnorm.objectives.objective import Loss, Objective
from opnorm.options import Fraction
from opnorm.threat_model import ThreatModel


class Adversarial(Objective):
    """Cross-entropy on a batch of which a `fraction` is adversarial and the rest clean.

    The fraction is Eq. 14's lambda as Sec. 5.3 uses it: lambda / (1 + lambda) of the loss is the adversarial part.
    The attack sees the network in evaluation mode, as at test time; the loss is taken in training mode.
    """

    def __init__(
        self,
        threat: ThreatModel,
        *,
        fraction: Fraction = 1.0,
        attack_loss: Literal["cross_entropy", "margin", "logit_l1", "logit_l2", "logit_linf"] = "cross_entropy",
    ) -> None:
        super().__init__(threat)
        self.fraction, self.attack_loss = fraction, attack_loss

    def forward(self, model: Classifier, x: Tensor, y: Tensor, generator: torch.Generator) -> Loss:
        x, _ = self.attacked(model, x, y, generator)
        z = model(x)
        return Loss({"classification": cross_entropy(z, y)}, z)

    def attacked(self, model: Classifier, x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, int]:
        """The batch with its first examples attacked, and how many these are."""
        n = round(self.fraction * len(x))
        if not n:
            return x, n
        perturbed = projected_gradient_ascent(
            model, x[:n], y[:n], self.threat, loss=self.attack_loss, generator=generator, rescore=False
        )
        return torch.cat([perturbed, x[n:]]), n

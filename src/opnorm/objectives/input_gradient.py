"""Input-gradient regularisation, which Sec. 4.3 expects to protect less against iterative attacks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from opnorm.models.classifier import Classifier
from opnorm.objectives.objective import Loss, Objective
from opnorm.options import NonNegative
from opnorm.threat_model import ThreatModel


class InputGradient(Objective):
    """Cross-entropy plus weight |grad_x cross-entropy|_2^2, as a mean over examples.

    The gradient is that of the batch's sum, in training mode, where BatchNorm couples its examples; it is
    differentiated once more by the parameters. See Drucker & LeCun (1992), Ross & Doshi-Velez (2018).
    """

    def __init__(self, threat: ThreatModel, *, weight: NonNegative) -> None:
        super().__init__(threat)
        self.weight = weight

    def forward(self, model: Classifier, x: Tensor, y: Tensor, generator: torch.Generator) -> Loss:
        x = x.detach().requires_grad_()
        # Not compiled: compiled code can be differentiated only once.
        z = model.forward(x)
        (gradient,) = torch.autograd.grad(cross_entropy(z, y, reduction="sum"), x, create_graph=True)
        penalty = self.weight * gradient.flatten(1).square().sum(1).mean()
        return Loss({"classification": cross_entropy(z, y), "penalty": penalty}, z)

"""Empirical risk minimisation (Sec. 5.1, method i)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from opnorm.models.classifier import Classifier
from opnorm.objectives.objective import Loss, Objective


class Standard(Objective):
    """Softmax cross-entropy on clean examples."""

    def forward(self, model: Classifier, x: Tensor, y: Tensor, generator: torch.Generator) -> Loss:
        z = model(x)
        return Loss({"classification": cross_entropy(z, y)}, z)

"""What a training method is: from a network and a batch to the terms of the loss."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from opnorm.models.classifier import Classifier
from opnorm.threat_model import ThreatModel


@dataclass(frozen=True)
class Loss:
    """The terms whose sum is minimised, each a scalar and already weighted, and the logits (B, d) seen on the way."""

    terms: dict[str, Tensor]
    logits: Tensor

    @property
    def total(self) -> Tensor:
        """The sum of the terms."""
        return torch.stack(list(self.terms.values())).sum()


class Objective(nn.Module):
    """A training method. State that lives across steps is a buffer, so that checkpoints carry it."""

    def __init__(self, threat: ThreatModel) -> None:
        super().__init__()
        self.threat = threat

    def prepare(self, model: Classifier, generator: torch.Generator) -> None:
        """Called once before training: a place to make state that depends on the network."""

    def forward(self, model: Classifier, x: Tensor, y: Tensor, generator: torch.Generator) -> Loss:
        """The loss on a batch.

        Args:
            model: in training mode.
            x: images in [0, 1] (B, C, H, W).
            y: labels (B,).
            generator: this step's random numbers, on the device of `x`.
        """
        raise NotImplementedError

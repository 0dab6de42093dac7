"""The analysed samples as the workflow attacks them."""

from __future__ import annotations

import torch
from torch import Tensor

from opnorm import data
from opnorm.analysis.subject import Samples, Subject
from opnorm.attacks import projected_gradient_ascent
from opnorm.models.classifier import Classifier
from opnorm.seeding import generator
from opnorm.threat_model import ThreatModel
from opnorm.weights import initialised

THREAT = ThreatModel(2.0, 0.3, 3)


def attacked(model: Classifier, x: Tensor, threat: ThreatModel, seed: int) -> Tensor:
    """Perturbed images, as `opnorm.analysis.run` makes them."""
    predicted = model(x).argmax(1)
    return projected_gradient_ascent(model, x, predicted, threat, generator=generator(seed, "attacked samples"))


def attacked_subject(model: Classifier, images: Tensor, test: data.Split) -> Subject:
    """`images` (B, 1, 8, 8) attacked as `THREAT` has it, with seed 2, and random directions."""
    direction = torch.randn(images.shape, generator=torch.Generator().manual_seed(3), dtype=images.dtype)
    samples = Samples(torch.arange(len(images)) + 5, images, attacked(model, images, THREAT, 2), direction, images)
    untrained = initialised({"name": "cnn5", "channels": 1, "width": 2}, 0).double().eval()
    return Subject(model, untrained, samples, test, THREAT, seed=2)

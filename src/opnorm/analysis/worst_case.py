"""Which samples an attack leaves correct, of those that smaller balls left so."""

from __future__ import annotations

import torch
from torch import Tensor

from opnorm import data
from opnorm.attacks import projected_gradient_ascent
from opnorm.models.classifier import Classifier
from opnorm.seeding import generator
from opnorm.threat_model import ThreatModel


def still_correct(
    model: Classifier,
    split: data.Split,
    threat: ThreatModel,
    correct: Tensor,
    *,
    seed: int,
    stage: str,
    batch_size: int = 500,
) -> Tensor:
    """Attack the samples that are `correct`; the others count as wrong in every larger ball.

    Args:
        model: in evaluation mode.
        split: N samples, on the device of `model`.
        threat: the adversary, who ascends the cross-entropy of the true label; at radius 0 there is none.
        correct: bool (N,).
        seed, stage: of the run and of what is measured; with the norm and the radius they decide the random starts.
        batch_size: samples attacked at once.

    Returns:
        bool (N,): correct, and still classified so at the attacked point.
    """
    stage = f"{stage}/{threat.norm}/{threat.epsilon}"
    still = torch.zeros_like(correct)
    left = correct.nonzero()[:, 0]
    for number, start in enumerate(range(0, len(left), batch_size)):
        part = left[start : start + batch_size]
        x, y = data.to_unit(split.images[part]), split.labels[part]
        if threat.epsilon > 0:
            random = generator(seed, stage, number, device=x.device)
            x = projected_gradient_ascent(model, x, y, threat, generator=random)
        with torch.no_grad():
            still[part] = model(x).argmax(1) == y
    return still

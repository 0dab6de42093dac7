"""Which samples stay correct in growing balls: a smaller ball lies in a larger one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor

from opnorm import data, lp
from opnorm.attacks import projected_gradient_ascent
from opnorm.evaluation import FarthestOverTheBorder, correct
from opnorm.models.classifier import Classifier
from opnorm.seeding import generator
from opnorm.threat_model import ThreatModel


def correct_up_to(
    model: Classifier,
    split: data.Split,
    threat: ThreatModel,
    epsilons: Iterable[float],
    *,
    relative_step: float | None = None,
    seed: int,
    stage: str,
    batch_size: int = 500,
) -> Tensor:
    """Which samples stay correct in a ball of each radius and in all smaller ones; others are not attacked again.

    Args:
        model: in evaluation mode.
        split: N samples, on the device of `model`.
        threat: the adversary, who ascends the cross-entropy of the true label and keeps the visited point that is
            farthest over the border; its radius does not count.
        epsilons: E radii, ascending; at 0 there is no adversary.
        relative_step: alpha / epsilon; None for the step of `threat`.
        seed, stage: of the run and of what is measured; with the norm and the radius they decide the random starts,
            whatever the batches and the samples that are left.
        batch_size: samples attacked at once.

    Returns:
        bool (N, E): correct, and still classified so at all points attacked so far.
    """
    left = [torch.ones(len(split), dtype=torch.bool, device=split.labels.device)]
    for epsilon in epsilons:
        step = threat.step_size if relative_step is None or epsilon == 0.0 else relative_step * epsilon
        ball = replace(threat, epsilon=epsilon, step_size=step)
        left.append(_still_correct(model, split, ball, left[-1], seed, stage, batch_size))
    return torch.stack(left[1:], 1)


def _still_correct(
    model: Classifier, split: data.Split, threat: ThreatModel, left: Tensor, seed: int, stage: str, batch_size: int
) -> Tensor:
    """Those of the samples `left` correct (N,) that are classified so after an attack."""
    still = torch.zeros_like(left)
    random = generator(seed, f"{stage}/{threat.norm}/{threat.epsilon}", device=split.labels.device)
    start = lp.sample_ball(data.to_unit(split.images), threat.norm, threat.epsilon, random)
    for part in torch.split(left.nonzero()[:, 0], batch_size):
        x, y = data.to_unit(split.images[part]), split.labels[part]
        if threat.epsilon > 0:
            x = projected_gradient_ascent(model, x, y, threat, loss=FarthestOverTheBorder, start=x + start[part])
        still[part] = correct(model, x, y)
    return still

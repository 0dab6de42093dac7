"""Which samples an attack leaves correct: points are returned to the ball and scored before they are believed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from opnorm import lp
from opnorm.attacks import CrossEntropy, Margin, projected_gradient_ascent
from opnorm.threat_model import ThreatModel

# alpha / epsilon of all attacks here, whatever their number of iterations (measured: docs/theory.md).
RELATIVE_STEP = 0.5

# Iterations before it is first looked at which points have passed the border; then twice as many each time.
FIRST_LOOK = 10


class FarthestOverTheBorder(CrossEntropy):
    """Ascends cross-entropy, and keeps the visited point of largest margin.

    With more than two classes the point of highest cross-entropy may be correctly classified where another is not.
    """

    def value(self, z: Tensor) -> Tensor:
        return Margin.value(self, z)  # type: ignore[arg-type]


def returned_to_ball(x: Tensor, perturbed: Tensor, threat: ThreatModel) -> Tensor:
    """`perturbed` (B, ...) projected into the ball around `x` and clamped to the bounds; `x` where it is not finite."""
    delta = torch.where(perturbed.isfinite(), perturbed - x, 0.0)
    point = x + lp.project_ball(delta, threat.norm, threat.epsilon)
    return point if threat.bounds is None else point.clamp(*threat.bounds)


@torch.no_grad()
def correct(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Which inputs (B, ...) are classified as `y`; bool (B,). Where another logit equals the label's, they are not."""
    return Margin(y, x.new_empty(0)).value(model(x)) < 0.0


def correct_under_ascent(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: ThreatModel,
    *,
    starts: int = 1,
    batch_size: int = 500,
    generator: torch.Generator,
) -> Tensor:
    """Which inputs stay correct under projected gradient ascent, from each of several starts.

    All starts of a sample are in one batch. Steps are half the radius: the visited point that is farthest over the
    border counts, so that a step is never too long, but may be too short to cross the ball. A start that has passed the
    border is not followed further.

    Args:
        model: inputs (B, ...) -> logits (B, d), in evaluation mode.
        x: clean inputs (B, ...), inside the bounds.
        y: true labels (B,).
        threat: ball and iterations; its step is replaced.
        starts: uniform in the ball, independent.
        batch_size: points attacked at once, at least one sample with all its starts.
        generator: the source of the starts, on the device of `x`.

    Returns:
        bool (starts, B).
    """
    threat = ThreatModel(threat.norm, threat.epsilon, threat.iterations, RELATIVE_STEP * threat.epsilon, threat.bounds)
    found = [torch.ones(starts, 0, dtype=torch.bool, device=x.device)]
    size = max(batch_size // starts, 1)
    for clean, labels in zip(torch.split(x, size), torch.split(y, size), strict=True):
        repeated, attacked = clean.repeat(starts, *[1] * (x.ndim - 1)), labels.repeat(starts)
        found.append(_kept(model, repeated, attacked, threat, generator).view(starts, -1))
    return torch.cat(found, 1)


def _kept(model: nn.Module, x: Tensor, y: Tensor, threat: ThreatModel, generator: torch.Generator) -> Tensor:
    """Which inputs (B, ...) stay correct from one start each; bool (B,)."""
    point = x + lp.sample_ball(x, threat.norm, threat.epsilon, generator)
    followed = torch.arange(len(x), device=x.device)
    for iterations in _between_looks(threat.iterations):
        visited: deque[Tensor] = deque(maxlen=1)
        clean, labels = x[followed], y[followed]
        farthest = projected_gradient_ascent(
            model,
            clean,
            labels,
            replace(threat, iterations=iterations),
            loss=FarthestOverTheBorder,
            generator=generator,
            start=point,
            trace=visited.append,
        )
        stays = correct(model, returned_to_ball(clean, farthest, threat), labels)
        followed, point = followed[stays], visited[0][stays]
        if not len(followed):
            break
    return torch.zeros_like(y, dtype=torch.bool).index_fill(0, followed, True)


def _between_looks(iterations: int) -> Iterator[int]:
    look = FIRST_LOOK
    while iterations > look:
        yield look
        iterations, look = iterations - look, 2 * look
    yield iterations

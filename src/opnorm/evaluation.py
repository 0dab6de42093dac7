"""Which samples an attack leaves correct: points are returned to the ball and scored before they are believed."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from opnorm import lp
from opnorm.attacks import CrossEntropy, Margin, highest_label, logits, projected_gradient_ascent
from opnorm.modes import evaluation
from opnorm.threat_model import ThreatModel

# alpha / epsilon of all attacks here, whatever their number of iterations (measured: docs/theory.md).
RELATIVE_STEP = 0.5


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
def correct(model: nn.Module, x: Tensor, y: Tensor, *, batch_size: int = 500) -> Tensor:
    """Which inputs (B, ...) are classified as `y` in evaluation mode, some looked at at once; bool (B,). Where another
    logit equals the label's, they are not.

    Raises:
        SettingsError: the model's outputs are no logits of two or more classes, or `y` no labels of them.
    """
    parts, highest = zip(torch.split(x, batch_size), torch.split(y, batch_size), strict=True), highest_label(y)
    with evaluation(model):
        answers = [Margin(labels, x.new_empty(0)).value(logits(model, part, highest)) < 0.0 for part, labels in parts]
    return torch.cat(answers)


def correct_under_ascent(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: ThreatModel,
    *,
    looks: Sequence[int] = (),
    starts: int = 1,
    batch_size: int = 500,
    generator: torch.Generator,
) -> Tensor:
    """Which inputs stay correct under projected gradient ascent, from each of several starts.

    All starts of a sample are in one batch. Steps are half the radius: the visited point that is farthest over the
    border counts, so that a step is never too long, but may be too short to cross the ball. A start that was seen over
    the border is not followed further.

    Args:
        model: inputs (B, ...) -> logits (B, d); looked at in evaluation mode and left as it was.
        x: clean inputs (B, ...), inside the bounds.
        y: true labels (B,).
        threat: ball and iterations; its step is replaced, and with `looks` its iterations.
        looks: the numbers of iterations, increasing, after which to look, L of them; by default once, at the end.
        starts: uniform in the ball, independent.
        batch_size: points attacked at once, at least one sample with all its starts.
        generator: the source of the starts, on the device of `x`.

    Returns:
        bool (L, starts, B). What is not correct at one look is not at the next.
    """
    threat = replace(threat, step_size=RELATIVE_STEP * threat.epsilon or None)
    after = tuple(looks) or (threat.iterations,)
    found = [torch.ones(len(after), starts, 0, dtype=torch.bool, device=x.device)]
    x = x.expand(starts, *x.shape)
    # All at once, so that a sample's starts do not depend on the size of batches.
    points = x + lp.sample_ball(x.flatten(0, 1), threat.norm, threat.epsilon, generator).view(x.shape)
    size = max(batch_size // starts, 1)
    for place in range(0, len(y), size):
        batch = slice(place, place + size)
        clean, start = x[:, batch].flatten(0, 1), points[:, batch].flatten(0, 1)
        kept = _kept(model, clean, y[batch].repeat(starts), start, threat, after)
        found.append(kept.view(len(after), starts, -1))
    return torch.cat(found, 2)


def _kept(model: nn.Module, x: Tensor, y: Tensor, point: Tensor, threat: ThreatModel, after: Sequence[int]) -> Tensor:
    """Which inputs (B, ...) stay correct on the way from `point`, at each look; bool (len(after), B)."""
    followed = torch.arange(len(x), device=x.device)
    kept = torch.zeros(len(after), len(x), dtype=torch.bool, device=x.device)
    done = 0
    for look, iterations in enumerate(after):
        visited: deque[Tensor] = deque(maxlen=1)
        clean, labels = x[followed], y[followed]
        farthest = projected_gradient_ascent(
            model,
            clean,
            labels,
            replace(threat, iterations=iterations - done),
            loss=FarthestOverTheBorder,
            start=point,
            trace=visited.append,
        )
        stays = correct(model, returned_to_ball(clean, farthest, threat), labels)
        followed, point, done = followed[stays], visited[0][stays], iterations
        if not len(followed):
            break
        kept[look, followed] = True
    return kept

"""Projected gradient ascent (Sec. 4.3, Eq. 15 to 18) and the losses that it ascends."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from opnorm import lp
from opnorm.errors import SettingsError
from opnorm.folding import folded
from opnorm.modes import evaluation, refuse_inference_mode
from opnorm.options import resolve
from opnorm.threat_model import ThreatModel

__all__ = ["CrossEntropy", "LogitDistance", "Margin", "ThreatModel", "projected_gradient_ascent"]

# How far outside the ball a start may be for rounding, relative to the radius.
_BESIDE_THE_BALL = 1e-3


class AttackLoss(Protocol):
    """What an attack ascends: a function of the logits z (B, d), one value per example."""

    def value(self, z: Tensor) -> Tensor:
        """The loss (B,) at logits `z`."""

    def direction(self, z: Tensor) -> Tensor:
        """Its gradient (B, d) with respect to the logits, up to a positive factor: u_k of Eq. 18."""


class LabelLoss:
    """What the losses against labels y (B,) share."""

    needs_clean_logits = False

    def __init__(self, y: Tensor, clean_logits: Tensor) -> None:
        self.y = y[:, None].long()


class CrossEntropy(LabelLoss):
    """Softmax cross-entropy against the attacked labels; the direction is softmax(z) - e_y."""

    def value(self, z: Tensor) -> Tensor:
        # As a function of the others against the attacked label it keeps its digits where the network is certain.
        others = z.scatter(1, self.y, -math.inf)
        return torch.nn.functional.softplus(others.logsumexp(1) - z.gather(1, self.y)[:, 0])

    def direction(self, z: Tensor) -> Tensor:
        # The attacked label's entry is minus the sum of the others: 1 - softmax would round to zero
        # where the network is certain. The shift keeps the others from vanishing for the same reason.
        others = z.scatter(1, self.y, -math.inf)
        weights = torch.softmax(others, 1)
        return weights.scatter(1, self.y, -weights.sum(1, keepdim=True))


class Margin(LabelLoss):
    """Largest other logit minus the attacked label's; positive where the attack succeeds."""

    def value(self, z: Tensor) -> Tensor:
        others = z.scatter(1, self.y, -math.inf)
        return others.amax(1) - z.gather(1, self.y)[:, 0]

    def direction(self, z: Tensor) -> Tensor:
        others = z.scatter(1, self.y, -math.inf)
        ties = (others == others.amax(1, keepdim=True)).to(z.dtype)
        return (ties / ties.sum(1, keepdim=True)).scatter(1, self.y, -1.0)


class LogitDistance:
    """|f(x) - f(x*)|_q between the logits of the clean and the perturbed input (Theorem 1)."""

    needs_clean_logits = True

    def __init__(self, y: Tensor, clean_logits: Tensor, *, q: float) -> None:
        self.clean_logits, self.q = clean_logits, q

    def value(self, z: Tensor) -> Tensor:
        return lp.norm(z - self.clean_logits, self.q)

    def direction(self, z: Tensor) -> Tensor:
        # The gradient of the lq norm is the maximiser of <., z> over the dual ball: Eq. 10 is Eq. 16.
        return lp.dual_vector(z - self.clean_logits, lp.dual_exponent(self.q))


class LogitL1(LogitDistance):
    """`LogitDistance` with q = 1."""

    def __init__(self, y: Tensor, clean_logits: Tensor) -> None:
        super().__init__(y, clean_logits, q=1.0)


class LogitL2(LogitDistance):
    """`LogitDistance` with q = 2."""

    def __init__(self, y: Tensor, clean_logits: Tensor) -> None:
        super().__init__(y, clean_logits, q=2.0)


class LogitLinf(LogitDistance):
    """`LogitDistance` with q = inf."""

    def __init__(self, y: Tensor, clean_logits: Tensor) -> None:
        super().__init__(y, clean_logits, q=math.inf)


REGISTRY = {
    "cross_entropy": "opnorm.attacks:CrossEntropy",
    "margin": "opnorm.attacks:Margin",
    "logit_l1": "opnorm.attacks:LogitL1",
    "logit_l2": "opnorm.attacks:LogitL2",
    "logit_linf": "opnorm.attacks:LogitLinf",
}


def projected_gradient_ascent(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: ThreatModel,
    *,
    loss: str | Callable[[Tensor, Tensor], AttackLoss] = "cross_entropy",
    generator: torch.Generator | None = None,
    start: Tensor | None = None,
    rescore: bool = True,
    trace: Callable[[Tensor], None] | None = None,
) -> Tensor:
    """Perturbed inputs in the lp ball around `x` that ascend `loss` (Eq. 15, with Eq. 16 for its step).

    The network is looked at in evaluation mode and left exactly as it was. A step of infinite size is the
    power-method limit of Theorem 1: the iterate is the ball's maximiser of the current gradient. Where the gradient
    is exactly zero the iterate stays. In l1 each step goes, as Eq. 16 has it, into the pixel of largest gradient alone,
    and is lost where that one is at its bound already: with bounds such an attack is a weak one.

    Args:
        model: inputs (B, ...) -> logits (B, d), an `nn.Module`.
        x: clean inputs (B, ...), inside `threat.bounds`.
        y: attacked labels (B,), true or predicted; of any whole type.
        threat: the ball, the steps and the valid pixel values; in the units of `x`.
        loss: a name ("cross_entropy", "margin", "logit_l1", "logit_l2", "logit_linf") or a constructor
            (labels, clean logits) -> `AttackLoss`; one with `needs_clean_logits = False` gets an empty tensor.
        generator: the source of the random start, on the device of `x`; not needed with `start`.
        start: where to begin (B, ...), inside the ball, clamped to the bounds; one that is outside by at most a
            thousandth of the radius is projected. By default uniformly in the ball, as Eq. 15 has it.
        rescore: return for each example the visited point of highest loss, at the cost of one forward pass;
            otherwise the last iterate.
        trace: is called with each iterate x_0, x_1, ...

    Returns:
        Tensor like `x`, inside the ball (up to rounding) and inside the bounds.

    Raises:
        SettingsError: an unknown loss; neither `generator` nor `start`; `y` or `start` of another shape, labels that
            are no whole numbers, or for a loss against labels none of the model's classes, which have to be two at
            least; outputs that are not (B, d); a `model` that is no module; a `start` outside the ball, or an `x`
            outside the bounds, whose pixels would leave the ball on their way there; `torch.inference_mode` is on.
    """
    refuse_inference_mode()
    make = resolve(REGISTRY, "attack loss", loss) if isinstance(loss, str) else loss
    x, start = x.detach(), None if start is None else start.detach()
    _check(x, y, threat, start)
    y = whole_labels(y)
    with evaluation(model):
        # A compiler folds by itself.
        network = folded(model) if model._compiled_call_impl is None else model
        with torch.no_grad():
            # Whoever does not look at the clean logits is spared a forward pass.
            attack_loss = make(y, network(x) if getattr(make, "needs_clean_logits", True) else x.new_empty(0))
        highest = highest_label(y) if isinstance(attack_loss, LabelLoss) else None
        delta = _random_start(x, threat, generator) if start is None else _given_start(start, x, threat)
        return _Ascent(network, x, threat, attack_loss, highest).run(delta, rescore=rescore, trace=trace)


def _random_start(x: Tensor, threat: ThreatModel, generator: torch.Generator | None) -> Tensor:
    if generator is None:
        raise SettingsError("generator: missing; a random start is drawn from one")
    return lp.sample_ball(x, threat.norm, threat.epsilon, generator)


def _given_start(start: Tensor, x: Tensor, threat: ThreatModel) -> Tensor:
    """start - x, in the ball; where it is outside for rounding alone it stays as it is."""
    delta = start - x
    # Each entry of x + delta rounds, and so does each term of a length.
    rounding = torch.finfo(x.dtype).eps * (lp.norm(x, threat.norm) + math.sqrt(x[:1].numel()) * threat.epsilon)
    outside = lp.norm(delta, threat.norm) > threat.epsilon + rounding
    return torch.where(lp.per_example(outside, x), lp.project_ball(delta, threat.norm, threat.epsilon), delta)


def whole_labels(y: Tensor) -> Tensor:
    """Labels (B,) of any whole type as indices.

    Raises:
        SettingsError: they are of another type.
    """
    if y.is_floating_point():
        raise SettingsError(f"y: of {y.dtype}; labels are whole numbers")
    return y.long()


def highest_label(y: Tensor) -> int:
    """The largest of labels (B,), -1 where there are none; waits for the GPU.

    Raises:
        SettingsError: one is negative, or they are no whole numbers.
    """
    if not len(y):
        return -1
    lowest, highest = torch.stack(whole_labels(y).aminmax()).tolist()
    if lowest < 0:
        raise SettingsError(f"y: has labels from {lowest} to {highest}; classes count from 0")
    return int(highest)


def logits(model: nn.Module, x: Tensor, highest: int | None) -> Tensor:
    """The model's outputs (B, d).

    Raises:
        SettingsError: they are no logits of B inputs, or, if labels matter, not of classes up to the `highest` label.
    """
    z: Tensor = model(x)
    if z.ndim != 2 or len(z) != len(x):
        raise SettingsError(f"model: outputs of shape {tuple(z.shape)} are not ({len(x)}, d): one row of logits each")
    if highest is not None and z.shape[1] < 2:
        raise SettingsError("model: one logit, where a loss against labels needs two classes or more")
    if highest is not None and highest >= z.shape[1]:
        raise SettingsError(f"y: has the label {highest}, where the model has classes 0 to {z.shape[1] - 1}")
    return z


def _check(x: Tensor, y: Tensor, threat: ThreatModel, start: Tensor | None) -> None:
    if y.shape != x.shape[:1]:
        raise SettingsError(f"y: {tuple(y.shape)} labels for {len(x)} inputs; one each, ({len(x)},), is needed")
    if start is not None:
        if start.shape != x.shape:
            raise SettingsError(f"start: of shape {tuple(start.shape)}, where x has {tuple(x.shape)}")
        furthest = float(lp.norm(start - x, threat.norm).amax()) if x.numel() else 0.0
        if furthest > threat.epsilon * (1.0 + _BESIDE_THE_BALL):
            raise SettingsError(f"start: up to {furthest:g} away from x, outside the ball of radius {threat.epsilon:g}")
    if threat.bounds is not None and x.numel():
        lowest, highest = torch.stack(x.aminmax()).tolist()
        if not (threat.bounds[0] <= lowest and highest <= threat.bounds[1]):
            raise SettingsError(
                f"x: has values from {lowest:g} to {highest:g}, outside of bounds {threat.bounds}; give "
                "ThreatModel(..., bounds=None) where inputs are not images in [0, 1]"
            )


class _Ascent:
    def __init__(self, model: nn.Module, x: Tensor, threat: ThreatModel, loss: AttackLoss, highest: int | None) -> None:
        self.model, self.x, self.threat, self.loss, self.highest = model, x, threat, loss, highest
        self.best = self.x
        self.best_value = torch.full((len(x),), -math.inf, device=x.device, dtype=x.dtype)

    def run(self, delta: Tensor, *, rescore: bool, trace: Callable[[Tensor], None] | None) -> Tensor:
        delta = self._feasible(delta)
        for _ in range(self.threat.iterations):
            if trace is not None:
                trace(self._point(delta))
            delta = self._feasible(self._step(delta, self._gradient(delta, rescore=rescore)))
        point = self._point(delta)
        if trace is not None:
            trace(point)
        if not rescore:
            return point
        with torch.no_grad():
            self._keep_best(point, logits(self.model, point, self.highest))
        return self.best

    def _gradient(self, delta: Tensor, *, rescore: bool) -> Tensor:
        with torch.enable_grad():
            point = self._point(delta).requires_grad_()
            z = logits(self.model, point, self.highest)
        with torch.no_grad():
            u = self.loss.direction(z)
            if rescore:
                self._keep_best(point.detach(), z)
        if not z.requires_grad:
            return torch.zeros_like(delta)
        (gradient,) = torch.autograd.grad(z, point, u, materialize_grads=True)
        return gradient

    def _step(self, delta: Tensor, gradient: Tensor) -> Tensor:
        v = lp.dual_vector(gradient, self.threat.norm)
        if self.threat.step < math.inf:
            return lp.project_ball(delta + self.threat.step * v, self.threat.norm, self.threat.epsilon)
        still = lp.per_example((v == 0).flatten(1).all(1), v)
        return torch.where(still, delta, self.threat.epsilon * v)

    def _feasible(self, delta: Tensor) -> Tensor:
        """Clamped to valid pixels; that moves each coordinate towards `x`, so the ball is not left."""
        if self.threat.bounds is None:
            return delta
        return (self.x + delta).clamp(*self.threat.bounds) - self.x

    def _point(self, delta: Tensor) -> Tensor:
        """x + delta, whose rounding may not pass the bounds either."""
        point = self.x + delta
        return point if self.threat.bounds is None else point.clamp(*self.threat.bounds)

    def _keep_best(self, point: Tensor, z: Tensor) -> None:
        value = self.loss.value(z)
        # Of equal values the later: where the loss has underflowed the ascent has gone on.
        better = value >= self.best_value
        self.best_value = torch.where(better, value, self.best_value)
        self.best = torch.where(lp.per_example(better, point), point, self.best)

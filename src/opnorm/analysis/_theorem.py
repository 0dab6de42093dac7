"""Theorem 1 on trained networks: the attack is the power method inside x's ReLU cell, and nearly so beyond it.

Everything is in float64 and without pixel bounds. Cells are those of a network whose only kinks are `nn.ReLU` and
`nn.MaxPool2d` modules.
"""

from __future__ import annotations

import copy
import itertools
import math
from typing import ClassVar

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import unfold

from opnorm import lp
from opnorm.analysis._alignment_distance import above_zero, cosines
from opnorm.analysis.subject import Subject
from opnorm.analysis.tidy import Dimensions, tidy
from opnorm.attacks import projected_gradient_ascent
from opnorm.jacobian import DenseOperator, InputJacobian, LinearOperator
from opnorm.operator_norm import power_method
from opnorm.options import Count, Grid
from opnorm.seeding import generator
from opnorm.threat_model import ThreatModel

EXPONENTS = (1.0, 2.0, math.inf)
_LOSSES = {1.0: "logit_l1", 2.0: "logit_l2", math.inf: "logit_linf"}
# Half of the largest ball: rounding does not carry an iterate over the border.
_FRACTION = 0.5
# Entries of the largest temporary tensor: 32 MiB in float64.
_ELEMENTS = 2**22
# Random directions by which lengths of gradients are bounded, and by how much these may exceed their estimates: that
# the sum of 64 squares of normal numbers is below a tenth of its mean has a probability of 3e-21.
_PROBES, _SLACK = 64, math.sqrt(10.0)
# Margins of each example whose gradients are taken before it is asked whether others could be nearer.
_AT_ONCE = 16


def theorem(subject: Subject, *, samples: Count = 20, iterations: Count = 10) -> pd.DataFrame:
    """Iterates of PGA (Eq. 18, infinite step, lq distance of the logits) against the power method's (Eq. 12).

    Both start in the same point. Each sample has a ball of its own, half as large as the largest lp ball in x's cell; a
    sample on the border of its cell has none and is left out.

    Args:
        subject: what to measure on.
        samples: at most as many of the analysed samples, the first ones.
        iterations: of both.

    Returns:
        Columns sample, p, q, iteration (from 1), difference (largest entry of |(x_k - x) / epsilon - v_k|), epsilon (in
        lp, units of images in [0, 1]), in_cell (whether no iterate of the attack has left the cell).
    """
    model, x, index = _in_float64(subject, samples)
    J, radii, tables = DenseOperator(InputJacobian(model, x).dense()), cell_radii(model, x), []
    for p, q in itertools.product(EXPONENTS, EXPONENTS):
        # No cell is that large, but a linear network has no other.
        epsilon = (_FRACTION * radii[p]).clamp(max=1.0)
        attack = attack_iterates(model, x, epsilon, p, q, iterations=iterations, seed=subject.seed)
        power = power_iterates(J, p, q, iterations=iterations, start=attack[0])
        inside = _in_cell(model, x, [_moved(x, epsilon, v) for v in attack])
        columns: Dimensions = {"sample": index, "iteration": range(1, iterations + 1)}
        table = tidy("difference", (attack[1:] - power).abs().flatten(2).amax(2).mT, columns)
        of_sample = {"epsilon": epsilon, "in_cell": inside}
        repeated = {key: value.repeat_interleave(iterations).cpu().numpy() for key, value in of_sample.items()}
        tables.append(table.assign(p=p, q=q, **repeated))
    table = pd.concat(tables, ignore_index=True)
    return table[table["epsilon"] > 0.0].reset_index(drop=True)


def theorem_distance(
    subject: Subject, *, l1: Grid, l2: Grid, linf: Grid, samples: Count = 20, iterations: Count = 10
) -> pd.DataFrame:
    """|cos| between the last iterates of PGA and of the power method at x, in balls beyond x's cell (after Theorem 1).

    Args:
        subject: what to measure on.
        l1, l2, linf: radii of the three families of balls, in units of images in [0, 1]; 0 is left out.
        samples: at most as many of the analysed samples, the first ones.
        iterations: of both.

    Returns:
        Columns sample, p, q, epsilon, cosine in [0, 1], in_cell (whether the ball lies in x's cell).

    Raises:
        SettingsError: a list has no number above 0.
    """
    model, x, index = _in_float64(subject, samples)
    J, radii, tables = DenseOperator(InputJacobian(model, x).dense()), cell_radii(model, x), []
    for (p, grid), q in itertools.product(zip(EXPONENTS, (l1, l2, linf), strict=True), EXPONENTS):
        for radius in above_zero(grid, f"theorem_distance.l{p:g}"):
            epsilon = torch.full_like(radii[p], radius)
            attack = attack_iterates(model, x, epsilon, p, q, iterations=iterations, seed=subject.seed)
            power = power_iterates(J, p, q, iterations=iterations, start=attack[0])
            table = tidy("cosine", cosines(attack[-1], power[-1]), {"sample": index})
            inside = (epsilon < radii[p]).cpu().numpy()
            tables.append(table.assign(p=p, q=q, epsilon=radius, in_cell=inside))
    return pd.concat(tables, ignore_index=True)


def attack_iterates(
    model: nn.Module, x: Tensor, epsilon: Tensor, p: float, q: float, *, iterations: int, seed: int
) -> Tensor:
    """(x_k - x) / epsilon of Eq. 18 for k = 0, 1, ...: (iterations + 1, B, ...), inside the unit lp ball.

    The step is infinite and the loss the lq distance of the logits. The start is uniform, the same for every epsilon, q
    and network of a seed.

    Args:
        model: in evaluation mode.
        x: (B, ...).
        epsilon: a radius for each example (B,).
        p, q: exponents of the ball and of the loss.
        iterations: steps of the attack.
        seed: of the run.
    """
    visited: list[Tensor] = []
    projected_gradient_ascent(
        _UnitBalls(model, x, epsilon),
        torch.zeros_like(x),
        torch.zeros(len(x), dtype=torch.int64, device=x.device),
        ThreatModel(p, 1.0, iterations, math.inf, bounds=None),
        loss=_LOSSES[q],
        generator=generator(seed, f"theorem/{p}", device=x.device),
        rescore=False,
        trace=visited.append,
    )
    return torch.stack(visited)


def power_iterates(operator: LinearOperator, p: float, q: float, *, iterations: int, start: Tensor) -> Tensor:
    """v_1, v_2, ... of Eq. 12 from v_0 = `start`: (iterations, B, ...)."""
    v, visited = start, []
    for _ in range(iterations):
        v = power_method(operator, p, q, iterations=1, start=v).maximizer
        visited.append(v)
    return torch.stack(visited)


def cell_radii(model: nn.Module, x: Tensor) -> dict[float, Tensor]:
    """Radii (B,) of the largest open lp balls around `x` on which f is affine, for p = 1, 2 and inf.

    The margins c_i of `cell_margins` are affine on the cell, which is where none of them changes its sign: the radius
    is the smallest |c_i| / |grad c_i|_{p*}. A border through x makes it 0; without a border it is infinite. Of the many
    margins most are too large to matter: gradients are taken in the order of lower bounds on the distance, until no
    other border can be nearer.

    Args:
        model: in evaluation mode.
        x: (B, ...), in float64.
    """
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        margins = cell_margins(model, x)
    c = margins.detach().abs()
    # |grad c_i|_{p*} is at most |grad c_i|_2 times this.
    excess = {1.0: 1.0, 2.0: 1.0, math.inf: math.sqrt(x[0].numel())}
    lengths = _longest_slopes(model, x.detach())
    bounds, order = torch.where(lengths > 0.0, c / lengths, math.inf).sort(dim=1)
    radii = {p: torch.full_like(c[:, 0], math.inf) for p in excess}
    for tried in range(0, c.shape[1], _AT_ONCE):
        if all((radii[p] <= bounds[:, tried] / excess[p]).all() for p in excess):
            break
        for i in order[:, tried : tried + _AT_ONCE].T[..., None]:
            (slopes,) = torch.autograd.grad(margins.gather(1, i).sum(), x, retain_graph=True)
            for p, radius in radii.items():
                steepness = lp.norm(slopes, lp.dual_exponent(p))
                distance = torch.where(steepness > 0.0, c.gather(1, i)[:, 0] / steepness, math.inf)
                radii[p] = torch.minimum(radius, distance)
    return radii


def cell_margins(model: nn.Module, x: Tensor) -> Tensor:
    """What keeps its sign within x's cell (B, M): the input of each ReLU, and by how much the largest entry of each
    window of a max-pool exceeds each of its entries."""
    margins: list[Tensor] = []
    hooks = []
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            # A copy, for those that work in place.
            hook = module.register_forward_pre_hook(lambda _, inputs: margins.append(inputs[0].flatten(1).clone()))
            hooks.append(hook)
        elif isinstance(module, nn.MaxPool2d):
            hooks.append(module.register_forward_hook(lambda *call: margins.append(_leads(*call))))
    try:
        model(x)
    finally:
        for hook in hooks:
            hook.remove()
    return torch.cat([x.new_ones(len(x), 1), *margins], 1)


class _UnitBalls(nn.Module):
    """z -> f(x + epsilon z): the balls of different radii around x become the unit ball around z = 0."""

    chains: ClassVar[tuple[str, ...]] = ("model",)

    def __init__(self, model: nn.Module, x: Tensor, epsilon: Tensor) -> None:
        super().__init__()
        self.model, self.x, self.epsilon = model, x, epsilon

    def forward(self, z: Tensor) -> Tensor:
        logits: Tensor = self.model(_moved(self.x, self.epsilon, z))
        return logits


def _in_float64(subject: Subject, samples: int) -> tuple[nn.Module, Tensor, Tensor]:
    """A copy of the network, and x (B, C, H, W) with their index (B,)."""
    part = next(subject.samples.split(samples))
    return copy.deepcopy(subject.model).double().eval(), part.images.double(), part.index


def _moved(x: Tensor, epsilon: Tensor, v: Tensor) -> Tensor:
    return x + lp.per_example(epsilon, x) * v


@torch.no_grad()
def _in_cell(model: nn.Module, x: Tensor, points: list[Tensor]) -> Tensor:
    """Whether all points of an example are in the cell of x; bool (B,)."""
    here = cell_margins(model, x).sign()
    return torch.stack([(cell_margins(model, point).sign() == here).all(1) for point in points]).all(0)


def _leads(pool: nn.MaxPool2d, inputs: tuple[Tensor], output: Tensor) -> Tensor:
    """Largest entry minus entry, for all entries of all windows (B, M); a border of zeros makes cells smaller."""
    (a,) = inputs
    B, C = a.shape[:2]
    windows = unfold(a, pool.kernel_size, pool.dilation, pool.padding, pool.stride)
    return (output.reshape(B, C, 1, -1) - windows.view(B, C, -1, windows.shape[-1])).flatten(1)


@torch.no_grad()
def _longest_slopes(model: nn.Module, x: Tensor) -> Tensor:
    """How long |grad c_i|_2 is at most (B, M), 0 where there is none: from derivatives along random directions, whose
    squares are on average that of the length."""
    probes = torch.randn(_PROBES, *x.shape[1:], dtype=x.dtype, generator=generator(0, "cells")).to(x.device)
    squares, size = torch.zeros_like(cell_margins(model, x)), max(1, _ELEMENTS // cell_margins(model, x).numel())
    for directions in torch.split(probes, size):
        repeated = x.repeat_interleave(len(directions), 0)
        tangent = directions.repeat(len(x), *[1] * (x.ndim - 1))
        slopes = torch.func.jvp(lambda z: cell_margins(model, z), (repeated,), (tangent,))[1]
        squares += slopes.view(len(x), len(directions), -1).square().sum(1)
    return _SLACK * (squares / _PROBES).sqrt()

"""Geometry of lp balls: norms, the maximiser of Eq. 16, projections, uniform samples.

Everything acts per example: on all dimensions behind the first, which is the batch. p is 1, 2, inf or any number
above 1 where the formula holds; a `radius` is a number or one value per example (B,), in the units of `x`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from opnorm.errors import SettingsError

__all__ = [
    "dual_exponent", "dual_vector", "first_axis_if_zero", "norm", "per_example", "project_ball", "project_sphere",
    "sample_ball",
]  # fmt: skip


def norm(x: Tensor, p: float) -> Tensor:
    """|x|_p of each example; neither overflows nor underflows where the result does not. Differentiable.

    Args:
        x: (B, ...).
        p: exponent, 1 <= p <= inf.

    Returns:
        (B,), in the units of `x`.

    Raises:
        SettingsError: p below 1 or not a number.
    """
    _check_exponent(p)
    flat = x.flatten(1)
    if p == math.inf:
        return flat.abs().amax(1)
    if p == 1.0:
        return flat.abs().sum(1)
    scale = _largest(flat.detach())
    unit: Tensor = torch.linalg.vector_norm(flat / scale, p, dim=1)
    return scale[:, 0] * unit


def dual_exponent(p: float) -> float:
    """p* with 1/p + 1/p* = 1 (Hoelder).

    Raises:
        SettingsError: p below 1 or not a number.
    """
    _check_exponent(p)
    if p == 1.0:
        return math.inf
    return 1.0 if p == math.inf else p / (p - 1.0)


def dual_vector(z: Tensor, p: float) -> Tensor:
    """argmax of <v, z> over |v|_p <= 1: sign(z) |z|^(p*-1) / |z|_{p*}^(p*-1) (Eq. 16, Lemma 1).

    For p = 1 it is the limit of Sec. 4.2: all entries of largest modulus share the weight equally. Where z is exactly
    zero the result is zero. Any finite z will do, subnormal ones included.

    Args:
        z: (B, ...), a gradient, in any units.
        p: exponent of the ball, 1 <= p <= inf.

    Returns:
        Tensor like `z` with |v|_p = 1 up to rounding, or 0.

    Raises:
        SettingsError: p below 1 or not a number.
    """
    _check_exponent(p)
    flat = z.flatten(1)
    if p == math.inf:
        return flat.sign().view_as(z)
    # Divided, not multiplied by a reciprocal: that of a subnormal number is infinite.
    w = flat / _largest(flat)
    if p == 1.0:
        v = w.sign() * (w.abs() == 1.0)
        return (v / v.abs().sum(1, keepdim=True).clamp(min=1.0)).view_as(z)
    v = w if p == 2.0 else w.sign() * w.abs() ** (dual_exponent(p) - 1.0)
    # |v|_p >= 1 unless z = 0, since the largest entry of w is exactly 1.
    length: Tensor = torch.linalg.vector_norm(v, p, dim=1, keepdim=True)
    return (v / length.clamp(min=1.0)).view_as(z)


def project_ball(x: Tensor, p: float, radius: float | Tensor) -> Tensor:
    """The nearest point, in l2, of the ball |v|_p <= radius: Pi of Eq. 15.

    For p = 1 by sorting (Duchi et al. 2008). The result exceeds the radius by rounding at most.

    Args:
        x: (B, ...).
        p: 1, 2 or inf.
        radius: at least 0; a number or (B,).

    Returns:
        Tensor like `x`; examples inside the ball are returned as they are.

    Raises:
        SettingsError: another p, whose projection has no closed form; a number below 0 for a radius.
    """
    _check_projectable(p)
    r = _column(radius, x)
    flat = x.flatten(1)
    if p == math.inf:
        return torch.minimum(torch.maximum(flat, -r), r).view_as(x)
    outside = norm(flat, p)[:, None] > r
    onto_sphere = r * dual_vector(flat, 2.0) if p == 2.0 else _shrink_to_sphere(flat, r)
    return torch.where(outside, onto_sphere, flat).view_as(x)


def project_sphere(x: Tensor, p: float, radius: float | Tensor) -> Tensor:
    """The nearest point, in l2, of the sphere |v|_p = radius: Pi of Eq. 9 and 11.

    Outside the ball that is `project_ball`. Inside it, p = 2 rescales, p = 1 moves every entry outwards by the same
    amount, and p = inf moves the largest entry alone. Where the nearest point is not unique (x = 0, or ties of the
    largest entry for p = inf), zeros count as positive and the first of equal entries moves; x = 0 with p = 2 goes to
    the first axis.

    Args:
        x: (B, ...).
        p: 1, 2 or inf.
        radius: at least 0; a number or (B,).

    Returns:
        Tensor like `x` with |v|_p = radius up to rounding.

    Raises:
        SettingsError: another p, whose projection has no closed form; a number below 0 for a radius.
    """
    _check_projectable(p)
    r = _column(radius, x)
    flat = x.flatten(1)
    if p == 2.0:
        return (r * dual_vector(first_axis_if_zero(flat), 2.0)).view_as(x)
    inside = norm(flat, p)[:, None] < r
    grown = _grow_to_face(flat, r) if p == 1.0 else _grow_largest(flat, r)
    return torch.where(inside, grown, project_ball(flat, p, radius)).view_as(x)


def sample_ball(like: Tensor, p: float, radius: float | Tensor, generator: torch.Generator) -> Tensor:
    """Uniform samples of the ball |v|_p <= radius: x_0 - x of Eq. 15.

    g / (|g|_p^p + e)^(1/p) with entries of g distributed as exp(-|t|^p) and e exponential is uniform in the unit ball
    (Barthe, Guedon, Mendelson, Naor 2005).

    Args:
        like: (B, ...), whose shape, dtype and device the samples have.
        p: exponent, 1 <= p <= inf.
        radius: at least 0; a number or (B,).
        generator: the source of all randomness, on the device of `like`.

    Returns:
        Tensor like `like`, independent per example.

    Raises:
        SettingsError: p below 1 or not a number; a number below 0 for a radius.
    """
    _check_exponent(p)
    r = _column(radius, like)
    flat = torch.empty_like(like, memory_format=torch.contiguous_format).flatten(1)
    if p == math.inf:
        return (r * flat.uniform_(-1.0, 1.0, generator=generator)).view_as(like)
    g = _generalized_gaussian(flat, p, generator)
    e = torch.empty_like(r).exponential_(generator=generator)
    return (r * g / (norm(g, p)[:, None] ** p + e) ** (1.0 / p)).view_as(like)


def _check_exponent(p: float) -> None:
    # Written so that NaN fails too.
    if not p >= 1.0:
        raise SettingsError(f"norm: p = {p!r} is not a number of at least 1 (inf is allowed)")


def _check_projectable(p: float) -> None:
    if p not in (1.0, 2.0, math.inf):
        raise SettingsError(f"norm: no projection onto the l{p} ball; p is 1, 2 or inf there")


def _largest(flat: Tensor) -> Tensor:
    """max |x_i| (B, 1) to divide by: 1 where it is 0 or infinite."""
    largest = flat.abs().amax(1, keepdim=True)
    return torch.where((largest > 0.0) & (largest < math.inf), largest, torch.ones_like(largest))


def _column(radius: float | Tensor, x: Tensor) -> Tensor:
    """The radius of each example (B, 1), in the dtype and on the device of x."""
    if not x.is_floating_point():
        raise SettingsError(f"x: of {x.dtype}, which holds no fractions; convert it with .float()")
    if isinstance(radius, Tensor):
        return radius.to(x).expand(len(x))[:, None].clone()
    if not radius >= 0.0:
        raise SettingsError(f"radius: {radius!r} is not a number of at least 0")
    # To make a tensor of a number and move it would wait for the GPU.
    return x.new_full((len(x), 1), radius)


def _shrink_to_sphere(flat: Tensor, r: Tensor) -> Tensor:
    """The projection (B, n) onto |v|_1 = r of points outside it: sign(x) max(|x| - theta, 0)."""
    # Relative to the largest entry theta loses no digits, however far outside x lies.
    y = flat.abs() - flat.abs().amax(1, keepdim=True)
    ordered = y.sort(1, descending=True).values
    counts = torch.arange(1, flat.shape[1] + 1, dtype=flat.dtype, device=flat.device)
    thetas = (ordered.cumsum(1) - r) / counts
    active = (ordered > thetas).sum(1, keepdim=True).clamp(min=1)
    return flat.sign() * (y - thetas.gather(1, active - 1)).clamp(min=0.0)


def _grow_to_face(flat: Tensor, r: Tensor) -> Tensor:
    """The nearest point of |v|_1 = r from inside: the other faces' planes are all further away."""
    sign = torch.where(flat < 0.0, -1.0, 1.0).to(flat)
    return flat + sign * (r - norm(flat, 1.0)[:, None]) / flat.shape[1]


def _grow_largest(flat: Tensor, r: Tensor) -> Tensor:
    """The nearest point of |v|_inf = r from inside."""
    index = flat.abs().argmax(1, keepdim=True)
    moved = torch.where(flat.gather(1, index) < 0.0, -r, r)
    return flat.scatter(1, index, moved)


def first_axis_if_zero(flat: Tensor) -> Tensor:
    """`flat` (B, n), and the first unit vector, which is one for every p, where it is 0."""
    axis = torch.zeros_like(flat)
    axis[:, 0] = (flat == 0.0).all(1)
    return flat + axis


def per_example(numbers: Tensor, like: Tensor) -> Tensor:
    """`numbers` (B,) as (B, 1, ...), to be combined with `like` (B, ...)."""
    return numbers.view(-1, *[1] * (like.ndim - 1))


def _generalized_gaussian(flat: Tensor, p: float, generator: torch.Generator) -> Tensor:
    """Independent entries (B, n) with density proportional to exp(-|t|^p)."""
    if p == 2.0:
        return torch.empty_like(flat).normal_(std=math.sqrt(0.5), generator=generator)
    if p == 1.0:
        modulus = torch.empty_like(flat).exponential_(generator=generator)
    else:
        # Gamma(a) is Gamma(a + 1) U^(1/a), and does not underflow this way.
        shape = torch.full_like(flat, 1.0 + 1.0 / p)
        modulus = torch._standard_gamma(shape, generator=generator) ** (1.0 / p)
        modulus = modulus * torch.empty_like(flat).uniform_(generator=generator)
    sign = torch.empty_like(flat).bernoulli_(0.5, generator=generator) * 2.0 - 1.0
    return sign * modulus

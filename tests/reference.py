"""Slow, dense, obviously right versions of what the library computes; one example at a time, in float64."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor

EXPONENTS = (1.0, 2.0, math.inf)
TABLE_1 = tuple(itertools.product(EXPONENTS, EXPONENTS))


def norm(x: Tensor, p: float) -> float:
    """|x|_p by its definition."""
    moduli = [abs(float(entry)) for entry in x.flatten()]
    return max(moduli) if p == math.inf else sum(m**p for m in moduli) ** (1.0 / p)


def dual_exponent(p: float) -> float:
    """p* with 1/p + 1/p* = 1."""
    return {1.0: math.inf, math.inf: 1.0}.get(p) or p / (p - 1.0)


def dual_vector(z: Tensor, p: float) -> Tensor:
    """Eq. 16, and its limits as Sec. 4.2 writes them."""
    if not z.any():
        return torch.zeros_like(z)
    if p == math.inf:
        return z.sign()
    if p == 1.0:
        dominant = z.abs() == z.abs().max()
        return z.sign() * dominant / dominant.sum()
    r = dual_exponent(p)
    return z.sign() * z.abs() ** (r - 1.0) / norm(z, r) ** (r - 1.0)


def project_l1(x: Tensor, radius: float) -> Tensor:
    """The projection onto the l1 ball: sign(x) max(|x| - theta, 0), with theta found by bisection."""
    if norm(x, 1.0) <= radius:
        return x
    low, high = 0.0, float(x.abs().max())
    for _ in range(200):
        theta = (low + high) / 2.0
        too_long = float((x.abs() - theta).clamp(min=0.0).sum()) > radius
        low, high = (theta, high) if too_long else (low, theta)
    return x.sign() * (x.abs() - high).clamp(min=0.0)


def sign_vectors(k: int) -> Tensor:
    """All 2^k vectors of -1 and 1."""
    return torch.tensor(list(itertools.product((-1.0, 1.0), repeat=k)), dtype=torch.float64)


def operator_norm(J: Tensor, p: float, q: float) -> float:
    """max |J v|_q over |v|_p <= 1 of a small J (d, n), for the exponents of Table 1.

    The unit balls of l1 and linf have finitely many vertices, at one of which a convex function is largest; for
    p = 2 the same holds of the dual problem max |J^T u|_2 over |u|_{q*} <= 1.
    """
    if p == q == 2.0:
        return float(torch.linalg.svdvals(J)[0])
    if p == 2.0:
        return operator_norm(J.T, dual_exponent(q), 2.0)
    vertices = torch.eye(J.shape[1], dtype=J.dtype) if p == 1.0 else sign_vectors(J.shape[1])
    return max(norm(J @ v, q) for v in vertices)


def jacobian(function: Callable[[Tensor], Tensor], x: Tensor, step: float = 1e-6) -> Tensor:
    """The Jacobian (B, d, n) at x (B, ...) by central differences, one example and one input at a time."""
    examples = []
    for example in x:
        columns = []
        for i in range(example.numel()):
            e = torch.zeros_like(example)
            e.view(-1)[i] = step
            columns.append((function((example + e)[None]) - function((example - e)[None]))[0] / (2.0 * step))
        examples.append(torch.stack(columns, 1))
    return torch.stack(examples).detach()

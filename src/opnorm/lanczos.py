"""The largest singular value of many Jacobians at once, by Golub-Kahan-Lanczos bidiagonalisation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from opnorm import lp
from opnorm.jacobian import LinearOperator


@dataclass(frozen=True)
class DominantSingularValue:
    """What `dominant_singular_value` found."""

    value: Tensor  # (B,), at most sigma_1 up to rounding
    residual: Tensor  # (B,), |J^T u - sigma v|_2 / sigma: a singular value lies within residual * value of `value`
    error: Tensor  # (B,), estimated relative error of `value`, at most the residual
    right: Tensor  # (B, n), v
    iterations: int


@torch.no_grad()
def dominant_singular_value(
    operator: LinearOperator, *, start: Tensor, tolerance: float = 1e-3, max_iterations: int = 100
) -> DominantSingularValue:
    """sigma_1 of J (B, d, n) by one matvec and one rmatvec an iteration, for the whole batch at once.

    The bases are kept orthogonal by full reorthogonalisation: they are few, and rounding would spoil them otherwise.

    Args:
        operator: J.
        start: nonzero (B, n) or shaped like the inputs; a random one, so that v_1 is not missed.
        tolerance: relative error of the value at which the iteration ends, for every example of the batch; estimated
            by `_error`.
        max_iterations: it also ends here; residual and error tell.

    Returns:
        Value, residual, error, right singular vector and the number of iterations; NaN for an example whose Jacobian
        is not finite.
    """
    b, d, n = operator.shape
    # The start's part in the kernel of a wide J takes a step beyond the rank.
    limit = min(max_iterations, d + 1, n)
    v = lp.dual_vector(start.reshape(b, n), 2.0)
    u, beta = v.new_zeros(b, d), v.new_zeros(b)
    U, V, B = v.new_zeros(b, 0, d), v.new_zeros(b, 0, n), v.new_zeros(b, 0, 0)
    for _ in range(limit):
        V = torch.cat([V, v[:, None]], 1)
        alpha, u = _normalised(_without(operator.matvec(v) - beta[:, None] * u, U))
        U = torch.cat([U, u[:, None]], 1)
        B = _extended(B, alpha, beta)
        beta, v = _normalised(_without(operator.rmatvec(u).reshape(b, n) - alpha[:, None] * v, V))
        # A decomposition fails for the whole batch where one matrix is not finite.
        finite = B.isfinite().flatten(1).all(1) & beta.isfinite()
        P, S, Qh = _svd(torch.where(finite[:, None, None], B, 0.0))
        residuals = beta[:, None] * P[:, -1].abs() / S[:, :1].clamp(min=torch.finfo(S.dtype).tiny)
        error = _error(S / S[:, :1].clamp(min=torch.finfo(S.dtype).tiny), residuals)
        if bool((~finite | (error <= tolerance)).all()):
            break
    right = (Qh[:, :1] @ V)[:, 0]
    value, residual, error, right = (
        torch.where(lp.per_example(finite, result), result, math.nan)
        for result in (S[:, 0], residuals[:, 0], error, right)
    )
    return DominantSingularValue(value, residual, error, right, V.shape[1])


def _svd(B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The SVD of a batch of small matrices."""
    # On a GPU larger ones are decomposed one after the other.
    there = "cpu" if B.shape[1] > 32 else B.device
    P, S, Qh = torch.linalg.svd(B.to(there))
    return P.to(B.device), S.to(B.device), Qh.to(B.device)


def _error(S: Tensor, residuals: Tensor) -> Tensor:
    """How far the largest of `S` (B, k) is from a singular value, all relative to it, by Kato and Temple: the square of
    its residual over its distance from the next singular value, itself taken at the far end of its residual."""
    first = residuals[:, 0]
    if S.shape[1] == 1:
        return first
    gap = (S[:, 0] - S[:, 1] - residuals[:, 1]).clamp(min=torch.finfo(S.dtype).tiny)
    return torch.minimum(first, first.square() / gap)


def _without(x: Tensor, basis: Tensor) -> Tensor:
    """`x` (B, m) without its parts along the orthonormal `basis` (B, k, m); twice, against rounding."""
    for _ in range(2):
        x = x - ((x[:, None] @ basis.mT) @ basis)[:, 0]
    return x


def _normalised(x: Tensor) -> tuple[Tensor, Tensor]:
    return lp.norm(x, 2.0), lp.dual_vector(x, 2.0)


def _extended(B: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """The upper bidiagonal matrix with one more row and column: `alpha` in the corner, `beta` above it."""
    k = B.shape[1]
    larger = B.new_zeros(len(alpha), k + 1, k + 1)
    larger[:, :k, :k] = B
    larger[:, k, k] = alpha
    if k:
        larger[:, k - 1, k] = beta
    return larger

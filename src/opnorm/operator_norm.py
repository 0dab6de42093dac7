"""(p,q) operator norms max |J v|_q over |v|_p <= 1 (Eq. 8 and Table 1), the power method, and singular values.

A norm with a closed form is computed by it. The others are NP-hard: a small one is found by enumeration, a large one
is estimated from below by the power method (Eq. 12) and bounded from above by a certificate. Which of these happened
is in the result. Nothing here is differentiated; everything is per example of a batch, and NaN for an example whose
Jacobian is not finite.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from opnorm import lp
from opnorm.errors import SettingsError
from opnorm.jacobian import DenseOperator, LinearOperator

__all__ = [
    "ENUMERATION_LIMIT",
    "OperatorNorm",
    "PowerMethod",
    "operator_norm",
    "power_method",
    "singular_values",
    "singular_vectors",
]

# Sign vectors of at most this many entries are enumerated: 2^15 of them up to a common sign.
ENUMERATION_LIMIT = 16
# Entries of the largest temporary tensor, on a CPU and on a GPU: 32 MiB and 1 GiB in float64.
_ELEMENTS, _ELEMENTS_ON_GPU = 2**22, 2**27
_STARTS, _FINALISTS = 32, 4
_ROUNDS, _ITERATIONS_PER_ROUND = 20, 5
# Relative rise in a round at which a power method has arrived.
_NEGLIGIBLE = 1e-6
_CERTIFICATE_ITERATIONS = 100
# Relative gap at which a certificate is as good as the best of its kind.
_CERTIFICATE_GAP = 1e-3

Jacobian = Tensor | LinearOperator
# (J (b, d, n) in float64, p, q, generator) -> maximiser (b, n), upper bound (b,) or None where the maximiser is exact.
_Solver = Callable[[Tensor, float, float, torch.Generator], tuple[Tensor, Tensor | None]]


@dataclass(frozen=True)
class OperatorNorm:
    """A (p,q) operator norm per example.

    Attributes:
        value: |J maximizer|_q (B,); never above the norm, up to rounding.
        upper: an upper bound of the norm (B,); `value` itself where exact.
        maximizer: v (B, n) with |v|_p = 1.
        exact: whether `value` is the norm up to rounding, and not an estimate of it.
    """

    value: Tensor
    upper: Tensor
    maximizer: Tensor
    exact: bool


@dataclass(frozen=True)
class PowerMethod:
    """A run of Eq. 11 or 12, per example.

    Attributes:
        value: |J v_k|_q (B,) of the last iterate, a lower bound of the norm.
        maximizer: the last iterate v_k, shaped like the start.
        left: the last u_k (B, d), dual to J v_{k-1}.
        values: |J v_k|_q (iterations, B) of v_1, v_2, ...
        residual: |v_k - v_{k-1}|_2 (B,) of the last step.
        iterations: number of forward-backward passes.
    """

    value: Tensor
    maximizer: Tensor
    left: Tensor
    values: Tensor
    residual: Tensor
    iterations: int


@torch.no_grad()
def operator_norm(jacobian: Jacobian, p: float, q: float, *, generator: torch.Generator | None = None) -> OperatorNorm:
    """max |J v|_q over |v|_p <= 1 (Eq. 8), by the best method there is for these exponents and this shape.

    * p = 1: a column; q = inf: a row; p = q = 2: the largest singular value. Exact (Table 1).
    * q = 1 with few outputs: exact, |J|_{p,1} = max |J^T s|_{p*} over the sign vectors s of the outputs.
    * p = inf with few inputs: exact, a convex function is largest at a vertex.
    * (inf,2) and (2,1) = transposed (inf,2): the power method from starts rounded as Nesterov (1998) does, and the
      certificate of `_certificate`, above the norm by a factor of at most sqrt(pi/2) once it has converged.
    * (inf,1): the same after weighting the rows. Other exponents: random starts, and norm inequalities.

    Args:
        jacobian: (B, d, n), or an operator, whose dense matrix is taken.
        p, q: exponents of domain and co-domain, from 1 to inf.
        generator: source of the random starts, on the device of the Jacobian; by default of a fixed seed.

    Returns:
        Values and maximisers in the dtype of the Jacobian, computed in float64; an upper bound is rounded upwards.

    Raises:
        SettingsError: an exponent below 1 or not a number; a Jacobian of whole numbers.
    """
    J = _dense(jacobian)
    _, d, n = J.shape
    solve = _solver(d, n, p, q)
    if generator is None:
        generator = torch.Generator(J.device).manual_seed(0)
    parts = [_operator_norm(solve, part, p, q, generator) for part in _parts(J)]
    return OperatorNorm(
        value=torch.cat([part.value for part in parts]),
        upper=torch.cat([part.upper for part in parts]),
        maximizer=torch.cat([part.maximizer for part in parts]),
        exact=parts[0].exact,
    )


@torch.no_grad()
def power_method(
    operator: LinearOperator,
    p: float,
    q: float,
    *,
    iterations: int,
    start: Tensor,
    step_size: float = math.inf,
) -> PowerMethod:
    """Projected gradient ascent on |J v|_q over the lp sphere (Eq. 11); the power method for step_size = inf (Eq. 12).

    u_k is the maximiser of Eq. 16 in the dual of the output norm, which is the normalisation of Eq. 11 with its limits
    for q = 1 and inf. Where J^T u_k is exactly zero, v stays.

    Args:
        operator: J of a batch.
        p, q: exponents of domain and co-domain; p is 1, 2 or inf for a finite step.
        iterations: forward-backward passes, at least 1.
        start: v_0, (B, n) or shaped like the inputs; of any length for an infinite step.
        step_size: alpha, above 0, in units of v per unit of J.

    Raises:
        SettingsError: an argument outside these ranges, or a start of another shape.
    """
    if iterations < 1:
        raise SettingsError(f"iterations: {iterations!r} is not a whole number of at least 1")
    if not step_size > 0.0:
        raise SettingsError(f"step_size: {step_size!r} is not a number above 0")
    b, _, n = operator.shape
    if start.shape[:1] != (b,) or start.shape[1:].numel() != n:
        raise SettingsError(f"start: of shape {tuple(start.shape)}, where the operator takes ({b}, {n})")
    dual_of_q = lp.dual_exponent(q)
    v = previous = start
    jv = operator.matvec(v)
    u, values = jv, []
    for _ in range(iterations):
        u = lp.dual_vector(jv, dual_of_q)
        previous, v = v, _step(v, operator.rmatvec(u).reshape(v.shape), p, step_size)
        jv = operator.matvec(v)
        values.append(lp.norm(jv, q))
    return PowerMethod(values[-1], v, u, torch.stack(values), lp.norm(v - previous, 2.0), iterations)


@torch.no_grad()
def singular_values(jacobian: Jacobian) -> Tensor:
    """All min(d, n) singular values of each example (B, r), descending, in the dtype of the Jacobian.

    Of float32 matrices through the eigenvalues of the smaller Gram matrix in float64, several times faster than an SVD:
    their absolute error is about sqrt(2.2e-16) = 1.5e-8 of the largest, below float32's own resolution of it.
    """
    J = _dense(jacobian)
    found = []
    for part in _parts(J):
        A, finite = _finite(part)
        if J.dtype == torch.float64:
            S = torch.linalg.svdvals(A)
        else:
            S = torch.linalg.eigvalsh(_gram(_wide(A.double()))).clamp(min=0.0).sqrt().flip(1)
        found.append(_nan_unless(finite, S))
    return torch.cat(found).to(J.dtype)


@torch.no_grad()
def singular_vectors(jacobian: Jacobian) -> tuple[Tensor, Tensor, Tensor]:
    """The thin singular value decomposition J = U diag(S) Vh, r = min(d, n), S descending.

    Of float32 matrices through the smaller Gram matrix, with the accuracy of `singular_values`; U and V are orthonormal
    whatever the rank.

    Returns:
        U (B, d, r), S (B, r), Vh (B, r, n) in the dtype of the Jacobian.
    """
    J = _dense(jacobian)
    parts = []
    for part in _parts(J):
        A, finite = _finite(part)
        decomposed = torch.linalg.svd(A, full_matrices=False) if J.dtype == torch.float64 else _decomposed(A.double())
        # In float64 all parts together would need twice the memory of what is returned.
        parts.append([_nan_unless(finite, factor).to(J.dtype) for factor in decomposed])
    U, S, Vh = (torch.cat(factors) for factors in zip(*parts, strict=True))
    return U, S, Vh


def _dense(jacobian: Jacobian) -> Tensor:
    matrix = DenseOperator(jacobian if isinstance(jacobian, Tensor) else jacobian.dense()).matrix
    if not matrix.is_floating_point():
        raise SettingsError(f"jacobian: of {matrix.dtype}, which holds no fractions; convert it with .float()")
    return matrix


def _finite(J: Tensor) -> tuple[Tensor, Tensor]:
    """J (b, d, n) with zeros in place of the examples that are not finite, and which are (b,)."""
    finite = J.isfinite().flatten(1).all(1)
    return torch.where(finite[:, None, None], J, 0.0), finite


def _nan_unless(finite: Tensor, result: Tensor) -> Tensor:
    """`result` (b, ...), NaN for the examples that are not `finite` (b,)."""
    return torch.where(lp.per_example(finite, result), result, math.nan)


def _parts(J: Tensor) -> tuple[Tensor, ...]:
    """The batch in pieces that bound the memory of what is computed for each."""
    _, d, n = J.shape
    return torch.split(J, max(1, _elements(J) // (max(d, _STARTS) * n)))


def _elements(J: Tensor) -> int:
    """How many numbers may be in memory at once beside J."""
    return _ELEMENTS_ON_GPU if J.is_cuda else _ELEMENTS


def _solver(d: int, n: int, p: float, q: float) -> _Solver:
    # The dual exponents are taken because they refuse what is no exponent.
    if lp.dual_exponent(p) == math.inf or n == 1:
        return _largest_column
    if lp.dual_exponent(q) == 1.0 or d == 1:
        return _largest_row
    if q == 1.0 and d <= ENUMERATION_LIMIT:
        return _enumerated_outputs
    if p == math.inf and n <= ENUMERATION_LIMIT:
        return _enumerated_inputs
    special: dict[tuple[float, float], _Solver] = {
        (2.0, 2.0): _spectral,
        (math.inf, 2.0): _infinity_to_two,
        (2.0, 1.0): _two_to_one,
        (math.inf, 1.0): _infinity_to_one,
    }
    return special.get((p, q), _general)


def _operator_norm(solve: _Solver, J: Tensor, p: float, q: float, generator: torch.Generator) -> OperatorNorm:
    J, finite = _finite(J)
    A, scale = _scaled(J)
    v, upper = solve(A, p, q, generator)
    # Any v is a maximiser of J = 0, but only a unit vector is a unit vector.
    v = lp.first_axis_if_zero(v)
    value = lp.norm(DenseOperator(A).matvec(v), q)
    rounded = (scale * value).to(J.dtype)
    bound = rounded if upper is None else _rounded_up(scale * torch.maximum(upper, value), J.dtype)
    value, bound, v = (_nan_unless(finite, result) for result in (rounded, bound, v.to(J.dtype)))
    return OperatorNorm(value, bound, v, exact=upper is None)


def _rounded_up(bound: Tensor, dtype: torch.dtype) -> Tensor:
    """A float64 bound in another dtype, not below itself."""
    rounded = bound.to(dtype)
    return torch.where(rounded < bound, torch.nextafter(rounded, torch.full_like(rounded, math.inf)), rounded)


def _scaled(J: Tensor) -> tuple[Tensor, Tensor]:
    """J / scale in float64, and the scale (b,): squares of float32 numbers stay in float64's range as they are."""
    if J.dtype != torch.float64:
        return J.double(), J.new_ones(len(J), dtype=torch.float64)
    largest = lp.norm(J, math.inf)
    scale = torch.where(largest > 0.0, largest, torch.ones_like(largest))
    return J / scale[:, None, None], scale


def _step(v: Tensor, gradient: Tensor, p: float, step_size: float) -> Tensor:
    """The second line of Eq. 11, or of Eq. 12 for an infinite step."""
    if step_size == math.inf:
        moved = lp.dual_vector(gradient, p)
    else:
        moved = lp.project_sphere(v + step_size * gradient, p, 1.0)
    still = (gradient == 0.0).flatten(1).all(1)
    return torch.where(lp.per_example(still, v), v, moved)


def _largest_column(A: Tensor, p: float, q: float, generator: torch.Generator) -> tuple[Tensor, None]:
    columns = torch.linalg.vector_norm(A, q, dim=1)
    return torch.zeros_like(columns).scatter(1, columns.argmax(1, keepdim=True), 1.0), None


def _largest_row(A: Tensor, p: float, q: float, generator: torch.Generator) -> tuple[Tensor, None]:
    rows = torch.linalg.vector_norm(A, lp.dual_exponent(p), dim=2)
    return lp.dual_vector(_picked(A, rows.argmax(1)), p), None


def _spectral(A: Tensor, p: float, q: float, generator: torch.Generator) -> tuple[Tensor, None]:
    dominant = torch.linalg.eigh(_gram(_wide(A))).eigenvectors[..., -1]
    if A.shape[1] > A.shape[2]:
        return dominant, None
    return lp.dual_vector(DenseOperator(A).rmatvec(dominant), 2.0), None


def _enumerated_outputs(A: Tensor, p: float, q: float, generator: torch.Generator) -> tuple[Tensor, None]:
    s = _best_signs(A, lp.dual_exponent(p))
    return lp.dual_vector(DenseOperator(A).rmatvec(s), p), None


def _enumerated_inputs(A: Tensor, p: float, q: float, generator: torch.Generator) -> tuple[Tensor, None]:
    return _best_signs(A.mT, q), None


def _infinity_to_two(A: Tensor, p: float, q: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    R = _compressed(A)
    upper, root = _certificate(R)
    return _best_of(R, p, q, _rounded_starts(R, root, generator)), upper


def _two_to_one(A: Tensor, p: float, q: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    # |J|_{2,1} = |J^T|_{inf,2}, and J^T s is the maximiser's direction.
    s, upper = _infinity_to_two(A.mT, math.inf, 2.0, generator)
    return lp.dual_vector(DenseOperator(A).rmatvec(s), 2.0), upper


def _infinity_to_one(A: Tensor, p: float, q: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """For any r > 0, |J v|_1 <= sqrt(sum r) |diag(r)^(-1/2) J v|_2 (Cauchy-Schwarz), whose (inf,2) norm has a
    certificate; the closer r is to |J v| at the maximiser the better."""
    r = torch.linalg.vector_norm(A, 1, dim=2)
    upper = r.sum(1)
    candidates = []
    for _ in range(3):
        r = _positive(r, 1e-6)
        R = _compressed(A / r.sqrt()[:, :, None])
        bound, root = _certificate(R)
        upper = torch.minimum(upper, bound * r.sum(1).sqrt())
        candidates.append(_best_of(A, p, q, _rounded_starts(R, root, generator)))
        r = DenseOperator(A).matvec(candidates[-1]).abs()
    return _best_of(A, p, q, torch.stack(candidates, 1)), upper * _rounding_allowance(A)


def _general(A: Tensor, p: float, q: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    u = torch.randn(len(A), _STARTS, A.shape[1], generator=generator, dtype=A.dtype, device=A.device)
    starts = lp.dual_vector(_Repeated(A, _STARTS).rmatvec(u), p).view(len(A), _STARTS, A.shape[2])
    return _best_of(A, p, q, starts), _crude(A, p, q)


def _crude(A: Tensor, p: float, q: float) -> Tensor:
    """The smallest of three bounds by inequalities between lp norms, through (2,2), (p,inf) and (1,q)."""
    _, d, n = A.shape
    spectral = torch.linalg.eigvalsh(_gram(_wide(A)))[:, -1].clamp(min=0.0).sqrt()
    rows = torch.linalg.vector_norm(A, lp.dual_exponent(p), dim=2).amax(1)
    columns = torch.linalg.vector_norm(A, q, dim=1).amax(1)
    factor = n ** max(0.0, 0.5 - 1.0 / p) * d ** max(0.0, 1.0 / q - 0.5)
    bounds = torch.stack([factor * spectral, d ** (1.0 / q) * rows, n ** (1.0 - 1.0 / p) * columns])
    return bounds.amin(0) * _rounding_allowance(A)


def _best_signs(M: Tensor, r: float) -> Tensor:
    """argmax of |M^T s|_r over s in {-1, 1}^k (b, k), of M (b, k, m), by enumeration up to the common sign.

    M^T s is a sum of two, over the first and the second half of the rows: few vectors each, and their distances are
    all that is needed. For r = 2 the square is less work still, through M M^T.
    """
    b, k, m = M.shape
    G = _gram(M) if r == 2.0 else None
    half = k // 2 if G is None else 0
    size = max(1, _elements(M) // (max(b, 1) * (m if G is None else k)))
    firsts, seconds = torch.split(_signs(half, M), size), torch.split(_signs(k - half, M)[: 2 ** (k - half - 1)], size)
    best, best_value = M.new_ones(b, k), M.new_full((b,), -math.inf)
    for first, second in itertools.product(firsts, seconds):
        if G is None:
            values = torch.cdist(first @ M[:, :half], -second @ M[:, half:], p=r).flatten(1)
        else:
            values = (second @ G * second).sum(2)
        value, index = values.max(1)
        signs = torch.cat([first[index // len(second)], second[index % len(second)]], 1)
        best = torch.where((value > best_value)[:, None], signs, best)
        best_value = torch.maximum(value, best_value)
    return best


def _signs(k: int, like: Tensor) -> Tensor:
    """All sign vectors (2^k, k); in the first half of them the last entry is 1."""
    codes, bits = torch.arange(2**k, device=like.device), torch.arange(k, device=like.device)
    return (1 - 2 * ((codes[:, None] >> bits) & 1)).to(like.dtype)


class _Repeated:
    """Each matrix of A (b, d, n) `times` in a row, as an operator on b * times vectors, without copies."""

    def __init__(self, A: Tensor, times: int) -> None:
        self.A, self.times = A, times

    @property
    def shape(self) -> tuple[int, int, int]:
        b, d, n = self.A.shape
        return b * self.times, d, n

    def matvec(self, v: Tensor) -> Tensor:
        return (v.view(len(self.A), self.times, self.A.shape[2]) @ self.A.mT).flatten(0, 1)

    def rmatvec(self, u: Tensor) -> Tensor:
        return (u.view(len(self.A), self.times, self.A.shape[1]) @ self.A).flatten(0, 1)

    def dense(self) -> Tensor:
        return self.A.repeat_interleave(self.times, 0)


def _best_of(A: Tensor, p: float, q: float, starts: Tensor) -> Tensor:
    """The best end (b, n) of the power method from each of `starts` (b, S, n), run until it rises no more; the worse
    half is given up after each round, down to a few."""
    v, best = starts, A.new_zeros(len(A))
    for _ in range(_ROUNDS):
        S = v.shape[1]
        start = v.flatten(0, 1)
        run = power_method(_Repeated(A, S), p, q, iterations=_ITERATIONS_PER_ROUND, start=start)
        values, kept = run.value.view(len(A), S).topk(min(S, max(_FINALISTS, S // 2)), dim=1)
        v = _picked(run.maximizer.view(len(A), S, A.shape[2]), kept)
        risen = values[:, 0] > best * (1.0 + _NEGLIGIBLE)
        best = values[:, 0]
        if not risen.any():
            break
    return v[:, 0]


def _certificate(A: Tensor) -> tuple[Tensor, Tensor]:
    """An upper bound (b,) of |A|_{inf,2}, and U^(1/2) (b, d, d) of the dual solution, for starts.

    For every D > 0, |A v|_2^2 <= lambda_max(A D^-1 A^T) v^T D v <= lambda_max(A D^-1 A^T) sum(D). The best D is
    D_i = sqrt(a_i^T U a_i) with columns a_i and the U >= 0, tr U = 1, that maximises sum(D); it is approached by
    U <- U^(1/2) A D^-1 A^T U^(1/2) / trace, and each step gives a bound. At the best D it is Nesterov's semidefinite
    relaxation, at most pi/2 above the square of the norm.
    """
    b, d, _ = A.shape
    root = torch.eye(d, dtype=A.dtype, device=A.device).expand(b, d, d) / math.sqrt(d)
    best = A.new_full((b,), math.inf)
    for _ in range(_CERTIFICATE_ITERATIONS):
        D = torch.linalg.vector_norm(root @ A, dim=1)
        dual = D.sum(1)
        D = _positive(D, 1e-12)
        M = (A / D[:, None, :]) @ A.mT
        bound = (torch.linalg.eigvalsh(M)[:, -1].clamp(min=0.0) * D.sum(1)).sqrt()
        best = torch.minimum(best, bound)
        root = _square_root(root @ M @ root)
        if (best <= dual * (1.0 + _CERTIFICATE_GAP)).all():
            break
    return best * _rounding_allowance(A), root


def _square_root(U: Tensor) -> Tensor:
    """The symmetric root (b, d, d) of U / tr U; zero where U is."""
    values, vectors = torch.linalg.eigh(U)
    roots = values.clamp(min=0.0).sqrt()
    length = torch.linalg.vector_norm(roots, dim=1, keepdim=True)
    unit = roots / torch.where(length > 0.0, length, torch.ones_like(length))
    root: Tensor = (vectors * unit[:, None, :]) @ vectors.mT
    return root


def _rounded_starts(A: Tensor, root: Tensor, generator: torch.Generator) -> Tensor:
    """Nesterov's rounding: sign vectors (b, S, n) of A^T u for Gaussian u of covariance U."""
    g = torch.randn(len(A), _STARTS, root.shape[1], generator=generator, dtype=A.dtype, device=A.device)
    return (g @ root @ A).sign()


def _positive(weights: Tensor, floor: float) -> Tensor:
    """Weights (b, k) of at least `floor` of the largest; ones where all are zero."""
    largest = weights.amax(1, keepdim=True)
    return torch.where(largest > 0.0, torch.maximum(weights, floor * largest), torch.ones_like(weights))


def _compressed(A: Tensor) -> Tensor:
    """R with R^T R = A^T A and no more rows than columns: |R v|_2 = |A v|_2."""
    if A.shape[1] <= A.shape[2]:
        return A
    R: Tensor = torch.linalg.qr(A, mode="r").R
    return R


def _rounding_allowance(A: Tensor) -> float:
    """1 + the relative rounding error of a Gram matrix's largest eigenvalue and of sums over A's entries: sums of n
    terms, d of them in the trace that bounds the eigenvalue."""
    _, d, n = A.shape
    return 1.0 + 4.0 * min(d, n) * (d + n) * torch.finfo(A.dtype).eps


def _wide(A: Tensor) -> Tensor:
    return A if A.shape[1] <= A.shape[2] else A.mT


def _gram(A: Tensor) -> Tensor:
    gram: Tensor = A @ A.mT
    return gram


def _picked(A: Tensor, index: Tensor) -> Tensor:
    """Rows `index` (b,) or (b, j) of each A (b, k, m), as (b, m) or (b, j, m)."""
    examples = torch.arange(len(A), device=A.device).view(-1, *[1] * (index.ndim - 1))
    rows: Tensor = A[examples, index]
    return rows


def _decomposed(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """U, S, Vh of A (b, d, n) through the Gram matrix of its smaller side."""
    if A.shape[1] > A.shape[2]:
        U, S, Vh = _decomposed(A.mT)
        return Vh.mT, S, U.mT
    squares, U = torch.linalg.eigh(_gram(A))
    U = U.flip(2)
    # V = A^T U / S in exact arithmetic; the factor Q is that, and orthonormal also where S vanishes.
    V, R = torch.linalg.qr(A.mT @ U)
    sign = torch.where(R.diagonal(dim1=1, dim2=2) < 0.0, -1.0, 1.0)
    S = squares.clamp(min=0.0).sqrt().flip(1)
    return U, S, (V * sign[:, None, :]).mT

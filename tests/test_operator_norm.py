"""Operator norms against enumeration in float64, and the power method against Eq. 9 to 12."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import reference
from opnorm import lp, operator_norm
from opnorm.errors import SettingsError
from opnorm.jacobian import DenseOperator, InputJacobian
from opnorm.operator_norm import OperatorNorm, power_method, singular_values, singular_vectors

# Sums of at most some hundreds of float64 products, and roots of them.
ROUNDING = 1e-11
# float32 rounds a result once, and the maximiser that it is compared with once per entry: 6e-8 each.
FLOAT32 = 1e-6
SHAPES = ((1, 1), (1, 4), (4, 1), (3, 5), (5, 3), (4, 4))

seeds = st.integers(0, 2**32 - 1)
exponents = st.sampled_from(reference.EXPONENTS)
table_1 = pytest.mark.parametrize(("p", "q"), reference.TABLE_1)
modest = settings(deadline=None, max_examples=40)


def gaussian(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def matrices(seed: int, d: int, n: int) -> Tensor:
    """A full, a sparse, a rank-one and an integer matrix (4, d, n); the integers tie."""
    full = gaussian(seed, d, n)
    sparse = full * (gaussian(seed + 1, d, n) > 0.5)
    return torch.stack([full, sparse, gaussian(seed, d, 1) * gaussian(seed, 1, n), full.round()])


def expected(J: Tensor, p: float, q: float) -> Tensor:
    return torch.tensor([reference.operator_norm(example, p, q) for example in J], dtype=torch.float64)


def assert_consistent(result: OperatorNorm, J: Tensor, p: float, q: float, tolerance: float = ROUNDING) -> None:
    """What holds of every result: unit maximisers, values attained by them, an upper bound above."""
    v = result.maximizer.double()
    attained = [reference.norm(example @ row, q) for example, row in zip(J.double(), v, strict=True)]
    torch.testing.assert_close(
        result.value.double(), torch.tensor(attained, dtype=torch.float64), rtol=tolerance, atol=0.0
    )
    lengths = torch.tensor([reference.norm(row, p) for row in v], dtype=torch.float64)
    torch.testing.assert_close(lengths, torch.ones_like(lengths), rtol=0.0, atol=tolerance)
    assert (result.upper >= result.value).all()
    assert not result.exact or torch.equal(result.upper, result.value)


@table_1
@pytest.mark.parametrize(("d", "n"), SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_small_norms_are_exact(p: float, q: float, d: int, n: int, dtype: torch.dtype) -> None:
    J = matrices(10 * d + n, d, n).to(dtype)
    result = operator_norm.operator_norm(J, p, q)
    tolerance = FLOAT32 if dtype == torch.float32 else ROUNDING
    assert result.exact
    assert {result.value.dtype, result.upper.dtype, result.maximizer.dtype} == {dtype}
    torch.testing.assert_close(result.value.double(), expected(J.double(), p, q), rtol=tolerance, atol=ROUNDING)
    assert_consistent(result, J, p, q, tolerance)


@modest
@given(seeds, exponents, exponents)
def test_nothing_in_the_ball_does_better(seed: int, p: float, q: float) -> None:
    J = gaussian(seed, 1, 3, 4)
    value = operator_norm.operator_norm(J, p, q).value
    v = gaussian(seed + 1, 500, 4)
    v = torch.cat([v, v.sign(), torch.eye(4, dtype=torch.float64)])
    v = v / lp.norm(v, p)[:, None]
    assert lp.norm(v @ J[0].T, q).max() <= value[0] * (1.0 + ROUNDING)


@modest
@given(seeds, exponents, exponents, st.floats(1e-3, 1e3))
def test_norms_are_homogeneous_and_dual(seed: int, p: float, q: float, factor: float) -> None:
    J = gaussian(seed, 2, 3, 5)
    value = operator_norm.operator_norm(J, p, q).value
    scaled = operator_norm.operator_norm(-factor * J, p, q).value
    torch.testing.assert_close(scaled, factor * value, rtol=ROUNDING, atol=0.0)
    adjoint = operator_norm.operator_norm(J.mT, lp.dual_exponent(q), lp.dual_exponent(p)).value
    torch.testing.assert_close(adjoint, value, rtol=ROUNDING, atol=0.0)


@pytest.mark.parametrize(("p", "q"), [(2.0, 1.0), (math.inf, 1.0), (math.inf, 2.0)])
@pytest.mark.parametrize(("d", "n"), [(3, 6), (6, 3), (5, 5)])
def test_estimate_and_bound_enclose_the_norm(
    p: float, q: float, d: int, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operator_norm, "ENUMERATION_LIMIT", 1)
    J = torch.cat([matrices(seed, d, n) for seed in range(5)])
    result = operator_norm.operator_norm(J, p, q)
    exact = expected(J, p, q)
    assert not result.exact
    assert_consistent(result, J, p, q)
    # A matrix may be rounded to zero by chance, and then every bound is zero.
    assert (result.value <= exact * (1.0 + ROUNDING)).all()
    assert (result.upper >= exact).all()
    # Many starts in few dimensions: the estimate is the norm.
    torch.testing.assert_close(result.value, exact, rtol=1e-9, atol=1e-12)
    if (p, q) != (math.inf, 1.0):
        # Nesterov's factor, and the relative gap that ends the iteration.
        factor = math.sqrt(math.pi / 2.0) * (1.0 + 1e-3)
        assert (result.upper <= factor * exact + 1e-12).all()


@table_1
@pytest.mark.parametrize(("d", "n"), [(3, 5), (5, 3)])
def test_the_bound_of_other_exponents_holds_at_those_of_table_1(p: float, q: float, d: int, n: int) -> None:
    J = matrices(1, d, n)
    assert (operator_norm._crude(J, p, q) >= expected(J, p, q)).all()


@pytest.mark.parametrize(("p", "q"), [(1.5, 3.0), (3.0, 1.5), (4.0, 4.0), (2.0, 3.0)])
def test_other_exponents_are_enclosed(p: float, q: float) -> None:
    J = matrices(2, 3, 3)
    result = operator_norm.operator_norm(J, p, q)
    assert not result.exact
    assert_consistent(result, J, p, q)
    v = gaussian(0, 20000, 3)
    v = v / lp.norm(v, p)[:, None]
    sampled = torch.stack([lp.norm(v @ example.T, q).max() for example in J])
    assert (result.upper >= sampled).all()
    # 20000 points of a sphere of two dimensions come within about 0.02 of the maximiser, where |J v| is flat.
    assert (result.value >= sampled * (1.0 - 1e-9)).all()
    assert (result.value <= sampled * 1.01).all()


@pytest.mark.parametrize(("p", "q"), [(1.5, 1.0), (math.inf, 3.0), (3.0, math.inf), (1.0, 3.0)])
def test_other_exponents_are_exact_where_a_vertex_is_the_maximiser(p: float, q: float) -> None:
    J = matrices(3, 3, 4)
    result = operator_norm.operator_norm(J, p, q)
    assert result.exact
    assert_consistent(result, J, p, q)
    r = lp.dual_exponent(p)
    by_vertices = {
        (1.5, 1.0): [max(reference.norm(j.T @ s, r) for s in reference.sign_vectors(3)) for j in J],
        (math.inf, 3.0): [max(reference.norm(j @ s, 3.0) for s in reference.sign_vectors(4)) for j in J],
        (3.0, math.inf): [max(reference.norm(row, r) for row in j) for j in J],
        (1.0, 3.0): [max(reference.norm(column, 3.0) for column in j.T) for j in J],
    }
    torch.testing.assert_close(
        result.value, torch.tensor(by_vertices[p, q], dtype=torch.float64), rtol=ROUNDING, atol=ROUNDING
    )


def test_the_infinity_to_two_bound_is_tight_for_logit_jacobians() -> None:
    J = gaussian(4, 6, 10, 300).float()
    result = operator_norm.operator_norm(J, math.inf, 2.0)
    assert not result.exact
    assert_consistent(result, J, math.inf, 2.0, tolerance=FLOAT32)
    # Nesterov's factor bounds upper / norm; gaussian matrices leave room for the value to be below the norm.
    assert (result.upper / result.value <= math.sqrt(math.pi / 2.0) * (1.0 + 1e-3)).all()


def test_the_bound_of_a_decaying_spectrum_is_nearly_the_norm() -> None:
    U, S, Vh = torch.linalg.svd(gaussian(27, 3, 10, 300), full_matrices=False)
    J = (U * S[:, :1, None] / torch.arange(1, 11)) @ Vh
    result = operator_norm.operator_norm(J, math.inf, 2.0)
    # The relaxation has no gap here; 1e-3 is the iteration's. Its start is 7% off.
    assert (result.upper / result.value <= 1.0 + 5e-3).all()


def test_float32_bounds_are_rounded_upwards() -> None:
    J = gaussian(28, 20, 6, 40).float()
    bound = operator_norm.operator_norm(J.double(), math.inf, 2.0).upper
    rounded = operator_norm.operator_norm(J, math.inf, 2.0).upper.double()
    # The float64 computation scales J first, which changes its last digits.
    assert (rounded >= bound * (1.0 - 1e-12)).all()
    torch.testing.assert_close(rounded, bound, rtol=2.4e-7, atol=0.0)


def test_a_certificate_that_meets_the_value_proves_it() -> None:
    """Non-negative rank-one matrices: the norm is |a|_2 |b|_1, and the relaxation has no gap."""
    J = gaussian(5, 2, 20, 1).abs() * gaussian(6, 2, 1, 40).abs()
    for p, q in ((math.inf, 2.0), (2.0, 1.0), (math.inf, 1.0)):
        result = operator_norm.operator_norm(J, p, q)
        assert not result.exact
        # The gap at which the certificate's iteration ends, and twice that through a square.
        assert (result.upper / result.value <= 1.0 + 2e-3).all()


def test_large_norms_agree_with_their_transposes() -> None:
    J = gaussian(7, 2, 20, 30)
    results = {q: operator_norm.operator_norm(J, math.inf, q) for q in (1.0, 2.0)}
    two_to_one = operator_norm.operator_norm(J.mT, 2.0, 1.0)
    # Both run the same method; the maximiser of one is the dual of the other's.
    torch.testing.assert_close(two_to_one.value, results[2.0].value, rtol=1e-9, atol=0.0)
    torch.testing.assert_close(two_to_one.upper, results[2.0].upper, rtol=1e-9, atol=0.0)
    adjoint = operator_norm.operator_norm(J.mT, math.inf, 1.0)
    bounds = torch.minimum(adjoint.upper, results[1.0].upper)
    assert (torch.maximum(adjoint.value, results[1.0].value) <= bounds).all()


@table_1
@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 20, 17), (2, 17, 20)])
def test_zero_matrices_have_norm_zero(p: float, q: float, shape: tuple[int, int, int]) -> None:
    J = torch.zeros(shape)
    # Zero rows and columns in a matrix that is not zero.
    J[1, 0, 1] = 2.0
    result = operator_norm.operator_norm(J, p, q)
    assert_consistent(result, J, p, q, tolerance=FLOAT32)
    torch.testing.assert_close(result.value, torch.tensor([0.0, 2.0]), rtol=FLOAT32, atol=0.0)
    assert result.upper[0] == 0.0


@table_1
@pytest.mark.parametrize("size", [1e-200, 1e200])
@pytest.mark.parametrize("limit", [1, 16])
def test_the_size_of_the_matrix_does_not_matter(
    p: float, q: float, size: float, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operator_norm, "ENUMERATION_LIMIT", limit)
    J = gaussian(8, 2, 3, 4)
    unit, sized = (operator_norm.operator_norm(J * factor, p, q) for factor in (1.0, size))
    torch.testing.assert_close(sized.value / size, unit.value, rtol=ROUNDING, atol=0.0)
    torch.testing.assert_close(sized.upper / size, unit.upper, rtol=ROUNDING, atol=0.0)


def test_examples_are_independent_however_the_batch_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    J = gaussian(9, 5, 3, 4)
    whole = {pq: operator_norm.operator_norm(J, *pq) for pq in reference.TABLE_1}
    monkeypatch.setattr(operator_norm, "_ELEMENTS", 1)
    for (p, q), result in whole.items():
        cut = operator_norm.operator_norm(J, p, q)
        torch.testing.assert_close(cut.value, result.value, rtol=ROUNDING, atol=0.0)


def test_starts_come_from_the_generator() -> None:
    J = gaussian(10, 2, 20, 40)
    first, again = (operator_norm.operator_norm(J, math.inf, 1.0) for _ in range(2))
    assert torch.equal(first.maximizer, again.maximizer)
    other = operator_norm.operator_norm(J, math.inf, 1.0, generator=torch.Generator().manual_seed(1))
    assert (other.value <= first.upper).all()


@pytest.mark.parametrize(("p", "q"), [(0.5, 2.0), (2.0, math.nan)])
def test_what_is_no_exponent_is_refused(p: float, q: float) -> None:
    with pytest.raises(SettingsError, match=r"0\.5|nan"):
        operator_norm.operator_norm(torch.ones(1, 2, 2), p, q)


def test_an_operator_and_its_matrix_have_the_same_norm() -> None:
    W, x = gaussian(11, 6, 3), gaussian(12, 4, 2, 3)
    jacobian = InputJacobian(lambda x: (x.flatten(1) @ W).tanh(), x.requires_grad_())
    for p, q in reference.TABLE_1:
        from_operator = operator_norm.operator_norm(jacobian, p, q)
        from_matrix = operator_norm.operator_norm(jacobian.dense(), p, q)
        assert torch.equal(from_operator.value, from_matrix.value)
        assert not from_operator.maximizer.requires_grad


@modest
@given(seeds, st.sampled_from((1.0, 1.5, 2.0, 3.0, math.inf)), st.sampled_from((1.0, 1.5, 2.0, 3.0, math.inf)))
def test_the_power_method_rises_to_at_most_the_norm(seed: int, p: float, q: float) -> None:
    J = matrices(seed, 3, 4)
    start = lp.dual_vector(gaussian(seed + 2, 4, 4), p)
    run = power_method(DenseOperator(J), p, q, iterations=8, start=start)
    values = torch.cat([lp.norm(DenseOperator(J).matvec(start), q)[None], run.values])
    # <J^T u, v_{k+1}> >= <J^T u, v_k> = |J v_k|_q by Lemma 1.
    assert (values[1:] >= values[:-1] * (1.0 - ROUNDING) - 1e-14).all()
    assert (run.value <= operator_norm.operator_norm(J, p, q).upper * (1.0 + ROUNDING)).all()
    assert not run.maximizer.isnan().any()


def test_the_power_method_reports_its_last_step() -> None:
    J = gaussian(13, 3, 4, 6)
    operator, start = DenseOperator(J), gaussian(14, 3, 6)
    before, run = (power_method(operator, 2.0, 2.0, iterations=k, start=start) for k in (4, 5))
    assert run.iterations == 5
    assert run.values.shape == (5, 3)
    assert torch.equal(run.value, run.values[-1])
    torch.testing.assert_close(run.value, lp.norm(operator.matvec(run.maximizer), 2.0), rtol=ROUNDING, atol=0.0)
    torch.testing.assert_close(run.residual, lp.norm(run.maximizer - before.maximizer, 2.0), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(run.left, lp.dual_vector(operator.matvec(before.maximizer), 2.0))


def test_the_power_method_finds_the_dominant_singular_vector() -> None:
    U, S, Vh = torch.linalg.svd(gaussian(15, 2, 4, 6), full_matrices=False)
    J = (U * torch.tensor([8.0, 4.0, 2.0, 1.0], dtype=torch.float64)) @ Vh
    run = power_method(DenseOperator(J), 2.0, 2.0, iterations=40, start=gaussian(16, 2, 6))
    # The error shrinks by (4 / 8)^2 in each iteration, the value's by its square.
    torch.testing.assert_close(run.value, torch.full((2,), 8.0, dtype=torch.float64), rtol=ROUNDING, atol=0.0)
    overlap = (run.maximizer * Vh[:, 0]).sum(1).abs()
    torch.testing.assert_close(overlap, torch.ones(2, dtype=torch.float64), rtol=ROUNDING, atol=0.0)
    assert (run.residual < 1e-9).all()


def test_the_forward_pass_shares_the_ties_of_the_maximum_norm() -> None:
    """The limit q -> inf of Sec. 4.2: equal outputs of largest modulus share the weight."""
    J = torch.eye(3, dtype=torch.float64)[None]
    start = torch.tensor([[1.0, -1.0, 0.5]], dtype=torch.float64)
    run = power_method(DenseOperator(J), math.inf, math.inf, iterations=1, start=start)
    assert torch.equal(run.left, torch.tensor([[0.5, -0.5, 0.0]], dtype=torch.float64))
    assert torch.equal(run.maximizer, torch.tensor([[1.0, -1.0, 0.0]], dtype=torch.float64))


@table_1
def test_lemma_2_large_steps_tend_to_the_power_method(p: float, q: float) -> None:
    J, start = gaussian(17, 3, 4, 5), lp.dual_vector(gaussian(18, 3, 5), p)
    limit = power_method(DenseOperator(J), p, q, iterations=1, start=start)
    errors = []
    for step_size in (1e1, 1e3, 1e5):
        run = power_method(DenseOperator(J), p, q, iterations=1, start=start, step_size=step_size)
        errors.append((run.maximizer - limit.maximizer).abs().max().item())
    assert errors[0] >= errors[1] >= errors[2]
    # v_0 weighs 1 / (step |J^T u|), of order 1e-5.
    assert errors[2] < 1e-4


@table_1
def test_finite_steps_follow_eq_9(p: float, q: float) -> None:
    """v_1 from the gradient that autograd computes of |J v|_q."""
    J = gaussian(19, 2, 3, 5)
    start = lp.dual_vector(gaussian(20, 2, 5), p).requires_grad_()
    (gradient,) = torch.autograd.grad(lp.norm(DenseOperator(J).matvec(start), q).sum(), start)
    v = lp.project_sphere(start.detach() + 0.3 * gradient, p, 1.0)
    run = power_method(DenseOperator(J), p, q, iterations=1, start=start.detach(), step_size=0.3)
    torch.testing.assert_close(run.maximizer, v, rtol=0.0, atol=ROUNDING)
    on_sphere = power_method(DenseOperator(J), p, q, iterations=20, start=start.detach(), step_size=0.3)
    torch.testing.assert_close(lp.norm(on_sphere.maximizer, p), torch.ones(2, dtype=torch.float64))


@table_1
@pytest.mark.parametrize("step_size", [0.1, math.inf])
def test_v_stays_where_there_is_no_gradient(p: float, q: float, step_size: float) -> None:
    start = lp.dual_vector(gaussian(21, 2, 5), p)
    J = torch.stack([torch.zeros(3, 5, dtype=torch.float64), gaussian(22, 3, 5)])
    run = power_method(DenseOperator(J), p, q, iterations=3, start=start, step_size=step_size)
    assert torch.equal(run.maximizer[0], start[0])
    assert run.value[0] == 0.0
    assert run.value[1] > 0.0
    assert not run.maximizer.isnan().any()


def test_iterates_are_shaped_like_the_start() -> None:
    W, x = gaussian(23, 6, 3), gaussian(24, 4, 2, 3)
    jacobian = InputJacobian(lambda x: (x.flatten(1) @ W).tanh(), x)
    shaped = power_method(jacobian, math.inf, 2.0, iterations=4, start=x)
    flat = power_method(jacobian, math.inf, 2.0, iterations=4, start=x.flatten(1))
    assert shaped.maximizer.shape == x.shape
    assert torch.equal(shaped.maximizer.flatten(1), flat.maximizer)


@pytest.mark.parametrize(("d", "n"), [(3, 5), (20, 30)])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_example_that_is_not_finite_spoils_no_other(d: int, n: int, bad: float, dtype: torch.dtype) -> None:
    J = gaussian(30, 3, d, n).to(dtype)
    good = J[[0, 2]].clone()
    J[1, 2, 3] = bad
    for p, q in reference.TABLE_1:
        found, alone = operator_norm.operator_norm(J, p, q), operator_norm.operator_norm(good, p, q)
        for name in ("value", "upper", "maximizer"):
            of_all = getattr(found, name)
            assert of_all[1].isnan().all(), (p, q, name)
            assert of_all[[0, 2]].isfinite().all()
        # Random starts differ.
        torch.testing.assert_close(found.value[[0, 2]], alone.value, rtol=0.05, atol=0.0)
    results = [singular_values(J), *singular_vectors(J)]
    for of_all, alone in zip(results, [singular_values(good), *singular_vectors(good)], strict=True):
        assert of_all[1].isnan().all()
        assert torch.equal(of_all[[0, 2]], alone)


@pytest.mark.parametrize(("p", "q"), [*reference.TABLE_1, (3.0, 3.0)])
@pytest.mark.parametrize(("d", "n"), [(3, 4), (20, 30)])
def test_an_empty_batch_has_no_norms(p: float, q: float, d: int, n: int) -> None:
    result = operator_norm.operator_norm(torch.zeros(0, d, n), p, q)
    assert (result.value.shape, result.upper.shape, result.maximizer.shape) == ((0,), (0,), (0, n))
    assert singular_values(torch.zeros(0, d, n)).shape == (0, d)
    run = power_method(DenseOperator(torch.zeros(0, d, n)), p, q, iterations=2, start=torch.zeros(0, n))
    assert run.value.shape == (0,)


def test_whole_numbers_are_refused() -> None:
    for function in (
        singular_values,
        singular_vectors,
        lambda J: operator_norm.operator_norm(J, 2.0, 2.0),
    ):
        with pytest.raises(SettingsError, match=r"int64, which holds no fractions"):
            function(torch.tensor([[[1, 2], [3, 4]]]))


@pytest.mark.parametrize("shape", [(2, 3), (1, 4), (3,), ()])
def test_a_start_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(SettingsError, match=r"^start: of shape .* where the operator takes \(2, 4\)"):
        power_method(DenseOperator(torch.ones(2, 5, 4)), 2.0, 2.0, iterations=1, start=torch.ones(shape))


@pytest.mark.parametrize("arguments", [{"iterations": 0}, {"iterations": 1, "step_size": 0.0}])
def test_impossible_runs_are_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="iterations|step_size"):
        power_method(DenseOperator(torch.ones(1, 2, 2)), 2.0, 2.0, start=torch.ones(1, 2), **arguments)


@pytest.mark.parametrize(("d", "n"), [(4, 9), (9, 4), (5, 5), (1, 6)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_singular_value_decomposition(d: int, n: int, dtype: torch.dtype) -> None:
    J = matrices(25, d, n).to(dtype)
    expected = torch.linalg.svdvals(J.double())
    # The Gram matrix, for float32: see the docstring of singular_values.
    tolerance = FLOAT32 * float(expected.max()) if dtype == torch.float32 else ROUNDING
    torch.testing.assert_close(singular_values(J).double(), expected, rtol=0.0, atol=tolerance)
    U, S, Vh = singular_vectors(J)
    assert {U.dtype, S.dtype, Vh.dtype} == {dtype}
    torch.testing.assert_close(S.double(), expected, rtol=0.0, atol=tolerance)
    torch.testing.assert_close((U * S[:, None, :]) @ Vh, J, rtol=0.0, atol=10.0 * tolerance)
    unit = torch.eye(min(d, n), dtype=dtype).expand(4, -1, -1)
    # Orthonormal also for the matrix of rank one.
    for columns in (U, Vh.mT):
        torch.testing.assert_close(columns.mT @ columns, unit, rtol=0.0, atol=max(tolerance, 1e-12))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@table_1
@pytest.mark.parametrize("d", [3, 20])
def test_a_gpu_agrees(p: float, q: float, d: int) -> None:
    J = gaussian(26, 3, d, 30)
    here, there = operator_norm.operator_norm(J, p, q), operator_norm.operator_norm(J.cuda(), p, q)
    assert there.value.is_cuda
    assert there.exact == here.exact
    # Where it is estimated, the starts differ between devices.
    assert (there.value.cpu() <= here.upper).all()
    assert (here.value <= there.upper.cpu()).all()
    if here.exact:
        torch.testing.assert_close(there.value.cpu(), here.value, rtol=ROUNDING, atol=0.0)

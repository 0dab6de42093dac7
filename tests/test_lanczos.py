"""The dominant singular value against a dense decomposition."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from opnorm.jacobian import DenseOperator
from opnorm.lanczos import dominant_singular_value

# float64, bases of at most some tens of vectors.
ROUNDING = 1e-11

SHAPES = ((6, 15), (15, 6), (9, 9), (1, 7), (7, 1), (1, 1))


def gaussian(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def with_spectrum(seed: int, d: int, n: int, spectrum: Tensor) -> Tensor:
    """Matrices (B, d, n) with the singular values `spectrum` (B, min(d, n)) and random singular vectors."""
    U, _, Vh = torch.linalg.svd(gaussian(seed, len(spectrum), d, n), full_matrices=False)
    return U * spectrum[:, None, :] @ Vh


def spectra(r: int) -> Tensor:
    """Flat, geometric, degenerate at the top, nearly so, of rank one, of half rank, zero, tiny and huge (9, r)."""
    ones, ramp = torch.ones(r, dtype=torch.float64), torch.arange(r, dtype=torch.float64)
    top, one = (ramp < 2).double(), (ramp == 0).double()
    geometric, half = 0.5**ramp, (ramp < (r + 1) // 2).double() * 0.8**ramp
    nearly = geometric + 0.499 * (ramp == 1)
    return torch.stack(
        [ones, geometric, top + 0.1, nearly, one, half, 0.0 * ones, 1e-150 * geometric, 1e150 * geometric]
    )


def relative_error(value: Tensor, J: Tensor) -> Tensor:
    exact = torch.linalg.svdvals(J)[:, 0]
    return (value - exact).abs() / exact


@pytest.mark.parametrize(("d", "n"), SHAPES)
def test_value_and_vector_are_the_dominant_ones(d: int, n: int) -> None:
    J = with_spectrum(0, d, n, spectra(min(d, n)))
    found = dominant_singular_value(DenseOperator(J), start=gaussian(1, len(J), n), tolerance=1e-13)
    expected = torch.linalg.svdvals(J)[:, 0]
    torch.testing.assert_close(found.value, expected, rtol=ROUNDING, atol=0.0)
    lengths = torch.linalg.vector_norm(found.right, dim=1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths), rtol=0.0, atol=ROUNDING)
    attained = torch.linalg.vector_norm(DenseOperator(J).matvec(found.right), dim=1)
    torch.testing.assert_close(attained, expected, rtol=ROUNDING, atol=0.0)
    assert (found.error <= 1e-13).all()
    assert (found.error <= found.residual).all()
    assert found.iterations <= min(d + 1, n)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(SHAPES),
    st.integers(1, 20),
    st.sampled_from([1e-1, 1e-3, 1e-8]),
)
def test_the_residual_is_true_and_bounds_the_error(
    seed: int, shape: tuple[int, int], iterations: int, tolerance: float
) -> None:
    J = gaussian(seed, 3, *shape) * gaussian(seed + 1, 3, 1, 1)
    operator = DenseOperator(J)
    found = dominant_singular_value(
        operator, start=gaussian(seed + 2, 3, shape[1]), tolerance=tolerance, max_iterations=iterations
    )
    S = torch.linalg.svdvals(J)
    assert (found.value <= S[:, 0] * (1.0 + ROUNDING)).all()
    nearest = (S - found.value[:, None]).abs().amin(1)
    assert (nearest <= (found.residual + ROUNDING) * found.value).all()
    u = operator.matvec(found.right) / found.value[:, None]
    true = torch.linalg.vector_norm(operator.rmatvec(u) - found.value[:, None] * found.right, dim=1) / found.value
    torch.testing.assert_close(found.residual, true, rtol=0.0, atol=ROUNDING)
    assert found.iterations <= iterations
    if found.iterations < iterations:
        assert (found.error <= tolerance).all()


def test_it_ends_as_soon_as_the_tolerance_is_met_by_all() -> None:
    J = with_spectrum(0, 30, 40, 0.7 ** torch.arange(30, dtype=torch.float64).expand(4, -1))
    start = gaussian(1, 4, 40)
    operator = DenseOperator(J)
    runs = [dominant_singular_value(operator, start=start, tolerance=tolerance) for tolerance in (1e-1, 1e-3, 1e-9)]
    assert runs[0].iterations < runs[1].iterations < runs[2].iterations < 30
    for run, tolerance in zip(runs, (1e-1, 1e-3, 1e-9), strict=True):
        assert (run.error <= tolerance).all()
        earlier = dominant_singular_value(operator, start=start, tolerance=0.0, max_iterations=run.iterations - 1)
        assert (earlier.error > tolerance).any()
        assert (relative_error(run.value, J) <= tolerance).all()


def test_the_residual_says_when_it_was_stopped_too_early() -> None:
    J = gaussian(0, 2, 30, 40)
    found = dominant_singular_value(DenseOperator(J), start=gaussian(1, 2, 40), max_iterations=3)
    assert found.iterations == 3
    assert (found.residual > 1e-3).all()
    assert (found.error > 1e-3).all()
    assert (found.value < torch.linalg.svdvals(J)[:, 0]).all()


def test_a_start_shaped_like_images_in_float32() -> None:
    J = with_spectrum(0, 8, 12, spectra(8)[:6]).float()
    start = gaussian(1, 6, 3, 2, 2).float()
    found = dominant_singular_value(DenseOperator(J), start=start, tolerance=1e-5)
    # Some float32 roundings of 6e-8 per step.
    torch.testing.assert_close(found.value, torch.linalg.svdvals(J)[:, 0], rtol=2e-6, atol=0.0)
    assert found.right.shape == (6, 12)


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("tolerance", [1e-2, 1e-3, 1e-6])
def test_the_value_is_as_close_as_was_asked_for(decay: float, tolerance: float) -> None:
    J = with_spectrum(0, 60, 90, decay ** torch.arange(60, dtype=torch.float64).expand(20, -1))
    found = dominant_singular_value(DenseOperator(J), start=gaussian(1, 20, 90), tolerance=tolerance)
    assert (relative_error(found.value, J) <= tolerance).all()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("tolerance", [1e-1, 1e-13])
def test_an_example_that_is_not_finite_is_nan_and_the_others_are_as_without_it(bad: float, tolerance: float) -> None:
    J, start = gaussian(0, 4, 6, 15), gaussian(1, 4, 15)
    kept = torch.tensor([0, 1, 3])
    alone = dominant_singular_value(DenseOperator(J[kept]), start=start[kept], tolerance=tolerance)
    J[2, 3, 4] = bad
    found = dominant_singular_value(DenseOperator(J), start=start, tolerance=tolerance)
    assert found.iterations == alone.iterations
    for name in ("value", "residual", "error", "right"):
        assert getattr(found, name)[2].isnan().all(), name
        # float64 sums may be taken in another order.
        torch.testing.assert_close(getattr(found, name)[kept], getattr(alone, name), rtol=0.0, atol=ROUNDING)


def test_the_whole_batch_may_be_nan() -> None:
    J = gaussian(0, 2, 6, 15) * float("nan")
    found = dominant_singular_value(DenseOperator(J), start=gaussian(1, 2, 15))
    assert found.value.isnan().all()
    assert found.iterations == 1

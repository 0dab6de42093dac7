"""Geometry of lp balls against its definitions."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import reference
from opnorm import lp
from opnorm.errors import SettingsError

EXPONENTS = (1.0, 1.5, 2.0, 3.0, math.inf)
# Sums of at most some tens of float64 terms round by less than 100 * 2.2e-16.
ROUNDING = 1e-13

seeds = st.integers(0, 2**32 - 1)
exponents = st.sampled_from(EXPONENTS)
projectable = st.sampled_from(reference.EXPONENTS)
modest = settings(deadline=None, max_examples=40)


def gaussian(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def in_ball(seed: int, count: int, n: int, p: float, radius: float) -> Tensor:
    """Points of the ball, many of them on its sphere, by a way that shares no code with the library."""
    points = gaussian(seed, count, n) * torch.rand(count, n, generator=torch.Generator().manual_seed(seed)) ** 4
    lengths = torch.tensor([reference.norm(point, p) for point in points], dtype=torch.float64)
    shrink = torch.linspace(0.5, 1.0, count, dtype=torch.float64) * radius
    return points * (shrink / lengths)[:, None]


@modest
@given(seeds, exponents)
def test_norm_is_its_definition_and_homogeneous(seed: int, p: float) -> None:
    x = gaussian(seed, 3, 2, 4)
    expected = torch.tensor([reference.norm(example, p) for example in x], dtype=torch.float64)
    torch.testing.assert_close(lp.norm(x, p), expected, rtol=ROUNDING, atol=0.0)
    torch.testing.assert_close(lp.norm(-3.0 * x, p), 3.0 * expected, rtol=ROUNDING, atol=0.0)


@pytest.mark.parametrize("p", EXPONENTS)
@pytest.mark.parametrize("size", [1e-40, 1e-30, 1e30])
def test_norm_neither_overflows_nor_underflows(p: float, size: float) -> None:
    x = torch.tensor([[3.0, -4.0]]) * size
    expected = reference.norm(x.double(), p)
    # 1e-40 is a subnormal number of five digits.
    assert lp.norm(x, p).item() == pytest.approx(expected, rel=1e-4 if size == 1e-40 else 1e-6)


@pytest.mark.parametrize("p", EXPONENTS)
def test_norm_has_the_dual_vector_for_its_gradient(p: float) -> None:
    x = gaussian(0, 3, 5).requires_grad_()
    (gradient,) = torch.autograd.grad(lp.norm(x, p).sum(), x)
    torch.testing.assert_close(gradient, lp.dual_vector(x.detach(), lp.dual_exponent(p)), rtol=0.0, atol=ROUNDING)
    zero = torch.zeros(1, 5, requires_grad=True)
    (at_zero,) = torch.autograd.grad(lp.norm(zero, p).sum(), zero)
    assert at_zero.isfinite().all()


def test_norm_of_infinite_entries_is_infinite() -> None:
    x = torch.tensor([[math.inf, 1.0]])
    assert all(lp.norm(x, p).item() == math.inf for p in EXPONENTS)


@pytest.mark.parametrize(("p", "dual"), [(1.0, math.inf), (2.0, 2.0), (math.inf, 1.0), (4.0, 4.0 / 3.0)])
def test_dual_exponent(p: float, dual: float) -> None:
    assert lp.dual_exponent(p) == pytest.approx(dual, rel=1e-15)


@pytest.mark.parametrize("p", [0.5, 0.0, -1.0, math.nan, -math.inf])
def test_what_is_no_exponent_is_refused_by_name(p: float) -> None:
    x = torch.ones(1, 2)
    calls = (
        lambda: lp.norm(x, p),
        lambda: lp.dual_exponent(p),
        lambda: lp.dual_vector(x, p),
        lambda: lp.project_ball(x, p, 1.0),
        lambda: lp.project_sphere(x, p, 1.0),
        lambda: lp.sample_ball(x, p, 1.0, torch.Generator()),
    )
    for call in calls:
        with pytest.raises(SettingsError, match=str(p)):
            call()


@pytest.mark.parametrize("project", [lp.project_ball, lp.project_sphere])
def test_a_projection_without_closed_form_is_refused(project) -> None:
    with pytest.raises(SettingsError, match=r"3\.0"):
        project(torch.ones(1, 2), 3.0, 1.0)


@pytest.mark.parametrize("radius", [-0.1, math.nan])
def test_a_radius_below_zero_is_refused(radius: float) -> None:
    for call in (lp.project_ball, lp.project_sphere, lambda *given: lp.sample_ball(*given, torch.Generator())):
        with pytest.raises(SettingsError, match="^radius: "):
            call(torch.ones(1, 2), 2.0, radius)


@modest
@given(seeds, exponents)
def test_dual_vector_is_eq_16(seed: int, p: float) -> None:
    z = gaussian(seed, 3, 2, 4)
    expected = torch.stack([reference.dual_vector(example, p) for example in z])
    torch.testing.assert_close(lp.dual_vector(z, p), expected, rtol=0.0, atol=ROUNDING)


@modest
@given(seeds, exponents)
def test_lemma_1_nothing_in_the_ball_does_better(seed: int, p: float) -> None:
    z = gaussian(seed, 1, 6)
    v = lp.dual_vector(z, p)
    attained = (v * z).sum().item()
    assert reference.norm(v, p) == pytest.approx(1.0, rel=ROUNDING)
    assert attained == pytest.approx(reference.norm(z, reference.dual_exponent(p)), rel=ROUNDING)
    assert (in_ball(seed, 200, 6, p, 1.0) @ z[0]).max().item() <= attained * (1.0 + ROUNDING)


def test_dual_vector_shares_ties_equally_for_p_1() -> None:
    z = torch.tensor([[2.0, -2.0, 1.0, 2.0], [0.0, 0.0, -3.0, 0.0]])
    third = 1.0 / 3.0
    expected = torch.tensor([[third, -third, 0.0, third], [0.0, 0.0, -1.0, 0.0]])
    torch.testing.assert_close(lp.dual_vector(z, 1.0), expected, rtol=0.0, atol=0.0)


@pytest.mark.parametrize("p", EXPONENTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dual_vector_of_zero_is_zero(p: float, dtype: torch.dtype) -> None:
    v = lp.dual_vector(torch.zeros(2, 3, 4, dtype=dtype), p)
    assert v.dtype == dtype
    assert not v.any()


@pytest.mark.parametrize("p", EXPONENTS)
@pytest.mark.parametrize("size", [1e-43, 1e-40, 1e-30, 1e30, 1e38])
def test_dual_vector_does_not_depend_on_the_size_of_the_gradient(p: float, size: float) -> None:
    # Whole numbers of the smallest subnormal number, 1.4e-45, so that scaling them is exact enough to compare.
    z = (torch.tensor([[1.0, -3.0, 0.0, 2.0]], dtype=torch.float64) * size).float()
    expected = lp.dual_vector(z.double(), p)
    # float32 rounds each entry, of at most 1, a few times by 6e-8.
    torch.testing.assert_close(lp.dual_vector(z, p).double(), expected, rtol=0.0, atol=5e-7)
    assert lp.norm(lp.dual_vector(z, p), p).item() == pytest.approx(1.0, abs=5e-7)


@modest
@given(seeds, projectable, st.floats(0.1, 10.0))
def test_ball_projection_is_feasible_idempotent_and_nearest(seed: int, p: float, radius: float) -> None:
    x = gaussian(seed, 4, 2, 3) * torch.tensor([0.01, 1.0, 3.0, 100.0], dtype=torch.float64).view(4, 1, 1)
    projected = lp.project_ball(x, p, radius)
    assert (lp.norm(projected, p) <= radius * (1.0 + ROUNDING)).all()
    torch.testing.assert_close(lp.project_ball(projected, p, radius), projected, rtol=0.0, atol=ROUNDING * radius)
    others = in_ball(seed, 300, 6, p, radius)
    for example, image in zip(x.flatten(1), projected.flatten(1), strict=True):
        nearest = torch.linalg.vector_norm(others - example, dim=1).min()
        # The subtraction rounds by the size of x, at most some hundreds.
        assert torch.linalg.vector_norm(example - image) <= nearest + 1e-11


@modest
@given(seeds, projectable)
def test_ball_projection_leaves_what_is_inside(seed: int, p: float) -> None:
    x = in_ball(seed, 5, 6, p, 0.999)
    assert torch.equal(lp.project_ball(x, p, 1.0), x)


@modest
@given(seeds, st.floats(0.01, 20.0))
def test_l1_projection_is_the_bisection(seed: int, radius: float) -> None:
    x = gaussian(seed, 3, 12) * 2.0
    expected = torch.stack([reference.project_l1(example, radius) for example in x])
    # Bisection ends where neighbouring doubles of theta, at most about 10, do.
    torch.testing.assert_close(lp.project_ball(x, 1.0, radius), expected, rtol=0.0, atol=1e-13)


def test_l1_projection_of_far_points_keeps_its_digits() -> None:
    x = torch.tensor([[1e10, 2e10, -2e10], [5e30, 1e30, 0.0]])
    expected = torch.tensor([[0.0, 0.5, -0.5], [1.0, 0.0, 0.0]])
    assert torch.equal(lp.project_ball(x, 1.0, 1.0), expected)


@pytest.mark.parametrize("p", reference.EXPONENTS)
def test_a_radius_per_example(p: float) -> None:
    x = gaussian(1, 3, 4) * 5.0
    radii = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    for project in (lp.project_ball, lp.project_sphere):
        expected = torch.cat([project(x[i : i + 1], p, float(radii[i])) for i in range(3)])
        assert torch.equal(project(x, p, radii), expected)
    samples = lp.sample_ball(torch.zeros(3, 1000, dtype=torch.float64), p, radii, torch.Generator().manual_seed(0))
    # In 1000 dimensions nearly all of the volume is within 2% of the sphere.
    torch.testing.assert_close(lp.norm(samples, p), radii, rtol=0.02, atol=0.0)


@pytest.mark.parametrize("p", [3.0, 20.0, 100.0])
def test_samples_are_uniform_for_large_exponents_in_float32(p: float) -> None:
    x = lp.sample_ball(torch.zeros(100_000, 2), p, 1.0, torch.Generator().manual_seed(0)).abs().double()
    assert len(x.unique()) > 150_000
    # By symmetry the larger coordinate is either, and the area up to |x|_p = r is that of the ball times r^2.
    assert float((x[:, 0] > x[:, 1]).double().mean()) == pytest.approx(0.5, abs=0.01)
    assert float((reference_norm(x, p) < 0.5).double().mean()) == pytest.approx(0.25, abs=0.01)
    # Its shape: the share of the smaller coordinate in the larger is nearly uniform for a nearly square ball.
    share = x.amin(1) / x.amax(1)
    corner = torch.rand(400_000, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    inside = corner[reference_norm(corner, p) <= 1.0]
    expected = inside.amin(1) / inside.amax(1)
    for level in (0.1, 0.25, 0.5, 0.75, 0.9):
        assert float((share < level).double().mean()) == pytest.approx(
            float((expected < level).double().mean()), abs=0.01
        )


def reference_norm(x: Tensor, p: float) -> Tensor:
    return x.pow(p).sum(1).pow(1.0 / p)


@modest
@given(seeds, projectable, st.sampled_from([0.3, 1.0, 30.0]))
def test_sphere_projection_is_on_the_sphere_and_nearest(seed: int, p: float, size: float) -> None:
    x = gaussian(seed, 1, 4) * size
    image = lp.project_sphere(x, p, 2.0)
    assert reference.norm(image, p) == pytest.approx(2.0, rel=ROUNDING)
    others = in_ball(seed, 400, 4, p, 2.0)
    others = others * (2.0 / torch.tensor([reference.norm(o, p) for o in others], dtype=torch.float64))[:, None]
    # Points near the image too: those a random search would miss.
    near = image + 0.05 * gaussian(seed + 1, 400, 4)
    near = near * (2.0 / torch.tensor([reference.norm(o, p) for o in near], dtype=torch.float64))[:, None]
    nearest = torch.linalg.vector_norm(torch.cat([others, near]) - x, dim=1).min()
    assert torch.linalg.vector_norm(x - image) <= nearest + 1e-12


@pytest.mark.parametrize(
    ("p", "expected"), [(1.0, [2 / 3, 2 / 3, 2 / 3]), (2.0, [2.0, 0.0, 0.0]), (math.inf, [2.0, 0.0, 0.0])]
)
def test_sphere_projection_of_zero_is_as_documented(p: float, expected: list[float]) -> None:
    image = lp.project_sphere(torch.zeros(1, 3, dtype=torch.float64), p, 2.0)
    torch.testing.assert_close(image, torch.tensor([expected], dtype=torch.float64), rtol=ROUNDING, atol=0.0)


@pytest.mark.parametrize("p", EXPONENTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_samples_are_uniform_in_the_ball(p: float, dtype: torch.dtype) -> None:
    count, n, radius = 4000, 3, 1.5
    x = lp.sample_ball(torch.zeros(count, n, dtype=dtype), p, radius, torch.Generator().manual_seed(8))
    assert x.dtype == dtype
    # Volume within |x|_p <= t is proportional to t^n.
    ranks = (lp.norm(x, p).double() / radius).pow(n).sort().values
    assert ranks[-1] <= 1.0 + 1e-6
    grid = torch.arange(count, dtype=torch.float64) / count
    ks = torch.maximum(ranks - grid, grid + 1.0 / count - ranks).max().item()
    # The Kolmogorov-Smirnov statistic of uniform samples exceeds 1.63 / sqrt(count) once in a hundred seeds.
    assert ks < 1.63 / math.sqrt(count)
    # Symmetry under signs and permutations; each mean is within 4 standard errors.
    assert x.mean(0).abs().max().item() < 4.0 * radius / math.sqrt(count)
    assert x.sign().mean(0).abs().max().item() < 4.0 / math.sqrt(count)
    squares = x.double().square().mean(0)
    assert (squares / squares.mean() - 1.0).abs().max().item() < 0.1


@pytest.mark.parametrize("p", EXPONENTS)
def test_samples_fill_the_ball_evenly_in_every_direction(p: float) -> None:
    """In two dimensions, against rejection from the square: the share of points between two lines."""
    n = 20000
    x = lp.sample_ball(torch.zeros(n, 2, dtype=torch.float64), p, 1.0, torch.Generator().manual_seed(3))
    square = torch.rand(4 * n, 2, generator=torch.Generator().manual_seed(4), dtype=torch.float64) * 2.0 - 1.0
    lengths = square.abs().amax(1) if p == math.inf else square.abs().pow(p).sum(1)
    expected = square[lengths <= 1.0]
    for slope in (0.2, 0.5, 1.0, 3.0):
        shares = [(points[:, 0].abs() < slope * points[:, 1].abs()).double().mean() for points in (x, expected)]
        # Two binomial shares, the smaller of 20000 samples: 4 * sqrt(2 * 0.25 / 20000).
        assert abs(shares[0] - shares[1]) < 0.02


@pytest.mark.parametrize("p", EXPONENTS)
def test_samples_come_from_the_generator_alone(p: float) -> None:
    like = torch.zeros(2, 3, 4)
    first, second = (lp.sample_ball(like, p, 1.0, torch.Generator().manual_seed(5)) for _ in range(2))
    torch.manual_seed(1)
    third = lp.sample_ball(like, p, 1.0, torch.Generator().manual_seed(5))
    assert torch.equal(first, second)
    assert torch.equal(first, third)
    assert first.shape == like.shape
    assert not torch.equal(first, lp.sample_ball(like, p, 1.0, torch.Generator().manual_seed(6)))


@pytest.mark.parametrize("p", reference.EXPONENTS)
def test_memory_layout_does_not_matter(p: float) -> None:
    x = gaussian(2, 2, 3, 4, 5) * 3.0
    permuted = x.contiguous(memory_format=torch.channels_last)
    for f in (lp.norm, lp.dual_vector):
        assert torch.equal(f(permuted, p), f(x, p))
    for project in (lp.project_ball, lp.project_sphere):
        assert torch.equal(project(permuted, p, 1.0), project(x, p, 1.0))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("p", EXPONENTS)
def test_a_gpu_agrees(p: float) -> None:
    x = gaussian(3, 3, 2, 4) * torch.tensor([1e-300, 1.0, 1e300], dtype=torch.float64).view(3, 1, 1)
    for f in (lp.norm, lp.dual_vector):
        torch.testing.assert_close(f(x.cuda(), p).cpu(), f(x, p), rtol=ROUNDING, atol=0.0)
    samples = lp.sample_ball(x.cuda(), p, 2.0, torch.Generator("cuda").manual_seed(0))
    assert samples.is_cuda
    assert (lp.norm(samples, p) <= 2.0 * (1.0 + ROUNDING)).all()
    if p in reference.EXPONENTS:
        for project in (lp.project_ball, lp.project_sphere):
            torch.testing.assert_close(project(x.cuda(), p, 1.0).cpu(), project(x, p, 1.0), rtol=1e-12, atol=0.0)


def test_whole_numbers_are_refused_where_they_would_round() -> None:
    for function in (lp.project_ball, lp.project_sphere):
        with pytest.raises(SettingsError, match=r"x: of torch\.int64, which holds no fractions"):
            function(torch.tensor([[3, 4]]), 2.0, 2.9)

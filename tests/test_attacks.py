"""Projected gradient ascent against closed forms, its own definition, and Theorem 1."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import reference
from opnorm import lp
from opnorm.analysis._activations import activation_pattern
from opnorm.attacks import REGISTRY, ThreatModel, projected_gradient_ascent
from opnorm.errors import SettingsError
from opnorm.jacobian import InputJacobian
from opnorm.models.classifier import Classifier
from opnorm.operator_norm import power_method
from opnorm.options import resolve

# float64: sums of at most some tens of terms, a hundred times.
ROUNDING = 1e-12
FLOAT32 = 1.2e-7
LOGIT_LOSSES = {1.0: "logit_l1", 2.0: "logit_l2", math.inf: "logit_linf"}

all_norms = pytest.mark.parametrize("p", reference.EXPONENTS)
all_losses = pytest.mark.parametrize("loss", REGISTRY)
table_1 = pytest.mark.parametrize(("p", "q"), reference.TABLE_1)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def gaussian(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def linear(W: Tensor, b: Tensor | None = None) -> nn.Linear:
    layer = nn.Linear(W.shape[1], W.shape[0]).to(W.dtype)
    layer.weight.data.copy_(W)
    layer.bias.data.copy_(torch.zeros(len(W)) if b is None else b)
    return layer


def network(activation: Callable[[], nn.Module], seed: int = 0) -> nn.Sequential:
    """6 inputs, two hidden layers of 12, 4 logits; float64."""
    first, second, last = nn.Linear(6, 12), nn.Linear(12, 12), nn.Linear(12, 4)
    model = nn.Sequential(first, activation(), second, activation(), last).double()
    for i, parameter in enumerate(model.parameters()):
        parameter.data.copy_(gaussian(1000 * seed + i, *parameter.shape) / math.sqrt(parameter.shape[-1]))
    return model


def values(model: nn.Module, loss: str, x: Tensor, y: Tensor, points: Tensor) -> Tensor:
    """The attacked loss (B,) at `points`, by its textbook formula."""
    z, clean = model(points), model(x)
    if loss == "cross_entropy":
        return -torch.log_softmax(z, 1)[torch.arange(len(y)), y]
    if loss == "margin":
        others = [[row[j] for j in range(len(row)) if j != label] for row, label in zip(z, y, strict=True)]
        largest = torch.stack([torch.stack(row).amax() for row in others])
        return largest - z[torch.arange(len(y)), y]
    q = next(q for q, name in LOGIT_LOSSES.items() if name == loss)
    return torch.linalg.vector_norm(z - clean, q, dim=1)


def attack(
    model: nn.Module, x: Tensor, y: Tensor, threat: ThreatModel, seed: int = 0, **options: object
) -> tuple[Tensor, list[Tensor]]:
    """The attacked points and all iterates."""
    iterates: list[Tensor] = []
    found = projected_gradient_ascent(
        model, x, y, threat, generator=generator(seed), trace=lambda point: iterates.append(point.clone()), **options
    )
    return found, iterates


@all_norms
@pytest.mark.parametrize("loss", ["cross_entropy", "margin"])
@pytest.mark.parametrize("step", [math.inf, 0.6])
def test_two_classes_of_a_linear_model_are_attacked_optimally(p: float, loss: str, step: float) -> None:
    W, b, x = gaussian(0, 2, 7), gaussian(1, 2), gaussian(2, 5, 7)
    model, y = linear(W, b), torch.tensor([0, 1, 0, 1, 1])
    threat = ThreatModel(p, 0.3, 50, step, bounds=None)
    found = projected_gradient_ascent(model, x, y, threat, loss=loss, generator=generator())
    direction = W[1 - y] - W[y]
    # max <g, delta> over |delta|_p <= epsilon is epsilon |g|_{p*}; a step of 2 epsilon at least halves the angle to g.
    gain = torch.tensor([0.3 * reference.norm(g, reference.dual_exponent(p)) for g in direction], dtype=torch.float64)
    clean, attacked = values(model, "margin", x, y, x), values(model, "margin", x, y, found)
    torch.testing.assert_close(attacked, clean + gain, rtol=ROUNDING, atol=ROUNDING)


@table_1
def test_logit_distance_of_a_linear_model_reaches_its_operator_norm(p: float, q: float) -> None:
    W = gaussian(3, 3, 5)
    x = gaussian(4, 1, 5).expand(32, -1)
    threat = ThreatModel(p, 0.3, 100, math.inf, bounds=None)
    y = torch.zeros(32, dtype=torch.int64)
    found = projected_gradient_ascent(linear(W), x, y, threat, loss=LOGIT_LOSSES[q], generator=generator())
    reached = values(linear(W), LOGIT_LOSSES[q], x, y, found)
    optimum = 0.3 * reference.operator_norm(W, p, q)
    # One ascent may end at a local maximum; none is above the norm, and some of 32 starts attain it.
    assert (reached <= optimum * (1.0 + ROUNDING)).all()
    assert reached.max().item() == pytest.approx(optimum, rel=1e-9)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(reference.EXPONENTS),
    st.floats(0.0, 3.0),
    st.integers(0, 5),
    st.sampled_from([None, 1e-3, 0.5, 100.0, math.inf]),
    st.sampled_from([None, (0.0, 1.0), (-1.0, 1.0), (0.1, 0.9), (-2.1, 0.7)]),
    st.sampled_from(sorted(REGISTRY)),
)
def test_every_iterate_is_in_the_ball_and_inside_the_bounds(
    seed: int,
    p: float,
    epsilon: float,
    iterations: int,
    step: float | None,
    bounds: tuple[float, float] | None,
    loss: str,
) -> None:
    low, high = bounds or (-1.0, 1.0)
    x = (low + (high - low) * torch.rand(4, 6, generator=generator(seed))).clamp(low, high)
    y = torch.randint(4, (4,), generator=generator(seed))
    threat = ThreatModel(p, epsilon, iterations, step, bounds)
    found, iterates = attack(network(nn.ReLU).float(), x, y, threat, seed, loss=loss)
    assert len(iterates) == iterations + 1
    for point in [found, *iterates]:
        assert point.isfinite().all()
        # The sum x + delta rounds once in each of six coordinates; the projection, relative to epsilon.
        slack = 6 * FLOAT32 * (2.0 * x.abs().max() + 4.0 * epsilon)
        assert (lp.norm(point.double() - x.double(), p) <= epsilon + slack).all()
        if bounds is not None:
            assert point.min() >= torch.tensor(low)
            assert point.max() <= torch.tensor(high)


def test_bounds_are_reached_and_not_passed() -> None:
    x, y = torch.full((1, 4), 0.95), torch.zeros(1, dtype=torch.int64)
    model = linear(torch.tensor([[0.0] * 4, [1.0, -1.0, 2.0, -2.0]]))
    threat = ThreatModel(math.inf, 0.1, 5, bounds=(0.0, 1.0))
    found = projected_gradient_ascent(model, x, y, threat, generator=generator())
    torch.testing.assert_close(found, torch.tensor([[1.0, 0.85, 1.0, 0.85]]), rtol=0.0, atol=FLOAT32)


@all_norms
def test_start_is_uniform_in_the_ball(p: float) -> None:
    count, n, epsilon = 4000, 3, 0.7
    x, y = torch.zeros(count, n, dtype=torch.float64), torch.zeros(count, dtype=torch.int64)
    _, (start,) = attack(linear(gaussian(0, 2, n)), x, y, ThreatModel(p, epsilon, 0, bounds=None))
    # |delta|_p <= r holds a share (r / epsilon)^n of the volume; 1.95 / sqrt(N) is Kolmogorov's 0.1 % limit.
    shares = (torch.linalg.vector_norm(start, p, dim=1) / epsilon).pow(n).sort().values
    assert (shares - torch.linspace(0.0, 1.0, count, dtype=torch.float64)).abs().max() < 1.95 / math.sqrt(count)
    # So does the cube of half-side epsilon / 3, which lies in all three balls; four binomial deviations.
    volume = {1.0: 4.0 / 3.0, 2.0: 4.0 / 3.0 * math.pi, math.inf: 8.0}[p]
    share = (2.0 / 3.0) ** 3 / volume
    inside = (start.abs() <= epsilon / 3.0).all(1).double().mean().item()
    assert inside == pytest.approx(share, abs=4.0 * math.sqrt(share / count))


def test_random_numbers_come_from_the_generator_alone() -> None:
    model, x, y = network(nn.ReLU), gaussian(1, 4, 6), torch.tensor([0, 1, 2, 3])
    threat = ThreatModel(2.0, 0.5, 3, bounds=None)
    state = torch.get_rng_state()
    first, again, other = (attack(model, x, y, threat, seed)[0] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(state, torch.get_rng_state())


@all_losses
def test_rescoring_returns_the_best_iterate(loss: str) -> None:
    model, x = network(lambda: _Sine()), gaussian(1, 16, 6)
    y = torch.arange(16) % 4
    threat = ThreatModel(2.0, 3.0, 8, 2.0, bounds=None)
    best, iterates = attack(model, x, y, threat, loss=loss)
    last, same = attack(model, x, y, threat, loss=loss, rescore=False)
    assert torch.equal(torch.stack(iterates), torch.stack(same))
    assert torch.equal(last, iterates[-1])
    along = torch.stack([values(model, loss, x, y, point) for point in iterates])
    # On a sine network with long steps the last iterate is not always the best, nor always the same one.
    assert (along.amax(0) > along[-1]).any()
    torch.testing.assert_close(values(model, loss, x, y, best), along.amax(0), rtol=ROUNDING, atol=ROUNDING)
    assert all(any(torch.equal(best[i], point[i]) for point in iterates) for i in range(16))


class _Sine(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(3.0 * x)


@all_norms
@pytest.mark.parametrize("bounds", [None, (-0.5, 0.5)])
@pytest.mark.parametrize("step", [0.2, None, math.inf])
def test_iterates_are_those_of_equation_15(p: float, bounds: tuple[float, float] | None, step: float | None) -> None:
    model, y = network(nn.ReLU), torch.arange(8) % 4
    x = gaussian(1, 8, 6).clamp(-0.5, 0.5)
    threat = ThreatModel(p, 0.6, 6, step, bounds)
    _, iterates = attack(model, x, y, threat)
    for before, after in zip(iterates[:-1], iterates[1:], strict=True):
        point = before.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(values(model, "cross_entropy", x, y, point).sum(), point)
        v = torch.stack([reference.dual_vector(g, p) for g in gradient])
        if step == math.inf:
            delta = 0.6 * v
        else:
            delta = lp.project_ball(before - x + (0.2 if step else 2.0 * 0.6 / 6) * v, p, 0.6)
        expected = x + delta if bounds is None else (x + delta).clamp(*bounds)
        torch.testing.assert_close(after, expected, rtol=0.0, atol=ROUNDING)


@pytest.mark.parametrize("bounds", [None, (-0.2, 0.2)])
def test_the_first_iterate_is_the_start(bounds: tuple[float, float] | None) -> None:
    model, x, y = network(nn.ReLU), gaussian(1, 4, 6).clamp(-0.2, 0.2), torch.tensor([0, 1, 2, 3])
    start = x + 0.1 * gaussian(2, 4, 6)
    threat = ThreatModel(2.0, 1.5, 2, bounds=bounds)
    _, iterates = attack(model, x, y, threat, start=start)
    expected = start if bounds is None else start.clamp(*bounds)
    torch.testing.assert_close(iterates[0], expected, rtol=0.0, atol=ROUNDING)
    assert (iterates[1] != iterates[0]).any()
    # What was drawn at random can be given.
    _, drawn = attack(model, x, y, threat, seed=5)
    _, given = attack(model, x, y, threat, start=drawn[0])
    torch.testing.assert_close(given, drawn, rtol=0.0, atol=ROUNDING)


def test_neither_a_start_nor_a_generator_is_an_error() -> None:
    x = gaussian(1, 2, 6).clamp(0.0, 1.0)
    with pytest.raises(SettingsError, match="generator: missing"):
        projected_gradient_ascent(network(nn.ReLU), x, torch.tensor([0, 1]), ThreatModel(2.0, 0.5, 2))


@pytest.mark.parametrize(
    ("message", "changed"),
    [
        (r"^y: \(3,\) labels for 2 inputs; .*\(2,\)", {"y": torch.tensor([0, 1, 2])}),
        (r"^y: \(2, 1\) labels for 2 inputs", {"y": torch.tensor([[0], [1]])}),
        (r"^start: of shape \(1, 6\), where x has \(2, 6\)", {"start": torch.zeros(1, 6)}),
        (
            r"^x: has values from -0\.5 to 1, .* bounds \(0\.0, 1\.0\); .*bounds=None",
            {"x": [[-0.5, 0, 0, 0, 0, 1]] * 2},
        ),
        (r"^x: has values from 0 to 1\.5", {"x": [[0, 0, 0, 0, 0, 1.5]] * 2}),
        (r"^x: has values from nan to nan", {"x": [[0, 0, 0, 0, 0, math.nan]] * 2}),
    ],
)
def test_what_does_not_fit_is_named(message: str, changed: dict[str, Any]) -> None:
    given = {"x": torch.zeros(2, 6), "y": torch.tensor([0, 1]), "start": None, **changed}
    x = torch.as_tensor(given["x"], dtype=torch.float64)
    with pytest.raises(SettingsError, match=message):
        projected_gradient_ascent(
            network(nn.ReLU), x, given["y"], ThreatModel(2.0, 0.5, 2), generator=generator(), start=given["start"]
        )


@all_norms
@pytest.mark.parametrize("step", [None, 0.1, math.inf])
def test_no_radius_no_perturbation(p: float, step: float | None) -> None:
    model, y = network(nn.ReLU), torch.tensor([0, 1, 2, 3])
    x = gaussian(1, 4, 6).clamp(0.0, 1.0)
    found, iterates = attack(model, x, y, ThreatModel(p, 0.0, 3, step))
    assert all(torch.equal(point, x) for point in [found, *iterates])


@all_losses
@all_norms
@pytest.mark.parametrize("step", [0.2, math.inf])
def test_where_the_gradient_is_zero_the_iterate_stays(loss: str, p: float, step: float) -> None:
    x, y = gaussian(1, 3, 6), torch.tensor([0, 1, 2])
    flat = linear(torch.zeros(3, 6, dtype=torch.float64), gaussian(0, 3))
    found, iterates = attack(flat, x, y, ThreatModel(p, 0.5, 4, step, bounds=None), loss=loss)
    assert all(torch.equal(point, iterates[0]) for point in iterates)
    assert torch.equal(found, iterates[0])
    assert (lp.norm(iterates[0] - x, p) > 0.0).all()


def test_a_model_that_ignores_its_input_is_attacked_in_vain() -> None:
    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.z = nn.Parameter(torch.ones(3))

        def forward(self, x: Tensor) -> Tensor:
            return self.z.expand(len(x), -1)

    x = torch.zeros(2, 6)
    found, iterates = attack(Constant(), x, torch.tensor([0, 1]), ThreatModel(2.0, 0.5, 2, bounds=None))
    assert torch.equal(found, iterates[0])


@all_norms
@pytest.mark.parametrize("certainty", [30.0, 1e4])
def test_a_certain_network_is_attacked_all_the_same(p: float, certainty: float) -> None:
    # In float32 softmax is exactly one-hot here, so that cross-entropy's textbook value and gradient are 0; at 1e4 even
    # exp(-1e4) is.
    W = torch.tensor([[1.0, 2.0, -1.0], [-1.0, 1.0, 0.5]])
    model = linear(W, torch.tensor([certainty, 0.0]))
    x, y = torch.zeros(1, 3), torch.tensor([0])
    threat = ThreatModel(p, 0.5, 20, 1.0, bounds=None)
    found = projected_gradient_ascent(model, x, y, threat, generator=generator(), start=x)
    expected = 0.5 * torch.stack([reference.dual_vector(W[1] - W[0], p)])
    torch.testing.assert_close(found, expected, rtol=0.0, atol=1e-6)


@pytest.mark.parametrize("z", [[1e4, 0.0, 0.0], [0.0, 1e4, 0.0], [-1e30, 1e30, 0.0], [0.0, 0.0, 0.0]])
@pytest.mark.parametrize("loss", ["cross_entropy", "margin"])
def test_directions_of_extreme_logits_are_finite_and_nonzero(z: list[float], loss: str) -> None:
    for y in range(3):
        logits = torch.tensor([z])
        u = resolve(REGISTRY, "attack loss", loss)(torch.tensor([y]), logits).direction(logits)
        assert u.isfinite().all()
        assert u[0, y] == -1.0
        # Ascent moves the attacked logit down against the others, whose weights sum to one.
        torch.testing.assert_close(u.sum(), torch.tensor(0.0), rtol=0.0, atol=FLOAT32)


@all_losses
@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), ties=st.booleans())
def test_directions_are_gradients_up_to_a_positive_factor(loss: str, seed: int, ties: bool) -> None:
    z, clean = 2.0 * gaussian(seed, 6, 5), gaussian(seed + 1, 6, 5)
    if ties:
        z, clean = z.round(), clean.round()
    y = torch.randint(5, (6,), generator=generator(seed))
    criterion = resolve(REGISTRY, "attack loss", loss)(y, clean)
    z.requires_grad_()
    value = criterion.value(z)
    torch.testing.assert_close(value, values(_Logits(clean), loss, clean, y, z), rtol=ROUNDING, atol=ROUNDING)
    (gradient,) = torch.autograd.grad(value.sum(), z)
    direction = criterion.direction(z.detach())
    torch.testing.assert_close(lp.dual_vector(direction, 2.0), lp.dual_vector(gradient, 2.0), rtol=0.0, atol=ROUNDING)


class _Logits(nn.Module):
    """The identity: its inputs are the logits."""

    def __init__(self, clean: Tensor) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x


@pytest.mark.parametrize(("loss", "z", "expected"), [
    ("margin", [5.0, 2.0, 2.0, 1.0], [-1.0, 0.5, 0.5, 0.0]),
    ("logit_linf", [-3.0, 3.0, 1.0, 0.0], [-0.5, 0.5, 0.0, 0.0]),
    ("logit_l1", [-3.0, 0.5, 0.0, 0.0], [-1.0, 1.0, 0.0, 0.0]),
])  # fmt: skip
def test_ties_share_and_zeros_stay_zero(loss: str, z: list[float], expected: list[float]) -> None:
    criterion = resolve(REGISTRY, "attack loss", loss)(torch.tensor([0]), torch.zeros(1, 4))
    assert torch.equal(criterion.direction(torch.tensor([z])), torch.tensor([expected]))


@table_1
def test_theorem_1(p: float, q: float) -> None:
    """Inside x's ReLU cell, PGA with a step of infinite size on |f(x) - f(x*)|_q is the power method of J_f(x)."""
    model, x = network(nn.ReLU), gaussian(7, 10, 6)
    epsilon, iterations = 1e-4, 8
    threat = ThreatModel(p, epsilon, iterations, math.inf, bounds=None)
    y = torch.zeros(10, dtype=torch.int64)
    last, iterates = attack(model, x, y, threat, loss=LOGIT_LOSSES[q], rescore=False)
    cell = activation_pattern(model, x)
    assert all(torch.equal(activation_pattern(model, point), cell) for point in iterates)
    jacobian = InputJacobian(model.eval(), x)
    start = (iterates[0] - x) / epsilon
    # f(x*) - f(x) loses 2.2e-16 |f| / (epsilon |J v|), some 1e-11, to cancellation.
    for k in range(1, iterations + 1):
        run = power_method(jacobian, p, q, iterations=k, start=start)
        torch.testing.assert_close((iterates[k] - x) / epsilon, run.maximizer, rtol=0.0, atol=1e-9)
    distance = values(model, LOGIT_LOSSES[q], x, y, last) / epsilon
    torch.testing.assert_close(distance, run.value, rtol=1e-9, atol=0.0)
    # Not because nothing moved.
    assert (lp.norm(iterates[1] - iterates[0], 2.0) > 0.1 * epsilon).all()


def test_theorem_1_needs_the_cell() -> None:
    model, x = network(nn.ReLU), gaussian(7, 10, 6)
    threat = ThreatModel(2.0, 5.0, 8, math.inf, bounds=None)
    _, iterates = attack(model, x, torch.zeros(10, dtype=torch.int64), threat, loss="logit_l2")
    start = (iterates[0] - x) / 5.0
    run = power_method(InputJacobian(model.eval(), x), 2.0, 2.0, iterations=8, start=start)
    assert ((iterates[-1] - x) / 5.0 - run.maximizer).abs().max() > 1e-2


@all_losses
def test_the_network_is_left_as_it_was(cnn5: Classifier, images: Tensor, labels: Tensor, loss: str) -> None:
    cnn5.train()
    cnn5.body[0].eval()
    cnn5.linear.bias.requires_grad_(False)
    cnn5(images).sum().backward()
    modes = [module.training for module in cnn5.modules()]
    flags = [parameter.requires_grad for parameter in cnn5.parameters()]
    gradients = [copy.deepcopy(parameter.grad) for parameter in cnn5.parameters()]
    tensors = copy.deepcopy(cnn5.state_dict())
    random, clean = torch.get_rng_state(), images.clone()
    found, _ = attack(cnn5, images, labels, ThreatModel(2.0, 0.5, 2), loss=loss)
    assert not torch.equal(found, images)
    assert modes == [module.training for module in cnn5.modules()]
    assert flags == [parameter.requires_grad for parameter in cnn5.parameters()]
    for parameter, gradient in zip(cnn5.parameters(), gradients, strict=True):
        assert (parameter.grad is None) == (gradient is None)
        assert gradient is None or torch.equal(parameter.grad, gradient)
    assert all(torch.equal(tensors[name], tensor) for name, tensor in cnn5.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())
    assert torch.equal(clean, images)


def test_the_attacked_network_is_the_one_in_evaluation_mode(cnn5: Classifier, images: Tensor, labels: Tensor) -> None:
    threat = ThreatModel(2.0, 0.5, 3)
    evaluated, _ = attack(cnn5, images, labels, threat)
    trained, _ = attack(cnn5.train(), images, labels, threat)
    assert torch.equal(evaluated, trained)


def test_grad_mode_around_the_call_makes_no_difference(cnn5: Classifier, images: Tensor, labels: Tensor) -> None:
    threat = ThreatModel(2.0, 0.5, 3)
    found, _ = attack(cnn5, images, labels, threat)
    with torch.no_grad():
        without, _ = attack(cnn5, images, labels, threat)
    assert torch.equal(found, without)
    for rescore in (True, False):
        expected, _ = attack(cnn5, images, labels, threat, rescore=rescore)
        from_leaf, _ = attack(cnn5, images.clone().requires_grad_(), labels, threat, rescore=rescore)
        assert torch.equal(from_leaf, expected)
        assert not from_leaf.requires_grad


def test_a_loss_may_be_a_constructor() -> None:
    class FirstLogit:
        def __init__(self, y: Tensor, clean_logits: Tensor) -> None:
            pass

        def value(self, z: Tensor) -> Tensor:
            return z[:, 0]

        def direction(self, z: Tensor) -> Tensor:
            return torch.eye(z.shape[1], dtype=z.dtype)[:1].expand_as(z)

    W, x = gaussian(0, 3, 6), gaussian(1, 2, 6)
    threat = ThreatModel(math.inf, 0.3, 5, bounds=None)
    found, _ = attack(linear(W), x, torch.tensor([0, 1]), threat, loss=FirstLogit)
    torch.testing.assert_close(found, x + 0.3 * W[0].sign(), rtol=0.0, atol=ROUNDING)


def test_a_misspelt_loss_is_named_with_the_right_one() -> None:
    with pytest.raises(SettingsError, match="'cross_entrpy'; did you mean cross_entropy"):
        attack(network(nn.ReLU), gaussian(0, 1, 6), torch.tensor([0]), ThreatModel(2.0, 0.1, 1), loss="cross_entrpy")


@pytest.mark.parametrize(("key", "bad"), [
    ("norm", 3.0), ("norm", 0.0), ("norm", -1.0), ("norm", math.nan), ("norm", "2"), ("norm", True), ("norm", None),
    ("epsilon", -0.1), ("epsilon", math.nan), ("epsilon", math.inf), ("epsilon", "0.1"), ("epsilon", True),
    ("iterations", -1), ("iterations", 1.5), ("iterations", "3"), ("iterations", True),
    ("step_size", 0.0), ("step_size", -1.0), ("step_size", math.nan), ("step_size", True),
    ("bounds", (1.0, 0.0)), ("bounds", (0.0, 0.0)), ("bounds", (math.nan, 1.0)), ("bounds", (0.0,)),
    ("bounds", (0.0, 0.5, 1.0)), ("bounds", ("0", "1")),
])  # fmt: skip
def test_an_impossible_threat_model_is_refused_by_key(key: str, bad: object) -> None:
    good = {"norm": 2.0, "epsilon": 0.5, "iterations": 10}
    ThreatModel(**good)
    with pytest.raises(SettingsError, match=f"^{key}: "):
        ThreatModel(**{**good, key: bad})


def test_numbers_of_numpy_are_numbers() -> None:
    given = ThreatModel(np.float32(2), np.float32(0.5), np.int64(10), np.float64(0.25), [np.int64(0), 1])  # type: ignore[arg-type]
    assert given == ThreatModel(2.0, 0.5, 10, 0.25)
    assert hash(given) == hash(ThreatModel(2.0, 0.5, 10, 0.25))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_labels_may_be_of_any_whole_type(dtype: torch.dtype) -> None:
    model, x, y = network(nn.ReLU), gaussian(0, 3, 6), torch.tensor([0, 1, 3])
    threat = ThreatModel(2.0, 0.5, 3, bounds=None)
    assert torch.equal(attack(model, x, y.to(dtype), threat)[0], attack(model, x, y, threat)[0])


def test_what_cannot_be_attacked_is_refused() -> None:
    model, x, y = network(nn.ReLU), gaussian(0, 3, 6), torch.tensor([0, 1, 3])
    threat = ThreatModel(2.0, 0.5, 3, bounds=None)
    with pytest.raises(SettingsError, match="labels are whole numbers"):
        attack(model, x, y.float(), threat)
    with pytest.raises(SettingsError, match="start: up to .* outside the ball of radius 0.5"):
        attack(model, x, y, threat, start=x + 1.0)
    with torch.inference_mode(), pytest.raises(SettingsError, match="inference_mode"):
        attack(model, x, y, threat)


@pytest.mark.parametrize("loss", ["cross_entropy", "margin"])
@pytest.mark.parametrize(("outputs", "labels", "message"), [
    (4, [0, 1, 4], "y: has the label 4, where the model has classes 0 to 3"),
    (4, [0, -1, 3], "y: has labels from -1 to 3; classes count from 0"),
    (1, [0, 0, 0], "model: one logit, where a loss against labels needs two classes or more"),
])  # fmt: skip
def test_labels_are_of_the_models_classes(loss: str, outputs: int, labels: list[int], message: str) -> None:
    model, x = linear(gaussian(0, outputs, 6)), gaussian(1, 3, 6)
    for iterations in (0, 2):
        threat = ThreatModel(2.0, 0.5, iterations, bounds=None)
        with pytest.raises(SettingsError, match=f"^{message}"):
            attack(model, x, torch.tensor(labels), threat, loss=loss)
        # The distance of logits does not look at them.
        attack(model, x, torch.tensor(labels), threat, loss="logit_l2")


@all_losses
def test_outputs_that_are_no_logits_are_refused(loss: str) -> None:
    x, y = gaussian(0, 3, 6), torch.tensor([0, 1, 3])
    model = nn.Sequential(network(nn.ReLU), nn.Unflatten(1, (2, 2)))
    with pytest.raises(SettingsError, match=r"^model: outputs of shape \(3, 2, 2\) are not \(3, d\)"):
        attack(model, x, y, ThreatModel(2.0, 0.5, 2, bounds=None), loss=loss)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32])
@pytest.mark.parametrize("loss", ["cross_entropy", "margin"])
def test_losses_take_labels_of_any_whole_type(loss: str, dtype: torch.dtype) -> None:
    y, z = torch.tensor([0, 2]), gaussian(0, 2, 3)
    make = resolve(REGISTRY, "attack loss", loss)
    found, expected = (make(labels, z) for labels in (y.to(dtype), y))
    assert torch.equal(found.value(z), expected.value(z))
    assert torch.equal(found.direction(z), expected.direction(z))


def test_a_function_is_refused_and_told_where_normalisation_goes() -> None:
    model, x, y = network(nn.ReLU), gaussian(0, 3, 6), torch.tensor([0, 1, 3])
    with pytest.raises(SettingsError, match=r"^model: .* not an nn.Module; .*nn.Sequential\(Normalise"):
        attack(lambda x: model(x - 0.5), x, y, ThreatModel(2.0, 0.5, 2, bounds=None))  # type: ignore[arg-type]


@all_norms
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_start_beside_the_ball_is_projected_and_one_inside_left_as_it_is(p: float, dtype: torch.dtype) -> None:
    model, y = network(nn.ReLU).to(dtype), torch.arange(400) % 4
    x = torch.rand(400, 6, dtype=dtype, generator=generator(1))
    delta = lp.dual_vector(torch.randn(400, 6, dtype=dtype, generator=generator(2)), p)
    threat = ThreatModel(p, 0.5, 0, bounds=None)

    def first(scale: float) -> tuple[Tensor, Tensor]:
        start = x + scale * 0.5 * delta
        _, (point,) = attack(model, x, y, threat, start=start)
        return start, point

    # x and x + delta, below 2, round by one part in 2^24 or 2^53 in each of six entries.
    rounding = 6.0 * 2.0 * torch.finfo(dtype).eps
    outside, point = first(1.0008)
    assert (lp.norm(outside - x, p) > 0.5 + rounding).all()
    assert (lp.norm(point - x, p) <= 0.5 + rounding).all()
    nearest = x + lp.project_ball(outside - x, p, 0.5)
    torch.testing.assert_close(point, nearest, rtol=0.0, atol=rounding)
    # On the sphere rounding alone puts some outside.
    for scale in (0.7, 1.0):
        start, point = first(scale)
        assert torch.equal(point, x + (start - x))
    assert (lp.norm(start - x, p) > 0.5).any()


def test_nothing_that_comes_back_has_a_graph() -> None:
    model, y = network(nn.ReLU), torch.tensor([0, 1, 3])
    x = gaussian(0, 3, 6).requires_grad_()
    for rescore in (False, True):
        found, _ = attack(model, x, y, ThreatModel(2.0, 0.5, 2, bounds=None), start=x + 0.01, rescore=rescore)
        assert not found.requires_grad


def test_step_size_defaults_to_twice_the_radius_over_the_iterations() -> None:
    assert ThreatModel(2.0, 0.5, 10).step == pytest.approx(0.1, rel=1e-15)
    assert ThreatModel(2.0, 0.5, 10, 0.3).step == 0.3
    assert ThreatModel(2.0, 0.5, 10, math.inf).step == math.inf
    assert math.isfinite(ThreatModel(2.0, 0.5, 0).step)
    assert ThreatModel(2.0, 0.0, 10).step == 0.0
    assert ThreatModel(1, 1, 1).bounds == (0.0, 1.0)

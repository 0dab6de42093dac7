"""Theorem 1 on networks: how large their cells are, and that the two algorithms agree in them and only there."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import reference
from opnorm import analysis, data, lp
from opnorm.analysis import _theorem
from opnorm.analysis._activations import activation_pattern
from opnorm.analysis._theorem import attack_iterates, cell_margins, cell_radii, power_iterates
from opnorm.analysis.subject import Samples, Subject
from opnorm.jacobian import DenseOperator, InputJacobian
from opnorm.models.classifier import Classifier, Normalise
from opnorm.operator_norm import power_method
from opnorm.threat_model import ThreatModel

# float64: sums of some hundreds of terms, of numbers of order one.
ROUNDING = 1e-12
GRIDS = {"l1": (1e-7, 4.0), "l2": (1e-7, 0.5), "linf": (1e-7, 0.06)}

all_norms = pytest.mark.parametrize("p", reference.EXPONENTS)
table_1 = pytest.mark.parametrize(("p", "q"), reference.TABLE_1)


def gaussian(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def classifier(features: int, *layers: nn.Module) -> Classifier:
    """`layers` and a linear layer to 3 logits, in float64 and with random weights."""
    model = Classifier(Normalise((0.0,), (1.0,)), nn.Sequential(*layers), nn.Linear(features, 3)).double().eval()
    for seed, parameter in enumerate(model.parameters()):
        parameter.data.copy_(gaussian(seed, *parameter.shape))
    return model


def subject_of(model: Classifier, x: Tensor, split: data.Split) -> Subject:
    index = torch.arange(50, 50 + len(x))
    return Subject(model, model, Samples(index, x, x, x, x), split, ThreatModel(2.0, 0.3, 3), seed=1)


@pytest.fixture
def subject(cnn5: Classifier, images: Tensor, digits: dict[str, data.Split]) -> Subject:
    """Images without the ties that equal pixels make."""
    return subject_of(cnn5, images + 0.01 * gaussian(5, *images.shape), digits["test"])


# Cells


@all_norms
def test_radii_of_one_layer_are_distances_to_hyperplanes(p: float) -> None:
    model, x = classifier(7, nn.Flatten(), nn.Linear(4, 7), nn.ReLU()), gaussian(9, 5, 1, 2, 2)
    W, b = model.body[1].weight.detach(), model.body[1].bias.detach()
    found = cell_radii(model, x)[p]
    for point, radius in zip(x.flatten(1), found.tolist(), strict=True):
        distances = [abs(float(w @ point + c)) / reference.norm(w, reference.dual_exponent(p))
                     for w, c in zip(W, b, strict=True)]  # fmt: skip
        assert radius == pytest.approx(min(distances), rel=ROUNDING)


@pytest.mark.parametrize(("p", "expected"), [(1.0, 0.25), (2.0, 0.25 / math.sqrt(2.0)), (math.inf, 0.125)])
def test_radius_of_a_pool_is_the_way_to_the_next_winner(p: float, expected: float) -> None:
    x = torch.tensor([[0.5, 0.75], [0.125, -1.0]], dtype=torch.float64)[None, None]
    model = classifier(1, nn.MaxPool2d(2), nn.Flatten())
    assert cell_radii(model, x)[p].item() == pytest.approx(expected, rel=ROUNDING)


def test_overlapping_and_padded_pools_have_a_lead_per_window_and_entry() -> None:
    x = gaussian(0, 2, 3, 5, 5).abs()
    pool = nn.MaxPool2d(3, stride=2, padding=1)
    margins = cell_margins(classifier(27, pool, nn.Flatten()), x)
    padded = nn.functional.pad(x, (1, 1, 1, 1))
    leads = [
        padded[:, :, i : i + 3, j : j + 3].amax((2, 3)) - padded[:, :, i + k, j + m]
        for i, j, k, m in itertools.product((0, 2, 4), (0, 2, 4), range(3), range(3))
    ]
    expected = torch.stack(leads, 2).flatten(1)
    # A constant stands for networks without kinks.
    torch.testing.assert_close(margins[:, 1:].sort().values, expected.sort().values)


@all_norms
def test_the_largest_ball_touches_the_border(p: float, subject: Subject) -> None:
    """On CNN5, with its pools: affine in the ball, and in another cell just behind its nearest point on the border."""
    model, x = subject.model, subject.samples.images
    radii = cell_radii(model, x)[p]
    assert (radii > 0.0).all()
    G = reference.jacobian(lambda z: cell_margins(model, z), x, step=1e-9)
    slopes = torch.tensor([[reference.norm(g, reference.dual_exponent(p)) for g in example] for example in G])
    c = cell_margins(model, x).detach()
    # Differences over steps of 1e-9 round by 1e-6: what moves less than that does not move.
    distances = torch.where(slopes > 1e-5, c.abs() / slopes, math.inf)
    torch.testing.assert_close(radii, distances.amin(1), rtol=1e-5, atol=0.0)
    nearest = distances.argmin(1)
    g = G[torch.arange(len(x)), nearest] * -c[torch.arange(len(x)), nearest].sign()[:, None]
    towards = lp.dual_vector(g, p).view_as(x) * radii.view(-1, 1, 1, 1)
    signs = c.sign()
    assert torch.equal(cell_margins(model, x + 0.999 * towards).sign(), signs)
    assert (cell_margins(model, x + 1.001 * towards).sign() != signs).any(1).all()
    J = InputJacobian(model, x)
    for seed in range(20):
        z = lp.sample_ball(x, p, 0.999 * radii, torch.Generator().manual_seed(seed))
        assert torch.equal(activation_pattern(model, x + z), activation_pattern(model, x))
        torch.testing.assert_close(model(x + z), J.outputs + J.matvec(z), rtol=0.0, atol=ROUNDING)


def test_a_few_probes_at_a_time_give_the_same_radii(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = cell_radii(subject.model, subject.samples.images)
    monkeypatch.setattr(_theorem, "_ELEMENTS", 1)
    for p, radii in cell_radii(subject.model, subject.samples.images).items():
        torch.testing.assert_close(radii, whole[p], rtol=ROUNDING, atol=0.0)


@all_norms
def test_only_borders_that_may_be_nearest_are_measured(p: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 2,000 units, with dense slopes and with sparse ones, few have their gradient taken, but the nearest has."""
    model, x = classifier(2000, nn.Flatten(), nn.Linear(64, 2000), nn.ReLU()), gaussian(9, 5, 1, 8, 8)
    W, b = (parameter.detach() for parameter in (model.body[1].weight, model.body[1].bias))
    W *= (
        torch.rand(W.shape, generator=torch.Generator().manual_seed(3)) < torch.logspace(-2, 0, 2000)[:, None]
    ).double()
    assert (W == 0.0).all(1).any()  # Units without a slope have no border.
    taken = 0
    gradients = torch.autograd.grad

    def grad(*args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
        nonlocal taken
        taken += 1
        return gradients(*args, **kwargs)

    monkeypatch.setattr(torch.autograd, "grad", grad)
    monkeypatch.setattr(_theorem, "_AT_ONCE", 1)
    found = cell_radii(model, x)[p]
    assert taken < 1000
    steepness = torch.linalg.vector_norm(W, reference.dual_exponent(p), 1)
    distances = torch.where(steepness > 0.0, (x.flatten(1) @ W.mT + b).abs() / steepness, math.inf)
    torch.testing.assert_close(found, distances.amin(1), rtol=ROUNDING, atol=0.0)


def test_a_network_without_kinks_has_one_cell(digits: dict[str, data.Split]) -> None:
    model, x = classifier(4, nn.Flatten()), gaussian(9, 5, 1, 2, 2)
    assert all((radii == math.inf).all() for radii in cell_radii(model, x).values())
    table = analysis.theorem(subject_of(model, x, digits["test"]))
    assert (table["epsilon"] == 1.0).all()
    assert table["in_cell"].all()
    assert (table["difference"] < ROUNDING).all()


def test_a_tie_in_a_pool_is_a_border_and_leaves_the_sample_out(digits: dict[str, data.Split]) -> None:
    x = gaussian(0, 3, 1, 4, 4)
    x[1, 0, :2, :2] = 3.0
    model = classifier(4, nn.MaxPool2d(2), nn.Flatten())
    assert [radius > 0.0 for radius in cell_radii(model, x)[2.0]] == [True, False, True]
    table = analysis.theorem(subject_of(model, x, digits["test"]))
    assert set(table["sample"]) == {50, 52}
    assert len(table) == 2 * 9 * 10


def test_activations_may_work_in_place() -> None:
    outside, inside = (
        classifier(7, nn.Flatten(), nn.Linear(4, 7), nn.ReLU(inplace=inplace)) for inplace in (False, True)
    )
    x = gaussian(9, 5, 1, 2, 2)
    assert torch.equal(cell_margins(inside, x), cell_margins(outside, x))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in inside.modules())


# Iterates


@table_1
def test_the_attack_is_equation_18_in_a_ball_of_each_example_s_own(p: float, q: float, subject: Subject) -> None:
    model, x = subject.model, subject.samples.images[:3]
    epsilon = torch.tensor([0.2, 1e-3, 0.05], dtype=torch.float64)
    found = attack_iterates(model, x, epsilon, p, q, iterations=3, seed=4)
    assert found.shape == (4, *x.shape)
    for b in range(3):
        assert reference.norm(found[0, b], p) <= 1.0 + ROUNDING
        v = found[0, b][None]
        point = x[b] + epsilon[b] * v
        for k in range(1, 4):
            point = point.detach().requires_grad_()
            distance = torch.linalg.vector_norm(model(point) - model(x[b : b + 1]).detach(), q)
            (gradient,) = torch.autograd.grad(distance, point)
            # In a large ball every feature may be off. Without a gradient the iterate stays.
            v = reference.dual_vector(gradient, p) if gradient.any() else v
            point = x[b] + epsilon[b] * v
            # Distances of logits of order one, of at least 1e-4.
            torch.testing.assert_close(found[k, b], v[0], rtol=0.0, atol=1e-9)


def test_the_start_is_the_same_in_every_ball(subject: Subject) -> None:
    model, x = subject.model, subject.samples.images
    epsilons = (torch.full((8,), 0.1).double(), torch.full((8,), 1.0).double())
    starts = [attack_iterates(model, x, e, 2.0, q, iterations=1, seed=0)[0] for e in epsilons for q in (1.0, 2.0)]
    assert all(torch.equal(start, starts[0]) for start in starts)
    other = attack_iterates(model, x, epsilons[0], 2.0, 2.0, iterations=1, seed=1)[0]
    assert not torch.equal(other, starts[0])


@table_1
def test_power_iterates_are_those_of_the_power_method(p: float, q: float) -> None:
    operator, start = DenseOperator(gaussian(0, 4, 3, 6)), gaussian(1, 4, 1, 2, 3)
    found = power_iterates(operator, p, q, iterations=4, start=start)
    for k in range(1, 5):
        assert torch.equal(found[k - 1], power_method(operator, p, q, iterations=k, start=start).maximizer)


# Tables


def test_inside_the_cell_the_difference_is_rounding(subject: Subject) -> None:
    table = analysis.theorem(subject, samples=6, iterations=5)
    assert set(table.columns) == {"sample", "p", "q", "iteration", "difference", "epsilon", "in_cell"}
    assert not table.duplicated(["sample", "p", "q", "iteration"]).any()
    assert len(table) == 6 * 9 * 5
    assert set(table["sample"]) == set(range(50, 56))
    assert table["in_cell"].all()
    radii = cell_radii(subject.model, subject.samples.images)
    for row in table.itertuples():
        assert row.epsilon == pytest.approx(0.5 * radii[row.p][row.sample - 50].item(), rel=ROUNDING)
    # f(x_k) - f(x) loses 2.2e-16 |f|, summed over layers, relative to epsilon |J v|, both of order one.
    assert (table["difference"] * table["epsilon"] < 1e-14).all()
    assert table["difference"].max() < 1e-7


def test_outside_the_cell_the_iterates_differ(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_theorem, "_FRACTION", 1e3)
    table = analysis.theorem(subject)
    assert not table["in_cell"].any()
    assert (table.groupby(["p", "q"])["difference"].max() > 0.05).all()


def test_a_float32_network_is_measured_in_float64_and_stays_as_it_is(subject: Subject) -> None:
    subject.model.float()
    table = analysis.theorem(replace(subject, samples=replace(subject.samples, images=subject.samples.images.float())))
    assert table["difference"].max() < 1e-7
    assert table["difference"].dtype == table["epsilon"].dtype == "float64"
    assert all(parameter.dtype == torch.float32 for parameter in subject.model.parameters())


def test_cosines_beyond_the_cell_are_those_of_a_loop(subject: Subject) -> None:
    table = analysis.theorem_distance(subject, **GRIDS, samples=3, iterations=4).set_index(
        ["sample", "p", "q", "epsilon"]
    )
    assert set(table.columns) == {"cosine", "in_cell"}
    assert len(table) == 3 * 9 * 2
    model, x = subject.model, subject.samples.images[:3]
    radii, J = cell_radii(model, x), DenseOperator(reference.jacobian(model, x))
    for (p, q), size in itertools.product(reference.TABLE_1, (0, 1)):
        epsilon = GRIDS[f"l{p:g}"][size]
        attack = attack_iterates(model, x, torch.full((3,), epsilon).double(), p, q, iterations=4, seed=1)
        power = power_method(J, p, q, iterations=4, start=attack[0])
        for b in range(3):
            v, w = attack[-1, b].flatten(), power.maximizer[b].flatten()
            row = table.loc[(50 + b, p, q, epsilon)]
            assert row["cosine"] == pytest.approx(abs(float(v @ w) / float(v.norm() * w.norm())), abs=1e-6)
            assert row["in_cell"] == (epsilon < radii[p][b])
    assert table["cosine"].between(0.0, 1.0 + ROUNDING).all()


def test_agreement_is_lost_beyond_the_cell(subject: Subject) -> None:
    table = analysis.theorem_distance(subject, **GRIDS)
    near = table["epsilon"] == 1e-7
    assert table[near]["in_cell"].all()
    # Distances of logits of 1e-7 have lost 9 of 16 digits.
    assert (table[near]["cosine"] > 1.0 - 1e-6).all()
    assert not table[~near]["in_cell"].any()
    assert (table[~near].groupby(["p", "q"])["cosine"].mean() < 0.95).all()

"""Training methods against their formulas, written out with dense Jacobians and finite differences."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import reference
from opnorm import attacks, lp, objectives, operator_norm
from opnorm.errors import SettingsError
from opnorm.jacobian import InputJacobian
from opnorm.models.classifier import Classifier
from opnorm.objectives.objective import Loss, Objective
from opnorm.options import check_options, options_of
from opnorm.threat_model import ThreatModel

# float64: sums of some hundreds of terms.
ROUNDING = 1e-11
# Central differences with steps of 1e-6: 1e-16 / 1e-6, and derivatives of order three times 1e-12.
DIFFERENCE = 1e-8

THREAT = ThreatModel(2.0, 0.5, 3)
OPTIONS: dict[str, dict[str, Any]] = {
    "standard": {},
    "adversarial": {},
    "global_snr": {"weight": 0.3},
    "data_dependent_snr": {"weight": 0.3},
    "mixture": {"weight": 0.3, "mixture": 0.5},
    "input_gradient": {"weight": 0.3},
    "frobenius": {"weight": 0.3},
}
# They draw no random numbers.
DETERMINISTIC = {"standard", "input_gradient"}

table_1 = pytest.mark.parametrize(("p", "q"), reference.TABLE_1)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def gaussian(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    return -torch.log_softmax(z, 1)[torch.arange(len(y)), y].mean()


@pytest.fixture
def smooth() -> nn.Sequential:
    """Images (B, 1, 2, 2) -> (B, 3) without kinks, in training mode, with running statistics of another batch."""
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(4, 6), nn.BatchNorm1d(6, affine=False), nn.Softplus(), nn.Linear(6, 3)
    ).double()
    for i, parameter in enumerate(model.parameters()):
        parameter.data.copy_(gaussian(i, *parameter.shape))
    with torch.no_grad():
        for seed in range(10):
            model(1.0 + 2.0 * gaussian(seed, 8, 1, 2, 2))
    return model


SMOOTH_X, SMOOTH_Y = gaussian(20, 6, 1, 2, 2), torch.arange(6) % 3


def loss_on(objective: Objective, model: Any, x: Tensor, y: Tensor, seed: int = 0) -> Loss:
    return objective(model.train(), x, y, generator(seed))


@pytest.mark.parametrize("name", objectives.USED_OF_THREAT)
def test_what_a_method_does_not_use_of_its_threat_model_does_not_change_its_loss(
    name: str, cnn5: Classifier, images: Tensor, labels: Tensor
) -> None:
    other = {"norm": math.inf, "epsilon": 0.1, "iterations": 7, "step_size": 0.2, "bounds": None}
    used = objectives.USED_OF_THREAT[name]
    unused = {key: value for key, value in other.items() if key not in used}
    threats = (THREAT, replace(THREAT, **unused), replace(THREAT, **{key: other[key] for key in used}))
    losses = []
    for threat in threats:
        model = copy.deepcopy(cnn5)
        objective = objectives.build(name, threat, **OPTIONS[name])
        objective.prepare(model, generator(1))
        losses.append(loss_on(objective, model, images, labels).total.item())
    assert losses[0] == losses[1]
    assert (losses[0] == losses[2]) is not bool(used)


@pytest.mark.parametrize("name", objectives.REGISTRY)
def test_every_method_has_terms_that_sum_to_its_total_and_reaches_all_weights(
    name: str, cnn5: Classifier, images: Tensor, labels: Tensor
) -> None:
    objective = objectives.build(name, THREAT, **OPTIONS[name])
    assert isinstance(objective, Objective)
    objective.prepare(cnn5, generator())
    loss = loss_on(objective, cnn5, images, labels)
    assert loss.logits.shape == (8, 10)
    torch.testing.assert_close(loss.total, sum(loss.terms.values()), rtol=ROUNDING, atol=0.0)
    torch.testing.assert_close(loss.terms["classification"], cross_entropy(loss.logits, labels))
    loss.total.backward()
    for parameter_name, parameter in cnn5.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all()
    assert all(module.training for module in cnn5.modules())
    assert all(parameter.requires_grad for parameter in cnn5.parameters())


@pytest.mark.parametrize("name", objectives.REGISTRY)
def test_random_numbers_come_from_the_generator_alone(
    name: str, cnn5: Classifier, images: Tensor, labels: Tensor
) -> None:
    def run(seed: int) -> Tensor:
        objective, model = objectives.build(name, THREAT, **OPTIONS[name]), copy.deepcopy(cnn5)
        objective.prepare(model, generator(seed))
        return loss_on(objective, model, images, labels, seed).total

    state = torch.get_rng_state()
    assert torch.equal(run(1), run(1))
    assert torch.equal(run(1), run(2)) == (name in DETERMINISTIC)
    assert torch.equal(state, torch.get_rng_state())


def test_an_unknown_method_is_named_with_its_neighbour() -> None:
    with pytest.raises(SettingsError, match="'adversaria'; did you mean adversarial"):
        objectives.build("adversaria", THREAT)


@pytest.mark.parametrize(("name", "expected"), [
    ("standard", set()),
    ("adversarial", {"fraction", "attack_loss"}),
    ("global_snr", {"weight", "iterations"}),
    ("data_dependent_snr", {"weight", "p", "q", "form", "solver", "iterations"}),
    ("mixture", {"mixture", "weight", "solver", "iterations"}),
    ("input_gradient", {"weight"}),
    ("frobenius", {"weight", "projections"}),
])  # fmt: skip
def test_options_of_an_experiment_file(name: str, expected: set[str]) -> None:
    assert set(options_of(objectives.REGISTRY[name])) == expected


@pytest.mark.parametrize(("name", "values", "complaint"), [
    ("adversarial", {"fraction": 1.5}, "here.fraction: 1.5 is not a number between 0 and 1"),
    ("global_snr", {}, "here.weight: missing"),
    ("global_snr", {"weight": -1}, "here.weight: -1 is not a number of at least 0"),
    ("global_snr", {"weight": 1, "iterations": 0}, "here.iterations: 0 is not a whole number of at least 1"),
    ("data_dependent_snr", {"weight": 1, "p": 3}, "here.p: 3 is not 1, 2 or inf"),
    ("data_dependent_snr", {"weight": 1, "solver": "svd"}, "here.solver: 'svd' is not one of exact, power"),
    ("data_dependent_snr", {"weight": 1, "from": "sigma"}, "here.from: unknown key; did you mean form?"),
])  # fmt: skip
def test_impossible_options_are_refused_by_key(name: str, values: dict[str, object], complaint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        check_options(values, objectives.REGISTRY[name], "here")
    assert str(caught.value) == complaint


@pytest.mark.parametrize(("name", "values", "complaint"), [
    ("data_dependent_snr", {"weight": 1, "form": "Sigma"}, "form: 'Sigma' is not one of sum_of_squares, sigma"),
    ("mixture", {"weight": 1, "mixture": 0.5, "solver": "power_method"}, "solver: 'power_method' is not one of"),
    ("input_gradient", {"weight": -1}, "weight: -1 is not a number of at least 0"),
    ("adversarial", {"fraction": 1.5}, "fraction: 1.5 is not a number between 0 and 1"),
    ("frobenius", {}, "weight: missing"),
    ("standard", {"weight": 1}, "weight: unknown key"),
])  # fmt: skip
def test_impossible_options_are_refused_by_build(name: str, values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}.{complaint}"):
        objectives.build(name, THREAT, **values)


def test_options_are_read_as_numbers() -> None:
    read = check_options({"weight": "1e-3", "q": "inf"}, objectives.REGISTRY["data_dependent_snr"], "here")
    assert read == {"weight": 1e-3, "q": math.inf}


def test_standard_is_cross_entropy_in_training_mode(cnn5: Classifier, images: Tensor, labels: Tensor) -> None:
    loss = loss_on(objectives.build("standard", THREAT), cnn5, images, labels)
    assert set(loss.terms) == {"classification"}
    torch.testing.assert_close(loss.total, cross_entropy(cnn5.train()(images), labels), rtol=ROUNDING, atol=0.0)
    assert (loss.total - cross_entropy(cnn5.eval()(images), labels)).abs() > 1e-3


@pytest.mark.parametrize(("fraction", "attacked"), [(0.0, 0), (0.25, 2), (0.5, 4), (1.0, 8)])
def test_adversarial_training_attacks_a_fraction(
    fraction: float, attacked: int, cnn5: Classifier, images: Tensor, labels: Tensor
) -> None:
    seen: list[Tensor] = []
    hook = cnn5.register_forward_pre_hook(lambda model, inputs: seen.append(inputs[0]) if model.training else None)
    before = int(cnn5.body[0][1].num_batches_tracked)
    objective = objectives.build("adversarial", THREAT, fraction=fraction)
    loss = loss_on(objective, cnn5, images, labels)
    hook.remove()
    (x,) = seen
    assert not x.requires_grad
    moved = torch.linalg.vector_norm((x - images).flatten(1), dim=1)
    assert (moved[:attacked] > 0.1).all()
    assert (moved <= THREAT.epsilon * (1.0 + ROUNDING)).all()
    assert x.min() >= 0.0
    assert x.max() <= 1.0
    assert torch.equal(x[attacked:], images[attacked:])
    # The attack, in evaluation mode, does not count in the running statistics.
    assert int(cnn5.body[0][1].num_batches_tracked) == before + 1
    standard = loss_on(objectives.build("standard", THREAT), cnn5, images, labels)
    assert torch.equal(loss.total, standard.total) == (fraction == 0.0)
    assert loss.total > standard.total or fraction < 1.0
    torch.testing.assert_close(loss.total, cross_entropy(cnn5.train()(x), labels), rtol=ROUNDING, atol=0.0)


def test_adversarial_training_ascends_the_loss_it_is_told(cnn5: Classifier, images: Tensor, labels: Tensor) -> None:
    losses = [
        loss_on(objectives.build("adversarial", THREAT, attack_loss=name), cnn5, images, labels).total
        for name in ("cross_entropy", "logit_l2")
    ]
    assert losses[0] != losses[1]
    with pytest.raises(SettingsError, match="adversarial.attack_loss: 'margn' is not one of cross_entropy, margin"):
        objectives.build("adversarial", THREAT, attack_loss="margn")


def matrices(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.ndim > 1}


def test_global_snr_penalises_the_singular_values_of_the_weights(
    cnn5: Classifier, images: Tensor, labels: Tensor
) -> None:
    # The error falls as (sigma_2 / sigma_1)^(4 iterations) in the value, half as fast in the gradient.
    objective = objectives.build("global_snr", THREAT, weight=0.3, iterations=3000)
    objective.prepare(cnn5, generator())
    penalty = loss_on(objective, cnn5, images, labels).terms["penalty"]
    weights = matrices(cnn5)
    assert len(weights) == 6
    decompositions = {name: torch.linalg.svd(W.detach().flatten(1)) for name, W in weights.items()}
    expected = 0.15 * sum(S[0] ** 2 for _, S, _ in decompositions.values())
    torch.testing.assert_close(penalty, expected, rtol=ROUNDING, atol=0.0)
    gradients = torch.autograd.grad(penalty, list(weights.values()))
    for gradient, (U, S, Vh) in zip(gradients, decompositions.values(), strict=True):
        eq_5 = 0.3 * S[0] * torch.outer(U[:, 0], Vh[0])
        torch.testing.assert_close(gradient.flatten(1), eq_5, rtol=0.0, atol=1e-9)


def test_global_snr_refines_its_vectors_from_update_to_update(cnn5: Classifier, images: Tensor, labels: Tensor) -> None:
    one, three = (objectives.build("global_snr", THREAT, weight=0.3, iterations=k) for k in (1, 3))
    one.prepare(cnn5, generator())
    three.prepare(cnn5, generator())
    start = copy.deepcopy(one.state_dict())
    assert set(start) == {f"v{i}" for i in range(6)}
    penalties = [loss_on(one, cnn5, images, labels).terms["penalty"].item() for _ in range(3)]
    # Each power iteration raises sigma; three updates of one are one update of three.
    assert penalties[0] < penalties[1] < penalties[2]
    assert loss_on(three, cnn5, images, labels).terms["penalty"].item() == pytest.approx(penalties[2], rel=ROUNDING)
    for name, v in one.state_dict().items():
        assert not torch.equal(v, start[name])
        torch.testing.assert_close(v, three.state_dict()[name], rtol=0.0, atol=ROUNDING)
    resumed = objectives.build("global_snr", THREAT, weight=0.3)
    resumed.prepare(cnn5, generator(99))
    resumed.load_state_dict(one.state_dict())
    expected = loss_on(one, cnn5, images, labels).terms["penalty"]
    assert torch.equal(loss_on(resumed, cnn5, images, labels).terms["penalty"], expected)


def test_global_snr_is_equation_4(cnn5: Classifier, images: Tensor, labels: Tensor) -> None:
    objective = objectives.build("global_snr", THREAT, weight=2.0)
    objective.prepare(cnn5, generator())
    expected = 0.0
    for i, W in enumerate(matrices(cnn5).values()):
        matrix, v = W.detach().flatten(1), objective.get_buffer(f"v{i}").clone()
        u = matrix @ v / (matrix @ v).norm()
        v = matrix.T @ u / (matrix.T @ u).norm()
        expected += float(u @ matrix @ v) ** 2
    penalty = loss_on(objective, cnn5, images, labels).terms["penalty"].item()
    assert penalty == pytest.approx(expected, rel=ROUNDING)


@pytest.mark.parametrize("kind", [nn.Conv1d, nn.Conv2d, nn.Conv3d])
def test_global_snr_takes_convolutions_of_any_dimension(kind: type[nn.Module]) -> None:
    dimensions = [nn.Conv1d, nn.Conv2d, nn.Conv3d].index(kind) + 1
    model = nn.Sequential(kind(2, 3, 2), nn.Flatten(), nn.Linear(3, 2)).double()
    objective = objectives.build("global_snr", THREAT, weight=0.3, iterations=500)
    objective.prepare(model, generator())
    x, y = gaussian(0, 4, 2, *[2] * dimensions), torch.arange(4) % 2
    penalty = loss_on(objective, model, x, y).terms["penalty"]
    expected = 0.15 * sum(torch.linalg.svdvals(W.detach().flatten(1))[0] ** 2 for W in matrices(model).values())
    torch.testing.assert_close(penalty, expected, rtol=ROUNDING, atol=0.0)


@pytest.mark.parametrize(("layer", "message"), [
    (nn.ConvTranspose2d(1, 1, 1), "ConvTranspose2d"), (nn.ReLU(), "neither a convolution nor a linear layer"),
], ids=str)  # fmt: skip
def test_global_snr_refuses_what_it_has_no_matrix_of(layer: nn.Module, message: str) -> None:
    with pytest.raises(SettingsError, match=f"^global_snr: .*{message}"):
        objectives.build("global_snr", THREAT, weight=0.3).prepare(nn.Sequential(layer), generator())


def snr(threat: ThreatModel = THREAT, **options: Any) -> Any:
    return objectives.build("data_dependent_snr", threat, **{"weight": 0.3, **options})


def alignment(v: Tensor, w: Tensor) -> Tensor:
    return (v.flatten(1) * w.flatten(1)).sum(1).abs()


def test_exact_maximizer_is_the_top_singular_vector(cnn5: Classifier, images: Tensor) -> None:
    v = snr().maximizer(cnn5.train(), images, generator())
    assert v.shape == images.shape
    J = reference.jacobian(cnn5.eval(), images)
    _, S, Vh = torch.linalg.svd(J, full_matrices=False)
    # A vector that is off by the angle t is 1 - t^2 / 2 aligned; t is the Jacobian's error over the gap.
    torch.testing.assert_close(alignment(v, Vh[:, 0]), torch.ones(8, dtype=torch.float64), rtol=0.0, atol=1e-10)
    assert ((S[:, 0] - S[:, 1]) / S[:, 0] > 1e-3).all()


@table_1
def test_exact_maximizer_attains_the_operator_norm(p: float, q: float, smooth: nn.Sequential) -> None:
    v = snr(p=p, q=q).maximizer(smooth, SMOOTH_X, generator())
    J = reference.jacobian(smooth.eval(), SMOOTH_X)
    for matrix, row in zip(J, v.flatten(1), strict=True):
        assert reference.norm(row, p) == pytest.approx(1.0, rel=ROUNDING)
        assert reference.norm(matrix @ row, q) == pytest.approx(reference.operator_norm(matrix, p, q), rel=DIFFERENCE)


def test_power_solver_converges_to_the_exact_one(cnn5: Classifier, images: Tensor) -> None:
    exact = snr().maximizer(cnn5, images, generator())
    many = snr(solver="power", iterations=2000).maximizer(cnn5, images, generator())
    few = snr(solver="power", iterations=1).maximizer(cnn5, images, generator())
    torch.testing.assert_close(alignment(many, exact), torch.ones(8, dtype=torch.float64), rtol=0.0, atol=1e-9)
    assert (alignment(few, exact) < 0.9999).any()


@table_1
def test_power_solver_is_equation_12(p: float, q: float, smooth: nn.Sequential) -> None:
    v = snr(p=p, q=q, solver="power", iterations=4).maximizer(smooth, SMOOTH_X, generator(3))
    start = torch.randn(SMOOTH_X.shape, generator=generator(3), dtype=torch.float64).flatten(1)
    J = reference.jacobian(smooth.eval(), SMOOTH_X)
    for matrix, row, expected in zip(J, v.flatten(1), start, strict=True):
        for _ in range(4):
            u = reference.dual_vector(matrix @ expected, reference.dual_exponent(q))
            expected = reference.dual_vector(matrix.T @ u, p)
        torch.testing.assert_close(row, expected, rtol=0.0, atol=1e-7)


@table_1
@pytest.mark.parametrize("solver", ["exact", "power"])
def test_maximizer_is_in_the_ball_where_the_jacobian_is_zero(
    solver: str, p: float, q: float, smooth: nn.Sequential
) -> None:
    smooth[-1].weight.data.zero_()
    v = snr(p=p, q=q, solver=solver, iterations=2).maximizer(smooth, SMOOTH_X, generator())
    for row in v.flatten(1):
        assert reference.norm(row, p) <= 1.0 + ROUNDING


@pytest.mark.parametrize("solver", ["exact", "power"])
def test_sign_of_the_maximizer_is_random(solver: str, smooth: nn.Sequential) -> None:
    vs = torch.stack([snr(solver=solver).maximizer(smooth, SMOOTH_X, generator(seed)) for seed in range(20)])
    positive = ((vs * vs[0]).flatten(2).sum(2) > 0.0).double().mean(0)
    assert (positive > 0.0).all()
    assert (positive < 1.0).all()


@pytest.mark.parametrize("solver", ["exact", "power"])
def test_maximizer_is_found_in_evaluation_mode_and_leaves_no_trace(
    solver: str, cnn5: Classifier, images: Tensor
) -> None:
    objective = snr(solver=solver)
    evaluated = objective.maximizer(cnn5.eval(), images, generator())
    before = copy.deepcopy(cnn5.state_dict())
    v = objective.maximizer(cnn5.train(), images, generator())
    assert torch.equal(v, evaluated)
    assert not v.requires_grad
    assert all(module.training for module in cnn5.modules())
    assert all(torch.equal(before[name], tensor) for name, tensor in cnn5.state_dict().items())
    assert all(parameter.grad is None for parameter in cnn5.parameters())


def power(x: Tensor, q: float) -> Tensor:
    """|x|_q^q / q per example, and |x|_inf."""
    return x.abs().amax(1) if q == math.inf else (x.abs() ** q).sum(1) / q


@pytest.mark.parametrize("solver", ["exact", "power"])
@pytest.mark.parametrize("q", reference.EXPONENTS)
def test_sum_of_squares_is_its_formula_and_v_a_constant(
    solver: str, q: float, cnn5: Classifier, images: Tensor, labels: Tensor
) -> None:
    objective = snr(q=q, solver=solver)
    # Before the loss, whose forward passes move the running statistics that v depends on.
    v = objective.maximizer(cnn5, images, generator(5)).detach()
    loss = loss_on(objective, cnn5, images, labels, seed=5)
    z = cnn5(images)
    expected = 0.3 * power(cnn5(images + 0.5 * v) - z, q).mean()
    torch.testing.assert_close(loss.logits, z, rtol=ROUNDING, atol=ROUNDING)
    torch.testing.assert_close(loss.terms["penalty"], expected, rtol=ROUNDING, atol=0.0)
    parameters = list(cnn5.parameters())
    ours = torch.autograd.grad(loss.terms["penalty"], parameters, materialize_grads=True)
    theirs = torch.autograd.grad(expected, parameters, materialize_grads=True)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize("q", reference.EXPONENTS)
def test_sigma_is_its_formula(q: float, smooth: nn.Sequential) -> None:
    objective, h = snr(q=q, form="sigma"), 1e-6
    v = objective.maximizer(smooth, SMOOTH_X, generator(5))
    statistics = copy.deepcopy(smooth)
    loss = loss_on(objective, smooth, SMOOTH_X, SMOOTH_Y, seed=5)
    statistics.train()(SMOOTH_X)
    for ours, theirs in zip(smooth.buffers(), statistics.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=ROUNDING, atol=ROUNDING)
    torch.testing.assert_close(loss.logits, smooth(SMOOTH_X), rtol=ROUNDING, atol=ROUNDING)
    gain = (smooth(SMOOTH_X + h * v) - smooth(SMOOTH_X - h * v)) / (2.0 * h)
    torch.testing.assert_close(loss.terms["penalty"], 0.3 * power(gain, q).mean(), rtol=DIFFERENCE, atol=0.0)


@pytest.mark.parametrize("q", reference.EXPONENTS)
@pytest.mark.parametrize("form", ["sigma", "sum_of_squares"])
def test_gradients_of_both_forms_are_finite_differences_at_constant_v(
    form: str, q: float, smooth: nn.Sequential, monkeypatch: pytest.MonkeyPatch
) -> None:
    objective = snr(q=q, form=form)
    v = objective.maximizer(smooth, SMOOTH_X, generator(5))
    monkeypatch.setattr(objective, "maximizer", lambda *_: v)

    def penalty() -> Tensor:
        return loss_on(objective, smooth, SMOOTH_X, SMOOTH_Y).terms["penalty"]

    weight, h = smooth[1].weight, 1e-5
    (gradient,) = torch.autograd.grad(penalty(), weight)
    expected = torch.zeros_like(weight)
    for i, entry in enumerate(weight.flatten().tolist()):
        values = []
        for shift in (h, -h):
            weight.data.view(-1)[i] = entry + shift
            values.append(penalty().detach())
        weight.data.view(-1)[i] = entry
        expected.view(-1)[i] = (values[0] - values[1]) / (2.0 * h)
    # 1e-15 / 1e-5 from rounding and 1e-10 from the step, times the size of the derivatives.
    torch.testing.assert_close(gradient, expected, rtol=0.0, atol=1e-7)
    assert gradient.abs().max() > 1e-2


def test_sum_of_squares_over_the_squared_radius_tends_to_sigma(smooth: nn.Sequential) -> None:
    def penalty(objective: Objective) -> Tensor:
        return loss_on(objective, copy.deepcopy(smooth), SMOOTH_X, SMOOTH_Y).terms["penalty"]

    sigma, errors = penalty(snr(form="sigma")), []
    for epsilon in (1e-3, 1e-4):
        squares = penalty(snr(ThreatModel(2.0, epsilon, 3)))
        errors.append((squares / epsilon**2 - sigma).abs() / sigma)
    # lambda~ = lambda epsilon^2 up to a term of order epsilon.
    assert errors[0] < 1e-2
    assert errors[1] < 0.2 * errors[0]


@table_1
def test_theorem_1_in_a_cell_adversarial_training_and_both_penalties_have_one_gradient(p: float, q: float) -> None:
    """The attack on |f(x*) - f(x)|_q (Eq. 108) and Eq. 13 are one regulariser: values and gradients for the weights."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    for i, parameter in enumerate(network.parameters()):
        parameter.data.copy_(gaussian(i, *parameter.shape))
    epsilon, x, start = 1e-4, SMOOTH_X, gaussian(30, 6, 4)
    points = x + epsilon * lp.dual_vector(gaussian(31, 50, *x.shape).flatten(1), math.inf).view(50, *x.shape)
    cells = network[1](points.flatten(0, 1).flatten(1)) > 0.0
    assert (cells.view(50, 6, 8) == (network[1](x.flatten(1)) > 0.0)).all()

    threat = ThreatModel(p, epsilon, 5, step_size=math.inf, bounds=None)
    distance = {1.0: "logit_l1", 2.0: "logit_l2", math.inf: "logit_linf"}[q]
    inside = x + (epsilon * start / lp.norm(start, p)[:, None]).view_as(x)
    attacked = attacks.projected_gradient_ascent(
        network, x, SMOOTH_Y, threat, loss=distance, start=inside, rescore=False
    )
    v = operator_norm.power_method(InputJacobian(network.eval(), x), p, q, iterations=5, start=start).maximizer
    v = v.view_as(x)
    torch.testing.assert_close((attacked - x) / epsilon, v, rtol=0.0, atol=1e-9)

    scale = epsilon if q == math.inf else epsilon**q
    gain = network(attacked) - network(x)
    adversarial = 0.3 * (lp.norm(gain, math.inf) if q == math.inf else gain.abs().pow(q).sum(1) / q)
    penalties = [
        adversarial / scale,
        snr(threat, p=p, q=q).penalties(network, x, v)[1] / scale,
        snr(threat, p=p, q=q, form="sigma").penalties(network, x, v)[1],
    ]
    weights = [network[1].weight, network[3].weight]
    gradients = [torch.autograd.grad(penalty.sum(), weights) for penalty in penalties]
    for penalty, gradient in zip(penalties, gradients, strict=True):
        # Differences of logits over 1e-4 lose four of sixteen digits.
        torch.testing.assert_close(penalty, penalties[2], rtol=1e-10, atol=0.0)
        for one, other in zip(gradient, gradients[2], strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
    assert gradients[2][0].abs().max() > 1e-2


def test_weight_scales_the_penalty_and_nothing_else(cnn5: Classifier, images: Tensor, labels: Tensor) -> None:
    zero, one, two = (loss_on(snr(weight=weight), copy.deepcopy(cnn5), images, labels) for weight in (0.0, 1.0, 2.0))
    assert zero.terms["penalty"] == 0.0
    torch.testing.assert_close(2.0 * one.terms["penalty"], two.terms["penalty"], rtol=ROUNDING, atol=0.0)
    assert torch.equal(one.terms["classification"], zero.terms["classification"])


def test_penalty_at_the_data_is_half_sigma_squared_where_batch_norm_is_frozen(
    cnn5: Classifier, images: Tensor, labels: Tensor
) -> None:
    # In evaluation mode Eq. 7 holds literally: the penalty is (weight / 2) mean sigma_1(J_f(x))^2.
    loss = snr(form="sigma")(cnn5.eval(), images, labels, generator())
    J = reference.jacobian(cnn5, images)
    sigma = operator_norm.singular_values(J)[:, 0]
    torch.testing.assert_close(loss.terms["penalty"], 0.15 * sigma.square().mean(), rtol=DIFFERENCE, atol=0.0)


def finite_differences(value: Callable[[], Tensor], parameter: nn.Parameter, h: float = 1e-5) -> Tensor:
    """The gradient of `value` by each entry of `parameter`."""
    found = torch.zeros_like(parameter)
    for i, entry in enumerate(parameter.flatten().tolist()):
        values = []
        for shift in (h, -h):
            parameter.data.view(-1)[i] = entry + shift
            values.append(value().detach())
        parameter.data.view(-1)[i] = entry
        found.view(-1)[i] = (values[0] - values[1]) / (2.0 * h)
    return found


def batch_derivatives(model: nn.Module, x: Tensor, h: float = 1e-6) -> Tensor:
    """d f(x_i)_k / d x_j in training mode, (B, d, B, n): BatchNorm couples the examples."""
    columns = []
    for unit in torch.eye(x.numel(), dtype=x.dtype).view(-1, *x.shape):
        columns.append((model(x + h * unit) - model(x - h * unit)) / (2.0 * h))
    return torch.stack(columns, -1).view(len(x), -1, len(x), x[0].numel())


@pytest.mark.parametrize(("name", "options"), [
    ("input_gradient", {}), ("frobenius", {}), ("frobenius", {"projections": 2}),
])  # fmt: skip
def test_gradients_of_penalties_on_gradients_are_finite_differences(
    name: str, options: dict[str, Any], smooth: nn.Sequential
) -> None:
    objective = objectives.build(name, THREAT, weight=0.3, **options)

    def penalty() -> Tensor:
        return loss_on(objective, smooth, SMOOTH_X, SMOOTH_Y).terms["penalty"]

    for parameter in (smooth[1].weight, smooth[4].weight):
        (gradient,) = torch.autograd.grad(penalty(), parameter)
        # As for the forms of d.d. SNR.
        torch.testing.assert_close(gradient, finite_differences(penalty, parameter), rtol=1e-7, atol=1e-7)
        assert gradient.abs().max() > 1e-2


def test_input_gradient_is_its_formula(smooth: nn.Sequential) -> None:
    J = batch_derivatives(smooth.train(), SMOOTH_X)
    # The gradient of each example's cross-entropy at its logits is softmax(z) - e_y.
    u = torch.softmax(smooth(SMOOTH_X), 1) - torch.eye(3, dtype=torch.float64)[SMOOTH_Y]
    gradient = torch.einsum("bk,bkjn->jn", u, J).detach()
    loss = loss_on(objectives.build("input_gradient", THREAT, weight=0.3), smooth, SMOOTH_X, SMOOTH_Y)
    torch.testing.assert_close(
        loss.terms["penalty"].detach(), 0.3 * gradient.square().sum(1).mean(), rtol=DIFFERENCE, atol=0.0
    )


@pytest.mark.parametrize("projections", [0, 2, 3, 7])
def test_frobenius_is_its_formula(projections: int, smooth: nn.Sequential) -> None:
    J = batch_derivatives(smooth.train(), SMOOTH_X).detach()
    objective = objectives.build("frobenius", THREAT, weight=0.3, projections=projections)
    directions = objective._directions(SMOOTH_X.new_zeros(6, 3), generator())
    k = 2 if projections == 2 else 3
    gram = torch.einsum("kbd,lbd->bkl", directions, directions)
    torch.testing.assert_close(gram, torch.eye(k, dtype=torch.float64).expand(6, k, k), rtol=0.0, atol=ROUNDING)
    squares = torch.einsum("kbd,bdjn->kjn", directions, J).square().sum((0, 2))
    loss = loss_on(objective, smooth, SMOOTH_X, SMOOTH_Y)
    expected = 0.15 * 3 / k * squares.mean()
    torch.testing.assert_close(loss.terms["penalty"].detach(), expected, rtol=DIFFERENCE, atol=0.0)


@pytest.mark.parametrize("projections", [0, 2])
def test_frobenius_means_all_derivatives_of_a_coupled_batch(projections: int, smooth: nn.Sequential) -> None:
    J = batch_derivatives(smooth.train(), SMOOTH_X).detach()
    objective = objectives.build("frobenius", THREAT, weight=0.3, projections=projections)
    found = torch.stack([loss_on(objective, smooth, SMOOTH_X, SMOOTH_Y, s).terms["penalty"] for s in range(400)])
    error = found.std() / math.sqrt(400)
    # Four standard errors; the seeds are fixed.
    assert (found.mean() - 0.15 * J.square().sum() / 6).abs() < 4.0 * error
    # Equal signs would see next to nothing: BatchNorm keeps the batch's mean.
    assert 0.15 * J.sum(0).square().sum() / 6 < 0.1 * found.mean()


@pytest.mark.parametrize("name", ["input_gradient", "frobenius"])
def test_penalties_on_gradients_count_a_batch_once_in_the_running_statistics(name: str, smooth: nn.Sequential) -> None:
    standard = copy.deepcopy(smooth)
    loss_on(objectives.build(name, THREAT, weight=0.3), smooth, SMOOTH_X, SMOOTH_Y)
    loss_on(objectives.build("standard", THREAT), standard, SMOOTH_X, SMOOTH_Y)
    for ours, theirs in zip(smooth.buffers(), standard.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=ROUNDING, atol=ROUNDING)


def test_frobenius_at_the_data_is_the_sum_of_squared_singular_values(
    cnn5: Classifier, images: Tensor, labels: Tensor
) -> None:
    # In evaluation mode there is a Jacobian per example.
    loss = objectives.build("frobenius", THREAT, weight=0.3)(cnn5.eval(), images, labels, generator())
    S = operator_norm.singular_values(reference.jacobian(cnn5, images))
    torch.testing.assert_close(
        loss.terms["penalty"].detach(), 0.15 * S.square().sum(1).mean(), rtol=DIFFERENCE, atol=0.0
    )


@pytest.mark.parametrize("projections", [1, 4])
def test_random_projections_estimate_the_frobenius_norm_without_bias(
    projections: int, cnn5: Classifier, images: Tensor, labels: Tensor
) -> None:
    def penalties(projections: int, seeds: int) -> Tensor:
        objective = objectives.build("frobenius", THREAT, weight=0.3, projections=projections)
        found = [objective(cnn5.eval(), images, labels, generator(seed)).terms["penalty"] for seed in range(seeds)]
        return torch.stack(found).detach()

    (exact,), estimates = penalties(0, 1), penalties(projections, 200)
    assert estimates.std() > 0.0
    # Four standard errors of the mean; the seeds are fixed.
    assert (estimates.mean() - exact).abs() < 4.0 * estimates.std() / math.sqrt(200)


@pytest.mark.parametrize(("mixture", "end", "options"), [
    (0.0, "data_dependent_snr", {"weight": 0.3}), (1.0, "adversarial", {}),
])  # fmt: skip
def test_the_mixtures_ends_are_the_mixed_methods(
    mixture: float, end: str, options: dict[str, Any], cnn5: Classifier, images: Tensor, labels: Tensor
) -> None:
    other = copy.deepcopy(cnn5)
    mixed = loss_on(objectives.build("mixture", THREAT, weight=0.3, mixture=mixture), cnn5, images, labels)
    alone = loss_on(objectives.build(end, THREAT, **options), other, images, labels)
    assert mixed.terms.keys() == alone.terms.keys()
    assert all(torch.equal(mixed.terms[name], term) for name, term in alone.terms.items())
    for ours, theirs in zip(cnn5.buffers(), other.buffers(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_mixture_is_the_convex_combination_over_a_batch(cnn5: Classifier, images: Tensor, labels: Tensor) -> None:
    # In evaluation mode BatchNorm couples no examples: the two parts can be computed apart.
    model, draws = cnn5.eval(), generator(3)
    adversarial = objectives.build("adversarial", THREAT)(model, images[:6], labels[:6], draws)
    regularised = snr()(model, images[6:], labels[6:], draws)
    mixed = objectives.build("mixture", THREAT, weight=0.3, mixture=0.75)(model, images, labels, generator(3))
    expected = 0.75 * adversarial.total + 0.25 * regularised.total
    torch.testing.assert_close(mixed.total, expected, rtol=ROUNDING, atol=0.0)
    torch.testing.assert_close(mixed.terms["penalty"], 0.25 * regularised.terms["penalty"], rtol=ROUNDING, atol=0.0)

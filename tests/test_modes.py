"""A network is looked at without a trace, and its BatchNorm can be differentiated twice."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
import torch.autograd.forward_ad as forward_ad
from torch import Tensor, nn

from opnorm.errors import SettingsError
from opnorm.models.classifier import Classifier
from opnorm.modes import evaluation, precision, twice_differentiable

# float64: means over some tens of numbers.
ROUNDING = 1e-12


def gaussian(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def smooth(affine: bool) -> nn.Sequential:
    """Images (B, 1, 4, 4) -> (B, 3), smooth everywhere; in training mode."""
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1),
        nn.BatchNorm2d(2, affine=affine),
        nn.Softplus(),
        nn.AvgPool2d(2),
        nn.Conv2d(2, 3, 2),
        nn.BatchNorm2d(3, affine=affine),
        nn.Softplus(),
        nn.Flatten(),
        nn.Linear(3, 3),
    ).double()
    for i, parameter in enumerate(model.parameters()):
        parameter.data.copy_(gaussian(i, *parameter.shape))
    return model.train()


def jacobian_vector_product(model: nn.Module, x: Tensor, v: Tensor) -> Tensor:
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(model(forward_ad.make_dual(x, v))).tangent
        assert tangent is not None
        return tangent


def central_difference(function: Callable[[float], Tensor], step: float = 1e-3) -> Tensor:
    """f'(0), up to terms of order step^4."""
    near = (function(step) - function(-step)) / (2.0 * step)
    far = (function(2.0 * step) - function(-2.0 * step)) / (4.0 * step)
    return (4.0 * near - far) / 3.0


def state(model: nn.Module) -> tuple[list[bool], list[bool], dict[str, Tensor]]:
    modes = [module.training for module in model.modules()]
    return modes, [parameter.requires_grad for parameter in model.parameters()], copy.deepcopy(model.state_dict())


def assert_same_state(model: nn.Module, expected: tuple[list[bool], list[bool], dict[str, Tensor]]) -> None:
    modes, flags, tensors = state(model)
    assert modes == expected[0]
    assert flags == expected[1]
    assert all(torch.equal(tensor, expected[2][name]) for name, tensor in tensors.items())


@pytest.fixture
def mixed(cnn5: Classifier) -> Classifier:
    """A network of which a part is in evaluation mode, and one parameter constant."""
    cnn5.train()
    cnn5.body[1].eval()
    cnn5.linear.weight.requires_grad_(False)
    return cnn5


def test_evaluation_is_complete_inside_and_gone_outside(mixed: Classifier, images: Tensor) -> None:
    before = state(mixed)
    with evaluation(mixed) as model:
        assert model is mixed
        assert not any(module.training for module in model.modules())
        assert not any(parameter.requires_grad for parameter in model.parameters())
        alone, together = model(images[:1]), model(images)[:1]
    torch.testing.assert_close(alone, together, rtol=ROUNDING, atol=ROUNDING)
    assert_same_state(mixed, before)


@pytest.mark.parametrize("context", [evaluation, twice_differentiable])
def test_everything_is_restored_after_an_exception(mixed: Classifier, images: Tensor, context: Callable) -> None:
    before = state(mixed)

    def fail() -> None:
        with context(mixed):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert_same_state(mixed, before)
    assert not any("forward" in vars(module) for module in mixed.modules())


def test_evaluation_nests(mixed: Classifier) -> None:
    before = state(mixed)
    with evaluation(mixed):
        with evaluation(mixed):
            pass
        assert not any(module.training for module in mixed.modules())
    assert_same_state(mixed, before)


@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nn.BatchNorm2d])
@pytest.mark.parametrize("options", [
    {"affine": False}, {}, {"momentum": None}, {"momentum": 0.7, "eps": 1e-2}, {"track_running_stats": False},
])  # fmt: skip
def test_batch_norm_is_torchs(kind: type[nn.BatchNorm2d], options: dict[str, object]) -> None:
    theirs = kind(3, **options).double()
    for i, parameter in enumerate(theirs.parameters()):
        parameter.data.copy_(gaussian(i, *parameter.shape))
    ours = copy.deepcopy(theirs)
    shape = (5, 3, 2, 4) if kind is nn.BatchNorm2d else (5, 3)
    for seed in range(4):
        x = 3.0 + 2.0 * gaussian(seed, *shape)
        with twice_differentiable(ours):
            y = ours(x)
        torch.testing.assert_close(y, theirs(x), rtol=ROUNDING, atol=ROUNDING)
        for name, buffer in theirs.named_buffers():
            torch.testing.assert_close(ours.get_buffer(name), buffer, rtol=ROUNDING, atol=ROUNDING)
    if theirs.track_running_stats:
        before = copy.deepcopy(theirs.state_dict())
        with twice_differentiable(ours.eval()):
            y = ours(x)
        torch.testing.assert_close(y, theirs.eval()(x), rtol=ROUNDING, atol=ROUNDING)
        for name, tensor in ours.state_dict().items():
            torch.testing.assert_close(tensor, before[name], rtol=ROUNDING, atol=ROUNDING)


def test_batch_norm_has_the_statistics_of_rounded_inputs_in_float32() -> None:
    theirs = nn.BatchNorm2d(3)
    ours, x = copy.deepcopy(theirs), (30.0 + gaussian(0, 6, 3, 4, 4)).to(torch.bfloat16)
    with twice_differentiable(ours):
        y = ours(x)
    assert y.dtype == torch.bfloat16
    # Of its last digit a bfloat16 number near 3 knows 2^-7.
    torch.testing.assert_close(y, theirs(x), rtol=0.0, atol=2.0**-6)
    torch.testing.assert_close(ours.running_mean, theirs.running_mean, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(ours.running_var, theirs.running_var, rtol=1e-5, atol=1e-6)


def test_running_statistics_do_not_see_the_tangent() -> None:
    theirs, ours = smooth(affine=False), smooth(affine=False)
    x, v = gaussian(10, 4, 1, 4, 4), gaussian(11, 4, 1, 4, 4)
    theirs(x)
    with twice_differentiable(ours):
        jacobian_vector_product(ours, x, v)
    for (name, mine), other in zip(ours.named_buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(mine, other, rtol=ROUNDING, atol=ROUNDING, msg=name)
    # A statistic that kept a tangent or a graph would fail here.
    ours(x).sum().backward()
    assert not any(buffer.requires_grad for buffer in ours.buffers())


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_jacobian_vector_product_is_a_finite_difference(affine: bool, training: bool) -> None:
    model = smooth(affine)
    x, v = gaussian(10, 4, 1, 4, 4), gaussian(11, 4, 1, 4, 4)
    model(x)
    model.train(training)
    with twice_differentiable(model):
        tangent = jacobian_vector_product(model, x, v)
    expected = central_difference(lambda step: model(x + step * v))
    # The error of order step^4 = 1e-12, times derivatives of order five.
    torch.testing.assert_close(tangent, expected, rtol=1e-7, atol=1e-7)


def weight_gradients(model: nn.Sequential, x: Tensor, v: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """d <u, J v> / dW of the first convolution, by autograd and by finite differences of finite differences."""
    weight = model[0].weight
    (gradient,) = torch.autograd.grad((u * jacobian_vector_product(model, x, v)).sum(), weight)
    expected = torch.zeros_like(weight)
    with torch.no_grad():
        for i, entry in enumerate(weight.flatten().tolist()):

            def product(shift: float, i: int = i, entry: float = entry) -> Tensor:
                weight.view(-1)[i] = entry + shift
                return (u * central_difference(lambda step: model(x + step * v))).sum()

            expected.view(-1)[i] = central_difference(product)
            weight.view(-1)[i] = entry
    return gradient, expected


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_jacobian_vector_product_can_be_differentiated_by_a_weight(affine: bool, training: bool) -> None:
    model = smooth(affine).train(training)
    x, v, u = gaussian(10, 4, 1, 4, 4), gaussian(11, 4, 1, 4, 4), gaussian(12, 4, 3)
    with twice_differentiable(model):
        gradient, expected = weight_gradients(model, x, v, u)
    # Rounding 1e-15 over two steps of 1e-3 is 1e-9; the errors of order step^4 are smaller still.
    torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.xfail(strict=False, reason="torch's BatchNorm: batch statistics are constants to the second derivative")
def test_torchs_own_batch_norm_would_do() -> None:
    """Why `twice_differentiable` exists; where this passes it can go."""
    model = smooth(affine=False)
    x, v, u = gaussian(10, 4, 1, 4, 4), gaussian(11, 4, 1, 4, 4), gaussian(12, 4, 3)
    gradient, expected = weight_gradients(model, x, v, u)
    torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-6)


def test_bfloat16_is_for_the_convolutions_alone(cnn5: Classifier, images: Tensor) -> None:
    model, x = cnn5.float().train(), images.float()
    exact = model.features(x)
    with precision(model, torch.bfloat16):
        rounded, z = model.features(x), model(x)
    z.sum().backward()
    assert model.precision == torch.float32
    # Five layers, each with the relative error 2^-9 of its inputs, weights and outputs.
    error = (rounded - exact).abs().max() / exact.abs().max()
    assert 0.0 < error < 5 * 3 * 2.0**-9
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert {tensor.dtype for tensor in (rounded, z, *gradients)} == {torch.float32}
    assert torch.equal(model.eval()(x), model.linear(model.features(x)))


def test_the_precision_is_restored_after_an_error(cnn5: Classifier) -> None:
    with pytest.raises(RuntimeError), precision(cnn5, torch.bfloat16):
        raise RuntimeError
    assert cnn5.precision == torch.float32


def test_what_is_no_module_is_refused_in_words() -> None:
    with pytest.raises(SettingsError, match=r"^model: of <class 'function'>, not an nn.Module; .*nn.Sequential"):
        evaluation(lambda x: x).__enter__()

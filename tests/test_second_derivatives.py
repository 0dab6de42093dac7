"""Layers with cheap second derivatives against torch's own, which are dearer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.profiler import ProfilerActivity, profile

from opnorm import models
from opnorm.errors import SettingsError
from opnorm.jacobian import InputJacobian
from opnorm.modes import precision
from opnorm.second_derivatives import cheap_second_derivatives

# float64: sums of at most some hundreds of products of size 1.
ROUNDING = 1e-12

CONVOLUTIONS: list[dict[str, Any]] = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": 3, "padding": 1, "bias": False},
    {"kernel_size": 2},
    {"kernel_size": 1, "stride": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": (3, 2), "stride": (2, 3), "padding": (0, 1)},
    {"kernel_size": 3, "dilation": 2, "groups": 2},
    {"kernel_size": 3, "padding": "same"},
    {"kernel_size": 3, "padding": 1, "padding_mode": "reflect"},
]


def norms() -> list[nn.Module]:
    plain, affine = nn.BatchNorm2d(4, affine=False), nn.BatchNorm2d(4, eps=0.1)
    generator = torch.Generator().manual_seed(0)
    for layer in (plain, affine):
        layer.running_mean = torch.randn(4, generator=generator)
        layer.running_var = torch.rand(4, generator=generator) + 0.1
    with torch.no_grad():
        affine.weight.copy_(torch.randn(4, generator=generator))
        affine.bias.copy_(torch.randn(4, generator=generator))
    return [plain, affine]


def products(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """f(x), J^T u, and J v as the derivative of J^T u."""
    x = x.clone().requires_grad_()
    y = function(x)
    u = torch.linspace(-1.0, 1.0, y.numel(), dtype=y.dtype).view_as(y).requires_grad_()
    (g,) = torch.autograd.grad(y, x, u, create_graph=True)
    v = torch.linspace(-1.0, 2.0, x.numel(), dtype=x.dtype).view_as(x)
    (jv,) = torch.autograd.grad(g, u, v)
    return y.detach(), g.detach(), jv


@pytest.mark.parametrize("layer", [nn.Conv2d(4, 6, **options) for options in CONVOLUTIONS] + norms(), ids=str)
@pytest.mark.parametrize("size", [(7, 8), (9, 6)])
def test_values_and_derivatives_are_those_of_torch(layer: nn.Module, size: tuple[int, int]) -> None:
    layer = layer.double().eval()
    x = torch.randn(3, 4, *size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def cheap(x: Tensor) -> Tensor:
        with cheap_second_derivatives():
            return layer(x)  # type: ignore[no-any-return]

    for found, expected in zip(products(cheap, x), products(layer, x), strict=True):
        torch.testing.assert_close(found, expected, rtol=0.0, atol=ROUNDING)


@pytest.mark.parametrize("layer", [nn.BatchNorm2d(4), nn.BatchNorm2d(4, track_running_stats=False).eval()], ids=str)
def test_statistics_of_the_batch_are_refused_before_they_are_taken(layer: nn.BatchNorm2d) -> None:
    with cheap_second_derivatives(), pytest.raises(SettingsError, match="couples the examples"):
        layer(torch.randn(3, 4, 5, 5))
    if layer.running_mean is not None:
        assert torch.equal(layer.running_mean, torch.zeros(4))


def _kernel_of_input(x: Tensor) -> Tensor:
    kernel = x.mean((2, 3))[:, :, None, None].expand(len(x), 4, 3, 3).tanh()
    return F.conv2d(x.reshape(1, -1, *x.shape[2:]), kernel, groups=len(x)).flatten(1)


def _norm_of_input(x: Tensor) -> Tensor:
    one = x.new_ones(x.shape[1])
    return F.batch_norm(x, 0.0 * one, one, weight=x.mean((0, 2, 3)), bias=x.amax((0, 2, 3)))


@pytest.mark.parametrize("function", [_kernel_of_input, _norm_of_input])
def test_weights_that_are_computed_are_differentiated(function: Callable[[Tensor], Tensor]) -> None:
    x = torch.randn(1, 4, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def cheap(x: Tensor) -> Tensor:
        with cheap_second_derivatives():
            return function(x)

    for found, expected in zip(products(cheap, x), products(function, x), strict=True):
        torch.testing.assert_close(found, expected, rtol=0.0, atol=ROUNDING)


def _kernel_is_input(x: Tensor) -> Tensor:
    return F.conv2d(torch.linspace(-1.0, 1.0, 2 * 4 * 9 * 9, dtype=x.dtype).view(2, 4, 9, 9), x)


def _scale_is_input(x: Tensor) -> Tensor:
    one = x.new_ones(4)
    return F.batch_norm(torch.linspace(-1.0, 1.0, 40, dtype=x.dtype).view(2, 4, 1, 5), 0.0 * one, one, weight=x)


def _shift_is_input(x: Tensor) -> Tensor:
    one = x.new_ones(4)
    return F.batch_norm(x.new_zeros(2, 4, 1, 5), 0.0 * one, one, bias=x) ** 2


@pytest.mark.parametrize(("function", "shape"), [
    (_kernel_is_input, (3, 4, 5, 6)), (_scale_is_input, (4,)), (_shift_is_input, (4,)),
])  # fmt: skip
def test_weights_that_are_the_input_are_differentiated(
    function: Callable[[Tensor], Tensor], shape: tuple[int, ...]
) -> None:
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()

    def gradient(y: Tensor) -> Tensor:
        return torch.autograd.grad(y, x, torch.linspace(-1.0, 1.0, y.numel(), dtype=y.dtype).view_as(y))[0]

    with cheap_second_derivatives():
        found = gradient(function(x))
    assert found.abs().max() > 0.1
    torch.testing.assert_close(found, gradient(function(x)), rtol=0.0, atol=ROUNDING)


def test_the_jacobian_of_a_convolution_by_its_kernel() -> None:
    images = torch.randn(1, 2, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    kernels = torch.randn(1, 2, 3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    J = InputJacobian(lambda k: F.conv2d(images, k).flatten(1), kernels).dense()[0]
    # It is linear: its matrix has the patches of the image in its rows.
    torch.testing.assert_close(J, F.unfold(images, 3)[0].T, rtol=0.0, atol=ROUNDING)


def test_arguments_may_be_named() -> None:
    x, weight = torch.randn(1, 3, 5, 5), torch.randn(2, 3, 3, 3)
    with cheap_second_derivatives():
        assert torch.equal(F.conv2d(input=x, weight=weight), F.conv2d(x, weight))
        assert F.batch_norm(input=x, running_mean=torch.zeros(3), running_var=torch.ones(3)).shape == x.shape


def test_outside_the_context_nothing_is_different() -> None:
    weight = torch.randn(2, 3, 3, 3, requires_grad=True)
    with cheap_second_derivatives():
        pass
    F.conv2d(torch.randn(1, 3, 5, 5), weight).sum().backward()
    assert weight.grad is not None


def test_a_jacobian_vector_product_takes_one_convolution_a_layer() -> None:
    model = models.build("cnn5", channels=1, width=2).eval()
    jacobian = InputJacobian(model, torch.rand(2, 1, 8, 8))
    v = torch.rand(2, 64)
    jacobian.matvec(v)
    with profile(activities=[ProfilerActivity.CPU]) as found:
        jacobian.matvec(v)
    calls = {event.key: event.count for event in found.key_averages()}
    assert sum(calls.get(name, 0) for name in ("aten::convolution_backward", "aten::convolution")) == 5
    assert not any("batch_norm" in name or "BatchNorm" in name for name in calls)


@pytest.mark.parametrize("name", ["cnn5", "wide_resnet"])
def test_in_bfloat16_it_takes_torchs_own_values(name: str) -> None:
    options = {"width": 4} if name == "cnn5" else {"depth": 10, "widen_factor": 1}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = models.build(name, channels=1, **options).eval().requires_grad_(False)
    x = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))

    def cheap(x: Tensor) -> Tensor:
        with cheap_second_derivatives():
            return model.forward(x)

    with precision(model, torch.bfloat16):
        both = list(zip(products(cheap, x), products(model.forward, x), strict=True))
    for found, expected in both:
        # bfloat16 rounds to three digits, a dozen times in a row.
        assert torch.linalg.vector_norm(found - expected) < 0.03 * torch.linalg.vector_norm(expected)
    assert not torch.equal(both[0][0], model(x))

"""The Jacobian operator against finite differences, and what it must leave alone."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import reference
from opnorm.errors import SettingsError
from opnorm.jacobian import DenseOperator, InputJacobian, LinearOperator

# Sums of at most some hundreds of float64 products of size 1.
ROUNDING = 1e-12

seeds = st.integers(0, 2**32 - 1)


class Net(nn.Module):
    """A small network with every kind of layer of the paper's CNN7; BatchNorm has seen other data than zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 6, 3, padding=1),
            nn.BatchNorm2d(6, affine=False),
            nn.ReLU(inplace=True),
            nn.AvgPool2d(2),
            nn.Flatten(),
        )
        self.linear = nn.Linear(6, 5)

    def features(self, x: Tensor) -> Tensor:
        return self.body(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.features(x))


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    net = Net().double()
    for _ in range(5):
        net(1.0 + 2.0 * torch.randn(16, 2, 4, 4, dtype=torch.float64))
    return net.eval()


@pytest.fixture
def x() -> Tensor:
    return torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("part", ["forward", "features"])
def test_dense_is_the_finite_difference(net: Net, x: Tensor, part: str) -> None:
    function = getattr(net, part)
    jacobian = InputJacobian(function, x)
    expected = reference.jacobian(function, x)
    # The network is linear around x, so central differences only round: 1e-16 * |f| / 1e-6.
    torch.testing.assert_close(jacobian.dense(), expected, rtol=0.0, atol=1e-8)
    assert expected.abs().max() > 0.01
    assert jacobian.shape == expected.shape


def test_products_are_those_of_the_dense_matrix(net: Net, x: Tensor) -> None:
    jacobian = InputJacobian(net, x)
    dense = DenseOperator(reference.jacobian(net, x))
    v, u = torch.randn_like(x), torch.randn(3, 5, dtype=torch.float64)
    torch.testing.assert_close(jacobian.matvec(v), dense.matvec(v), rtol=0.0, atol=1e-7)
    torch.testing.assert_close(jacobian.matvec(v.flatten(1)), dense.matvec(v), rtol=0.0, atol=1e-7)
    assert jacobian.rmatvec(u).shape == x.shape
    torch.testing.assert_close(jacobian.rmatvec(u).flatten(1), dense.rmatvec(u), rtol=0.0, atol=1e-7)


@settings(deadline=None, max_examples=20)
@given(seeds)
def test_both_directions_are_adjoint(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(2, 4, 6, generator=generator, dtype=torch.float64)
    W = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    x = torch.randn(2, 2, 3, generator=generator, dtype=torch.float64)
    operators: tuple[LinearOperator, ...] = (
        DenseOperator(matrix),
        InputJacobian(lambda x: (x.flatten(1) @ W).tanh(), x),
    )
    v, u = torch.randn_like(x), torch.randn(2, 4, dtype=torch.float64)
    for J in operators:
        left = (J.matvec(v) * u).sum(1)
        right = (v.flatten(1) * J.rmatvec(u).flatten(1)).sum(1)
        torch.testing.assert_close(left, right, rtol=0.0, atol=ROUNDING)


def test_products_of_a_curved_function_are_taken_at_the_input() -> None:
    """matvec differentiates twice; of tanh it must still give the first derivative."""
    x = torch.tensor([[0.3, -1.0]], dtype=torch.float64)
    jacobian = InputJacobian(torch.tanh, x)
    v = torch.tensor([[2.0, 3.0]], dtype=torch.float64)
    for factor in (1.0, -10.0):
        expected = factor * v * (1.0 - x.tanh() ** 2)
        torch.testing.assert_close(jacobian.matvec(factor * v), expected, rtol=ROUNDING, atol=0.0)


@pytest.mark.parametrize("chunk_size", [1, 2, 3, 5, 100, None])
def test_chunk_sizes_agree(net: Net, x: Tensor, chunk_size: int | None) -> None:
    jacobian = InputJacobian(net, x)
    torch.testing.assert_close(jacobian.dense(chunk_size), jacobian.dense(1), rtol=0.0, atol=ROUNDING)


def test_a_chunk_size_below_1_is_refused(net: Net, x: Tensor) -> None:
    with pytest.raises(SettingsError, match="chunk_size: 0"):
        InputJacobian(net, x).dense(0)


@pytest.mark.parametrize("trainable", [True, False])
@pytest.mark.parametrize("gradients", [True, False])
def test_nothing_in_the_model_changes(net: Net, x: Tensor, trainable: bool, gradients: bool) -> None:
    net.requires_grad_(trainable)
    before = copy.deepcopy(net.state_dict())
    with torch.set_grad_enabled(gradients):
        jacobian = InputJacobian(net, x)
        results = (
            jacobian.matvec(x),
            jacobian.rmatvec(jacobian.outputs),
            jacobian.dense(1),
            jacobian.dense(5),
        )
    assert all(parameter.grad is None for parameter in net.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert all(parameter.requires_grad == trainable for parameter in net.parameters())
    assert not any(result.requires_grad for result in results)
    assert not x.requires_grad
    assert not jacobian.inputs.requires_grad
    assert not jacobian.outputs.requires_grad


def test_the_function_is_called_once(net: Net, x: Tensor) -> None:
    calls = []

    def counted(x: Tensor) -> Tensor:
        calls.append(x)
        return net(x)

    jacobian = InputJacobian(counted, x)
    for _ in range(2):
        jacobian.matvec(x)
        jacobian.rmatvec(jacobian.outputs)
        jacobian.dense()
    assert len(calls) == 1
    assert torch.equal(jacobian.outputs, net(x))


@pytest.mark.parametrize("part", ["whole", "one layer"])
def test_training_mode_is_refused(net: Net, x: Tensor, part: str) -> None:
    (net if part == "whole" else net.body[1]).train()
    for function in (net, net.features, net.forward):
        with pytest.raises(SettingsError, match=r"Net is in training mode.*\.eval\(\)"):
            InputJacobian(function, x)


def test_a_coupled_network_is_refused_however_it_is_called() -> None:
    norm = nn.BatchNorm1d(2)
    with pytest.raises(SettingsError, match="couples the examples"):
        InputJacobian(lambda x: norm(x), torch.rand(3, 2))
    assert torch.equal(norm.running_mean, torch.zeros(2))  # type: ignore[arg-type]


def test_where_there_are_no_gradients_it_is_refused(net: Net, x: Tensor) -> None:
    with torch.inference_mode(), pytest.raises(SettingsError, match="inference_mode"):
        InputJacobian(net, x)


def test_compiled_networks_are_refused(net: Net, x: Tensor) -> None:
    with pytest.raises(SettingsError, match="compiled"):
        InputJacobian(torch.compile(net), x)
    net.compile()
    with pytest.raises(SettingsError, match="compiled"):
        InputJacobian(net, x)
    assert InputJacobian(net.forward, x).shape[0] == 3


def test_attention_has_products_in_both_directions() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True).double().eval()
    jacobian = InputJacobian(lambda x: layer(x).flatten(1), torch.rand(2, 3, 4, dtype=torch.float64))
    v = torch.rand(2, 12, dtype=torch.float64)
    torch.testing.assert_close(jacobian.matvec(v), DenseOperator(jacobian.dense()).matvec(v), rtol=0.0, atol=ROUNDING)


def test_an_empty_batch_has_an_empty_jacobian(net: Net, x: Tensor) -> None:
    jacobian = InputJacobian(net, x[:0])
    assert jacobian.shape == (0, 5, 32)
    assert jacobian.dense().shape == (0, 5, 32)


@pytest.mark.parametrize("chunk_size", [0, -1, 2.5])
def test_a_chunk_size_that_is_no_count_is_refused(net: Net, x: Tensor, chunk_size: int) -> None:
    with pytest.raises(SettingsError, match="chunk_size"):
        InputJacobian(net, x).dense(chunk_size)


def test_outputs_that_are_not_vectors_are_refused(x: Tensor) -> None:
    with pytest.raises(SettingsError, match=r"\(3, 2, 4, 4\)"):
        InputJacobian(lambda x: 2.0 * x, x)
    with pytest.raises(SettingsError, match=r"not \(3, d\)"):
        InputJacobian(lambda x: x.flatten(1)[:2], x)


def _constant(x: Tensor) -> Tensor:
    return torch.ones(len(x), 2, dtype=x.dtype)


def _parameter(x: Tensor) -> Tensor:
    return nn.Parameter(torch.ones(len(x), 2, dtype=x.dtype)) * 2.0


def _partly_constant(x: Tensor) -> Tensor:
    return torch.stack([3.0 * x.flatten(1)[:, 0], torch.ones(len(x), dtype=x.dtype)], 1)


def _flat(x: Tensor) -> Tensor:
    return x.flatten(1)[:, :2].sign()


@pytest.mark.parametrize("function", [_constant, _parameter, _partly_constant, _flat])
@pytest.mark.parametrize("chunk_size", [1, 2])
def test_outputs_without_the_input_have_zero_rows(
    x: Tensor, function: Callable[[Tensor], Tensor], chunk_size: int
) -> None:
    jacobian = InputJacobian(function, x)
    expected = torch.zeros(3, 2, 32, dtype=torch.float64)
    if function is _partly_constant:
        expected[:, 0, 0] = 3.0
    assert torch.equal(jacobian.dense(chunk_size), expected)
    assert torch.equal(jacobian.matvec(x), DenseOperator(expected).matvec(x))
    u = torch.ones(3, 2, dtype=torch.float64)
    assert torch.equal(jacobian.rmatvec(u).flatten(1), DenseOperator(expected).rmatvec(u))


def test_a_matrix_that_is_no_batch_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"\(2, 3\)"):
        DenseOperator(torch.ones(2, 3))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("chunk_size", [None, 1, 3])
def test_a_gpu_agrees(net: Net, x: Tensor, chunk_size: int | None) -> None:
    here = InputJacobian(net, x)
    J, v, u = here.dense(), here.matvec(x), here.rmatvec(here.outputs)
    there = InputJacobian(net.cuda(), x.cuda())
    torch.testing.assert_close(there.dense(chunk_size).cpu(), J, rtol=0.0, atol=ROUNDING)
    torch.testing.assert_close(there.matvec(x.cuda()).cpu(), v, rtol=0.0, atol=ROUNDING)
    torch.testing.assert_close(there.rmatvec(here.outputs.cuda()).cpu(), u, rtol=0.0, atol=ROUNDING)

"""Folded networks against the networks themselves, in float64."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from opnorm import models
from opnorm.folding import folded
from opnorm.modes import precision

NETWORKS = {
    "cnn5": {"channels": 1, "width": 3},
    "cnn7": {"width": 2},
    "wide_resnet": {"depth": 10, "widen_factor": 1},
}


@pytest.fixture(params=list(NETWORKS))
def network(request: pytest.FixtureRequest) -> nn.Module:
    """In float64 and evaluation mode, with statistics and affine parameters unlike those that BatchNorm starts with."""
    torch.manual_seed(0)
    model = models.build(request.param, **NETWORKS[request.param]).double().eval()
    for layer in norms(model):
        layer.running_mean.normal_()
        layer.running_var.uniform_(0.5, 2.0)
        if layer.affine:
            nn.init.normal_(layer.weight)
            nn.init.normal_(layer.bias)
    return model


def norms(model: nn.Module) -> list[nn.BatchNorm2d]:
    return [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]


def images(model: nn.Module) -> Tensor:
    shape = (1, 8, 8) if type(model).__name__ == "CNN5" else (3, 32, 32)
    return torch.rand(4, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def outputs_and_gradient(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    z = model(x)
    (gradient,) = torch.autograd.grad(z.square().sum(), x)
    return z.detach(), gradient


def test_same_logits_features_and_gradients(network: nn.Module) -> None:
    x, twin = images(network), folded(network)
    # Some ten layers of sums over at most some hundred terms: rounding stays far below 1e-12.
    torch.testing.assert_close(outputs_and_gradient(twin, x), outputs_and_gradient(network, x), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(twin.features(x), network.features(x), rtol=1e-10, atol=1e-12)


def test_every_norm_behind_a_convolution_is_gone(network: nn.Module) -> None:
    # A WRN's blocks begin with BatchNorm, behind a sum; so does what follows the last of them.
    kept = 4 if type(network).__name__ == "WideResNet" else 0
    assert len(norms(folded(network))) == kept


def test_original_is_left_as_it_was(network: nn.Module) -> None:
    before, layers = copy.deepcopy(network.state_dict()), list(network.modules())
    twin = folded(network)
    twin(images(network))
    assert list(network.modules()) == layers
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_training_mode_is_not_folded(network: nn.Module) -> None:
    network.train()
    assert len(norms(folded(network))) == len(norms(network))


def test_layers_that_somebody_watches_are_not_folded() -> None:
    chain = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2)).eval()
    seen: list[Tensor] = []
    chain[1].register_forward_hook(lambda *call: seen.append(call[2]))
    twin = folded(chain)
    twin(torch.rand(1, 1, 8, 8))
    assert len(seen) == 1
    assert len(norms(twin)) == 1


def test_a_layer_may_be_in_a_chain_more_than_once() -> None:
    relu, half = nn.ReLU(), nn.Conv2d(1, 1, 3, padding=1)
    chain = nn.Sequential(nn.Sequential(half, relu, half, relu), half, relu).eval()
    x = torch.rand(2, 1, 8, 8)
    assert torch.equal(folded(chain)(x), chain(x))


def test_other_layers_between_are_kept() -> None:
    chain = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.BatchNorm2d(2)).eval()
    assert [type(layer) for layer in folded(chain)] == [nn.Conv2d, nn.ReLU, nn.BatchNorm2d]


class Apart(nn.Module):
    """Takes its chains apart: by position, by name, and in a loop with a connection around each."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
        self.named = nn.Sequential()
        self.named.add_module("convolution", nn.Conv2d(2, 2, 3, padding=1))
        self.named.add_module("norm", nn.BatchNorm2d(2))
        self.blocks = nn.Sequential(*(nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.ReLU()) for _ in range(2)))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem[1](self.stem[0](x).square())
        x = self.named.norm(self.named.convolution(x).sin())
        for block in self.blocks:
            x = x + block(x)
        return x.flatten(1)


@pytest.mark.parametrize("within", [False, True])
def test_a_module_that_takes_chains_apart_is_left_as_it_is(within: bool) -> None:
    apart = Apart().eval()
    apart.stem[1].running_mean.fill_(1.0)
    model = nn.Sequential(nn.Identity(), apart) if within else apart
    x = torch.rand(2, 1, 8, 8)
    assert torch.equal(folded(model)(x), model(x))


def test_precision_is_kept() -> None:
    model = models.build("cnn7", width=2).eval()
    with precision(model, torch.bfloat16), torch.no_grad():
        twin = folded(model)
    x = torch.rand(4, 3, 32, 32)
    with torch.no_grad():
        assert not torch.allclose(twin(x), model(x), rtol=1e-5, atol=1e-6)
        # bfloat16 keeps eight bits.
        torch.testing.assert_close(twin(x), model(x), rtol=0, atol=0.05 * float(model(x).abs().max()))


def conv_and_norm() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).eval()


@pytest.mark.parametrize("within", [False, True])
def test_what_torch_compile_returns_is_left_alone(within: bool) -> None:
    # Nothing is compiled before the first call.
    network = conv_and_norm()
    compiled = torch.compile(network)
    model = nn.Sequential(nn.Identity(), compiled) if within else compiled
    before = list(network.modules())
    assert folded(model) is model
    assert list(network.modules()) == before


def test_beside_what_torch_compile_returns_all_is_folded() -> None:
    network = conv_and_norm()
    compiled = torch.compile(network)
    twin = folded(nn.Sequential(*conv_and_norm(), compiled))
    assert [type(layer) for layer in twin] == [nn.Conv2d, type(compiled)]
    assert twin[1] is compiled
    assert [type(layer) for layer in network] == [nn.Conv2d, nn.BatchNorm2d]


class Counting(nn.Module):
    """Keeps something of its last call, and is called from chains and outside of them."""

    chains = ("body",)

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body, self.calls = body, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        y: Tensor = self.body(x)
        return y


def test_where_nothing_is_folded_nothing_is_copied() -> None:
    plain = Counting(nn.Sequential(nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU()), nn.Identity())).eval()
    assert folded(plain) is plain
    chain = nn.Sequential(plain, *conv_and_norm())
    twin = folded(chain)
    assert [type(layer) for layer in twin] == [Counting, nn.Conv2d]
    assert twin[0] is plain
    twin(torch.rand(1, 1, 8, 8))
    assert plain.calls == 1
    assert folded(chain.train()) is chain


def test_where_something_is_folded_all_around_it_is_copied_and_nothing_else() -> None:
    model = Counting(nn.Sequential(Counting(conv_and_norm()), Counting(nn.Sequential(nn.ReLU())))).eval()
    twin = folded(model)
    assert twin is not model
    assert twin.body[0] is not model.body[0]
    assert twin.body[1] is model.body[1]
    assert not norms(twin)
    assert len(norms(model)) == 1


def test_a_compiled_module_has_an_uncompiled_twin_even_where_nothing_is_folded() -> None:
    model = Counting(nn.Sequential(nn.ReLU())).eval()
    model.compile()
    twin = folded(model)
    assert twin._compiled_call_impl is None
    assert model._compiled_call_impl is not None
    assert twin.body is model.body


@pytest.mark.parametrize("watch", ["register_full_backward_hook", "register_full_backward_pre_hook"])
def test_layers_whose_gradients_somebody_watches_are_not_folded(watch: str) -> None:
    chain = conv_and_norm()
    getattr(chain[0], watch)(lambda *call: None)
    assert folded(chain) is chain


def test_only_a_class_names_chains() -> None:
    class Named(nn.Module):
        chains = "body"

    class Missing(nn.Module):
        chains = ("body", "forward")

    for kind in (nn.Module, Named, Missing):
        model = kind()
        model.chains = 4
        assert folded(model) is model

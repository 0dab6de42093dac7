"""Architectures: shapes, sizes, f = W^L phi^{L-1}, normalisation inside, and seeds."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, conv2d

from opnorm import models
from opnorm.analysis._activations import activation_pattern
from opnorm.attacks import projected_gradient_ascent
from opnorm.errors import SettingsError
from opnorm.jacobian import InputJacobian
from opnorm.models.classifier import Classifier, Normalise
from opnorm.models.cnn7 import CNN7
from opnorm.models.wide_resnet import Block
from opnorm.options import check_options, options_of
from opnorm.threat_model import ThreatModel
from opnorm.weights import initialised

# Architectures for images of 32 x 32 pixels, as small as they come.
TINY: dict[str, dict[str, Any]] = {
    "cnn7": {"name": "cnn7", "width": 4},
    "wide_resnet": {"name": "wide_resnet", "depth": 10, "widen_factor": 1},
}


def pixels(count: int, seed: int = 0) -> Tensor:
    """Random images in [0, 1] (count, 3, 32, 32), float64."""
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(params=TINY)
def tiny(request: pytest.FixtureRequest) -> Classifier:
    """One of `TINY` in float64 and evaluation mode, with running statistics that are neither zero nor one."""
    model = initialised({**TINY[request.param], "mean": [0.5] * 3, "std": [0.25] * 3}, 0).double().train()
    with torch.no_grad():
        for seed in range(10):
            model(pixels(16, seed))
    return model.eval()


def test_registered_names() -> None:
    assert {name: set(options_of(entry)) for name, entry in models.REGISTRY.items()} == {
        "cnn5": {"width"},
        "cnn7": {"width"},
        "wide_resnet": {"depth", "widen_factor"},
    }


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("width", [1, 2, 5])
def test_shapes_and_parameters(channels: int, classes: int, width: int) -> None:
    model = models.build("cnn5", channels=channels, classes=classes, width=width)
    assert isinstance(model, Classifier)
    x = torch.rand(3, channels, 8, 8)
    assert model.features(x).shape == (3, 4 * width)
    assert model(x).shape == (3, classes)
    w = width
    kernels = 9 * (channels * w + w * w + w * 2 * w + 2 * w * 2 * w) + 4 * 2 * w * 4 * w + 4 * w * classes
    biases = w + w + 2 * w + 2 * w + 4 * w + classes
    assert sum(parameter.numel() for parameter in model.parameters()) == kernels + biases
    assert not any(layer.affine for layer in model.modules() if isinstance(layer, nn.BatchNorm2d))


def test_forward_is_the_linear_layer_on_the_features(cnn5: Classifier, images: torch.Tensor) -> None:
    phi = cnn5.features(images)
    assert phi.min() >= 0.0
    expected = phi @ cnn5.linear.weight.T + cnn5.linear.bias
    # float64 sums of eight terms.
    torch.testing.assert_close(cnn5(images), expected, rtol=0.0, atol=1e-13)


def test_normalisation_is_per_channel() -> None:
    layer = Normalise((0.25, 0.5, 1.0), (0.5, 2.0, 0.25))
    x = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    expected = torch.stack([(x[:, 0] - 0.25) * 2.0, (x[:, 1] - 0.5) / 2.0, (x[:, 2] - 1.0) * 4.0], 1)
    # Powers of two: no rounding beyond that of the subtraction.
    assert torch.equal(layer(x), expected)


def test_normalisation_is_the_first_layer() -> None:
    architecture = {"name": "cnn5", "channels": 2, "width": 2}
    plain = initialised(architecture, 0).double().eval()
    normalising = initialised({**architecture, "mean": [0.25, 0.5], "std": [0.5, 2.0]}, 0).double().eval()
    x = torch.rand(3, 2, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mean, std = torch.tensor([0.25, 0.5]).view(2, 1, 1), torch.tensor([0.5, 2.0]).view(2, 1, 1)
    # The padding of the first convolution is zero after normalisation, so these are the same numbers exactly.
    assert torch.equal(normalising(x), plain((x - mean) / std))
    assert not torch.equal(normalising(x), plain(x))


def test_normalisation_belongs_to_the_state_but_not_to_the_parameters() -> None:
    model = models.build("cnn5", channels=1, mean=[0.3], std=[0.4])
    assert {"normalise.mean", "normalise.std"} <= set(model.state_dict())
    assert not any(name.startswith("normalise") for name, _ in model.named_parameters())


def test_an_unknown_name_is_named_with_its_neighbour() -> None:
    with pytest.raises(SettingsError, match="unknown model 'cnn55'; did you mean cnn5"):
        models.build("cnn55")
    with pytest.raises(SettingsError, match="model cnn5: unknown option 'widht'; did you mean width"):
        models.build("cnn5", widht=2)


def test_a_seed_decides_the_initial_weights_and_nothing_else() -> None:
    architecture = {"name": "cnn5", "channels": 1, "width": 2}
    state = torch.get_rng_state()
    first = initialised(architecture, 0)
    assert torch.equal(state, torch.get_rng_state())
    torch.rand(7)
    again, other = initialised(architecture, 0), initialised(architecture, 1)
    for name, weight in first.named_parameters():
        assert torch.equal(weight, again.get_parameter(name)), name
        assert not torch.equal(weight, other.get_parameter(name)), name


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(("options", "size", "features"), [
    ({"name": "cnn7"}, 9_306_250, 1024),
    ({"name": "wide_resnet"}, 36_479_194, 640),
])  # fmt: skip
def test_the_papers_networks_have_their_size(options: dict[str, Any], size: int, features: int) -> None:
    # On the meta device nothing is computed.
    with torch.device("meta"):
        model = models.build(**options)
        x = torch.empty(2, 3, 32, 32)
        assert parameters(model) == size
        assert model.features(x).shape == (2, features)
        assert model(x).shape == (2, 10)


@pytest.mark.parametrize(("channels", "classes", "width"), [(3, 10, 1), (1, 7, 5)])
def test_cnn7_by_formula(channels: int, classes: int, width: int) -> None:
    model = models.build("cnn7", channels=channels, classes=classes, width=width)
    planes = [channels, width, width, 2 * width, 2 * width, 4 * width, 4 * width, 8 * width]
    kernels = sum(9 * inputs * outputs + outputs for inputs, outputs in zip(planes, planes[1:], strict=False))
    assert parameters(model) == kernels + 8 * width * classes + classes
    assert not any(layer.affine for layer in model.modules() if isinstance(layer, nn.BatchNorm2d))
    x = torch.rand(3, channels, 32, 32)
    assert model.features(x).shape == (3, 8 * width)
    assert model(x).shape == (3, classes)


def test_cnn7_is_the_papers_sequence_of_layers() -> None:
    model = models.build("cnn7", width=2)
    sizes: list[tuple[str, int, int]] = []
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.BatchNorm2d | nn.ReLU | nn.MaxPool2d | nn.Linear):
            layer.register_forward_hook(
                lambda layer, _, y: sizes.append((type(layer).__name__, y.shape[1], math.prod(y.shape[2:])))
            )
    model(torch.rand(2, 3, 32, 32))
    block = ("Conv2d", "BatchNorm2d", "ReLU")
    expected: list[tuple[str, int, int]] = []
    for planes, side in ((2, 32), (4, 16), (8, 8)):
        expected += [(name, planes, side * side) for name in (*block, *block)]
        expected.append(("MaxPool2d", planes, side * side // 4))
    expected += [(name, 16, 4) for name in block]
    assert sizes == [*expected, ("MaxPool2d", 16, 1), ("Linear", 10, 1)]


@pytest.mark.parametrize(("depth", "k"), [(10, 1), (16, 2)])
def test_wide_resnet_by_formula(depth: int, k: int) -> None:
    model = models.build("wide_resnet", channels=1, classes=7, depth=depth, widen_factor=k)
    expected, inputs = 9 * 1 * 16, 16
    for planes in (16 * k, 32 * k, 64 * k):
        for _ in range((depth - 4) // 6):
            expected += 2 * inputs + 9 * inputs * planes + 2 * planes + 9 * planes * planes
            expected += inputs * planes if inputs != planes else 0
            inputs = planes
    assert parameters(model) == expected + 2 * inputs + inputs * 7 + 7
    x = torch.rand(3, 1, 32, 32)
    assert model.features(x).shape == (3, 64 * k)
    assert model(x).shape == (3, 7)
    convolutions = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    assert sum(layer.kernel_size == (3, 3) for layer in convolutions) == depth - 3
    assert all(layer.bias is None for layer in convolutions)


@pytest.mark.parametrize("depth", [4, 9, 27])
def test_a_depth_that_no_wide_resnet_has_is_refused(depth: int) -> None:
    with pytest.raises(SettingsError, match=f"depth: {depth} is not 6 n"):
        models.build("wide_resnet", depth=depth)
    with pytest.raises(SettingsError, match=f"model.depth: {depth} is not one of 10, 16"):
        check_options({"depth": depth}, models.REGISTRY["wide_resnet"], "model")


@pytest.mark.parametrize(("inputs", "outputs", "stride"), [(3, 3, 1), (3, 5, 1), (3, 5, 2)])
def test_a_block_is_its_formula(inputs: int, outputs: int, stride: int) -> None:
    torch.manual_seed(0)
    block = Block(inputs, outputs, stride).double()
    x = torch.randn(2, inputs, 6, 6, dtype=torch.float64)
    for layer in block.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight)
            nn.init.normal_(layer.bias)

    def activated(y: Tensor, layer: nn.BatchNorm2d) -> Tensor:
        return batch_norm(y, None, None, layer.weight, layer.bias, training=True).clamp_min(0.0)

    first, second = (layer for layer in block.modules() if isinstance(layer, nn.BatchNorm2d))
    W1, W2, *W0 = (layer.weight for layer in block.modules() if isinstance(layer, nn.Conv2d))
    r = activated(x, first)
    kept = conv2d(r, *W0, stride=stride) if inputs != outputs else x
    inner = activated(conv2d(r, W1, stride=stride, padding=1), second)
    # float64: sums of some tens of terms.
    torch.testing.assert_close(block(x), kept + conv2d(inner, W2, padding=1), rtol=0.0, atol=1e-13)


def test_a_wide_resnet_starts_as_its_authors_do() -> None:
    model = initialised({"name": "wide_resnet", "depth": 10, "widen_factor": 4}, 0)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            connections = layer.out_channels * layer.kernel_size[0] ** 2
            # The deviation of a sample deviation is 1 / sqrt(2 n) of it; five of those.
            tolerance = 5.0 / math.sqrt(2 * layer.weight.numel())
            assert layer.weight.std().item() == pytest.approx(math.sqrt(2.0 / connections), rel=tolerance)
    assert not model.linear.bias.any()


@pytest.mark.parametrize("architecture", TINY.values(), ids=TINY)
def test_a_seed_decides_the_initial_kernels(architecture: dict[str, Any]) -> None:
    first, again, other = (initialised(architecture, seed) for seed in (0, 0, 1))
    for name, weight in first.named_parameters():
        assert torch.equal(weight, again.get_parameter(name)), name
        assert weight.ndim != 4 or not torch.equal(weight, other.get_parameter(name)), name


def test_logits_are_the_linear_layer_on_features_that_are_not_negative(tiny: Classifier) -> None:
    x = pixels(3)
    phi = tiny.features(x)
    assert phi.min() >= 0.0
    assert phi.max() > 0.0
    # float64 sums of some tens of terms.
    torch.testing.assert_close(tiny(x), phi @ tiny.linear.weight.T + tiny.linear.bias, rtol=0.0, atol=1e-13)


@pytest.mark.parametrize("part", ["forward", "features"])
def test_the_jacobian_is_the_finite_difference(tiny: Classifier, part: str) -> None:
    function, x, step = getattr(tiny, part), pixels(1), 1e-7
    jacobian = InputJacobian(function, x)
    # A matrix that agrees on more random directions than it has rows agrees everywhere, but for chance.
    v = pixels(80, 1) - 0.5
    with torch.no_grad():
        differences = (function(x + step * v) - function(x - step * v)) / (2.0 * step)
    products = v.flatten(1) @ jacobian.dense()[0].T
    assert differences.abs().max() > 0.1
    # 1e-16 / 1e-7, times the size of the outputs; as small a step crosses no kink.
    torch.testing.assert_close(products, differences, rtol=0.0, atol=2e-7)
    torch.testing.assert_close(jacobian.matvec(v[:1])[0], products[0], rtol=0.0, atol=1e-11)
    u = torch.ones_like(jacobian.outputs)
    torch.testing.assert_close(jacobian.rmatvec(u).flatten(), jacobian.dense()[0].sum(0), rtol=0.0, atol=1e-11)


def test_the_activation_pattern_has_a_column_for_each_relu(tiny: Classifier) -> None:
    x = pixels(2)
    before = x.clone()
    pattern = activation_pattern(tiny, x)
    if isinstance(tiny, CNN7):
        columns = 2 * 4 * 1024 + 2 * 8 * 256 + 2 * 16 * 64 + 32 * 4
        assert torch.equal(pattern[:, -128:].view(2, 32, 4).any(2), tiny.features(x) > 0.0)
    else:
        # Two in each of the three blocks, the first before the stride, and one at the end.
        columns = (16 * 1024 + 16 * 1024) + (16 * 1024 + 32 * 256) + (32 * 256 + 64 * 64) + 64 * 64
        assert torch.equal(pattern[:, -4096:].view(2, 64, 64).any(2), tiny.features(x) > 0.0)
    assert pattern.shape == (2, columns)
    assert torch.equal(x, before)


def test_every_relu_is_used_once_and_not_in_place(tiny: Classifier) -> None:
    relus = [module for module in tiny.modules() if isinstance(module, nn.ReLU)]
    used: list[nn.Module] = []
    for relu in relus:
        relu.register_forward_hook(lambda module, _inputs, _output: used.append(module))
    tiny(pixels(1))
    assert used == relus
    assert not any(relu.inplace for relu in relus)


def test_images_of_another_size_are_refused_in_words() -> None:
    model = models.build("cnn7", width=1)
    with pytest.raises(SettingsError, match="CNN7 is made for images of 32 x 32 pixels, not of 8 x 8"):
        model(torch.rand(2, 3, 8, 8))


def attacked(model: Classifier, x: Tensor, **options: Any) -> Tensor:
    threat, random = ThreatModel(2.0, 0.5, 3), torch.Generator().manual_seed(0)
    return projected_gradient_ascent(
        model, x, torch.zeros(len(x), dtype=torch.int64), threat, generator=random, **options
    )


def test_an_attack_that_fails_half_way_leaves_mode_and_statistics_as_they_were(tiny: Classifier) -> None:
    tiny.train()
    batch_norms = [layer for layer in tiny.modules() if isinstance(layer, nn.BatchNorm2d)]
    batch_norms[0].eval()
    before = {name: tensor.clone() for name, tensor in tiny.state_dict().items()}
    modes = [module.training for module in tiny.modules()]
    visited: list[Tensor] = []

    def fail(point: Tensor) -> None:
        visited.append(point)
        if len(visited) == 2:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        attacked(tiny, pixels(4), trace=fail)
    assert not torch.equal(*visited)
    assert [module.training for module in tiny.modules()] == modes
    assert all(parameter.requires_grad for parameter in tiny.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in tiny.state_dict().items())


def test_the_memory_layout_of_a_batch_does_not_change_an_attack(tiny: Classifier) -> None:
    x = pixels(4)
    permuted = x.contiguous(memory_format=torch.channels_last)
    assert x.stride() != permuted.stride()
    # The random start is the same; float64 sums may be taken in another order.
    torch.testing.assert_close(attacked(tiny, permuted), attacked(tiny, x), rtol=0.0, atol=1e-12)


@pytest.mark.parametrize(("options", "message"), [
    ({"name": "cnn5", "width": 0}, "model cnn5.width: 0 is not a whole number of at least 1"),
    ({"name": "cnn7", "width": 2.5}, "model cnn7.width: 2.5 is not a whole number of at least 1"),
    ({"name": "wide_resnet", "widen_factor": -1}, "model wide_resnet.widen_factor: -1 is not a whole number"),
])  # fmt: skip
def test_impossible_options_are_refused_in_words(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=f"^{message}"):
        models.build(**options)


def test_a_whole_number_may_be_written_as_a_float_and_a_depth_be_beyond_an_experiments() -> None:
    assert parameters(models.build("cnn5", width=2.0)) == parameters(models.build("cnn5", width=2))
    with torch.device("meta"):
        assert parameters(models.build("wide_resnet", depth=46)) > parameters(models.build("wide_resnet", depth=40))


def test_the_activation_pattern_is_that_of_evaluation_mode(tiny: Classifier) -> None:
    x, expected = pixels(4), activation_pattern(tiny, pixels(4))
    before = {name: tensor.clone() for name, tensor in tiny.state_dict().items()}
    assert torch.equal(activation_pattern(tiny.train(), x), expected)
    assert all(module.training for module in tiny.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in tiny.state_dict().items())

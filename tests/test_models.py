"""Architectures: shapes, sizes, f = W^L phi^{L-1}, normalisation inside, and seeds."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from opnorm import models
from opnorm.errors import SettingsError
from opnorm.models.classifier import Classifier, Normalise
from opnorm.options import options_of
from opnorm.weights import initialised


def test_registered_names() -> None:
    assert "cnn5" in models.REGISTRY
    assert set(options_of(models.REGISTRY["cnn5"])) == {"width"}


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
    with pytest.raises(SettingsError, match="unknown model 'cnn6'; did you mean cnn5"):
        models.build("cnn6")


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

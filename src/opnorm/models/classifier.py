"""What all architectures share: f = W^L phi^{L-1} with normalisation as the first layer."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from opnorm.errors import SettingsError


class Normalise(nn.Module):
    """Images in [0, 1] (B, C, H, W) to zero mean and unit deviation per channel."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.get_buffer("mean")) / self.get_buffer("std")


class Classifier(nn.Module):
    """f(x) = W^L phi^{L-1}(x) + b^L: `body` maps normalised images to the features phi^{L-1}.

    Convolutions run channels-last, which is faster on CPUs and on GPUs' tensor cores; files and outputs do not show it.

    Attributes:
        image_size: height and width of the images that an architecture is made for; None for any.
        precision: what `body` computes in; float32 stands for the inputs' own precision. See `modes.precision`.
        chains: the members that are called as a whole, whose layers `folding.folded` may join.
    """

    image_size: ClassVar[int | None] = None
    chains: ClassVar[tuple[str, ...]] = ("body",)

    def __init__(self, normalise: Normalise, body: nn.Module, linear: nn.Linear) -> None:
        super().__init__()
        self.normalise, self.body, self.linear = normalise, body, linear
        self.precision = torch.float32
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def features(self, x: Tensor) -> Tensor:
        """phi^{L-1} (B, m) of images in [0, 1] (B, C, H, W).

        Raises:
            SettingsError: images of another size than the architecture is made for.
        """
        size = self.image_size
        if size is not None and x.shape[2:] != (size, size):
            raise SettingsError(
                f"{type(self).__name__} is made for images of {size} x {size} pixels, not of "
                f"{' x '.join(map(str, x.shape[2:]))}: choose another model.name, or another dataset"
            )
        normalised = self.normalise(x).contiguous(memory_format=torch.channels_last)
        if self.precision == torch.float32:
            phi: Tensor = self.body(normalised)
            return phi
        with torch.autocast(x.device.type, self.precision):
            phi = self.body(normalised)
        return phi.to(x.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, d) of images in [0, 1] (B, C, H, W)."""
        z: Tensor = self.linear(self.features(x))
        return z


def convolution(inputs: int, outputs: int, kernel_size: int = 3, padding: int = 1) -> nn.Sequential:
    """Convolution with bias, BatchNorm without affine parameters, ReLU: the paper's block."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size, padding=padding),
        nn.BatchNorm2d(outputs, affine=False),
        nn.ReLU(),
    )

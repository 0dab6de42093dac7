"""Wide residual networks (Zagoruyko & Komodakis 2016, arXiv 1605.07146)."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor, nn

from opnorm.errors import SettingsError
from opnorm.models.classifier import Classifier, Normalise
from opnorm.options import Count


class WideResNet(Classifier):
    """WRN-depth-k: a convolution, three groups of (depth - 4) / 6 pre-activated blocks of 16 k, 32 k and 64 k channels,
    mean over pixels, one linear layer on 64 k features; no dropout.

    WRN-28-10 with ten classes has 36,479,194 parameters and 640 features. Inputs (B, C, H, W) in [0, 1], 32 x 32 in
    the paper.
    Convolutions have no bias and start as in He et al. (2015, arXiv 1502.01852) with the number of outgoing
    connections, the linear layer's bias at zero: what the authors' own code does.

    Raises:
        SettingsError: the depth is not 6 n + 4.
    """

    def __init__(
        self,
        *,
        channels: int,
        classes: int,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        depth: Literal[10, 16, 22, 28, 34, 40] = 28,
        widen_factor: Count = 10,
    ) -> None:
        n, rest = divmod(depth - 4, 6)
        if n < 1 or rest:
            raise SettingsError(f"depth: {depth} is not 6 n + 4 with a whole n of at least 1: 10, 16, 22, 28 ...")
        widths = [16, 16 * widen_factor, 32 * widen_factor, 64 * widen_factor]
        body = nn.Sequential(
            nn.Conv2d(channels, widths[0], 3, padding=1, bias=False),
            _group(widths[0], widths[1], n, stride=1),
            _group(widths[1], widths[2], n, stride=2),
            _group(widths[2], widths[3], n, stride=2),
            _activation(widths[3]),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        super().__init__(Normalise(mean, std), body, nn.Linear(widths[3], classes))
        self._initialise()

    def _initialise(self) -> None:
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.linear.bias)


class Block(nn.Module):
    """x + W_2 r(W_1 r(x)), with r BatchNorm and ReLU; where the shape changes, W_0 r(x) takes the place of x."""

    chains: ClassVar[tuple[str, ...]] = ("residual",)

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.activation = _activation(inputs)
        self.residual = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            _activation(outputs),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        )
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        activated = self.activation(x)
        residual: Tensor = self.residual(activated)
        return residual + (x if self.shortcut is None else self.shortcut(activated))


def _group(inputs: int, outputs: int, n: int, stride: int) -> nn.Sequential:
    return nn.Sequential(Block(inputs, outputs, stride), *(Block(outputs, outputs, 1) for _ in range(n - 1)))


def _activation(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())

"""The paper's CNN7, for images of 32 x 32 pixels."""

from __future__ import annotations

from torch import nn

from opnorm.models.classifier import Classifier, Normalise, convolution
from opnorm.options import Count


class CNN7(Classifier):
    """Seven blocks (w, w, pool, 2w, 2w, pool, 4w, 4w, pool, 8w without padding, pool), one linear layer on 8w features.

    With w = 128 and ten classes it has 9,306,250 parameters and 1,024 features. Inputs (B, C, 32, 32) in [0, 1].
    """

    image_size = 32

    def __init__(
        self,
        *,
        channels: int,
        classes: int,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        width: Count = 128,
    ) -> None:
        body = nn.Sequential(
            convolution(channels, width),
            convolution(width, width),
            nn.MaxPool2d(2),
            convolution(width, 2 * width),
            convolution(2 * width, 2 * width),
            nn.MaxPool2d(2),
            convolution(2 * width, 4 * width),
            convolution(4 * width, 4 * width),
            nn.MaxPool2d(2),
            convolution(4 * width, 8 * width, padding=0),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        super().__init__(Normalise(mean, std), body, nn.Linear(8 * width, classes))

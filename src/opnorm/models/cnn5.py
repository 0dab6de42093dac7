"""A narrow network in the image of the paper's CNN7, for images of 8 x 8 pixels."""

from __future__ import annotations

from torch import nn

from opnorm.models.classifier import Classifier, Normalise, convolution
from opnorm.options import Count


class CNN5(Classifier):
    """Five blocks (w, w, pool, 2w, 2w, pool, 4w without padding) and one linear layer on 4w features.

    Inputs (B, C, 8, 8) in [0, 1].
    """

    image_size = 8

    def __init__(
        self,
        *,
        channels: int,
        classes: int,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        width: Count = 16,
    ) -> None:
        body = nn.Sequential(
            convolution(channels, width),
            convolution(width, width),
            nn.MaxPool2d(2),
            convolution(width, 2 * width),
            convolution(2 * width, 2 * width),
            nn.MaxPool2d(2),
            convolution(2 * width, 4 * width, kernel_size=2, padding=0),
            nn.Flatten(),
        )
        super().__init__(Normalise(mean, std), body, nn.Linear(4 * width, classes))

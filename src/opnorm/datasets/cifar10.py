"""CIFAR-10 (Krizhevsky 2009): 50,000 + 10,000 colour images of 32 x 32 pixels in ten classes."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from opnorm.datasets.official import cifar


def cifar10(root: str | Path, split: str) -> tuple[Tensor, Tensor]:
    """Images (N, 3, 32, 32) uint8 and labels (N,) in the official order, downloaded to `root` if they are not there.

    Raises:
        FileError: files are missing or damaged and cannot be downloaded; says which to put where.
    """
    from torchvision.datasets import CIFAR10

    return cifar(CIFAR10, "CIFAR-10", root, split)

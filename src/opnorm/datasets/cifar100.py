"""CIFAR-100 (Krizhevsky 2009): 50,000 + 10,000 colour images of 32 x 32 pixels in a hundred classes."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from opnorm.datasets.official import cifar


def cifar100(root: str | Path, split: str) -> tuple[Tensor, Tensor]:
    """Images (N, 3, 32, 32) uint8 and fine labels (N,) in the official order, downloaded to `root` if not there.

    Raises:
        FileError: files are missing or damaged and cannot be downloaded; says which to put where.
    """
    from torchvision.datasets import CIFAR100

    return cifar(CIFAR100, "CIFAR-100", root, split)

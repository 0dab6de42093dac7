"""A part of CIFAR-10, for machines without a GPU: the first 20,000 training and the first 2,000 test images."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from opnorm.datasets.cifar10 import cifar10

SIZES = {"train": 20_000, "test": 2_000}


def cifar10_small(root: str | Path, split: str) -> tuple[Tensor, Tensor]:
    """The first images (N, 3, 32, 32) uint8 and labels (N,) of `cifar10`, from the same files.

    Raises:
        FileError: see `cifar10`.
    """
    images, labels = cifar10(root, split)
    return images[: SIZES[split]].clone(), labels[: SIZES[split]].clone()

"""What several test files look at: a tiny network and a few digits."""

from __future__ import annotations

import pytest
import torch

from opnorm import data, models
from opnorm.models.classifier import Classifier

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits() -> dict[str, data.Split]:
    """The first 60 training and 40 test samples of the digits."""
    sizes = {"train": 60, "test": 40}
    splits = {split: data.load("digits", "", split) for split in sizes}
    return {split: data.Split(*(tensor[: sizes[split]] for tensor in tensors)) for split, tensors in splits.items()}


@pytest.fixture
def images(digits: dict[str, data.Split]) -> torch.Tensor:
    """Eight digits as float64 in [0, 1] (8, 1, 8, 8)."""
    return digits["test"].images[:8].double() / 255.0


@pytest.fixture
def labels(digits: dict[str, data.Split]) -> torch.Tensor:
    """Their labels (8,)."""
    return digits["test"].labels[:8]


@pytest.fixture
def cnn5(digits: dict[str, data.Split]) -> Classifier:
    """CNN5 of width 2 in float64 and evaluation mode, with running statistics of real digits."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = models.build("cnn5", channels=1, mean=[0.3], std=[0.4], width=2).double()
    model.train()
    with torch.no_grad():
        for _ in range(20):
            model(digits["train"].images.double() / 255.0)
    return model.eval()

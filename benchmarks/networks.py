"""What the measurements look at: CNN7 with BatchNorm statistics of real images, and CIFAR-10 or what looks like it."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.side_by_side import device
from opnorm import data, models
from opnorm.errors import OpnormError
from opnorm.models.classifier import Classifier


def cifar10(n: int) -> tuple[Tensor, Tensor]:
    """Test images in [0, 1] and labels; noise where ./data has no CIFAR-10."""
    try:
        images, labels = data.load("cifar10", "data", "test")
        return data.to_unit(images[:n]).to(device()), labels[:n].to(device())
    except OpnormError as error:
        print(f"noise in place of CIFAR-10: {error}")
        return torch.rand(n, 3, 32, 32, device=device()), torch.randint(10, (n,), device=device())


def cnn7(width: int) -> Classifier:
    """With random weights, in evaluation mode."""
    torch.manual_seed(0)
    model = models.build("cnn7", width=width).to(device())
    x, _ = cifar10(100)
    with torch.no_grad():
        for _ in range(20):
            model(x[torch.randperm(100, device=x.device)[:32]])
    return model.eval()

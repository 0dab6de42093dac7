"""What bfloat16 does to a training step: directions, penalties and gradients against those in float32.

    python -m benchmarks.precision model.safetensors train.safetensors [weight] [epsilon]

The files are a network and the prepared training split of an experiment. One batch of 100, on the CPU or a GPU.
"""

from __future__ import annotations

import copy
import sys

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy

from benchmarks.side_by_side import device, hardware
from opnorm import data, weights
from opnorm.models.classifier import Classifier
from opnorm.modes import precision, prepare_torch
from opnorm.objectives.data_dependent_snr import DataDependentSNR
from opnorm.threat_model import ThreatModel

PRECISIONS = (torch.float32, torch.bfloat16)


def gradient(model: Classifier) -> Tensor:
    """Of all parameters, as one vector."""
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def classification(model: Classifier, x: Tensor, y: Tensor, dtype: torch.dtype) -> Tensor:
    """The gradient of cross-entropy."""
    model = copy.deepcopy(model)
    with precision(model, dtype):
        cross_entropy(model(x), y).backward()
    return gradient(model)


def penalty(
    objective: DataDependentSNR, model: Classifier, x: Tensor, v: Tensor, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """The penalties (B,) along `v`, and the gradient of their mean."""
    model = copy.deepcopy(model)
    with precision(model, dtype):
        penalties = objective.penalties(model, x, v)[1]
        penalties.mean().backward()
    return penalties.detach(), gradient(model)


def main() -> None:
    """Print the table."""
    path, images, *numbers = sys.argv[1:]
    prepare_torch(1)
    weight, epsilon = (float(given) for given in [*numbers, *["1.5", "1.0"][len(numbers) :]])
    model = weights.load_model(path).to(device()).train().requires_grad_(True)
    split = data.read_split(images).to(device())
    x, y = data.to_unit(split.images[:100]), split.labels[:100]
    objective = DataDependentSNR(ThreatModel(2.0, epsilon, 10), weight=weight)

    directions = []
    for dtype in PRECISIONS:
        with precision(model, dtype):
            directions.append(objective.maximizer(model, x, torch.Generator(x.device).manual_seed(0)).flatten(1))
    cosine = cosine_similarity(*directions, dim=1).abs()
    v = directions[0].view_as(x)
    (exact, full), (rounded, half) = (penalty(objective, model, x, v, dtype) for dtype in PRECISIONS)
    error = (rounded - exact) / exact
    baseline = [classification(model, x, y, dtype) for dtype in PRECISIONS]
    print(hardware())
    print(f"bfloat16 against float32, {path}")
    print(f"  maximiser v: cosine {cosine.mean():.3f} on average, {cosine.min():.3f} at least")
    print(f"  penalty: relative error {error.mean():.4f} on average, {error.square().mean().sqrt():.4f} rms")
    print(f"  its gradient: cosine {cosine_similarity(full, half, dim=0):.4f}")
    print(f"  cross-entropy's gradient: cosine {cosine_similarity(*baseline, dim=0):.4f}")


if __name__ == "__main__":
    main()

"""Jacobian and full spectrum of CNN7's features, beside its backward passes alone and the paper's regression.

    python -m benchmarks.spectrum [width] [samples] [rounds]

The regression is the paper's route: noise goes through the network with the ReLU masks and max-pool choices of x, and
a linear model of the outputs is its Jacobian. It needs more copies of each sample than there are input entries.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.networks import cifar10, cnn7
from benchmarks.side_by_side import device, hardware, seconds
from opnorm.analysis.subject import features
from opnorm.jacobian import InputJacobian
from opnorm.models.classifier import Classifier
from opnorm.modes import prepare_torch
from opnorm.operator_norm import singular_values

COPIES, AT_ONCE = 3200, 100
# Of the samples, for what takes long; its time is multiplied accordingly.
FEW = 4


class Frozen:
    """CNN7's features as an affine function: the masks and choices are those at x (1, C, H, W)."""

    def __init__(self, model: Classifier, x: Tensor) -> None:
        self.model, self.layers = model, []  # type: tuple[Classifier, list[Callable[[Tensor], Tensor]]]
        with torch.no_grad():
            z = model.normalise(x)
            for layer in self._plain(model.body):
                step, z = self._frozen(layer, z)
                self.layers.append(step)

    def _plain(self, part: nn.Module) -> list[nn.Module]:
        inner = list(part.children())
        return [leaf for child in inner for leaf in self._plain(child)] if inner else [part]

    def _frozen(self, layer: nn.Module, z: Tensor) -> tuple[Callable[[Tensor], Tensor], Tensor]:
        if isinstance(layer, nn.ReLU):
            mask = (z > 0.0).to(z.dtype)
            return lambda z: z * mask, layer(z)
        if isinstance(layer, nn.MaxPool2d):
            y, index = nn.functional.max_pool2d(z, layer.kernel_size, return_indices=True)
            flat, shape = index.flatten(2), y.shape[1:]
            return lambda z: z.flatten(2).gather(2, flat.expand(len(z), -1, -1)).view(len(z), *shape), y
        return layer, layer(z)

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        z: Tensor = self.model.normalise(x)
        for layer in self.layers:
            z = layer(z)
        return z


def copies_alone(model: Classifier, x: Tensor, noise: Tensor) -> list[Tensor]:
    """The noisy copies' features (copies, d) of each sample."""
    outputs = []
    for one in x.split(1):
        frozen = Frozen(model, one)
        outputs.append(torch.cat([frozen(one + part) for part in noise.split(AT_ONCE)]))
    return outputs


def regression(model: Classifier, x: Tensor, noise: Tensor) -> Tensor:
    """The Jacobians (B, d, n) by least squares with an intercept."""
    design = torch.cat([noise.flatten(1), torch.ones(len(noise), 1, device=noise.device)], 1)
    fitted = [torch.linalg.lstsq(design, outputs).solution[:-1].T for outputs in copies_alone(model, x, noise)]
    return torch.stack(fitted)


def backward_passes(y: Tensor, x: Tensor) -> None:
    """One per feature, whose results nobody keeps."""
    u = torch.zeros_like(y)
    for row in range(y.shape[1]):
        u.zero_()
        u[:, row] = 1.0
        torch.autograd.grad(y, x, u, retain_graph=True)


def measure(width: int, samples: int, rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds of each route, and how far they are from one another, relative to the largest; what takes long by few
    samples."""
    model, (x, _) = cnn7(width).requires_grad_(False), cifar10(samples)
    noise = 0.1 * torch.randn(COPIES, *x.shape[1:], device=x.device)
    leaf = x.clone().requires_grad_()
    y = model.features(leaf)
    J = InputJacobian(features(model), x).dense()
    few, of_few = x[:FEW], J[:FEW]
    found = seconds(
        {
            "backward passes alone": lambda: backward_passes(y, leaf),
            "Jacobian and spectrum": lambda: singular_values(InputJacobian(features(model), x)),
            "spectrum alone": lambda: singular_values(J),
        },
        rounds=rounds,
    )
    slow = seconds(
        {
            "spectrum by svdvals": lambda: torch.linalg.svdvals(of_few),
            "noisy copies alone": lambda: copies_alone(model, few, noise),
            "noisy copies, regression and svdvals": lambda: torch.linalg.svdvals(regression(model, few, noise)),
        },
        rounds=1 if samples > FEW else rounds,
    )
    found |= {name: value * samples / len(few) for name, value in slow.items()}
    exact = torch.linalg.svdvals(of_few.double())
    return found, {
        "spectrum": _distance(singular_values(of_few), exact),
        "svdvals in float32": _distance(torch.linalg.svdvals(of_few), exact),
        "regression's Jacobian": _distance(regression(model, few, noise), of_few),
    }


def _distance(a: Any, b: Any) -> float:
    return float((a - b).abs().max() / b.abs().max())


def main() -> None:
    """Print the table."""
    prepare_torch(1)
    gpu = device() == "cuda"
    defaults = [128, 200, 3] if gpu else [16, 2, 3]
    width, samples, rounds = (int(given) for given in [*sys.argv[1:], *defaults[len(sys.argv) - 1 :]])
    print(hardware())
    print(f"CNN7 of width {width}: {8 * width} x 3072 Jacobians of {samples} samples, {COPIES} noisy copies of each")
    found, distances = measure(width, samples, rounds)
    ours, least = found["Jacobian and spectrum"], found["backward passes alone"]
    for name, value in found.items():
        print(f"  {name:38} {value:9.3f} s {value / ours:7.2f} of ours")
    print(f"  ours / backward passes alone: {ours / least:.2f} (target 1.30)")
    print(f"  paper's route / ours: {found['noisy copies, regression and svdvals'] / ours:.1f} (target 2.5)")
    for name, value in distances.items():
        print(f"  largest error of {name}, relative to the largest entry: {value:.1e}")


if __name__ == "__main__":
    main()

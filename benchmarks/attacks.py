"""Projected gradient ascent beside torchattacks and foolbox: same networks, threat model, steps and iterations.

    python -m benchmarks.attacks [results/digits]
    python -m benchmarks.attacks --cifar10 model.safetensors ...

Both packages are optional: `pip install torchattacks foolbox`. The networks are those of an experiment's folder, or the
named ones, which are attacked on CIFAR-10's test images in ./data.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.networks import cifar10
from benchmarks.side_by_side import device, hardware, seconds
from opnorm import data, weights
from opnorm.attacks import projected_gradient_ascent
from opnorm.models.classifier import Classifier
from opnorm.modes import prepare_torch
from opnorm.threat_model import ThreatModel

THREATS = (ThreatModel(2.0, 0.5, 10), ThreatModel(math.inf, 0.1, 10))
CIFAR10_THREATS = (ThreatModel(2.0, 0.25, 10), ThreatModel(math.inf, 2 / 255, 10))
Attack = Callable[[Classifier, Tensor, Tensor, ThreatModel], Tensor]


def ours(model: Classifier, x: Tensor, y: Tensor, threat: ThreatModel) -> Tensor:
    """The visited point of highest loss."""
    return projected_gradient_ascent(model, x, y, threat, generator=torch.Generator(x.device).manual_seed(0))


def ours_last(model: Classifier, x: Tensor, y: Tensor, threat: ThreatModel) -> Tensor:
    """The last iterate, which is what the others return."""
    random = torch.Generator(x.device).manual_seed(0)
    return projected_gradient_ascent(model, x, y, threat, generator=random, rescore=False)


def ours_long_steps(model: Classifier, x: Tensor, y: Tensor, threat: ThreatModel) -> Tensor:
    """With steps of half the radius, as the robustness analysis takes them."""
    return ours(model, x, y, replace(threat, step_size=0.5 * threat.epsilon))


class ContiguousGradients(nn.Module):
    """A network of channels-last layers whose gradient is laid out like its input, as torchattacks needs it."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.model(_Contiguous.apply(x))  # type: ignore[no-untyped-call]
        return logits


class _Contiguous(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.contiguous()


def with_torchattacks(model: Classifier, x: Tensor, y: Tensor, threat: ThreatModel) -> Tensor:
    """Its PGD and PGDL2."""
    import torchattacks

    kind = torchattacks.PGD if threat.norm == math.inf else torchattacks.PGDL2
    network = ContiguousGradients(model).eval()
    attack = kind(network, eps=threat.epsilon, alpha=threat.step, steps=threat.iterations, random_start=True)
    perturbed: Tensor = attack(x, y)
    return perturbed


def with_foolbox(model: Classifier, x: Tensor, y: Tensor, threat: ThreatModel) -> Tensor:
    """Its Linf- and L2ProjectedGradientDescentAttack."""
    import foolbox

    kind = foolbox.attacks.LinfPGD if threat.norm == math.inf else foolbox.attacks.L2PGD
    attack = kind(abs_stepsize=threat.step, steps=threat.iterations, random_start=True)
    _, perturbed, _ = attack(foolbox.PyTorchModel(model, bounds=threat.bounds), x, y, epsilons=threat.epsilon)
    return perturbed


def compare(name: str, model: Classifier, x: Tensor, y: Tensor, threat: ThreatModel, *, timed: int = 500) -> None:
    """Print accuracy under each attack, and its time on the first `timed` images."""
    # Parameters take gradients in the others' hands, as their users leave them.
    attacks = (ours, ours_last, ours_long_steps, with_torchattacks, with_foolbox)
    part, labels = x[:timed], y[:timed]
    runs = {attack.__name__: partial(attack, model, part, labels, threat) for attack in attacks}
    found = seconds(runs, rounds=5)
    print(f"\n{name}, norm {threat.norm:g}, epsilon {threat.epsilon:.3g}, {threat.iterations} iterations")
    for attack in attacks:
        share = found[attack.__name__] / found["ours"]
        correct = accuracy(model, attack, x, y, threat)
        print(f"  {attack.__name__:18} accuracy {correct:.3f}   {share:5.2f} times the time of ours")


def accuracy(model: Classifier, attack: Attack, x: Tensor, y: Tensor, threat: ThreatModel) -> float:
    """Under attack, a hundred images at a time."""
    correct = 0
    for images, labels in zip(x.split(100), y.split(100), strict=True):
        perturbed = attack(model, images, labels, threat)
        with torch.no_grad():
            correct += int((model(perturbed).argmax(1) == labels).sum())
    return correct / len(x)


def main() -> None:
    """Print the table."""
    prepare_torch(1)
    print(hardware())
    if sys.argv[1:2] == ["--cifar10"]:
        x, y = cifar10(1000)
        timed = 300 if device() == "cuda" else 25
        for path in sys.argv[2:]:
            for threat in CIFAR10_THREATS:
                compare(path, weights.load_model(path).to(device()), x, y, threat, timed=timed)
        return
    results = Path(sys.argv[1] if len(sys.argv) > 1 else "results/digits")
    split = data.read_split(results / "data/test.safetensors").to(device())
    for method in ("standard", "adversarial", "dd_snr"):
        model = weights.load_model(results / f"models/{method}/0.safetensors").to(device())
        for threat in THREATS:
            compare(method, model, data.to_unit(split.images), split.labels, threat)


if __name__ == "__main__":
    main()

"""Projected gradient ascent beside torchattacks and foolbox: same networks, threat model, steps and iterations.

Both packages are optional: `pip install torchattacks foolbox`. The networks are those of the digits experiment.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.side_by_side import hardware, seconds
from opnorm import data, weights
from opnorm.attacks import projected_gradient_ascent
from opnorm.models.classifier import Classifier
from opnorm.threat_model import ThreatModel

THREATS = (ThreatModel(2.0, 0.5, 10), ThreatModel(math.inf, 0.1, 10))
Attack = Callable[[], Tensor]


def ours(model: Classifier, x: Tensor, y: Tensor, threat: ThreatModel) -> Tensor:
    """The visited point of highest loss."""
    return projected_gradient_ascent(model, x, y, threat, generator=torch.Generator().manual_seed(0))


def ours_last(model: Classifier, x: Tensor, y: Tensor, threat: ThreatModel) -> Tensor:
    """The last iterate, which is what the others return."""
    random = torch.Generator().manual_seed(0)
    return projected_gradient_ascent(model, x, y, threat, generator=random, rescore=False)


def ours_long_steps(model: Classifier, x: Tensor, y: Tensor, threat: ThreatModel) -> Tensor:
    """With steps of half the radius, as the robustness analysis takes them."""
    return ours(model, x, y, replace(threat, step_size=0.5 * threat.epsilon))


def with_torchattacks(model: Classifier, x: Tensor, y: Tensor, threat: ThreatModel) -> Tensor:
    """Its PGD and PGDL2."""
    import torchattacks

    kind = torchattacks.PGD if threat.norm == math.inf else torchattacks.PGDL2
    attack = kind(model, eps=threat.epsilon, alpha=threat.step, steps=threat.iterations, random_start=True)
    perturbed: Tensor = attack(x, y)
    return perturbed


def with_foolbox(model: Classifier, x: Tensor, y: Tensor, threat: ThreatModel) -> Tensor:
    """Its Linf- and L2ProjectedGradientDescentAttack."""
    import foolbox

    kind = foolbox.attacks.LinfPGD if threat.norm == math.inf else foolbox.attacks.L2PGD
    attack = kind(abs_stepsize=threat.step, steps=threat.iterations, random_start=True)
    _, perturbed, _ = attack(foolbox.PyTorchModel(model, bounds=threat.bounds), x, y, epsilons=threat.epsilon)
    return perturbed


def accuracy(model: Classifier, attack: Attack, y: Tensor) -> float:
    """Under attack."""
    perturbed = attack()
    with torch.no_grad():
        return float((model(perturbed).argmax(1) == y).float().mean())


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    print(hardware())
    results = Path(sys.argv[1] if len(sys.argv) > 1 else "results/digits")
    split = data.read_split(results / "data/test.safetensors")
    x, y = data.to_unit(split.images), split.labels
    for method in ("standard", "adversarial", "dd_snr"):
        model = weights.load_model(results / f"models/{method}/0.safetensors")
        for threat in THREATS:
            # Parameters take gradients in the others' hands, as their users leave them.
            attacks: dict[str, Attack] = {
                function.__name__: partial(function, model, x, y, threat)
                for function in (ours, ours_last, ours_long_steps, with_torchattacks, with_foolbox)
            }
            found = seconds(attacks, rounds=5)
            print(f"\n{method}, norm {threat.norm:g}, epsilon {threat.epsilon}, {threat.iterations} iterations")
            for name, attack in attacks.items():
                share = found[name] / found["ours"]
                print(f"  {name:18} accuracy {accuracy(model, attack, y):.3f}   {share:5.2f} times the time of ours")


if __name__ == "__main__":
    main()

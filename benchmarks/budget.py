"""How many operations the trainings of an experiment take, counted on a CPU, without training.

    python -m benchmarks.budget config/cifar10.yaml

Multiplications and additions of convolutions and matrix products are counted on two images and scaled up.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from benchmarks.utilisation import operations
from opnorm import objectives
from opnorm.models import build
from opnorm.models.classifier import Classifier
from opnorm.reference.configuration import read_experiment
from opnorm.seeding import generator
from opnorm.settings import Experiment

IMAGES = 50_000
PETA = 1e15


def per_image(experiment: Experiment, model: Classifier, method: str) -> float:
    """Operations of a training step, per image of its batch."""
    settings = experiment.training(method).method
    objective = objectives.build(settings.objective, settings.threat, **settings.options)
    objective.prepare(model, generator(0, "budget"))
    x, y = torch.rand(2, 3, 32, 32, generator=generator(0, "budget")), torch.tensor([0, 1])

    def step() -> None:
        model.train()
        objective(model, x, y, generator(0, "budget")).total.backward()

    return operations(step) / len(x)


def main() -> None:
    """Print a line per method, and the sums."""
    experiment, _ = read_experiment(Path(sys.argv[1]))
    model = build(**experiment.model)
    images = IMAGES * experiment.optimization.epochs
    peta = {method.name: per_image(experiment, model, method.name) * images / PETA for method in experiment.methods}
    for name, each in peta.items():
        seeds = len(experiment.method(name).seeds)
        print(f"{name:16} {each:6.1f} PFLOP a seed, {seeds} seeds: {seeds * each:6.1f}")
    rules = experiment.selection
    candidates = (1.0 - rules.validation) * sum(peta[method] for method, *_ in rules.candidates())
    print(f"{len(rules.candidates())} candidates of selection: {candidates:6.1f} PFLOP")
    whole = sum(peta[method.name] * len(method.seeds) for method in experiment.methods) + candidates
    for share in (0.4, 0.3):
        print(f"all trainings at {share:.0%} of 800 TFLOP/s: {whole * PETA / (share * 800e12) / 3600:.2f} hours")


if __name__ == "__main__":
    main()

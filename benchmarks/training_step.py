"""A training step of each method, and the two solvers for the maximiser v, in one run.

    python -m benchmarks.training_step [width of cnn7] [its batch size] [rounds]

The counts to compare with, in forward-equivalents (a backward pass to the input counts one, one to the parameters
as well two): standard 3; adversarial with ten iterations 23; d.d. SNR with ten power iterations 26, exact 17; the
exact maximiser alone 11, ten power iterations 20.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.side_by_side import device, hardware, seconds
from opnorm import models, objectives, training
from opnorm.models.classifier import Classifier
from opnorm.modes import precision, prepare_torch
from opnorm.objectives.objective import Objective
from opnorm.threat_model import ThreatModel

THREAT = ThreatModel(2.0, 1.0, 10)
METHODS = {
    "standard": ("standard", {}),
    "adversarial": ("adversarial", {}),
    "global SNR": ("global_snr", {"weight": 3e-4}),
    "d.d. SNR, exact": ("data_dependent_snr", {"weight": 1.0, "solver": "exact"}),
    "d.d. SNR, power": ("data_dependent_snr", {"weight": 1.0, "solver": "power", "iterations": 10}),
}
IMAGES = {"cnn5": (1, 8, 8), "cnn7": (3, 32, 32)}


def steps(model: Classifier, x: Tensor, y: Tensor) -> dict[str, Callable[[], None]]:
    """A whole training step of each method on one batch, and the maximiser alone with both solvers."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
    built = {name: objectives.build(method, THREAT, **options) for name, (method, options) in METHODS.items()}

    def step(objective: Objective) -> None:
        model.train()
        loss = objective(model, x, y, torch.Generator(x.device).manual_seed(0))
        optimizer.zero_grad(set_to_none=True)
        loss.total.backward()
        optimizer.step()

    for objective in built.values():
        objective.prepare(model, torch.Generator(x.device).manual_seed(0))
    things: dict[str, Callable[[], None]] = {name: lambda o=o: step(o) for name, o in built.items()}  # type: ignore[misc]
    for solver in ("exact", "power"):
        objective = built[f"d.d. SNR, {solver}"]
        random = torch.Generator(x.device)
        things[f"maximiser, {solver}"] = lambda o=objective, g=random: o.maximizer(model, x, g)  # type: ignore[misc]
    return things


def measure(name: str, *, width: int, batch_size: int, rounds: int) -> dict[str, float]:
    """Median seconds of each step for one architecture on random images; on a GPU compiled and in bfloat16."""
    channels, *size = IMAGES[name]
    torch.manual_seed(0)
    model = models.build(name, channels=channels, width=width).to(device())
    x = torch.rand(batch_size, channels, *size, device=device())
    y = torch.randint(10, (batch_size,), device=device())
    if device() == "cpu":
        return seconds(steps(model, x, y), rounds=rounds)
    with precision(model, torch.bfloat16):
        made = steps(model, x, y)
        training._compile(model, aloud=True)
        return seconds(made, rounds=rounds)


def main() -> None:
    """Print the table."""
    prepare_torch(1)
    print(hardware())
    defaults = [128, 500, 5] if device() == "cuda" else [16, 100, 5]
    given = (*(int(number) for number in sys.argv[1:]), *defaults[len(sys.argv) - 1 :])
    for name, (width, batch_size, rounds) in {"cnn5": (16, 100, 15), "cnn7": given}.items():
        found = measure(name, width=width, batch_size=batch_size, rounds=rounds)
        print(f"\n{name} of width {width}, batches of {batch_size}")
        for thing, value in found.items():
            print(f"  {thing:18} {1e3 * value:9.2f} ms   {value / found['adversarial']:5.2f} of an adversarial step")
        print(f"  exact / power maximiser: {found['maximiser, exact'] / found['maximiser, power']:.2f} (target 0.60)")
        print(
            f"  d.d. SNR exact / adversarial step: {found['d.d. SNR, exact'] / found['adversarial']:.2f} (target 0.75)"
        )


if __name__ == "__main__":
    main()

"""How much of the hardware's speed a training step of CNN7 uses: against the matrix peak, and the bare convolutions.

    python -m benchmarks.utilisation [width] [batch size]

Counted are multiplications and additions of convolutions and of the linear layer. The bare convolutions are the step's
own, forward and backward, without BatchNorm, ReLU, pooling, attack and optimiser.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from benchmarks import training_step
from benchmarks.networks import cifar10, cnn7
from benchmarks.side_by_side import device, hardware, seconds
from opnorm import training
from opnorm.models.classifier import Classifier
from opnorm.modes import precision, prepare_torch

ITERATIONS = training_step.THREAT.iterations
# Passes of a step that end at the images; one more ends at the parameters.
STEPS = {"standard": 0, "adversarial": ITERATIONS}
Layers = Sequence[tuple[nn.Conv2d, Tensor, Tensor]]


def convolutions(model: Classifier, x: Tensor) -> Layers:
    """Each convolution with an input and a gradient of the sizes and types that it has in `model`."""
    found: list[tuple[nn.Conv2d, Tensor, Tensor]] = []

    def remember(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(layer, nn.Conv2d)
        found.append((layer, torch.rand_like(inputs[0]), torch.rand_like(output)))

    hooks = [part.register_forward_hook(remember) for part in model.modules() if isinstance(part, nn.Conv2d)]
    with torch.no_grad():
        model(x)
    for hook in hooks:
        hook.remove()
    return found


def bare(layers: Layers, to_images: int, dtype: torch.dtype) -> None:
    """The convolutions of `to_images` passes to the images and one to the parameters."""
    for number in range(to_images + 1):
        for index, (layer, x, gradient) in enumerate(layers):
            to_parameters = number == to_images
            wanted = list(layer.parameters()) if to_parameters else []
            if index or not to_parameters:
                wanted.append(x.requires_grad_())
            with torch.autocast(x.device.type, dtype, enabled=dtype != torch.float32):
                y = layer(x)
            torch.autograd.grad(y, wanted, gradient)


def peak(dtype: torch.dtype) -> float:
    """Operations per second of a large matrix product."""
    n = 8192 if device() == "cuda" else 1536
    a, b = (torch.rand(n, n, device=device(), dtype=dtype) for _ in range(2))
    return 2.0 * n**3 / seconds({"product": lambda: a @ b}, rounds=9)["product"]


class Counter(TorchDispatchMode):
    """Adds up the operations of what runs inside."""

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if count := flop_registry.get(func._overloadpacket):
            self.total += count(*args, **(kwargs or {}), out_val=result)
        return result


def operations(step: Callable[[], None]) -> float:
    """Of one call."""
    with Counter() as counter:
        step()
    return float(counter.total)


def main() -> None:
    """Print the table."""
    prepare_torch(1)
    gpu = device() == "cuda"
    width = int(sys.argv[1]) if len(sys.argv) > 1 else 128 if gpu else 16
    batch = int(sys.argv[2]) if len(sys.argv) > 2 else 500 if gpu else 100
    dtype = torch.bfloat16 if gpu else torch.float32
    model, (x, y) = cnn7(width), cifar10(batch)
    highest = peak(dtype)
    print(hardware())
    print(f"CNN7 of width {width}, batches of {batch}, {dtype}; a matrix product runs at {highest / 1e9:.0f} GFLOP/s")
    with precision(model, dtype):
        layers = convolutions(model, x)
        steps = {name: training_step.steps(model, x, y)[name] for name in STEPS}
        count = {name: operations(step) for name, step in steps.items()}
        if gpu:
            training._compile(model, aloud=True)
        alone = {f"bare {name}": lambda n=n: bare(layers, n, dtype) for name, n in STEPS.items()}  # type: ignore[misc]
        found = seconds(steps | alone, rounds=15 if gpu else 3)
    for name in STEPS:
        time, least = found[name], found[f"bare {name}"]
        print(
            f"  {name:12} {count[name] / 1e9:8.1f} GFLOP {1e3 * time:8.1f} ms {count[name] / time / 1e9:8.1f} GFLOP/s "
            f"  {count[name] / time / highest:.2f} of the peak (targets on a GPU .30 and .40)"
            f"  {least / time:.2f} of the bare convolutions' speed (target on a CPU .70)"
        )


if __name__ == "__main__":
    main()

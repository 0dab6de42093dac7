"""The bare convolutions of an adversarial step of CNN7, by memory layout and precision: does channels-last always pay?

    python -m benchmarks.layouts [--search] [width] [batch size]

With `--search` cuDNN times its algorithms and keeps the fastest of each, as torch.backends.cudnn.benchmark has it. It
keeps them for a whole process: run once with and once without.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from functools import partial

import torch

from benchmarks.networks import cifar10, cnn7
from benchmarks.side_by_side import device, hardware, seconds
from benchmarks.utilisation import Layers, bare, convolutions
from opnorm.modes import precision, prepare_torch

PASSES = 10
LAYOUTS = {"channels last": torch.channels_last, "channels first": torch.contiguous_format}


def laid_out(layers: Layers, layout: torch.memory_format) -> Layers:
    """The same layers with weights, inputs and gradients in another layout."""
    return [
        (
            copy.deepcopy(layer).to(memory_format=layout),
            *(tensor.contiguous(memory_format=layout) for tensor in tensors),
        )  # type: ignore[call-overload]
        for layer, *tensors in layers
    ]


def main() -> None:
    """Print the table."""
    search = "--search" in sys.argv
    numbers = [int(argument) for argument in sys.argv[1:] if argument != "--search"]
    gpu = device() == "cuda"
    width, batch = [*numbers, *([128, 500] if gpu else [16, 50])[len(numbers) :]]
    prepare_torch(1)
    torch.backends.cudnn.benchmark = search
    model, (x, _) = cnn7(width), cifar10(batch)
    steps: dict[str, Callable[[], None]] = {}
    for dtype in (torch.float32, torch.bfloat16):
        with precision(model, dtype):
            layers = convolutions(model, x)
        for name, layout in LAYOUTS.items():
            steps[f"{dtype}, {name}"] = partial(bare, laid_out(layers, layout), PASSES, dtype)
    print(hardware())
    algorithms = "searched" if search else "by rule"
    print(
        f"CNN7 of width {width}, batches of {batch}, {PASSES} passes to the images and one to the weights, {algorithms}"
    )
    for name, value in seconds(steps, rounds=9 if gpu else 3).items():
        print(f"  {name:32} {1e3 * value:10.1f} ms")


if __name__ == "__main__":
    main()

"""Fig. 5 and 9: how many ReLU states survive a perturbation, on the data and away from it."""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor, nn

from opnorm.analysis.subject import RANDOM, Subject, in_parts
from opnorm.analysis.tidy import Dimensions, tidy
from opnorm.modes import evaluation
from opnorm.options import Grid


@in_parts
def activations(subject: Subject, *, distances: Grid) -> pd.DataFrame:
    """Fraction of ReLU states that x and x + z share (Sec. 5.5), both on and off counted.

    Around data z is random or adversarial; around points drawn uniformly from the input domain it is random.

    Args:
        subject: what to measure on.
        distances: |z|_2, in units of images in [0, 1].

    Returns:
        Columns sample, center ("data" or "uniform"), direction, distance, shared in [0, 1].
    """
    samples, tables = subject.samples, []
    walks = [("data", samples.images, name, z) for name, z in samples.directions().items()]
    walks.append(("uniform", samples.uniform, RANDOM, samples.random_direction))
    for center, x, name, direction in walks:
        here = activation_pattern(subject.model, x)
        shared = [
            (activation_pattern(subject.model, x + distance * direction) == here).float().mean(1)
            for distance in distances
        ]
        columns: Dimensions = {"sample": samples.index, "distance": distances}
        table = tidy("shared", torch.stack(shared, 1), columns)
        tables.append(table.assign(center=center, direction=name))
    return pd.concat(tables, ignore_index=True)


@torch.no_grad()
def activation_pattern(model: nn.Module, x: Tensor) -> Tensor:
    """phi_x of Sec. 3: which ReLUs of `model`, whatever their number and place, are on at `x`; bool (B, m).

    In evaluation mode.
    """
    states: list[Tensor] = []
    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output: states.append((output > 0).flatten(1)))
        for module in model.modules()
        if isinstance(module, nn.ReLU)
    ]
    try:
        with evaluation(model):
            model(x)
    finally:
        for hook in hooks:
            hook.remove()
    return torch.cat(states, 1)

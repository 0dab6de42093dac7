"""What a measurement looks at: one trained network, the attacked samples, and directions to walk in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import wraps
from typing import Concatenate, ParamSpec

import pandas as pd
import torch
from torch import Tensor

from opnorm import data, lp
from opnorm.folding import folded
from opnorm.models.classifier import Classifier
from opnorm.seeding import generator
from opnorm.threat_model import ThreatModel

RANDOM, ADVERSARIAL = "random", "adversarial"

# Samples whose Jacobians are in memory at once.
SAMPLES_AT_ONCE = 200

Options = ParamSpec("Options")

Function = Callable[[Tensor], Tensor]
"""From images (B, C, H, W) to outputs (B, d): what a Jacobian is taken of."""


@dataclass(frozen=True)
class Samples:
    """The analysed test samples and all that is drawn for them; the first dimension of everything is the sample.

    Attributes:
        index: position in the test split (B,).
        images: x in [0, 1] (B, C, H, W).
        perturbed: the attacked x + delta (B, C, H, W).
        random_direction: uniform on the unit l2 sphere (B, C, H, W).
        uniform: points n uniform in [0, 1], off the data manifold (B, C, H, W).
    """

    index: Tensor
    images: Tensor
    perturbed: Tensor
    random_direction: Tensor
    uniform: Tensor

    def __len__(self) -> int:
        return len(self.index)

    @property
    def perturbation(self) -> Tensor:
        """delta (B, C, H, W)."""
        return self.perturbed - self.images

    def directions(self) -> dict[str, Tensor]:
        """Unit l2 directions (B, C, H, W) by name; zero where the attack left a sample in its place."""
        adversarial = lp.dual_vector(self.perturbation, 2.0)
        return {RANDOM: self.random_direction, ADVERSARIAL: adversarial}

    def split(self, size: int) -> Iterator[Samples]:
        """The samples in groups of at most `size`."""
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            yield Samples(*(getattr(self, field.name)[part] for field in fields(self)))


@dataclass(frozen=True)
class Subject:
    """A network and what it is measured on.

    Attributes:
        model: the trained network, in evaluation mode.
        untrained: one of the same architecture with random weights.
        samples: the analysed samples; none in measurements on the test split alone.
        test: the whole test split.
        threat: the experiment's adversary.
        seed: of the run.
    """

    model: Classifier
    untrained: Classifier
    samples: Samples
    test: data.Split
    threat: ThreatModel
    seed: int

    def parts(self, size: int) -> Iterator[Subject]:
        """The subject with the samples in groups of at most `size`."""
        for samples in self.samples.split(size):
            yield replace(self, samples=samples)


def features(model: Classifier) -> Function:
    """phi^{L-1}, what the last layer sees."""
    return folded(model).features


def logits(model: Classifier) -> Function:
    """f, the whole network."""
    return folded(model)


def draw_samples(index: Tensor, images: Tensor, perturbed: Tensor) -> Samples:
    """Attacked samples with a direction and a point drawn for each, the same for every network, where `images` are."""
    # Drawn on the CPU, so that they are the same for every device, too.
    normal = torch.randn(images.shape, generator=generator(0, "random direction")).to(images)
    uniform = torch.rand(images.shape, generator=generator(0, "uniform points")).to(images)
    return Samples(index, images, perturbed, lp.dual_vector(normal, 2.0), uniform)


Measurement = Callable[Concatenate[Subject, Options], pd.DataFrame]


def in_parts(measure: Measurement[Options]) -> Measurement[Options]:
    """A measurement that looks at `SAMPLES_AT_ONCE` samples at a time, however many the subject has."""

    @wraps(measure)
    def measure_parts(subject: Subject, *args: Options.args, **kwargs: Options.kwargs) -> pd.DataFrame:
        parts = subject.parts(SAMPLES_AT_ONCE)
        return pd.concat([measure(part, *args, **kwargs) for part in parts], ignore_index=True)

    return measure_parts  # type: ignore[return-value]

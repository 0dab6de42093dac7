"""How many iterations it takes to find the dominant singular vector: of the attack, and of the power method."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd
import torch
from torch import Tensor

from opnorm.analysis._alignment_distance import cosines
from opnorm.analysis.subject import SAMPLES_AT_ONCE, Samples, Subject, features
from opnorm.analysis.tidy import tidy
from opnorm.attacks import projected_gradient_ascent
from opnorm.jacobian import InputJacobian
from opnorm.models.classifier import Classifier
from opnorm.operator_norm import power_method, singular_vectors
from opnorm.options import Counts
from opnorm.seeding import generator
from opnorm.threat_model import ThreatModel

INPUT_GRADIENT, ATTACK, POWER_METHOD = "input_gradient", "attack", "power_method"


def alignment_iterations(subject: Subject, *, iterations: Counts = (1, 2, 5, 10, 20, 50)) -> pd.DataFrame:
    """|cos| with the right singular vector v_1 of J_{phi^{L-1}}(x) of what few or many iterations find (Sec. 4.3, 5.2).

    * "input_gradient": the gradient of cross-entropy at x, in one row of one iteration;
    * "attack": the perturbation after k iterations (Eq. 15) in the ball of the experiment with its step and bounds,
      from the start of the analysed samples' attack;
    * "power_method": v_k of Eq. 12 on that Jacobian for p = q = 2, from a random direction.

    The label of the loss is the predicted one.

    Args:
        subject: what to measure on.
        iterations: numbers k of iterations.

    Returns:
        Columns sample, process, iterations, cosine in [0, 1].
    """
    x = subject.samples.images
    with torch.no_grad():
        y = subject.model(x).argmax(1)
    v, powers = _dominant_and_power_vectors(subject, iterations)
    attacked = [_perturbation(subject, y, replace(subject.threat, iterations=k)) for k in iterations]
    tables = [
        _table(subject.samples, INPUT_GRADIENT, (1,), [_input_gradient(subject.model, x, y)], v),
        _table(subject.samples, ATTACK, iterations, attacked, v),
        _table(subject.samples, POWER_METHOD, iterations, list(powers), v),
    ]
    return pd.concat(tables, ignore_index=True)


def _dominant_and_power_vectors(subject: Subject, iterations: Counts) -> tuple[Tensor, Tensor]:
    """v_1 (B, n), and v_k (len(iterations), B, n) of the power method, few samples at a time."""
    dominant, powers = [], []
    for part in subject.samples.split(SAMPLES_AT_ONCE):
        jacobian = InputJacobian(features(subject.model), part.images)
        dominant.append(singular_vectors(jacobian)[2][:, 0])
        powers.append(torch.stack(list(_power_iterates(jacobian, part.random_direction.flatten(1), iterations))))
    return torch.cat(dominant), torch.cat(powers, 1)


def _power_iterates(jacobian: InputJacobian, start: Tensor, iterations: Counts) -> Iterator[Tensor]:
    v, done = start, 0
    for k in iterations:
        v, done = power_method(jacobian, 2.0, 2.0, iterations=k - done, start=v).maximizer, k
        yield v


def _input_gradient(model: Classifier, x: Tensor, y: Tensor) -> Tensor:
    """The gradient's direction (B, C, H, W): where a single step without a start and without bounds goes."""
    ball = ThreatModel(2.0, 1.0, 1, bounds=None)
    unused = generator(0, "input gradient", device=x.device)
    return projected_gradient_ascent(model, x, y, ball, generator=unused, random_start=False, rescore=False) - x


def _perturbation(subject: Subject, y: Tensor, threat: ThreatModel) -> Tensor:
    """x* - x (B, C, H, W), all samples at once."""
    x = subject.samples.images
    # The stage of the analysed samples' attack, whose start this then is.
    random = generator(subject.seed, "attacked samples", device=x.device)
    return projected_gradient_ascent(subject.model, x, y, threat, generator=random) - x


def _table(samples: Samples, process: str, iterations: Counts, vectors: list[Tensor], v: Tensor) -> pd.DataFrame:
    cosine = torch.stack([cosines(vector, v) for vector in vectors], 1)
    table = tidy("cosine", cosine, {"sample": samples.index, "iterations": iterations})
    return table.assign(process=process)[["sample", "process", "iterations", "cosine"]]

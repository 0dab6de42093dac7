"""How many iterations it takes to find the dominant singular vector: of the attack, and of the power method."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd
import torch
from torch import Tensor

from opnorm.analysis._alignment_distance import cosines, dominant_singular_vectors, perturbation
from opnorm.analysis.subject import SAMPLES_AT_ONCE, Function, Samples, Subject, features, logits
from opnorm.analysis.tidy import tidy
from opnorm.attacks import projected_gradient_ascent
from opnorm.jacobian import InputJacobian
from opnorm.operator_norm import power_method
from opnorm.options import Counts
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
    return _alignment_iterations(subject, features(subject.model), iterations)


def logit_alignment_iterations(subject: Subject, *, iterations: Counts = (1, 2, 5, 10, 20, 50)) -> pd.DataFrame:
    """The same with v_1 of J_f(x) and the power method on it; arguments and columns as of `alignment_iterations`."""
    return _alignment_iterations(subject, logits(subject.model), iterations)


def _alignment_iterations(subject: Subject, function: Function, iterations: Counts) -> pd.DataFrame:
    v = dominant_singular_vectors(subject, function)
    attacked = [perturbation(subject, replace(subject.threat, iterations=k)) for k in iterations]
    tables = [
        _table(subject.samples, INPUT_GRADIENT, (1,), [_input_gradient(subject)], v),
        _table(subject.samples, ATTACK, iterations, attacked, v),
        _table(subject.samples, POWER_METHOD, iterations, _power_vectors(subject, function, iterations), v),
    ]
    return pd.concat(tables, ignore_index=True)


def _power_vectors(subject: Subject, function: Function, iterations: Counts) -> list[Tensor]:
    """v_k (B, n) of the power method for each k, few samples at a time."""
    found = []
    for part in subject.samples.split(SAMPLES_AT_ONCE):
        jacobian, start = InputJacobian(function, part.images), part.random_direction.flatten(1)
        found.append(torch.stack(list(_power_iterates(jacobian, start, iterations))))
    return list(torch.cat(found, 1))


def _power_iterates(jacobian: InputJacobian, start: Tensor, iterations: Counts) -> Iterator[Tensor]:
    v, done = start, 0
    for k in iterations:
        v, done = power_method(jacobian, 2.0, 2.0, iterations=k - done, start=v).maximizer, k
        yield v


def _input_gradient(subject: Subject) -> Tensor:
    """The gradient's direction (B, C, H, W): where a single step without a start and without bounds goes."""
    x = subject.samples.images
    with torch.no_grad():
        predicted = subject.model(x).argmax(1)
    ball = ThreatModel(2.0, 1.0, 1, bounds=None)
    return projected_gradient_ascent(subject.model, x, predicted, ball, start=x, rescore=False) - x


def _table(samples: Samples, process: str, iterations: Counts, vectors: list[Tensor], v: Tensor) -> pd.DataFrame:
    cosine = torch.stack([cosines(vector, v) for vector in vectors], 1)
    table = tidy("cosine", cosine, {"sample": samples.index, "iterations": iterations})
    return table.assign(process=process)[["sample", "process", "iterations", "cosine"]]

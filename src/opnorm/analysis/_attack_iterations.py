"""Sec. 5.1: where longer attacks end: how steep the features are there, how far from linear, how many ReLUs away."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import torch
from torch import Tensor

from opnorm import lp
from opnorm.analysis._activations import activation_pattern
from opnorm.analysis._alignment_distance import perturbation
from opnorm.analysis.subject import SAMPLES_AT_ONCE, Subject, features
from opnorm.analysis.tidy import Dimensions, tidy
from opnorm.jacobian import InputJacobian
from opnorm.lanczos import dominant_singular_value
from opnorm.options import Counts, Positive


def attack_iterations(
    subject: Subject, *, iterations: Counts = (10, 50, 200), tolerance: Positive = 1e-3
) -> pd.DataFrame:
    """Spectrum, linearity and ReLU states where the attack of k iterations ends (Sec. 5.1: as in 5.2, 5.4 and 5.5).

    The attack is that of the analysed samples (Eq. 15), in the ball of the experiment with its step and bounds, from
    the same start: x + delta_k.

    Args:
        subject: what to measure on.
        iterations: numbers k of iterations.
        tolerance: estimated relative error at which the Lanczos iteration ends.

    Returns:
        Columns sample, iterations, singular_value (sigma_1 of J_{phi^{L-1}}(x + delta_k)), deviation
        (|phi(x + delta_k) - (phi(x) + J_phi(x) delta_k)|_2), shared (the fraction of ReLU states, on and off, that x
        and x + delta_k share).
    """
    names, found = ("singular_value", "deviation", "shared"), []
    for k in iterations:
        perturbed = subject.samples.images + perturbation(subject, replace(subject.threat, iterations=k))
        attacked = replace(subject, samples=replace(subject.samples, perturbed=perturbed))
        found.append(torch.cat([_where_it_ends(part, tolerance) for part in attacked.parts(SAMPLES_AT_ONCE)]))
    keys: Dimensions = {"sample": subject.samples.index, "iterations": iterations}
    columns = [tidy(name, values, keys) for name, values in zip(names, torch.stack(found, 1).unbind(2), strict=True)]
    return columns[0].assign(**{name: column[name] for name, column in zip(names, columns, strict=True)})


def _where_it_ends(subject: Subject, tolerance: float) -> Tensor:
    """The three quantities (B, 3)."""
    model, samples = subject.model, subject.samples
    here = InputJacobian(model.features, samples.images)
    with torch.no_grad():
        there = model.features(samples.perturbed)
    deviation = lp.norm(there - (here.outputs + here.matvec(samples.perturbation)), 2.0)
    jacobian = InputJacobian(features(model), samples.perturbed)
    sigma = dominant_singular_value(jacobian, start=samples.random_direction, tolerance=tolerance).value
    same = activation_pattern(model, samples.perturbed) == activation_pattern(model, samples.images)
    return torch.stack([sigma, deviation, same.to(deviation).mean(1)], 1)

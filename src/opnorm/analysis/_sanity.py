"""Reasons to doubt the robust accuracy of a network, each as a number and a threshold."""

from __future__ import annotations

import math
from dataclasses import asdict

import pandas as pd
import torch
from torch import Tensor

from opnorm import data
from opnorm import sanity as checks
from opnorm.analysis._evaluation import (
    Answers,
    answers_table,
    balls,
    evaluated_samples,
    number_of_classes,
    under_ascent,
    under_attack_of,
    under_restarts,
    warn,
)
from opnorm.analysis.subject import Subject
from opnorm.analysis.tidy import Dimensions, tidy
from opnorm.autoattack import BLACK_BOX
from opnorm.evaluation import correct_under_ascent
from opnorm.options import Count, Counts, Grid
from opnorm.seeding import generator
from opnorm.threat_model import ThreatModel

# Of the radius: where accuracy has to fall with it. The last ball, added to them, covers the domain.
MULTIPLES = (0.25, 0.5, 1.0, 2.0)


def sanity(
    subject: Subject,
    *,
    l2: Grid = (),
    linf: Grid = (),
    samples: Count = 200,
    iterations: Counts = (10, 50, 200),
    restarts: Count = 5,
    autoattack: bool = True,
    queries: Count = 1000,
    batch_size: Count = 500,
) -> pd.DataFrame:
    """Checks of `opnorm.sanity` on the network, on attacks in each ball, and on accuracy over growing balls.

    Args:
        subject: what to measure on; the samples are drawn from its test split, as those of `evaluation` are.
        l2, linf: radii of balls, in units of images in [0, 1]; the experiment's own ball is always added, 0 left out.
        samples: how many; all of them where there are fewer.
        iterations: of projected gradient ascent; the shortest attacks the growing balls.
        restarts: starts of the longest.
        autoattack: whether to run the black-box attack, AutoAttack's "square", on what the longest leaves correct.
        queries: of the black-box attack.
        batch_size: points attacked at once.

    Returns:
        A row per check and ball. Columns sample (0: a check is of all samples), check, norm and epsilon (NaN for
        checks of the network alone), value, threshold, passed (value <= threshold). `check` is "zero_gradients",
        "randomness", "probabilities"; "more_iterations_N" and, with `autoattack`, "black_box" for each ball;
        "monotone" and "large_epsilon" for each norm.
    """
    index = evaluated_samples(subject, samples)
    x, y = data.to_unit(subject.test.images[index]), subject.test.labels[index]
    found, threats = checks.model_checks(subject.model, x, y, batch_size=batch_size), balls(subject, l2, linf)
    for threat in threats:
        answers = under_ascent(subject, x, y, threat, iterations, batch_size)
        answers |= under_restarts(subject, x, y, threat, answers, iterations, restarts, batch_size)
        if autoattack:
            answers[BLACK_BOX] = _under_black_box(answers, subject, x, y, threat, queries, batch_size)
        table = answers_table(answers, index, threat)
        found += checks.more_iterations(table) + checks.black_box_alone(table)
    # Of each norm the largest, which comes last.
    largest = {threat.norm: threat for threat in threats}
    curve = pd.concat([_curve(subject, x, y, threat, iterations[0], batch_size) for threat in largest.values()])
    found += checks.monotone(curve) + checks.large_epsilon(curve, number_of_classes(subject, x))
    warn(found, subject.seed)
    return _table(found)


def _under_black_box(
    answers: Answers, subject: Subject, x: Tensor, y: Tensor, threat: ThreatModel, queries: int, batch_size: int
) -> Tensor:
    """What the black-box attack leaves correct (B,). It is not run on samples that others broke, and cannot be alone in
    breaking these; they count as correct.
    """
    left = torch.stack(list(answers.values())).all(0)
    black_box = under_attack_of(BLACK_BOX, subject, x, y, threat, left, batch_size=batch_size, queries=queries)
    return ~left | black_box


def _curve(
    subject: Subject, x: Tensor, y: Tensor, threat: ThreatModel, iterations: int, batch_size: int
) -> pd.DataFrame:
    """Correct or not in balls of growing radius, each attacked on its own: columns sample, norm, epsilon, correct."""
    widest = diameter(x, threat)
    radii = [multiple * threat.epsilon for multiple in MULTIPLES if multiple * threat.epsilon < widest]
    answers = []
    for epsilon in (*radii, widest):
        ball = ThreatModel(threat.norm, epsilon, iterations, bounds=threat.bounds)
        random = generator(subject.seed, f"sanity/{threat.norm}/{epsilon}", device=x.device)
        answers.append(correct_under_ascent(subject.model, x, y, ball, batch_size=batch_size, generator=random)[0, 0])
    columns: Dimensions = {"sample": range(len(x)), "epsilon": (*radii, widest)}
    return tidy("correct", torch.stack(answers, 1), columns).assign(norm=threat.norm)


def _table(found: list[checks.Check]) -> pd.DataFrame:
    rows = pd.DataFrame([asdict(check) | {"passed": check.passed} for check in found]).assign(sample=0)
    return rows[["sample", "check", "norm", "epsilon", "value", "threshold", "passed"]]


def diameter(x: Tensor, threat: ThreatModel) -> float:
    """Largest distance of two images (C, H, W) inside the bounds, or inside [0, 1] where there are none."""
    low, high = threat.bounds or (0.0, 1.0)
    pixels = x[0].numel()
    return (high - low) * (1.0 if threat.norm == math.inf else pixels ** (1.0 / threat.norm))

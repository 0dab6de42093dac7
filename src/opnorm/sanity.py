"""Reasons to doubt a robust accuracy.

After Carlini et al. (2019, arXiv 1902.06705) and Croce & Hein (2020, arXiv 2003.01690). Each check is a number
that an honest network and a sufficient attack keep at or below a threshold.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from opnorm.attack_names import BLACK_BOX_ALONE, GAIN
from opnorm.attacks import CrossEntropy
from opnorm.autoattack import BLACK_BOX
from opnorm.modes import evaluation

# Relative difference of two answers to one input: far above float32's rounding, in whatever order sums are taken.
SAME_ANSWER = 1e-4
# Of a sum of probabilities from one.
SUM_OF_PROBABILITIES = 1e-5
# Of the accuracy: what a larger ball may lose before it counts.
RISE = 0.02

NOT_WHITE_BOX = ("clean", "autoattack", "worst_case", BLACK_BOX)


@dataclass(frozen=True)
class Check:
    """One reason to doubt, or not.

    Attributes:
        check: its name.
        value: what was found.
        threshold: up to where it passes.
        norm, epsilon: the ball that it speaks of; NaN where it speaks of the network alone.
    """

    check: str
    value: float
    threshold: float
    norm: float = math.nan
    epsilon: float = math.nan

    @property
    def passed(self) -> bool:
        """Whether the value is at most the threshold; a value that is not a number is not."""
        return self.value <= self.threshold

    def __str__(self) -> str:
        where = "" if math.isnan(self.norm) else f" (l{self.norm:g}, epsilon {self.epsilon:g})"
        return f"{self.check}{where}: {self.value:.4g}, at most {self.threshold:.4g} expected"


def zero_gradients(model: nn.Module, x: Tensor, y: Tensor, *, batch_size: int = 500) -> Check:
    """Share of inputs (B, ...) at which the attack's gradient, that of cross-entropy up to scale, is zero."""
    with evaluation(model), torch.enable_grad():
        parts = zip(torch.split(x, batch_size), torch.split(y, batch_size), strict=True)
        zero = torch.cat([_has_no_gradient(model, *part) for part in parts])
    return Check("zero_gradients", _mean(zero), 0.0)


def _has_no_gradient(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    point = x.detach().clone().requires_grad_()
    z = model(point)
    if not z.requires_grad:
        return torch.ones(len(x), dtype=torch.bool, device=x.device)
    u = CrossEntropy(y, x.new_empty(0)).direction(z.detach())
    (gradient,) = torch.autograd.grad(z, point, u, materialize_grads=True)
    return (gradient == 0.0).flatten(1).all(1)


def randomness(model: nn.Module, x: Tensor, *, batch_size: int = 500) -> Check:
    """Largest |f(x) - f'(x)|_2 / |f(x)|_2 between two answers to the same inputs (B, ...)."""
    first, second = (_answers(model, x, batch_size) for _ in range(2))
    difference = torch.linalg.vector_norm(first - second, dim=1)
    length = torch.linalg.vector_norm(first, dim=1)
    # Not a number where an answer is none.
    relative = torch.where(difference == 0.0, 0.0, difference / length)
    return Check("randomness", float(relative.max()), SAME_ANSWER)


def probabilities(model: nn.Module, x: Tensor, *, batch_size: int = 500) -> Check:
    """Share of inputs (B, ...) whose outputs are probabilities: softmax hides gradients, logits are expected."""
    z = _answers(model, x, batch_size)
    share = _mean((z >= 0.0).all(1) & ((z.sum(1) - 1.0).abs() <= SUM_OF_PROBABILITIES))
    return Check("probabilities", share, 0.0)


def model_checks(model: nn.Module, x: Tensor, y: Tensor, *, batch_size: int = 500) -> list[Check]:
    """All that can be asked of the network alone, at clean inputs (B, ...) with labels (B,), some at once."""
    return [
        zero_gradients(model, x, y, batch_size=batch_size),
        randomness(model, x, batch_size=batch_size),
        probabilities(model, x, batch_size=batch_size),
    ]


@torch.no_grad()
def _answers(model: nn.Module, x: Tensor, batch_size: int) -> Tensor:
    with evaluation(model):
        return torch.cat([model(part) for part in torch.split(x, batch_size)])


def more_iterations(table: pd.DataFrame) -> list[Check]:
    """What each longer projected gradient ascent gains over the next shorter one, in accuracy.

    Args:
        table: columns sample, norm, epsilon, attack, correct, as `opnorm.analysis.evaluation` makes them; attacks
            "pga_N" are compared.

    Returns:
        "more_iterations_N", for all but the shortest N, and each ball.
    """
    found = []
    for norm, epsilon, answers in _balls(table):
        attacks = [str(name) for name in answers]
        lengths = sorted(int(name[4:]) for name in attacks if name.startswith("pga_") and name[4:].isdecimal())
        kept = {n: int(answers[f"pga_{n}"].sum()) for n in lengths}
        for few, many in zip(lengths, lengths[1:], strict=False):
            gain = (kept[few] - kept[many]) / len(answers)
            found.append(Check(f"more_iterations_{many}", gain, GAIN, norm, epsilon))
    return found


def black_box_alone(table: pd.DataFrame) -> list[Check]:
    """Share of samples that the black-box attack breaks and no white-box attack does, for each ball.

    Args:
        table: as in `more_iterations`; without rows of "square" there is nothing to compare.
    """
    found = []
    for norm, epsilon, answers in _balls(table, BLACK_BOX):
        white_box = answers[[name for name in answers if name not in NOT_WHITE_BOX]].all(axis=1)
        alone = (white_box & ~answers[BLACK_BOX]).mean()
        found.append(Check("black_box", float(alone), BLACK_BOX_ALONE, norm, epsilon))
    return found


def independent_attack(table: pd.DataFrame) -> list[Check]:
    """What all attacks together gain over the project's own, in accuracy, for each ball.

    Args:
        table: as in `more_iterations`; without rows of "autoattack" there is nothing to compare.
    """
    found = []
    for norm, epsilon, answers in _balls(table, "autoattack"):
        own = answers[[name for name in answers if str(name).startswith("pga_")]].all(axis=1)
        gain = (own & ~answers["autoattack"]).mean()
        found.append(Check("independent_attack", float(gain), GAIN, norm, epsilon))
    return found


def monotone(curve: pd.DataFrame) -> list[Check]:
    """Largest rise of the accuracy from one ball to the next larger one: an attack succeeds more often in it.

    Args:
        curve: columns sample, norm, epsilon, correct; the balls are attacked independently of each other.

    Returns:
        "monotone" for each norm, with the radius that the accuracy rises to.
    """
    found = []
    for norm, answers in _by_radius(curve):
        rises = answers.sum().diff().iloc[1:] / answers.size().iloc[0]
        found.append(Check("monotone", float(rises.max()), RISE, norm, float(rises.idxmax())))
    return found


def large_epsilon(curve: pd.DataFrame, classes: int) -> list[Check]:
    """Accuracy in the largest ball of each norm, where every image can become every other: chance at most.

    Args:
        curve: as in `monotone`, up to a radius that covers the domain.
        classes: of the data.
    """
    found = []
    for norm, answers in _by_radius(curve):
        accuracy = answers.mean()
        found.append(Check("large_epsilon", float(accuracy.iloc[-1]), 1.0 / classes, norm, float(accuracy.index[-1])))
    return found


def failed(checks: Iterable[Check]) -> list[Check]:
    """Those that did not pass."""
    return [check for check in checks if not check.passed]


def _balls(table: pd.DataFrame, *attacks: str) -> Iterable[tuple[float, float, Any]]:
    """norm, epsilon, and a row of answers per sample with a column per attack, of balls that all `attacks` were in and
    of samples that they were run on; others have only attacks that all samples have."""
    for norm, epsilon in sorted(set(zip(table["norm"], table["epsilon"], strict=True))):
        part = table[(table["norm"] == norm) & (table["epsilon"] == epsilon)]
        if set(attacks) <= set(part["attack"]):
            answers = part.pivot_table(index="sample", columns="attack", values="correct", aggfunc="all")
            yield norm, epsilon, answers.dropna(subset=list(attacks)).dropna(axis="columns").astype(bool)


def _by_radius(curve: pd.DataFrame) -> Iterable[tuple[float, Any]]:
    """norm, and the answers in its balls from the smallest to the largest."""
    for norm, part in curve.groupby("norm"):
        yield float(str(norm)), part.groupby("epsilon")["correct"]


def _mean(answers: Tensor) -> float:
    return float(answers.double().mean())

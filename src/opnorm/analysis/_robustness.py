"""Fig. 3 and Table 2: accuracy under attack over the attack's strength."""

from __future__ import annotations

import math

import pandas as pd
import torch

from opnorm.analysis.subject import Subject
from opnorm.analysis.tidy import Dimensions, tidy
from opnorm.analysis.worst_case import still_correct
from opnorm.options import Count, Grid, Positive
from opnorm.threat_model import ThreatModel


def robustness(
    subject: Subject,
    *,
    l2: Grid,
    linf: Grid,
    iterations: Count = 10,
    relative_step: Positive = 0.5,
    batch_size: Count = 500,
) -> pd.DataFrame:
    """Which test samples stay correctly classified under attack (Sec. 5.3).

    Attacks ascend the cross-entropy of the true label. A smaller ball lies in a larger one, so a sample that is wrong
    at one radius, zero included, counts as wrong at every larger one and is not attacked again: each curve is the
    worst case found up to its radius, and falls.

    Args:
        subject: what to measure on; all of its test split is used.
        l2, linf: radii of the two families of balls, in units of images in [0, 1]; 0 and the radius of the
            experiment's own threat model are always added.
        iterations: of the attack.
        relative_step: alpha / epsilon. The paper's 2 / iterations reaches no further than twice the radius, and from
            a start on the far side, where most of a ball is, not to the end; longer steps find more, and of the
            visited points the one of highest loss counts.
        batch_size: samples attacked at once.

    Returns:
        Columns sample, norm (2 or inf), epsilon, correct.
    """
    grids = {2.0: set(l2) | {0.0}, math.inf: set(linf) | {0.0}}
    grids.setdefault(subject.threat.norm, {0.0}).add(subject.threat.epsilon)
    index, tables = torch.arange(len(subject.test)), []
    for norm, grid in grids.items():
        epsilons = sorted(grid)
        correct = [torch.ones(len(subject.test), dtype=torch.bool, device=subject.test.labels.device)]
        for epsilon in epsilons:
            threat = _threat(subject, norm, epsilon, iterations, relative_step)
            correct.append(
                still_correct(
                    subject.model,
                    subject.test,
                    threat,
                    correct[-1],
                    seed=subject.seed,
                    stage="robustness",
                    batch_size=batch_size,
                )
            )
        columns: Dimensions = {"sample": index, "epsilon": epsilons}
        tables.append(tidy("correct", torch.stack(correct[1:], 1), columns).assign(norm=norm))
    return pd.concat(tables, ignore_index=True)


def _threat(subject: Subject, norm: float, epsilon: float, iterations: int, relative_step: float) -> ThreatModel:
    step = relative_step * epsilon if epsilon > 0.0 else None
    return ThreatModel(norm, epsilon, iterations, step_size=step, bounds=subject.threat.bounds)

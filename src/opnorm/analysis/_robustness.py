"""Fig. 3 and Table 2: accuracy under attack over the attack's strength."""

from __future__ import annotations

import math

import pandas as pd
import torch

from opnorm.analysis.subject import Subject
from opnorm.analysis.tidy import tidy
from opnorm.analysis.worst_case import correct_up_to
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

    Attacks ascend the cross-entropy of the true label; of the visited points the one farthest over the border
    counts. A smaller ball lies in a larger one, so a sample that is wrong at one radius, zero included, counts as wrong
    at every larger one and is not attacked again: each curve is the worst case found up to its radius, and falls.

    Args:
        subject: what to measure on; all of its test split is used.
        l2, linf: radii of the two families of balls, in units of images in [0, 1]; 0 and the radius of the
            experiment's own threat model are always added.
        iterations: of the attack.
        relative_step: alpha / epsilon. The paper's 2 / iterations reaches no further than twice the radius, and from
            a start on the far side, where most of a ball is, not to the end; longer steps find more.
        batch_size: samples attacked at once.

    Returns:
        Columns sample, norm (2 or inf, or the experiment's), epsilon, correct.
    """
    index, tables = torch.arange(len(subject.test)), []
    for norm, epsilons in _grids(subject.threat, l2, linf).items():
        threat = ThreatModel(norm, 0.0, iterations, bounds=subject.threat.bounds)
        correct = correct_up_to(
            subject.model, subject.test, threat, epsilons,
            relative_step=relative_step, seed=subject.seed, stage="robustness", batch_size=batch_size,
        )  # fmt: skip
        tables.append(tidy("correct", correct, {"sample": index, "epsilon": epsilons}).assign(norm=norm))
    return pd.concat(tables, ignore_index=True)


def _grids(threat: ThreatModel, l2: Grid, linf: Grid) -> dict[float, list[float]]:
    """The radii in each norm, increasing from 0, with that of the experiment among them."""
    grids = {2.0: {0.0, *l2}, math.inf: {0.0, *linf}}
    grids.setdefault(threat.norm, {0.0}).add(threat.epsilon)
    return {norm: sorted(epsilons) for norm, epsilons in grids.items()}

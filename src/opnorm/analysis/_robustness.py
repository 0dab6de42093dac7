"""Fig. 3 and Table 2: accuracy under attack over the attack's strength."""

from __future__ import annotations

import math

import pandas as pd
import torch
from torch import Tensor

from opnorm.analysis.subject import Subject
from opnorm.analysis.tidy import Dimensions, tidy
from opnorm.attacks import projected_gradient_ascent
from opnorm.options import Count, Grid
from opnorm.seeding import generator
from opnorm.threat_model import ThreatModel


def robustness(
    subject: Subject, *, l2: Grid, linf: Grid, iterations: Count = 10, batch_size: Count = 500
) -> pd.DataFrame:
    """Which test samples stay correctly classified under attack (Sec. 5.3).

    A sample counts as correct at epsilon where the network is right both at the sample and at the attacked point:
    the ball holds the sample itself. Attacks ascend the cross-entropy of the true label.

    Args:
        subject: what to measure on; all of its test split is used.
        l2, linf: radii of the two families of balls, in units of images in [0, 1]; 0 and the radius of the
            experiment's own threat model are always added.
        iterations: of the attack.
        batch_size: samples attacked at once.

    Returns:
        Columns sample, norm (2 or inf), epsilon, correct.
    """
    grids = {2.0: set(l2) | {0.0}, math.inf: set(linf) | {0.0}}
    grids.setdefault(subject.threat.norm, {0.0}).add(subject.threat.epsilon)
    index, tables = torch.arange(len(subject.test)), []
    for norm, grid in grids.items():
        epsilons = sorted(grid)
        threats = [ThreatModel(norm, epsilon, iterations, bounds=subject.threat.bounds) for epsilon in epsilons]
        correct = torch.stack([_correct(subject, threat, batch_size) for threat in threats], 1)
        columns: Dimensions = {"sample": index, "epsilon": epsilons}
        tables.append(tidy("correct", correct & correct[:, :1], columns).assign(norm=norm))
    return pd.concat(tables, ignore_index=True)


def _correct(subject: Subject, threat: ThreatModel, batch_size: int) -> Tensor:
    stage = f"robustness/{threat.norm}/{threat.epsilon}"
    found = []
    for number, (x, y) in enumerate(subject.test.batches(batch_size)):
        point = x
        if threat.epsilon > 0:
            random = generator(subject.seed, stage, number, device=x.device)
            point = projected_gradient_ascent(subject.model, x, y, threat, generator=random)
        with torch.no_grad():
            found.append(subject.model(point).argmax(1) == y)
    return torch.cat(found)

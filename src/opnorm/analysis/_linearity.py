"""Fig. 4 left: how far the features are from their linearisation."""

from __future__ import annotations

import pandas as pd
import torch

from opnorm import lp
from opnorm.analysis.subject import Subject, in_parts
from opnorm.analysis.tidy import Dimensions, tidy
from opnorm.jacobian import InputJacobian
from opnorm.options import Grid


@in_parts
def linearity(subject: Subject, *, distances: Grid) -> pd.DataFrame:
    """|phi(x + z) - (phi(x) + J_phi(x) z)|_2 along random and adversarial directions z (Sec. 5.4).

    Args:
        subject: what to measure on.
        distances: |z|_2, in units of images in [0, 1].

    Returns:
        Columns sample, direction, distance, deviation, linear (the predicted change |J_phi(x) z|_2).
    """
    samples, tables = subject.samples, []
    jacobian = InputJacobian(subject.model.features, samples.images)
    for name, direction in samples.directions().items():
        slope = jacobian.matvec(direction)
        deviations = []
        for distance in distances:
            with torch.no_grad():
                features = subject.model.features(samples.images + distance * direction)
            deviations.append(lp.norm(features - (jacobian.outputs + distance * slope), 2.0))
        columns: Dimensions = {"sample": samples.index, "distance": distances}
        table = tidy("deviation", torch.stack(deviations, 1), columns)
        steepness = lp.norm(slope, 2.0)
        linear = tidy("linear", torch.stack([distance * steepness for distance in distances], 1), columns)
        tables.append(table.assign(linear=linear["linear"], direction=name))
    return pd.concat(tables, ignore_index=True)

"""Fig. 4 right: the largest singular value of the Jacobian on the way out from a sample, of features or of logits."""

from __future__ import annotations

import pandas as pd
import torch

from opnorm.analysis.subject import Function, Subject, features, in_parts, logits
from opnorm.analysis.tidy import Dimensions, tidy
from opnorm.jacobian import InputJacobian
from opnorm.lanczos import dominant_singular_value as dominant
from opnorm.options import Grid, Positive


@in_parts
def dominant_singular_value(subject: Subject, *, distances: Grid, tolerance: Positive = 1e-3) -> pd.DataFrame:
    """sigma_1(J_phi(x + z)) along random and adversarial directions z (Sec. 5.4).

    Args:
        subject: what to measure on.
        distances: |z|_2, in units of images in [0, 1].
        tolerance: estimated relative error at which the Lanczos iteration ends.

    Returns:
        Columns sample, direction, distance, singular_value, residual (relative).
    """
    return _on_the_way(subject, features(subject.model), distances, tolerance)


@in_parts
def logit_dominant_singular_value(subject: Subject, *, distances: Grid, tolerance: Positive = 1e-3) -> pd.DataFrame:
    """sigma_1(J_f(x + z)); arguments and columns as of `dominant_singular_value`."""
    return _on_the_way(subject, logits(subject.model), distances, tolerance)


def _on_the_way(subject: Subject, function: Function, distances: Grid, tolerance: float) -> pd.DataFrame:
    samples, tables = subject.samples, []
    for name, direction in samples.directions().items():
        results = [
            dominant(
                InputJacobian(function, samples.images + distance * direction),
                start=samples.random_direction,
                tolerance=tolerance,
            )
            for distance in distances
        ]
        columns: Dimensions = {"sample": samples.index, "distance": distances}
        table = tidy("singular_value", torch.stack([result.value for result in results], 1), columns)
        residual = tidy("residual", torch.stack([result.residual for result in results], 1), columns)
        tables.append(table.assign(residual=residual["residual"], direction=name))
    return pd.concat(tables, ignore_index=True)

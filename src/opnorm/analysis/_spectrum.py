"""Fig. 2 left: the singular values of the features' Jacobian at clean and at attacked samples."""

from __future__ import annotations

import pandas as pd

from opnorm.analysis.subject import Subject, in_parts
from opnorm.analysis.tidy import tidy
from opnorm.jacobian import InputJacobian
from opnorm.operator_norm import singular_values


@in_parts
def spectrum(subject: Subject) -> pd.DataFrame:
    """Full spectrum of J_{phi^{L-1}} (Sec. 5.2).

    Returns:
        Columns sample, inputs ("clean" or "adversarial"), rank (from 1), singular_value.
    """
    samples, tables = subject.samples, []
    for inputs, x in (("clean", samples.images), ("adversarial", samples.perturbed)):
        values = singular_values(InputJacobian(subject.model.features, x))
        ranks = range(1, values.shape[1] + 1)
        table = tidy("singular_value", values, {"sample": samples.index, "rank": ranks})
        tables.append(table.assign(inputs=inputs))
    return pd.concat(tables, ignore_index=True)

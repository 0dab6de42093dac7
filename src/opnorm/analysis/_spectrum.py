"""Fig. 2 left: the singular values of the Jacobian at clean and at attacked samples, of the features or the logits."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from opnorm.analysis.subject import Function, Subject, features, in_parts, logits
from opnorm.analysis.tidy import tidy
from opnorm.jacobian import InputJacobian
from opnorm.models.classifier import Classifier
from opnorm.operator_norm import singular_values


@in_parts
def spectrum(subject: Subject) -> pd.DataFrame:
    """Full spectrum of J_{phi^{L-1}} (Sec. 5.2).

    Returns:
        Columns sample, inputs ("clean" or "adversarial"), rank (from 1), singular_value.
    """
    return _spectrum(subject, features)


@in_parts
def logit_spectrum(subject: Subject) -> pd.DataFrame:
    """Full spectrum of J_f.

    Returns:
        As `spectrum`.
    """
    return _spectrum(subject, logits)


def _spectrum(subject: Subject, output: Callable[[Classifier], Function]) -> pd.DataFrame:
    samples, tables = subject.samples, []
    for inputs, x in (("clean", samples.images), ("adversarial", samples.perturbed)):
        values = singular_values(InputJacobian(output(subject.model), x))
        ranks = range(1, values.shape[1] + 1)
        table = tidy("singular_value", values, {"sample": samples.index, "rank": ranks})
        tables.append(table.assign(inputs=inputs))
    return pd.concat(tables, ignore_index=True)

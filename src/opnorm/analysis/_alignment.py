"""Fig. 2 right: how adversarial perturbations align with the Jacobian's singular vectors, of features or of logits."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import torch

from opnorm import lp
from opnorm.analysis.subject import Function, Subject, features, in_parts, logits
from opnorm.analysis.tidy import tidy
from opnorm.jacobian import InputJacobian
from opnorm.models.classifier import Classifier
from opnorm.operator_norm import singular_vectors


@in_parts
def alignment(subject: Subject) -> pd.DataFrame:
    """|cos| between the perturbation of x and each right singular vector v_r of J_{phi^{L-1}}(x) (Sec. 5.2).

    The same perturbations are also compared with the singular vectors of an untrained network.

    Returns:
        Columns sample, network ("trained" or "random"), rank (from 1), cosine in [0, 1].
    """
    return _alignment(subject, features)


@in_parts
def logit_alignment(subject: Subject) -> pd.DataFrame:
    """The same with the singular vectors of J_f.

    Returns:
        As `alignment`.
    """
    return _alignment(subject, logits)


def _alignment(subject: Subject, output: Callable[[Classifier], Function]) -> pd.DataFrame:
    samples, tables = subject.samples, []
    direction = lp.dual_vector(samples.perturbation, 2.0).flatten(1)
    for network, model in (("trained", subject.model), ("random", subject.untrained)):
        _, _, Vh = singular_vectors(InputJacobian(output(model), samples.images))
        cosine = torch.einsum("brn,bn->br", Vh, direction).abs()
        ranks = range(1, cosine.shape[1] + 1)
        table = tidy("cosine", cosine, {"sample": samples.index, "rank": ranks})
        tables.append(table.assign(network=network))
    return pd.concat(tables, ignore_index=True)

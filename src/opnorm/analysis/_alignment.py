"""Fig. 2 right: how adversarial perturbations align with the singular vectors of the features' Jacobian."""

from __future__ import annotations

import pandas as pd
import torch

from opnorm import lp
from opnorm.analysis.subject import Subject, in_parts
from opnorm.analysis.tidy import tidy
from opnorm.jacobian import InputJacobian
from opnorm.operator_norm import singular_vectors


@in_parts
def alignment(subject: Subject) -> pd.DataFrame:
    """|cos| between the perturbation of x and each right singular vector v_r of J_{phi^{L-1}}(x) (Sec. 5.2).

    The same perturbations are also compared with the singular vectors of an untrained network.

    Returns:
        Columns sample, network ("trained" or "random"), rank (from 1), cosine in [0, 1].
    """
    samples, tables = subject.samples, []
    direction = lp.dual_vector(samples.perturbation, 2.0).flatten(1)
    for network, model in (("trained", subject.model), ("random", subject.untrained)):
        _, _, Vh = singular_vectors(InputJacobian(model.features, samples.images))
        cosine = torch.einsum("brn,bn->br", Vh, direction).abs()
        ranks = range(1, cosine.shape[1] + 1)
        table = tidy("cosine", cosine, {"sample": samples.index, "rank": ranks})
        tables.append(table.assign(network=network))
    return pd.concat(tables, ignore_index=True)

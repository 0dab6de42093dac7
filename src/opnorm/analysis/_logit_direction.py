"""Sec. 7.4: the direction in which cross-entropy pushes the logits, against the one that the network amplifies most."""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor

from opnorm import lp
from opnorm.analysis.subject import SAMPLES_AT_ONCE, Samples, Subject
from opnorm.analysis.tidy import tidy
from opnorm.attacks import CrossEntropy
from opnorm.jacobian import DenseOperator, InputJacobian
from opnorm.models.classifier import Classifier
from opnorm.operator_norm import singular_vectors
from opnorm.seeding import generator


def logit_direction(subject: Subject) -> pd.DataFrame:
    """How d = softmax(z) - e_y, u of an attack on the cross-entropy (Eq. 18), lies to u_1 of J_f.

    y is the label predicted at the clean sample, the one that is attacked, at clean and at attacked samples alike. The
    entries of d sum to zero; for comparison, a random direction of that kind, drawn once per sample for all networks.

    Returns:
        Columns sample, inputs ("clean" or "adversarial"), direction ("cross_entropy" or "random"), cosine (|<d, u_1>| /
        |d|), gain (|J^T d| / (|d| sigma_1); 1 where d is as good as u_1). Both are in [0, 1], and 0 where J is 0.
    """
    classes = subject.model.linear.out_features
    random = torch.randn(len(subject.samples), classes, generator=generator(0, "logit direction"))
    random = (random - random.mean(1, keepdim=True)).to(subject.samples.images)
    parts = zip(subject.samples.split(SAMPLES_AT_ONCE), torch.split(random, SAMPLES_AT_ONCE), strict=True)
    return pd.concat([_measured(subject.model, *part) for part in parts], ignore_index=True)


@torch.no_grad()
def _measured(model: Classifier, samples: Samples, random: Tensor) -> pd.DataFrame:
    y, tables = model(samples.images).argmax(1), []
    for inputs, x in (("clean", samples.images), ("adversarial", samples.perturbed)):
        J = DenseOperator(InputJacobian(model, x).dense())
        U, S, _ = singular_vectors(J.matrix)
        z = model(x)
        for name, d in (("cross_entropy", CrossEntropy(y, z).direction(z)), ("random", random)):
            unit = lp.dual_vector(d, 2.0)
            gain = lp.norm(J.rmatvec(unit), 2.0) / S[:, 0].clamp(min=torch.finfo(S.dtype).tiny)
            # J = 0 has no dominant direction.
            cosine = (unit * U[:, :, 0]).sum(1).abs() * (S[:, 0] > 0.0)
            table = tidy("cosine", cosine, {"sample": samples.index})
            table["gain"] = tidy("gain", gain, {"sample": samples.index})["gain"]
            tables.append(table.assign(inputs=inputs, direction=name))
    return pd.concat(tables, ignore_index=True)

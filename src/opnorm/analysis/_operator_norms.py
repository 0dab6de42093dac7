"""Table 1 on data: all nine (p, q) operator norms of the logits' Jacobian."""

from __future__ import annotations

import itertools
import math

import pandas as pd

from opnorm.analysis.subject import Subject, in_parts
from opnorm.analysis.tidy import tidy
from opnorm.jacobian import InputJacobian
from opnorm.operator_norm import operator_norm
from opnorm.options import Count

EXPONENTS = (1.0, 2.0, math.inf)


def operator_norms(subject: Subject, *, samples: Count = 200) -> pd.DataFrame:
    """max |J_f(x) v|_q over |v|_p <= 1 (Eq. 8) for p and q in {1, 2, inf}, at clean samples.

    Args:
        subject: what to measure on.
        samples: at most as many of the analysed samples, the first ones.

    Returns:
        Columns sample, p, q, exact (whether `norm` is the norm and not an estimate from below), norm, upper (a bound
        from above; `norm` itself where exact). Norms are in units of logits (lq) per unit of pixels in [0, 1] (lp).
    """
    return _nine_norms(next(subject.parts(samples)))


@in_parts
def _nine_norms(subject: Subject) -> pd.DataFrame:
    samples, tables = subject.samples, []
    J = InputJacobian(subject.model, samples.images).dense()
    for p, q in itertools.product(EXPONENTS, EXPONENTS):
        found = operator_norm(J, p, q)
        table = tidy("norm", found.value, {"sample": samples.index})
        upper = tidy("upper", found.upper, {"sample": samples.index})
        tables.append(table.assign(upper=upper["upper"], p=p, q=q, exact=found.exact))
    return pd.concat(tables, ignore_index=True)

"""Data-dependent spectral and operator norm regularisation (Eq. 7 and 13; Sec. 5.1, method iv)."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.autograd.forward_ad as forward_ad
from torch import Tensor
from torch.nn.functional import cross_entropy

from opnorm import lp
from opnorm.folding import folded
from opnorm.jacobian import InputJacobian
from opnorm.models.classifier import Classifier
from opnorm.modes import evaluation, twice_differentiable
from opnorm.objectives.objective import Loss, Objective
from opnorm.operator_norm import operator_norm, power_method
from opnorm.options import Count, NonNegative, Norm
from opnorm.threat_model import ThreatModel


class DataDependentSNR(Objective):
    """Cross-entropy plus a penalty on |J_f(x)|_{p,q} at each example; p = q = 2 is the spectral norm.

    v, the maximiser of |J v|_q over the lp ball, is found with the network in evaluation mode and is a constant to
    the gradient. The penalty is taken in training mode, as a mean over examples:

    * "sum_of_squares": (weight / q) |f(x + epsilon v) - f(x)|_q^q, with the threat model's epsilon (Sec. 4.1);
    * "sigma": (weight / q) |J v|_q^q, which is Eq. 7 for q = 2 and Eq. 13 for q = 1 and, as |J v|_inf, for q = inf.

    The weights of the two forms are lambda and lambda~ = lambda epsilon^q, for q = inf lambda epsilon.

    Solvers for v: "power" is the paper's, `iterations` forward-backward passes from a random start (Eq. 12);
    "exact" takes the d rows of the Jacobian by d backward passes and solves for v in that small matrix by
    `operator_norm`, with the sign of v drawn at random as a random start would; where that has no exact solution
    it is the best estimate there is.
    """

    def __init__(
        self,
        threat: ThreatModel,
        *,
        weight: NonNegative,
        p: Norm = 2.0,
        q: Norm = 2.0,
        form: Literal["sum_of_squares", "sigma"] = "sum_of_squares",
        solver: Literal["exact", "power"] = "exact",
        iterations: Count = 10,
    ) -> None:
        super().__init__(threat)
        self.weight, self.p, self.q, self.form = weight, p, q, form
        self.solver, self.iterations = solver, iterations

    def forward(self, model: Classifier, x: Tensor, y: Tensor, generator: torch.Generator) -> Loss:
        z, penalties = self.penalties(model, x, self.maximizer(model, x, generator))
        return Loss({"classification": cross_entropy(z, y), "penalty": penalties.mean()}, z)

    def penalties(self, model: Classifier, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """The logits (B, d) at `x`, and each example's weighted penalty (B,) for its gain along `v`."""
        if self.form == "sigma":
            z, gain = _derivative(model, x, v)
        else:
            z = model(x)
            gain = model(x + self.threat.epsilon * v) - z
        return z, self.weight * self._size(gain)

    def maximizer(self, model: Classifier, x: Tensor, generator: torch.Generator) -> Tensor:
        """v like `x`, per example the maximiser of |J_f(x) v|_q over |v|_p <= 1."""
        with evaluation(model):
            # Folded it is not compiled either: compiled code can be differentiated only once.
            jacobian = InputJacobian(folded(model), x)
            if self.solver == "power":
                start = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
                # Where there is no gradient it is the end, too.
                start = start / lp.per_example(lp.norm(start, self.p), start)
                return power_method(jacobian, self.p, self.q, iterations=self.iterations, start=start).maximizer
            v = operator_norm(jacobian.dense(), self.p, self.q).maximizer.view_as(x)
        coins = torch.rand(len(x), generator=generator, device=x.device) < 0.5
        return torch.where(lp.per_example(coins, x), v, -v)

    def _size(self, gain: Tensor) -> Tensor:
        if self.q == math.inf:
            return lp.norm(gain, math.inf)
        return gain.abs().pow(self.q).sum(1) / self.q


def _derivative(model: Classifier, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """f(x) and J_f(x) v by forward-mode differentiation, through which gradients can flow to the parameters."""
    with twice_differentiable(model), forward_ad.dual_level():
        output = forward_ad.unpack_dual(model.forward(forward_ad.make_dual(x, v)))  # type: ignore[no-untyped-call]
        assert output.tangent is not None
        return output.primal, output.tangent

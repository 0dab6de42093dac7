"""Frobenius norm regularisation of the Jacobian: all its singular values in place of the largest (Sec. 4.3)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from opnorm.models.classifier import Classifier
from opnorm.objectives.objective import Loss, Objective
from opnorm.options import NonNegative, Size
from opnorm.threat_model import ThreatModel


class Frobenius(Objective):
    """Cross-entropy plus (weight / 2) |J_f(x)|_F^2, as a mean over examples: Eq. 7 with the sum of all sigma^2.

    |J|_F^2 is the sum of |J^T u|^2 over any orthonormal basis of the logits: over the d axes, or, without bias, d / k
    times its sum over k random orthonormal directions for each example (Hoffman, Roberts & Yaida 2019, whose directions
    are independent). Each costs a backward pass. They are taken in training mode, where BatchNorm couples a batch:
    J^T u is then the gradient of the sum of <u, f(x)> over it. So the sign of each example's u is drawn at random,
    which changes nothing where examples are not coupled; with equal signs BatchNorm would cancel what they have in
    common.
    """

    def __init__(self, threat: ThreatModel, *, weight: NonNegative, projections: Size = 0) -> None:
        super().__init__(threat)
        self.weight, self.projections = weight, projections

    def forward(self, model: Classifier, x: Tensor, y: Tensor, generator: torch.Generator) -> Loss:
        x = x.detach().requires_grad_()
        # Not compiled: compiled code can be differentiated only once.
        z = model.forward(x)
        squares = torch.zeros_like(z[:, 0])
        directions = self._directions(z.detach(), generator)
        for u in directions:
            (gradient,) = torch.autograd.grad(z, x, u, create_graph=True)
            squares = squares + gradient.flatten(1).square().sum(1)
        penalty = 0.5 * self.weight * z.shape[1] / len(directions) * squares.mean()
        return Loss({"classification": cross_entropy(z, y), "penalty": penalty}, z)

    def _directions(self, z: Tensor, generator: torch.Generator) -> Tensor:
        """Orthonormal directions (k, B, d): the axes, or random ones; with random signs."""
        B, d = z.shape
        Q = torch.eye(d, dtype=z.dtype, device=z.device).expand(B, d, d)
        if 0 < self.projections < d:
            G = torch.randn(B, d, self.projections, generator=generator, dtype=z.dtype, device=z.device)
            # On a GPU they would be decomposed one after the other.
            Q = torch.linalg.qr(G.cpu()).Q.to(z.device)
        coins = torch.rand(B, 1, Q.shape[2], generator=generator, device=z.device) < 0.5
        return torch.where(coins, Q, -Q).permute(2, 0, 1)

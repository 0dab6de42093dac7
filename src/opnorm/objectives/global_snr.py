"""Global spectral norm regularisation of Yoshida & Miyato (Eq. 4 and 5; Sec. 5.1, method iii)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from opnorm.errors import SettingsError
from opnorm.models.classifier import Classifier
from opnorm.objectives.objective import Loss, Objective
from opnorm.options import Count, NonNegative
from opnorm.threat_model import ThreatModel


class GlobalSNR(Objective):
    """Cross-entropy plus (weight / 2) sum of sigma(W)^2 over all convolutions and linear layers.

    These are `nn.Linear`, `nn.Conv1d`, `nn.Conv2d` and `nn.Conv3d`, and what is derived from them; other weights are
    left as they are. A kernel counts as the matrix (outputs, inputs * height * width). Each layer's right singular
    vector persists between updates and is refined by `iterations` power iterations; u and v are constants to the
    gradient, which is then weight * sigma u v^T.

    Raises:
        SettingsError: from `prepare`, of a model with a transposed convolution, or with none of these layers.
    """

    def __init__(self, threat: ThreatModel, *, weight: NonNegative, iterations: Count = 1) -> None:
        super().__init__(threat)
        self.weight, self.iterations = weight, iterations

    def prepare(self, model: Classifier, generator: torch.Generator) -> None:
        matrices = _matrices(model)
        if not matrices:
            raise SettingsError("global_snr: the model has neither a convolution nor a linear layer")
        for i, W in enumerate(matrices):
            v = torch.randn(W.shape[1], generator=generator, device=generator.device)
            self.register_buffer(f"v{i}", normalize(v.to(W), dim=0))

    def forward(self, model: Classifier, x: Tensor, y: Tensor, generator: torch.Generator) -> Loss:
        z = model(x)
        sigmas = [self._sigma(i, W) for i, W in enumerate(_matrices(model))]
        penalty = 0.5 * self.weight * torch.stack(sigmas).square().sum()
        return Loss({"classification": cross_entropy(z, y), "penalty": penalty}, z)

    def _sigma(self, i: int, W: Tensor) -> Tensor:
        v = self.get_buffer(f"v{i}")
        with torch.no_grad():
            for _ in range(self.iterations):
                u = normalize(W @ v, dim=0)
                v.copy_(normalize(W.T @ u, dim=0))
        return u @ W @ v.clone()


def _matrices(model: nn.Module) -> list[Tensor]:
    layers = [layer for layer in model.modules() if isinstance(layer, _ConvNd | nn.Linear)]
    for layer in layers:
        if isinstance(layer, _ConvTransposeNd):
            raise SettingsError(f"global_snr: {type(layer).__name__}, whose kernel is no matrix (outputs, inputs)")
    return [layer.weight.flatten(1) for layer in layers]

"""Looking at a network without changing it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import torch
import torch.autograd.forward_ad as forward_ad
from torch import Tensor, nn

from opnorm.errors import SettingsError

if TYPE_CHECKING:
    from opnorm.models.classifier import Classifier


def prepare_torch(threads: int) -> None:
    """Use so many threads of the CPU, and all digits of float32, in this process.

    Some GPUs' convolutions, and where the environment says so matrix products, would round their inputs to ten bits:
    measurements are in float32, and the accuracies by which trainings are compared are measurements too.
    """
    torch.set_num_threads(threads)
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def refuse_inference_mode() -> None:
    """Where there are no gradients, and none can be asked for, every Jacobian would be zero.

    Raises:
        SettingsError: in `torch.inference_mode()`.
    """
    if torch.is_inference_mode_enabled():
        raise SettingsError("torch.inference_mode() leaves no gradients to attacks and Jacobians: use torch.no_grad()")


@contextmanager
def evaluation(model: nn.Module) -> Iterator[nn.Module]:
    """`model` in evaluation mode with constant parameters; every mode and flag is restored afterwards.

    In evaluation mode BatchNorm does not couple the examples of a batch, and its running statistics do not move.

    Raises:
        SettingsError: `model` is a function, which has no mode to put it in.
    """
    if not isinstance(model, nn.Module):
        raise SettingsError(
            f"model: of {type(model)}, not an nn.Module; what is computed before or after a network can be a layer of "
            "it: nn.Sequential(Normalise(mean, std), network)"
        )
    modes = [(module, module.training) for module in model.modules()]
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        model.eval()
        for parameter, _ in flags:
            parameter.requires_grad_(False)
        yield model
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter, flag in flags:
            parameter.requires_grad_(flag)


@contextmanager
def precision(model: Classifier, dtype: torch.dtype) -> Iterator[Classifier]:
    """`model` with convolutions in `dtype` (autocast); weights, features, logits and gradients stay in float32."""
    before = model.precision
    model.precision = dtype
    try:
        yield model
    finally:
        model.precision = before


@contextmanager
def twice_differentiable(model: nn.Module) -> Iterator[nn.Module]:
    """`model` with a BatchNorm whose derivative can be differentiated once more, in training mode too.

    torch's own operator gives the right Jacobian-vector product in training mode, but a wrong gradient of it: the
    batch statistics count as constants there. Here it is made of elementary operations, at some cost in speed.
    """
    layers = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    try:
        for layer in layers:
            layer.forward = partial(_batch_norm, layer)  # type: ignore[method-assign]
        yield model
    finally:
        for layer in layers:
            del layer.forward


def _batch_norm(layer: nn.modules.batchnorm._BatchNorm, inputs: Tensor) -> Tensor:
    # Statistics of a batch under autocast are those of torch's operator: in float32.
    x = inputs.float() if inputs.dtype in (torch.bfloat16, torch.float16) else inputs
    dimensions, shape = [0, *range(2, x.ndim)], (1, -1, *[1] * (x.ndim - 2))
    if layer.training:
        mean = x.mean(dimensions, keepdim=True)
        variance = (x - mean).square().mean(dimensions, keepdim=True)
        _track(layer, mean, variance, x.numel() // x.shape[1])
    else:
        assert layer.running_mean is not None
        assert layer.running_var is not None
        mean, variance = layer.running_mean.view(shape), layer.running_var.view(shape)
    y = (x - mean) * (variance + layer.eps).rsqrt()
    if layer.affine:
        y = y * layer.weight.view(shape) + layer.bias.view(shape)
    return y.to(inputs.dtype)


@torch.no_grad()
def _track(layer: nn.modules.batchnorm._BatchNorm, mean: Tensor, variance: Tensor, n: int) -> None:
    """The running statistics as torch keeps them: the unbiased variance, and `momentum` of the newest batch."""
    if layer.running_mean is None or layer.running_var is None or layer.num_batches_tracked is None:
        return
    layer.num_batches_tracked += 1
    rate = layer.momentum if layer.momentum is not None else 1.0 / float(layer.num_batches_tracked)
    primal_mean, primal_variance = (forward_ad.unpack_dual(x).primal.flatten() for x in (mean, variance))  # type: ignore[no-untyped-call]
    layer.running_mean.lerp_(primal_mean, rate)
    layer.running_var.lerp_(primal_variance * (n / max(n - 1, 1)), rate)

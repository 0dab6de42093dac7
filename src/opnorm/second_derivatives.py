"""Layers of frozen networks whose derivative is as cheap to differentiate as to compute.

A Jacobian-vector product is the derivative of a vector-Jacobian product along v. torch's own second derivative of a
convolution also computes what the weights would get, asked for or not, and that of BatchNorm a dozen reductions: three
to four times the cost of what is needed, one convolution and one multiplication.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.overrides import TorchFunctionMode

from opnorm.errors import SettingsError

__all__ = ["cheap_second_derivatives"]


class cheap_second_derivatives(TorchFunctionMode):  # noqa: N801
    """Inside this context two-dimensional convolutions and BatchNorm in evaluation mode take the same values as always;
    a cheap second derivative have those whose weights are parameters, or constants.

    Raises:
        SettingsError: a BatchNorm takes the statistics of its batch, which couple the examples.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """`func`, or its counterpart here."""
        return _COUNTERPARTS.get(func, partial(_unchanged, func))(*args, **(kwargs or {}))


def _unchanged(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return func(*args, **kwargs)


def _convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    x = input
    if isinstance(padding, str) or x.ndim != 4 or _computed(weight, bias):
        return torch.conv2d(x, weight, bias, stride, padding, dilation, groups)
    device = x.device.type
    if torch.is_autocast_enabled(device):
        # Here, since what runs in a backward pass runs outside autocast.
        dtype = torch.get_autocast_dtype(device)
        x, weight, bias = x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
    constants = (weight.detach(), None if bias is None else bias.detach())
    y: Tensor = _Convolution.apply(x, *constants, _pair(stride), _pair(padding), _pair(dilation), groups)  # type: ignore[no-untyped-call]
    return y


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    if training or running_mean is None or running_var is None:
        raise SettingsError(
            "a BatchNorm takes the statistics of its batch, which couples the examples: there is no Jacobian per "
            "example. Call .eval() first; it needs track_running_stats=True"
        )
    x = input
    if _computed(weight, bias):
        return F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
    scale = (running_var + eps).rsqrt()
    if weight is not None:
        scale = scale * weight
    shift = -running_mean * scale if bias is None else bias - running_mean * scale
    shape = (1, -1, *[1] * (x.ndim - 2))
    return torch.addcmul(shift.detach().view(shape), x, scale.detach().view(shape)).to(x.dtype)


def _computed(*weights: Tensor | None) -> bool:
    """Whether the derivative may go through one of `weights`, too: computed from the input, or the input itself."""
    return any(weight is not None and _may_depend_on_input(weight) for weight in weights)


def _may_depend_on_input(weight: Tensor) -> bool:
    return weight.grad_fn is not None or (weight.requires_grad and not isinstance(weight, nn.Parameter))


# torch.conv2d is also torch.nn.functional's.
_COUNTERPARTS: dict[Any, Callable[..., Any]] = {torch.conv2d: _convolution, F.batch_norm: _batch_norm}


class _Convolution(torch.autograd.Function):
    """A convolution whose backward pass is a transposed convolution, not a `convolution_backward`."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: tuple[int, int],
        padding: tuple[int, int],
        dilation: tuple[int, int],
        groups: int,
    ) -> Tensor:
        y = torch.conv2d(x, weight, bias, stride, padding, dilation, groups)
        reached = [
            _reached(*sizes) for sizes in zip(y.shape[2:], weight.shape[2:], stride, padding, dilation, strict=True)
        ]
        # Rows and columns of x behind the last step of the stride.
        rest = tuple(size - end for size, end in zip(x.shape[2:], reached, strict=True))
        ctx.save_for_backward(weight)
        ctx.options = stride, padding, rest, groups, dilation
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        return torch.conv_transpose2d(gradient, weight, None, *ctx.options), None, None, None, None, None, None


def _reached(steps: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    return (steps - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1


def _pair(value: Any) -> tuple[int, int]:
    first, second = value if isinstance(value, tuple | list) else (value, value)
    return int(first), int(second)

"""Networks in evaluation mode with BatchNorm folded into the convolution before it: fewer passes over activations."""

from __future__ import annotations

import copy
import operator
from collections.abc import Iterable
from itertools import chain
from typing import TypeGuard, TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

__all__ = ["folded"]

Module = TypeVar("Module", bound=nn.Module)


def folded(model: Module) -> Module:
    """A copy of `model` that computes the same up to rounding, without a BatchNorm next to a convolution.

    Folded are neighbours in an `nn.Sequential` that is called as a whole, where the BatchNorm is in evaluation mode and
    neither has hooks: `model` itself, its members, and the members that a class's attribute `chains` names. A module
    that does not name them may take a Sequential apart, and is left as it is. All else is shared with the original,
    whose weights should not change while the copy is used. Gradients flow to the inputs, not to weights that were
    folded. The copy is not compiled by `Module.compile`; a module in which nothing is folded is not copied, unless it
    is so compiled.

    Args:
        model: any network; of one in training mode, and of what `torch.compile` returns, nothing is folded.
    """
    # What torch.compile returns passes all that is set on to the network: a copy of it would take that apart.
    if hasattr(model, "_orig_mod"):
        return model
    children = _folded_children(model)
    if children == dict(model._modules) and model._compiled_call_impl is None:
        return model
    twin = copy.copy(model)
    twin._modules = children
    return twin


def _folded_children(model: nn.Module) -> dict[str, nn.Module | None]:
    """Those of the copy: the very same where there is nothing to fold."""
    children = dict(model._modules)
    if not _is_chain(model):
        return children | {name: folded(child) for name in _chains(model) if (child := children.get(name)) is not None}
    members = [folded(child) for child in model]
    links = list(chain.from_iterable(map(_links, members)))
    layers = _fused(links)
    if len(layers) == len(links) and all(map(operator.is_, members, model)):
        return children
    return {str(index): layer for index, layer in enumerate(layers)}


def _chains(model: nn.Module) -> tuple[str, ...]:
    """What the class names; a network may have an attribute of the same name for something else."""
    names = getattr(type(model), "chains", ())
    return names if isinstance(names, tuple) and all(isinstance(name, str) for name in names) else ()


def _links(module: nn.Module) -> Iterable[nn.Module]:
    """The members of a chain within a chain; of anything else itself."""
    return module if _is_chain(module) and not _is_watched(module) else [module]


def _is_chain(module: nn.Module) -> TypeGuard[nn.Sequential]:
    return type(module) is nn.Sequential


def _fused(layers: Iterable[nn.Module]) -> list[nn.Module]:
    found: list[nn.Module] = []
    for layer in layers:
        previous = found[-1] if found else None
        if isinstance(previous, nn.Conv2d) and isinstance(layer, nn.BatchNorm2d) and _foldable(previous, layer):
            found[-1] = _scaled(previous, layer)
        else:
            found.append(layer)
    return found


def _foldable(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> bool:
    constant = not norm.training and norm.running_mean is not None
    plain = type(convolution) is nn.Conv2d and type(norm) is nn.BatchNorm2d
    return constant and plain and not any(_is_watched(layer) for layer in (convolution, norm))


def _is_watched(layer: nn.Module) -> bool:
    hooks = (layer._forward_hooks, layer._forward_pre_hooks, layer._backward_hooks, layer._backward_pre_hooks)
    return any(hooks) or "forward" in vars(layer)


def _scaled(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """Both layers in one."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    weight, bias = fuse_conv_bn_weights(
        convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    twin = copy.copy(convolution)
    twin._parameters = {"weight": weight, "bias": bias}
    return twin

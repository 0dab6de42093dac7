"""A GPU that is not there: its tensors compute on the CPU, but refuse to meet those of the CPU.

It finds what a machine without a GPU lets pass: tensors, generators and conversions to numpy on the wrong device.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar
from unittest import mock

import torch
from torch import Tensor
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

GPU = torch.device("cuda", 0)
FREE_BYTES = 2**30
# What may see tensors on both devices: copies, and indices on the CPU.
_MAY_MIX = (
    "aten::_to_copy",
    "aten::copy_",
    "aten::index",
    "aten::index_put",
    "aten::index_put_",
    "aten::_index_put_impl_",
)


class OnGPU(Tensor):
    """A tensor on the pretended GPU. What it holds is `held`, on the CPU."""

    held: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, held: Tensor) -> OnGPU:
        # autograd asks no driver for a place to work where the device is "meta".
        made: OnGPU = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, held.size(), held.stride(), held.storage_offset(), dtype=held.dtype, device="meta"
        )
        made.held = held
        return made

    def __init__(self, held: Tensor) -> None:
        super().__init__()

    device = property(lambda self: GPU)  # type: ignore[assignment]
    is_cuda = property(lambda self: True)  # type: ignore[assignment]
    is_meta = property(lambda self: False)  # type: ignore[assignment]

    def tolist(self) -> Any:
        """As of any tensor."""
        return self.held.tolist()

    def numpy(self, *_: Any, **__: Any) -> Any:
        """Refused, as torch does."""
        raise TypeError("can't convert a tensor on the GPU to numpy; Tensor.cpu() comes first")

    __array__ = numpy

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.held.__reduce_ex__(protocol)

    def __format__(self, specification: str) -> str:
        return format(self.held, specification)

    def __deepcopy__(self, memo: Any) -> OnGPU:
        copied = OnGPU(self.held.clone())
        return torch.nn.Parameter(copied, self.requires_grad) if isinstance(self, torch.nn.Parameter) else copied

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _Dispatch(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _Generator(torch.Generator):
    """One that knows its device."""

    # torch loses the type of a generator on its way, but not its address.
    on_gpu: ClassVar[dict[int, torch.Generator]] = {}

    def __new__(cls, device: Any = "cpu") -> _Generator:
        made = super().__new__(cls)
        made.place = torch.device(device)
        if made.place.type == "cuda":
            cls.on_gpu[made._cdata] = made
        return made

    device = property(lambda self: self.place)  # type: ignore[assignment]


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """`func` on what its tensors hold, if they may meet; results are where they would be."""
    values = tree_leaves((args, kwargs))
    tensors = [value for value in values if isinstance(value, Tensor)]
    wanted = kwargs.get("device")
    there = any(isinstance(value, OnGPU) for value in tensors)
    if there and func._schema.name not in _MAY_MIX:
        _refuse_strangers(func, tensors)
    if wanted is not None:
        # autograd asks for zeros where it believes a tensor to be.
        there = torch.device(wanted).type in ("cuda", "meta")
        kwargs = {**kwargs, "device": torch.device("cpu")}
    if kwargs.get("generator") is not None:
        _refuse_other_generator(func, kwargs["generator"], there)
    held = tree_map(lambda value: value.held if isinstance(value, OnGPU) else value, (args, kwargs))
    result = func(*held[0], **held[1])
    if torch.Tag.inplace_view in func.tags:
        with no_dispatch():
            func(*args, **kwargs)
    if not there:
        return result
    known = {id(value.held): value for value in tensors if isinstance(value, OnGPU)}
    return tree_map(lambda value: _placed(value, known) if isinstance(value, Tensor) else value, result)


def _placed(value: Tensor, known: dict[int, OnGPU]) -> OnGPU:
    """A result; of an operation in place its argument."""
    return known[id(value)] if id(value) in known else OnGPU(value)


def _refuse_strangers(func: Any, tensors: list[Tensor]) -> None:
    strangers = [tuple(value.shape) for value in tensors if value.ndim and not isinstance(value, OnGPU)]
    if strangers:
        raise RuntimeError(f"{func}: tensors of shapes {strangers} are on the CPU, others on the GPU")


def _refuse_other_generator(func: Any, generator: torch.Generator, there: bool) -> None:
    if (generator._cdata in _Generator.on_gpu) != there:  # type: ignore[attr-defined]
        raise RuntimeError(f"{func}: the generator is on another device than the tensors")


@contextmanager
def pretended_gpu() -> Iterator[str]:
    """Inside, the device "cuda:0", whose name this gives, is the pretended one."""
    torch._C._ensureCUDADeviceGuardSet()
    with ExitStack() as stack:
        stack.enter_context(mock.patch("torch.cuda._lazy_init"))
        stack.enter_context(mock.patch("torch.cuda.is_available", return_value=True))
        stack.enter_context(mock.patch("torch.cuda.mem_get_info", return_value=(FREE_BYTES, FREE_BYTES)))
        stack.enter_context(mock.patch("torch.cuda.is_bf16_supported", return_value=True))
        stack.enter_context(mock.patch("torch.cuda.synchronize"))
        # The random numbers of the pretended GPU are the CPU's.
        stack.enter_context(mock.patch("torch.cuda.get_rng_state", side_effect=lambda device: torch.get_rng_state()))
        stack.enter_context(mock.patch("torch.cuda.set_rng_state", lambda state, device: torch.set_rng_state(state)))
        stack.enter_context(mock.patch("torch.Generator", _Generator))
        # Tensors made in Python cannot be inference tensors.
        stack.enter_context(mock.patch("torch.inference_mode", lambda mode=True: torch.set_grad_enabled(not mode)))
        # Otherwise a module's conversion to another type would be in the outer tensor alone.
        stack.callback(torch.__future__.set_overwrite_module_params_on_conversion, False)
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        # `torch.tensor` puts what it makes on its device only where a mode can see it.
        stack.callback(torch._C._set_only_lift_cpu_tensors, torch._C._only_lift_cpu_tensors())
        torch._C._set_only_lift_cpu_tensors(True)
        stack.enter_context(_Dispatch())
        yield str(GPU)

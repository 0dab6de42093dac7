"""The Jacobian of a network at a batch of inputs, as a linear operator per example (Eq. 1 and 2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from opnorm import memory
from opnorm.errors import SettingsError
from opnorm.modes import refuse_inference_mode
from opnorm.second_derivatives import cheap_second_derivatives

__all__ = ["DenseOperator", "InputJacobian", "LinearOperator"]

# What a forward and a backward pass through a convolutional network hold, in inputs: of all layers what they computed,
# of some their gradients, each some tens of times the input (53 times per layer in WRN-28-10, 43 in CNN7).
_HELD_PER_INPUT = 2000
# Beyond this many examples times rows in one backward pass a GPU has nothing left to overlap.
_SATURATING_BATCH = 256
# Several rows at once take a forward pass for each, as much work again: fewer than these do not pay.
_FEWEST_AT_ONCE = 4


class LinearOperator(Protocol):
    """A matrix J (d, n) per example, known by its products. All that the algorithms ask for."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(B, d, n)."""

    def matvec(self, v: Tensor, /) -> Tensor:
        """J v (B, d) of v (B, n) or shaped like the inputs."""

    def rmatvec(self, u: Tensor, /) -> Tensor:
        """J^T u, (B, n) or shaped like the inputs, of u (B, d)."""

    def dense(self) -> Tensor:
        """J (B, d, n)."""


class DenseOperator:
    """A stack of matrices as a `LinearOperator`.

    Args:
        matrix: (B, d, n).
    """

    def __init__(self, matrix: Tensor) -> None:
        if matrix.ndim != 3:
            raise SettingsError(f"matrix: shape {tuple(matrix.shape)} is not (B, d, n)")
        self.matrix = matrix

    @property
    def shape(self) -> tuple[int, int, int]:
        """(B, d, n)."""
        B, d, n = self.matrix.shape
        return B, d, n

    def matvec(self, v: Tensor) -> Tensor:
        """J v (B, d)."""
        return torch.einsum("bdn,bn->bd", self.matrix, v.flatten(1))

    def rmatvec(self, u: Tensor) -> Tensor:
        """J^T u (B, n)."""
        return torch.einsum("bdn,bd->bn", self.matrix, u)

    def dense(self) -> Tensor:
        """J (B, d, n) itself."""
        return self.matrix


class InputJacobian:
    """J_f(x) at each x of a batch: true Jacobian-vector products in both directions, from one forward pass.

    The graph lives as long as the object. No gradient is accumulated anywhere, and nothing in the model changes.

    Args:
        function: (B, *shape) -> (B, d), examples not coupled: a module in evaluation mode, a method of one, or any
            other callable. `dense` calls it on several times the batch where it takes several rows at once.
        inputs: (B, *shape); unchanged as long as the object is used.

    Attributes:
        inputs: x (B, *shape), detached.
        outputs: f(x) (B, d), detached.
        shape: (B, d, n) with n the number of entries of one input.

    Raises:
        SettingsError: the model, or a part of it, is in training mode, or compiled; the outputs are not (B, d);
            `torch.inference_mode` is on.
    """

    def __init__(self, function: Callable[[Tensor], Tensor], inputs: Tensor) -> None:
        refuse_inference_mode()
        _refuse_training_mode(function)
        _refuse_compiled(function)
        self._function = function
        self._x = inputs.detach().requires_grad_()
        # Of torch's ways to compute attention, this one's derivative can be differentiated.
        with torch.enable_grad(), cheap_second_derivatives(), sdpa_kernel(SDPBackend.MATH):
            self._y = function(self._x)
        if self._y.ndim != 2 or len(self._y) != len(inputs):
            raise SettingsError(f"function: outputs of shape {tuple(self._y.shape)} are not ({len(inputs)}, d)")
        self._constant = not self._y.requires_grad
        self._transposed: tuple[Tensor, Tensor] | None = None
        self.inputs, self.outputs = self._x.detach(), self._y.detach()

    @property
    def shape(self) -> tuple[int, int, int]:
        """(B, d, n)."""
        B, d = self.outputs.shape
        return B, d, self.inputs.shape[1:].numel()

    def matvec(self, v: Tensor) -> Tensor:
        """J v (B, d), of v (B, n) or shaped like the inputs."""
        if self._transposed is None:
            self._transposed = self._transposed_graph()
        u, g = self._transposed
        if not g.requires_grad:
            return torch.zeros_like(u)
        (jv,) = torch.autograd.grad(g, u, v.reshape(g.shape), retain_graph=True, materialize_grads=True)
        return jv

    def rmatvec(self, u: Tensor) -> Tensor:
        """J^T u, shaped like the inputs, of u (B, d)."""
        g = None
        if not self._constant:
            (g,) = torch.autograd.grad(self._y, self._x, u, retain_graph=True, allow_unused=True)
        # Of what does not reach the input autograd says None.
        return torch.zeros_like(self.inputs) if g is None else g

    def dense(self, chunk_size: int | None = None) -> Tensor:
        """J (B, d, n), `chunk_size` rows per backward pass.

        Args:
            chunk_size: with 1 every row has a backward pass of its own, which is fastest on a CPU; with more the
                network sees so many copies of the batch, at as many times the memory. None chooses by device and free
                memory, and goes lower where it has to.

        Raises:
            SettingsError: a chunk size that is not a whole number of at least 1.
            MemoryShortageError: a chunk size above 1 that does not fit in memory.
        """
        B, d, n = self.shape
        if chunk_size is not None and not (isinstance(chunk_size, int) and chunk_size >= 1):
            raise SettingsError(f"chunk_size: {chunk_size} is not a whole number of at least 1")
        size = _rows_at_once(self.inputs, d) if chunk_size is None else chunk_size
        J = self.outputs.new_zeros(B, d, n)
        start = d if self._constant else 0
        while start < d:
            rows = slice(start, min(start + size, d))
            try:
                J[:, rows] = self._rows(rows).flatten(2).transpose(0, 1)
                start = rows.stop
            except RuntimeError as error:
                # Of a single row it is the inputs that are too many: whoever chose them knows what to lower.
                if size == 1 or not memory.is_shortage(error):
                    raise
                if chunk_size is not None:
                    what = f"{chunk_size} rows of {B} Jacobians in one backward pass"
                    raise memory.shortage(what, "Lower chunk_size", error) from error
                size = (size + 1) // 2
        return J

    def _rows(self, rows: slice) -> Tensor:
        """Rows of J, (rows, B, *shape)."""
        B, d, _ = self.shape
        k = rows.stop - rows.start
        unit = torch.eye(d, dtype=self.outputs.dtype, device=self.outputs.device)[rows]
        # torch's own batched gradients take one row after the other wherever there are convolutions.
        copies = self if k == 1 else InputJacobian(self._function, self.inputs.repeat(k, *[1] * (self.inputs.ndim - 1)))
        return copies.rmatvec(unit.repeat_interleave(B, 0)).view(k, *self.inputs.shape)

    def _transposed_graph(self) -> tuple[Tensor, Tensor]:
        """(u, g) with g = J^T u kept as a graph: linear in u, so that its derivative along v is J v."""
        u = torch.zeros_like(self.outputs, requires_grad=True)
        if self._constant:
            return u, torch.zeros_like(self.inputs)
        with torch.enable_grad():
            (g,) = torch.autograd.grad(self._y, self._x, u, create_graph=True, materialize_grads=True)
        return u, g


def _refuse_training_mode(function: Callable[[Tensor], Tensor]) -> None:
    module = getattr(function, "__self__", function)
    if isinstance(module, nn.Module) and any(part.training for part in module.modules()):
        raise SettingsError(
            f"{type(module).__name__} is in training mode, where BatchNorm couples the examples of a batch: "
            "there is no Jacobian per example. Call .eval() first"
        )


def _refuse_compiled(function: Callable[[Tensor], Tensor]) -> None:
    # What torch.compile returns keeps the network under this name; Module.compile leaves the network in place.
    if hasattr(function, "_orig_mod") or getattr(function, "_compiled_call_impl", None) is not None:
        raise SettingsError("function: it is compiled, and such code can be differentiated only once; compile a copy")


def _rows_at_once(inputs: Tensor, d: int) -> int:
    """How many rows a backward pass should compute: 1 on a CPU, else as many as keep a GPU busy and fit in half of
    what is free."""
    if inputs.device.type != "cuda":
        return 1
    free, _ = torch.cuda.mem_get_info(inputs.device)
    # What torch keeps for tensors to come is free as well.
    free += torch.cuda.memory_reserved(inputs.device) - torch.cuda.memory_allocated(inputs.device)
    per_row = _HELD_PER_INPUT * inputs.numel() * inputs.element_size()
    fitting = free // (2 * max(per_row, 1))
    rows = min(d, fitting, _SATURATING_BATCH // max(len(inputs), 1))
    return rows if rows >= _FEWEST_AT_ONCE else 1

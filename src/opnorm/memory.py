"""Too little memory: telling it from other failures, and saying what was too large and what to set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from opnorm.errors import MemoryShortageError

# What CUDA's and the CPU's allocators, and CUDA's libraries, say of it in a RuntimeError.
# Without room for its work cuDNN finds no engine.
_SIGNS = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "alloc_failed",
    "allocation_failed",
    "unable to find an engine",
)

MORE_MEMORY = "End what else uses that memory, or choose another device"
"""What to do where no setting makes it smaller."""


def is_shortage(error: BaseException) -> bool:
    """Whether `error` says that memory ran out, on a GPU or on the CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _SIGNS)


@contextmanager
def needed_for(what: str, remedy: str) -> Iterator[None]:
    """Where memory runs out inside, say so in words.

    Args:
        what: was too large, with its size.
        remedy: what to do about it; of nested ones the innermost is named.

    Raises:
        MemoryShortageError: in place of torch's error.
    """
    try:
        yield
    except Exception as error:
        if not is_shortage(error):
            raise
        raise shortage(what, remedy, error) from error


def shortage(what: str, remedy: str, error: BaseException) -> MemoryShortageError:
    """What to raise where memory ran out, with the first line of what torch said."""
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    return MemoryShortageError(f"{what}: too little memory. {remedy} ({said})")

"""Where memory runs out the message names what was too large and what to set."""

from __future__ import annotations

from unittest import mock

import pytest
import torch
from torch import Tensor

from opnorm import jacobian
from opnorm.data import Split
from opnorm.errors import MemoryShortageError, SettingsError
from opnorm.jacobian import InputJacobian
from opnorm.memory import is_shortage, needed_for

CUDA = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 4.00 GiB\nSee documentation"
SHORTAGES = [
    torch.OutOfMemoryError(CUDA),
    torch.OutOfMemoryError(""),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to allocate"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED"),
    RuntimeError("GET was unable to find an engine to execute this computation"),
]
OTHERS = [RuntimeError("shapes cannot be multiplied"), SettingsError("out of memory"), KeyError("out of memory")]


@pytest.mark.parametrize("error", SHORTAGES)
def test_a_shortage_names_size_and_setting(error: Exception) -> None:
    named = pytest.raises(MemoryShortageError, match=r"^a step on 500 images: .*Lower training\.batch_size")
    with named as found, needed_for("a step on 500 images", "Lower training.batch_size"):
        raise error
    assert "\n" not in str(found.value)


def test_the_allocators_own_words_are_kept() -> None:
    kept = pytest.raises(MemoryShortageError, match=r"Tried to allocate 2\.00 GiB")
    with kept, needed_for("a step", "Lower training.batch_size"):
        raise torch.OutOfMemoryError(CUDA)


@pytest.mark.parametrize("error", OTHERS)
def test_other_errors_pass(error: Exception) -> None:
    assert not is_shortage(error)
    with pytest.raises(type(error)) as found, needed_for("a step", "Lower training.batch_size"):
        raise error
    assert found.value is error


def test_of_nested_ones_the_innermost_is_named() -> None:
    named = pytest.raises(MemoryShortageError, match="Lower chunk_size")
    with named, needed_for("an analysis", "Lower samples"), needed_for("a chunk", "Lower chunk_size"):
        raise torch.OutOfMemoryError(CUDA)


def test_a_real_allocation_that_cannot_be() -> None:
    with pytest.raises(MemoryShortageError, match="Lower it"), needed_for("an exbibyte", "Lower it"):
        torch.empty(2**58)


class Unmovable:
    """Images or labels for which the device has no room."""

    def to(self, device: str) -> Tensor:
        raise torch.OutOfMemoryError(CUDA)


def test_a_split_too_large_for_the_device_is_named() -> None:
    split = Split(Unmovable(), torch.zeros(3))  # type: ignore[arg-type]
    with pytest.raises(MemoryShortageError, match=r"^3 images on the device cuda:1: .*or choose another device"):
        split.to("cuda:1")


class Crowded(InputJacobian):
    """A Jacobian of which so many rows at once fit in memory, and that notes how many were asked for."""

    def __init__(self, fitting: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.fitting, self.asked = fitting, []  # type: ignore[var-annotated]
        self.W = torch.randn(7, 4, generator=generator, dtype=torch.float64)
        super().__init__(lambda x: x @ self.W.T, torch.ones(2, 4).double())

    def _rows(self, rows: slice) -> Tensor:
        self.asked.append(rows.stop - rows.start)
        if self.asked[-1] > self.fitting:
            raise torch.OutOfMemoryError(CUDA)
        return super()._rows(rows)


def test_a_chosen_chunk_shrinks_until_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opnorm.jacobian._rows_at_once", lambda inputs, d: 7)
    crowded = Crowded(fitting=2)
    assert torch.equal(crowded.dense(), crowded.W.expand(2, -1, -1))
    assert crowded.asked == [7, 4, 2, 2, 2, 1]


@pytest.mark.parametrize(("examples", "rows"), [(1, 256), (64, 4), (65, 1), (125, 1), (500, 1)])
def test_rows_are_taken_at_once_where_so_many_fit_that_it_pays(
    examples: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("memory_reserved", "memory_allocated"):
        monkeypatch.setattr(torch.cuda, name, lambda device: 0)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (8 * 2**30, 8 * 2**30))
    inputs = mock.MagicMock(spec=Tensor, device=torch.device("cuda"))
    inputs.__len__.return_value = examples
    inputs.numel.return_value, inputs.element_size.return_value = 64 * examples, 4
    assert jacobian._rows_at_once(inputs, 1000) == rows


def test_a_given_chunk_that_does_not_fit_is_named() -> None:
    with pytest.raises(MemoryShortageError, match=r"5 rows of 2 Jacobians.*Lower chunk_size"):
        Crowded(fitting=2).dense(5)


def test_a_single_row_that_does_not_fit_leaves_the_naming_to_whoever_chose_the_inputs() -> None:
    named = pytest.raises(MemoryShortageError, match=r"Lower training\.batch_size")
    with named, needed_for("a step on 500 images", "Lower training.batch_size"):
        Crowded(fitting=0).dense()

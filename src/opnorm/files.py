"""Tensors in files, as safetensors: nothing read from disk is ever executed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from opnorm.errors import FileError
from opnorm.tables import atomic_path

# One key: safetensors writes several in an order of its own.
_KEY = "opnorm"


def save_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write `tensors` and plain `metadata` whole or not at all; the same content gives the same bytes."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        try:
            save_file(contiguous, temporary, {_KEY: json.dumps(dict(metadata), sort_keys=True)})
        except SafetensorError as error:
            raise _as_os_error(error) from error


def load_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors by name, and the metadata.

    Raises:
        FileError: missing, truncated or not safetensors.
    """
    if not Path(path).is_file():
        raise FileError(f"{path}: no such file; run the workflow's earlier stages first")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, _metadata(file)  # noqa: SIM118
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise FileError(f"{path}: damaged or incomplete ({error}); delete it and run again") from error


def _metadata(file: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((file.metadata() or {}).get(_KEY, "{}"))
    return found


def _as_os_error(error: SafetensorError) -> OSError:
    """safetensors reports a failed write in words only; the number in them says whether the disk was full."""
    text = str(error)
    digits = "".join(c for c in text.partition("os error ")[2] if c.isdigit())
    return OSError(int(digits), text) if digits else OSError(text)

"""Checkpoints of a training: written whole, found again after any end, never mixed up between settings."""

from __future__ import annotations

import errno
import fcntl
import os
import pickle
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from opnorm.errors import FileError
from opnorm.memory import MORE_MEMORY, needed_for
from opnorm.tables import atomic_path

KEEP = 2

# What torch's writer of files calls itself in what it says.
_WRITERS = ("PytorchStreamWriter", "inline_container")


def write(directory: Path, step: int, state: Mapping[str, Any], fingerprint: Mapping[str, Any]) -> Path:
    """Write the state after `step` steps; the newest `KEEP` checkpoints stay.

    Args:
        directory: of this run alone.
        step: steps done.
        state: tensors and plain values.
        fingerprint: all that the state depends on; a training with another one does not resume from it.

    Raises:
        FileError: the disk is full or the place cannot be written; older checkpoints are untouched.
    """
    path = directory / f"step-{step:09d}.pt"
    with atomic_path(path) as temporary:
        try:
            torch.save({"fingerprint": dict(fingerprint), "state": dict(state)}, temporary)
        except RuntimeError as error:
            failed_write = _as_os_error(error)
            if failed_write is None:
                raise
            raise failed_write from error
    for old in _found(directory)[KEEP:]:
        old.unlink(missing_ok=True)
    return path


def newest(directory: Path, fingerprint: Mapping[str, Any], say: Any = print) -> dict[str, Any] | None:
    """The state of the newest checkpoint that can be read and was made with the same `fingerprint`, or None.

    Says, for each one passed over, which file it is and why: damaged, which is removed, or made with other settings
    (and which).

    Raises:
        FileError: one cannot be read, for reasons that are not its content; it is left as it is.
        MemoryShortageError: one does not fit in memory.
    """
    for path in _found(directory):
        try:
            with needed_for(f"{path}: reading a checkpoint", MORE_MEMORY):
                content = torch.load(path, weights_only=True, map_location="cpu")
            state, other = content["state"], content["fingerprint"]
        except OSError as error:
            raise FileError(f"{path}: cannot be read ({error.strerror or error}); run again") from error
        except (RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError) as error:
            say(f"{path}: damaged ({type(error).__name__}), removed")
            path.unlink(missing_ok=True)
            continue
        if other == dict(fingerprint):
            return dict(state)
        say(f"{path}: made with other settings ({_difference(other, fingerprint)}), so it is not resumed from")
    return None


def last_written(directory: Path) -> Path | None:
    """The newest checkpoint's file, if there is one."""
    return next(iter(_found(directory)), None)


def clear(directory: Path) -> None:
    """Remove all checkpoints, before a training starts from its beginning."""
    for path in _found(directory):
        path.unlink(missing_ok=True)


@contextmanager
def exclusive(directory: Path, say: Any = print) -> Iterator[None]:
    """Hold `directory` alone: a second process waits until the first one ends, however it ends."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{directory}: another process trains this run; waiting for it to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in directory.glob(".step-*"):
            leftover.unlink(missing_ok=True)
        yield


def _found(directory: Path) -> list[Path]:
    """Newest first."""
    return sorted(directory.glob("step-*.pt"), reverse=True)


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    a, b = _flat(old), _flat(new)
    names = [name for name in sorted(a.keys() | b.keys()) if a.get(name) != b.get(name)]
    return ", ".join(f"{name}: {a.get(name)!r} there, {b.get(name)!r} now" for name in names)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _as_os_error(error: RuntimeError) -> OSError | None:
    """torch.save reports a failed write in words; the operating system's number is in them, or is lost. None where the
    words are about something else."""
    match = re.search(r"errno:? (\d+)", str(error))
    if not match and not any(word in str(error) for word in _WRITERS):
        return None
    number = int(match.group(1)) if match else errno.ENOSPC
    return OSError(number, os.strerror(number))

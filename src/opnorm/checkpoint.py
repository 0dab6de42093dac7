"""Checkpoints of a training: written whole, found again after any end, never mixed up between settings."""

from __future__ import annotations

import fcntl
import os
import pickle
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from opnorm.tables import atomic_path

KEEP = 2


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
            raise _as_os_error(error) from error
    for old in _found(directory)[KEEP:]:
        old.unlink(missing_ok=True)
    return path


def newest(directory: Path, fingerprint: Mapping[str, Any], say: Any = print) -> dict[str, Any] | None:
    """The state of the newest checkpoint that can be read and was made with the same `fingerprint`, or None.

    Says, for each one passed over, which file it is and why: damaged, which is removed, or made with other settings
    (and which).
    """
    for path in _found(directory):
        try:
            content = torch.load(path, weights_only=True, map_location="cpu")
            state, other = content["state"], content["fingerprint"]
        except (RuntimeError, EOFError, KeyError, OSError, ValueError, pickle.UnpicklingError) as error:
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


def _as_os_error(error: RuntimeError) -> OSError:
    """torch.save reports a failed write in words; the operating system's number is in them, or is lost."""
    match = re.search(r"errno:? (\d+)", str(error))
    number = int(match.group(1)) if match else 28
    return OSError(number, os.strerror(number))

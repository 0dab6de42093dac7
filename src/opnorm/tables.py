"""Reading and writing: every file appears whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from opnorm.errors import FileError

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `path`, with its suffix, that takes its place when the block ends without an error.

    The content is on disk (fsync) before the rename, so that a crash leaves the old file or the new one.

    Raises:
        FileError: the disk is full or the place cannot be written; the old file is untouched.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _synchronise(temporary)
        temporary.replace(target)
        _synchronise(target.parent)
    except OSError as error:
        raise _explain(error, target) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_csv(frame: pd.DataFrame, path: str | os.PathLike[str], *, exact: bool = False) -> None:
    """Write `frame` without its index; floats keep the nine digits that identify a float32, or all where `exact`."""
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, index=False, float_format=None if exact else "%.9g")


def write_parquet(frame: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write `frame` without its index."""
    with atomic_path(path) as temporary:
        frame.to_parquet(temporary, index=False)


def read_parquet(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a table that `write_parquet` wrote.

    Raises:
        FileError: the file is missing, or is not a whole parquet file.
    """
    import pandas as pd

    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise FileError(f"{path}: not a readable table ({error}); delete it and run again") from error


def write_text(text: str, path: str | os.PathLike[str]) -> None:
    """Write `text` as UTF-8."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _synchronise(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _explain(error: OSError, target: Path) -> FileError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        free = shutil.disk_usage(_existing_parent(target)).free / 2**20
        return FileError(
            f"{target}: the disk is full ({error.strerror}; {free:.0f} MiB free): nothing was written there, "
            "and what was finished before is kept. Free some space and run again"
        )
    return FileError(f"{target}: cannot be written ({error.strerror or error}). Mend that and run again")


def _existing_parent(path: Path) -> Path:
    return next(parent for parent in path.absolute().parents if parent.exists())

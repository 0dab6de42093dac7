"""One training per GPU of this machine at a time, whoever started it."""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from opnorm.errors import TrainingError

# Held like a GPU where none is known of, so that trainings do not share the processor either. One that torch sees all
# the same, where nvidia-smi fails, is not hidden.
NONE = "none"


def visible() -> tuple[str, ...]:
    """The GPUs that CUDA would use, as CUDA_VISIBLE_DEVICES names them; found without torch."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return tuple(name.strip() for name in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if name.strip())
    query = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        found = subprocess.run(query, capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(found.split())


@contextmanager
def hold_one(gpus: Sequence[str]) -> Iterator[str]:
    """Wait for one of `gpus` that no other training of this user holds, and let CUDA see only that one.

    `NONE` leaves CUDA what it sees.
    """
    folder = _folder()
    while True:
        for gpu in gpus:
            with (folder / gpu.replace("/", "-")).open("a") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                if gpu != NONE:
                    os.environ["CUDA_VISIBLE_DEVICES"] = gpu
                yield gpu
                return
        time.sleep(0.5)


def _folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"opnorm-gpus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise TrainingError(f"{folder}: belongs to another user; remove it or set TMPDIR")
    return folder

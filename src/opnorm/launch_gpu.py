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

# Held like a GPU where there is none, so that trainings do not share the processor either.
NONE = "none"

UNKNOWN = "unknown"
"""What nvidia-smi does not tell; torch may see a GPU all the same, which is not hidden from it."""


def visible() -> tuple[str, ...]:
    """The GPUs that CUDA would use, as CUDA_VISIBLE_DEVICES names them; found without torch.

    Where there are no names it is `NONE` or `UNKNOWN` alone.
    """
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        given = tuple(name.strip() for name in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if name.strip())
        return given or (NONE,)
    query = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        found = subprocess.run(query, capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        found = ""
    return tuple(found.split()) or (UNKNOWN,)


@contextmanager
def hold_one(gpus: Sequence[str]) -> Iterator[str]:
    """Wait for one of `gpus` that no other training of this user holds, and let CUDA see only that one."""
    folder = _folder()
    while True:
        for gpu in gpus:
            name = NONE if gpu == UNKNOWN else gpu.replace("/", "-")
            with (folder / name).open("a") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                if gpu == UNKNOWN:
                    os.environ.pop("CUDA_VISIBLE_DEVICES", None)
                else:
                    os.environ["CUDA_VISIBLE_DEVICES"] = "" if gpu == NONE else gpu
                yield gpu
                return
        time.sleep(0.5)


def _folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"opnorm-gpus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise TrainingError(f"{folder}: belongs to another user; remove it or set TMPDIR")
    return folder

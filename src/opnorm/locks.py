"""Snakemake's lock outlives a Snakemake that was killed; this finds out whether its owner still lives."""

from __future__ import annotations

import json
import os
import shutil
import socket
from pathlib import Path


def claim(folder: Path) -> None:
    """Note in `folder` (.snakemake) that this process holds Snakemake's lock."""
    owner = {"host": socket.gethostname(), "pid": os.getpid(), "started": _started(os.getpid())}
    (folder / "owner.json").write_text(json.dumps(owner), encoding="utf-8")


def release_if_stale(folder: Path) -> bool:
    """Remove Snakemake's lock if the process that claimed it ran on this machine and is gone; True if it was so.

    Where the owner lives, ran elsewhere or is unknown, the lock stays.
    """
    if not (folder / "locks").is_dir():
        return False
    try:
        owner = json.loads((folder / "owner.json").read_text(encoding="utf-8"))
        gone = _started(owner["pid"]) != owner["started"]
        stale = bool(gone and owner["host"] == socket.gethostname())
    except (OSError, ValueError, KeyError, TypeError):
        return False
    if stale:
        shutil.rmtree(folder / "locks", ignore_errors=True)
    return stale


def _started(pid: int) -> str | None:
    """When process `pid` began, in clock ticks since the machine's start; None if there is no such process.

    A number is given to a new process some day; its beginning is not.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return None
    return text.rpartition(")")[2].split()[19]

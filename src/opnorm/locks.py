"""Snakemake's lock outlives a Snakemake that was killed; this finds out whether its owner still lives."""

from __future__ import annotations

import json
import os
import shutil
import socket
from pathlib import Path

import psutil


def claim(folder: Path) -> None:
    """Note in `folder` (.snakemake) that this process holds Snakemake's lock."""
    owner = {"host": socket.gethostname(), "pid": os.getpid(), "started": started(os.getpid())}
    (folder / "owner.json").write_text(json.dumps(owner), encoding="utf-8")


def release_if_stale(folder: Path) -> bool:
    """Remove Snakemake's lock if the process that claimed it ran on this machine and is gone; True if it was so.

    Where the owner lives, ran elsewhere or is unknown, the lock stays. So does a lock that is younger than the
    claim: another Snakemake has just taken it and has not claimed it yet.
    """
    locks = list((folder / "locks").glob("*.lock"))
    try:
        claimed = (folder / "owner.json").stat().st_mtime_ns
        owner = json.loads((folder / "owner.json").read_text(encoding="utf-8"))
        gone = owner["host"] == socket.gethostname() and started(owner["pid"]) != owner["started"]
        stale = bool(locks) and gone and all(lock.stat().st_mtime_ns <= claimed for lock in locks)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    if stale:
        shutil.rmtree(folder / "locks", ignore_errors=True)
    return stale


def started(pid: int) -> float | None:
    """When process `pid` began, in seconds since 1970; None if there is no such process.

    A number is given to a new process some day; its beginning is not.
    """
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None

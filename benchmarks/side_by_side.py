"""Timing several things in one run, in turn, so that a busy machine is as busy for each of them."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch


def device() -> str:
    """The GPU where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def seconds(things: Mapping[str, Callable[[], object]], *, rounds: int = 15) -> dict[str, float]:
    """Median seconds of each thing over `rounds` rounds, after one that does not count.

    On a GPU of the clock; elsewhere of the processor, of this process alone: other programs then count little.
    """
    found: dict[str, list[float]] = {name: [] for name in things}
    for _ in range(rounds + 1):
        for name, thing in things.items():
            start = _now()
            thing()
            found[name].append(_now() - start)
    return {name: statistics.median(times[1:]) for name, times in found.items()}


def _now() -> float:
    if not torch.cuda.is_available():
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def hardware() -> str:
    """What this ran on, in one line."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    threads, cores = torch.get_num_threads(), os.cpu_count()
    return f"{name}, {threads} threads on {cores} cores, {gpu}, torch {torch.__version__}"

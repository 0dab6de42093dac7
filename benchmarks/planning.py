"""How long Snakemake plans experiments of up to a thousand runs, of which nothing is done yet."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
SIZES = ((2, 5), (20, 5), (20, 50), (100, 10), (1000, 1))
"""Methods and seeds."""


def experiment(methods: int, seeds: int) -> dict[str, Any]:
    """The smoke experiment with so many methods and seeds, and every analysis of the digits."""
    smoke, full = (yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()) for name in ("smoke", "digits_full"))
    made = {f"m{i}": {"objective": "data_dependent_snr", "weight": 0.01 * (i + 1)} for i in range(methods)}
    return {**smoke, "methods": made, "seeds": list(range(seeds)), "analyses": full["analyses"]}


def plan(config: dict[str, Any]) -> tuple[int, float, float]:
    """The number of jobs that `snakemake -n` plans, its seconds, and the seconds that it had a processor."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("Snakefile", "workflow", "config", "profiles"):
            copy: Callable[..., Any] = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, folder / part)
        (folder / "many.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
        command = [Path(sys.executable).parent / "snakemake", "-n", "--configfile", "many.yaml"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        begun, used = time.perf_counter(), _processor_seconds()
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
        seconds, used = time.perf_counter() - begun, _processor_seconds() - used
    total = re.search(r"^total +(\d+)$", done.stdout + done.stderr, re.M)
    return int(total[1]) if total else 0, seconds, used


def _processor_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


def main() -> None:
    """Print a line per size."""
    for methods, seeds in SIZES:
        jobs, seconds, used = plan(experiment(methods, seeds))
        print(f"{methods:4} methods of {seeds:2} seeds: {jobs:5} jobs in {seconds:5.1f} s ({used:.1f} s of CPU)")


if __name__ == "__main__":
    main()

"""What waiting costs: time, memory, questions to the scheduler."""

from __future__ import annotations

import itertools
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
from cluster import Cluster
from machine import wait_until
from project import Project, is_empty, peak_memory_mb

HERE = Path(__file__).parent
METHODS, SEEDS = 20, 15

pytestmark = pytest.mark.slurm


def test_the_overhead_of_a_training(slurm: Cluster, tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.uninterrupted(seeds=2)
    found, slowdowns = [], []
    for attempt in range(3):
        with project.training(f"quick{attempt}", 2, step_seconds=0) as run:
            run.end()
        submitted = clock(re.search(r"(\S+) submitted", run.log).group(1))
        for seed in range(2):
            seen = clock(re.search(rf"(\S+) slow, seed {seed} \(job \S+\): trained", run.log).group(1))
            history = pd.read_csv(project.folder / f"results/quick{attempt}/history/slow/{seed}.csv")
            found.append(float(seen - submitted - history["seconds"].sum()))
        slowdowns.append(slowdown())
    print("seconds from submission to result seen, without the training:", found, "slowed down by:", slowdowns)
    assert statistics.median(found) < 15 * statistics.median(slowdowns)


def slowdown() -> float:
    """Seconds that pass while this process computes for one; 1 on a machine that has nothing else to do."""
    begun, used = time.perf_counter(), time.process_time()
    while time.process_time() - used < 0.5:
        pass
    return (time.perf_counter() - begun) / (time.process_time() - used)


def clock(text: str) -> float:
    return datetime.strptime(text, "%H:%M:%S").timestamp()


def test_300_trainings_are_held_lightly(slurm: Cluster, tmp_path: Path) -> None:
    names = [f"method{number:02}" for number in range(METHODS)]
    environment = os.environ | {"PYTHONPATH": f"{HERE.parents[1] / 'src'}:{HERE}"}
    command = [sys.executable, str(HERE / "sleepers.py"), str(tmp_path)]
    begun = time.time()
    launchers = [subprocess.Popen([*command, name, str(SEEDS), "600"], env=environment) for name in names]
    try:
        wait_until(lambda: queued(slurm) == METHODS * SEEDS, "300 trainings in the queue", interval=1)
        time.sleep(60)
        megabytes = [peak_memory_mb(launcher.pid) for launcher in launchers]
        queries = [(when, command) for when, command in slurm.calls("squeue") if when > begun]
        for launcher in launchers:
            launcher.send_signal(signal.SIGINT)
        assert [launcher.wait(120) for launcher in launchers] == [1] * METHODS
    finally:
        for launcher in launchers:
            launcher.kill()
            launcher.wait()
    print(f"{METHODS} launchers: {sum(megabytes):.0f} MB, at most {max(megabytes):.0f} MB each")
    assert sum(megabytes) < 2000
    assert max(megabytes) < 60
    for name in names:
        # The first before submission, the last on cancelling.
        times = [when for when, command in queries if f"--name={name}" in command][1:-1]
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        print(f"{name}: {len(times)} queries")
        assert 2 <= len(times) <= 20
        assert min(gaps) > 2.5
    assert not [when for when, _ in slurm.calls("sacct") if when > begun]
    wait_until(lambda: is_empty(slurm), "an empty queue")


def queued(slurm: Cluster) -> int:
    return sum(job["state"] in ("PENDING", "RUNNING") for job in slurm.squeue())

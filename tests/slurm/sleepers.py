"""A launcher whose trainings only sleep: `python sleepers.py FOLDER METHOD SEEDS SECONDS`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import sleepers  # by its name, so that jobs find their class there
from cluster import ACCOUNT

from opnorm.job import running
from opnorm.launch import Launch
from opnorm.launch_job import Result, Runs
from opnorm.launch_slurm import Slurm


class Sleep:
    """Takes the place of a TrainingJob."""

    def __init__(self, folder: Path, fingerprint: str, seconds: float) -> None:
        self.folder, self.fingerprint, self.seconds = folder, fingerprint, seconds

    def __call__(self) -> None:
        time.sleep(self.seconds)
        result = Result(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        result.model.touch()
        result.history.touch()
        (self.folder / "result.json").write_text(json.dumps({"fingerprint": self.fingerprint}))


class Sleepers(Slurm):
    """Submits Sleep where a launcher submits a TrainingJob."""

    seconds = 0.0

    def submit(self, jobs):
        return super().submit([Sleep(job.result.folder, job.fingerprint, self.seconds) for job in jobs])


def main(folder: str, method: str, seeds: str, seconds: str) -> None:
    here = Path(folder) / method
    with running(str(here / "log")):
        outputs = {
            name: [str(here / name / str(seed)) for seed in range(int(seeds))] for name in ("models", "histories")
        }
        runs = Runs({"method": {"name": method}}, {}, range(int(seeds)), str(here), **outputs)
        resources = {"slurm_account": ACCOUNT, "slurm_partition": "low", "mem_mb": 100}
        cluster = Sleepers(here / "jobs", method, resources, threads=1)
        cluster.seconds = float(seconds)
        Launch(runs, cluster).run()


if __name__ == "__main__":
    sleepers.main(*sys.argv[1:])

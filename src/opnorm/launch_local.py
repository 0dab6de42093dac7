"""This machine, as the launcher sees it: submitit's local executor, as many trainings at once as there are GPUs."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from opnorm import launch_gpu
from opnorm.launch_job import TrainingJob

_YEAR_MINUTES = 60 * 24 * 365


class Local:
    """Trainings on this machine, each in a process of its own on a GPU of its own.

    Args:
        folder: of submitit: its pickles, and the jobs' logs.

    The GPUs are those that CUDA_VISIBLE_DEVICES leaves; without any, one training runs at a time.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.gpus = folder, launch_gpu.visible()
        self.capacity = len(self.gpus)
        self._jobs: dict[str, Any] = {}

    def submit(self, jobs: Sequence[TrainingJob]) -> list[str]:
        """Start `jobs`; an id for each."""
        from submitit import LocalExecutor

        executor = LocalExecutor(self.folder, max_num_timeout=1_000_000)
        executor.update_parameters(timeout_min=_YEAR_MINUTES, stderr_to_stdout=True)
        # submitit hides all GPUs from a job; each takes one of its own when it starts.
        made = executor.submit_array([replace(job, gpus=self.gpus) for job in jobs])
        self._jobs.update({str(job.job_id): job for job in made})
        return [str(job.job_id) for job in made]

    def states(self) -> dict[str, tuple[str, str]]:
        """The jobs that run."""
        return {job: ("RUNNING", "") for job, process in self._jobs.items() if process.state == "RUNNING"}

    def ended(self, jobs: Sequence[str]) -> dict[str, str]:
        """Every job that does not run any more has ended, and only it could say how."""
        return dict.fromkeys(jobs, "FAILED")

    def cancel(self, jobs: Iterable[str]) -> None:
        """Ask `jobs` to stop; each writes a checkpoint."""
        for job in self.states().keys() & set(jobs):
            with suppress(ProcessLookupError):
                os.kill(int(job), signal.SIGTERM)

    def log(self, job: str) -> Path:
        """Where the job writes."""
        return self.folder / f"{job}_0_log.out"

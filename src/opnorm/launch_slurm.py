"""SLURM, as the launcher sees it: submit an array through submitit, ask for its states, cancel."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from opnorm.errors import SettingsError, TrainingError
from opnorm.launch_job import BusyError, TrainingJob

# How a site's SLURM is reached. All else that a Snakemake in a job hands down is about that job, not about those
# submitted from there.
SITE_VARIABLES = ("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_JWT")
_SIGNAL_SECONDS = 120
# A short job's warning: SLURM looks every 30 seconds which are due by the next look, so that it comes up to 30 seconds
# early, and a process of 1 minute must have started by then to heed it.
_SIGNAL_SECONDS_PER_MINUTE = 15
# The controller or accounting may be slow; a launcher asks again later.
_ANSWER_SECONDS = 60.0
# What sbatch says of a controller that does not answer now. A limit of submissions is not among them: it may be too low
# for the array itself.
_BUSY = (
    "socket timed out",
    "unable to contact slurm controller",
    "connection refused",
    "connection timed out",
    "zero bytes were transmitted or received",
)


class Slurm:
    """A SLURM cluster. Jobs are told from others by one name, so that one query covers all of them.

    Args:
        folder: of submitit: submissions, their pickles, and the jobs' logs.
        name: of all jobs submitted here.
        resources: the rule's, by the names of Snakemake's SLURM executor.
        threads: CPUs per training where the resources do not say.
    """

    capacity = 100_000

    def __init__(self, folder: Path, name: str, resources: Mapping[str, Any], threads: int) -> None:
        self.folder, self.name = folder, name
        self.options = submission_options(resources, threads) | {"job_name": name}
        clean_environment()

    def submit(self, jobs: Sequence[TrainingJob]) -> list[str]:
        """Submit `jobs` as one array; an id for each.

        Raises:
            TrainingError: the scheduler refuses; in its own words.
            BusyError: it does not answer now.
        """
        from submitit import SlurmExecutor
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        try:
            # submitit counts every signal under a limit of ten minutes as a timeout; TrainingJob itself counts
            # the runs that get no further.
            executor = SlurmExecutor(self.folder, max_num_timeout=1_000_000)
            executor.update_parameters(**self.options)
            return [str(job.job_id) for job in executor.submit_array(list(jobs))]
        except (FailedJobError, FailedSubmissionError, RuntimeError, OSError) as error:
            words = str(error).strip()
            if any(sign in words.lower() for sign in _BUSY):
                raise BusyError(f"SLURM does not answer: {words}") from error
            asked = ", ".join(f"{key}={value}" for key, value in sorted(self.options.items()) if _is_site(key))
            raise TrainingError(
                f"SLURM refuses the job: {words}\nIt was asked for {asked}. Change that in profiles/slurm/config.yaml"
            ) from error

    def states(self) -> dict[str, tuple[str, str]] | None:
        """For each job the controller remembers its state and the reason; None if it does not answer.

        One query for all arrays of this method.
        """
        output = _ask(
            ["squeue", "--me", "--array", "--noheader", "--states=all", f"--name={self.name}", "--format=%i|%T|%r"]
        )
        if output is None:
            return None
        rows = (line.split("|", 2) for line in output.splitlines())
        return {row[0]: (row[1], row[2]) for row in rows if len(row) == 3}

    def ended(self, jobs: Sequence[str]) -> dict[str, str]:
        """What accounting knows of `jobs`; nothing where it is absent or silent."""
        output = _ask(["sacct", "-X", "-n", "-P", "--format=JobID,State", f"--jobs={','.join(jobs)}"]) or ""
        rows = (line.split("|", 1) for line in output.splitlines())
        return {row[0]: row[1].split()[0] for row in rows if len(row) == 2 and row[1].split()}

    def cancel(self, jobs: Iterable[str]) -> None:
        """Cancel those of `jobs` that are not over."""
        if names := sorted(jobs):
            _ask(["scancel", *names])

    def log(self, job: str) -> Path:
        """Where the job writes."""
        return self.folder / f"{job}_0_log.out"


def submission_options(resources: Mapping[str, Any], threads: int) -> dict[str, Any]:
    """submitit's parameters for Snakemake's resources, under the names that its SLURM executor knows."""
    minutes = max(int(resources.get("runtime") or 60), 1)
    cpus = int(resources.get("cpus_per_task") or threads)
    gpus = ":".join(str(part) for part in (resources.get("gpu_model"), resources.get("gpu")) if part)
    extra = {"requeue": True, "gpus": gpus or None, **_flags(str(resources.get("slurm_extra") or ""))}
    memory, per_cpu = resources.get("mem_mb"), resources.get("mem_mb_per_cpu")
    options = {
        "time": minutes,
        "partition": resources.get("slurm_partition"),
        "account": resources.get("slurm_account"),
        "qos": resources.get("qos"),
        "constraint": resources.get("constraint"),
        "gres": resources.get("gres"),
        "mem": None if per_cpu or not memory else f"{memory}M",
        "mem_per_cpu": f"{per_cpu}M" if per_cpu else None,
        "cpus_per_task": cpus,
        # Since 22.05 a step does not take this over from its job.
        "srun_args": [f"--cpus-per-task={cpus}"],
        "array_parallelism": int(resources.get("parallel_seeds") or 256),
        "signal_delay_s": min(_SIGNAL_SECONDS, minutes * _SIGNAL_SECONDS_PER_MINUTE),
        "stderr_to_stdout": True,
        "wckey": None,
        "additional_parameters": {key: value for key, value in extra.items() if value},
    }
    # None leaves the cluster's default; wckey's is submitit's, and no cluster's.
    return {key: value for key, value in options.items() if value or key == "wckey"}


def clean_environment() -> None:
    """Forget what an enclosing SLURM job says of itself: its CPU binding, its memory, its name."""
    for name in [name for name in os.environ if name.startswith("SLURM_") and name not in SITE_VARIABLES]:
        del os.environ[name]


def _flags(text: str) -> dict[str, Any]:
    """`--exclude=node3 --constraint a100 --exclusive` as options of sbatch.

    Raises:
        SettingsError: a word that is neither a long option nor the value of the one before it.
    """
    found: dict[str, Any] = {}
    waiting = None
    for word in shlex.split(text):
        if word.startswith("--"):
            key, _, value = word.removeprefix("--").partition("=")
            found[key] = value or True
            waiting = None if value else key
        elif waiting is not None and not word.startswith("-"):
            found[waiting], waiting = word, None
        else:
            raise SettingsError(f"slurm_extra: {word!r} in {text!r} is no option of the form --name=value")
    return found


def _is_site(option: str) -> bool:
    return option in (
        "time",
        "partition",
        "account",
        "qos",
        "constraint",
        "gres",
        "mem",
        "mem_per_cpu",
        "cpus_per_task",
    )


def _ask(command: Sequence[str]) -> str | None:
    """Standard output; None if the command is missing, fails or takes too long."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=_ANSWER_SECONDS).stdout
    except (OSError, subprocess.SubprocessError):
        return None

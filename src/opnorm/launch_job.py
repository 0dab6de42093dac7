"""One seed's training in a process of its own: what submitit calls, and what it leaves for those who wait.

Nothing here imports torch before the training itself, so that a process that only waits stays light.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from opnorm import launch_gpu
from opnorm.errors import OpnormError, TrainingError
from opnorm.provenance import file_digest, machine
from opnorm.tables import write_text

# So many runs in a row that get no further than the one before, and it is given up.
PATIENCE = 3


class BusyError(TrainingError):
    """A scheduler that cannot be reached at the moment, and may have taken the jobs before it fell silent."""


@dataclass(frozen=True)
class Runs:
    """The runs of one method, in plain values.

    Attributes:
        settings: what `TrainingSettings.to_dict` gives.
        data_paths: "train" and "test" -> prepared split.
        seeds: of the runs.
        checkpoints: folder of this method's checkpoints; each seed has a folder in it.
        models, histories: one path per seed.
        device: a torch device, or "auto" for the GPU where there is one.
        threads: of the CPU.
        code: digest of the library code.
        checkpoint_seconds: at most so much work is lost when a training is killed.
    """

    settings: Mapping[str, Any]
    data_paths: Mapping[str, str]
    seeds: Sequence[int]
    checkpoints: str
    models: Sequence[str]
    histories: Sequence[str]
    device: str = "auto"
    threads: int = 1
    code: str = ""
    checkpoint_seconds: float = 60.0

    @property
    def method(self) -> str:
        """The method's name."""
        return str(self.settings["method"]["name"])

    def folder(self, seed: int) -> Path:
        """Where `seed` has its checkpoints and, once it is trained, its result."""
        return Path(self.checkpoints) / str(seed)

    def fingerprints(self) -> dict[int, str]:
        """For each seed a digest of all that decides its result: settings, seed, data, code."""
        data = {name: file_digest(path) for name, path in self.data_paths.items()}
        common = json.dumps([self.settings, data, self.code], sort_keys=True)
        return {seed: hashlib.sha256(f"{common} {seed}".encode()).hexdigest()[:32] for seed in self.seeds}


def train_here(runs: Runs) -> None:
    """Train the seeds of `runs` in this process, one after the other."""
    from opnorm.job import device
    from opnorm.settings import TrainingSettings
    from opnorm.training import train_runs

    train_runs(
        TrainingSettings.from_dict(runs.settings),
        data_paths=runs.data_paths,
        seeds=runs.seeds,
        checkpoints=runs.checkpoints,
        outputs={"models": runs.models, "histories": runs.histories},
        device=device(runs.device),
        threads=runs.threads,
        code=runs.code,
        checkpoint_seconds=runs.checkpoint_seconds,
    )


@dataclass(frozen=True)
class Result:
    """What a training leaves in its folder: model and history, each whole, and then the word that they are there."""

    folder: Path

    @property
    def model(self) -> Path:
        return self.folder / "result.safetensors"

    @property
    def history(self) -> Path:
        return self.folder / "result.csv"

    def is_there(self, fingerprint: str) -> bool:
        """Whether the training with `fingerprint` has ended well."""
        found = _read(self.folder / "result.json")
        return found.get("fingerprint") == fingerprint and self.model.is_file() and self.history.is_file()

    def report(self, job: str) -> dict[str, Any]:
        """What the run of `job` said before it ended without a result: "outcome", and "error" if it failed."""
        found = _read(self.folder / "report.json")
        return found if found.get("job") == job else {}

    def step(self) -> int:
        """Of the newest checkpoint; 0 without one."""
        # Listing a folder makes a network file system look again.
        names = [entry.name for entry in os.scandir(self.folder)] if self.folder.is_dir() else []
        steps = [int(name[5:-3]) for name in names if name.startswith("step-") and name.endswith(".pt")]
        return max(steps, default=0)


class _Interrupted(BaseException):
    """A signal came while there was nothing to save."""


@dataclass(frozen=True)
class TrainingJob:
    """Trains one seed in a process that submitit started, and checkpoints when a scheduler's signal comes.

    A time limit's warning (submitit's signal, USR2) ends the training at its next step with a checkpoint and has
    submitit requeue the job. A SIGTERM does the same without requeueing: a preempting scheduler requeues by itself,
    and a cancelled job must not come back.

    Attributes:
        runs: the runs that this one belongs to.
        seed: of this run.
        fingerprint: of this run's result.
        gpus: one of these that no other training of this machine holds is used; without any, what is visible.
        step: of the newest checkpoint when the job was last submitted or requeued.
        stuck: so many runs before this one got no further.
    """

    runs: Runs
    seed: int
    fingerprint: str
    gpus: tuple[str, ...] = ()
    step: int = 0
    stuck: int = 0

    def __call__(self) -> None:
        """Train. A failure is written down for those who wait, and ends the process with a status."""
        with _Signals() as signals:
            try:
                self._forget()
                self._train()
            except BaseException as error:
                raise SystemExit(self._end(error, signals)) from error

    def checkpoint(self) -> Any:
        """What submitit calls before it requeues: the submission of the same, which resumes by itself."""
        from submitit.helpers import DelayedSubmission

        step = self.result.step()
        return DelayedSubmission(replace(self, step=step, stuck=0 if step > self.step else self.stuck + 1))

    @property
    def result(self) -> Result:
        return Result(self.runs.folder(self.seed))

    def _train(self) -> None:
        with ExitStack() as stack:
            if self.gpus:
                stack.enter_context(launch_gpu.hold_one(self.gpus))
            print(
                f"{machine()}\nseed {self.seed}, CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES')}",
                flush=True,
            )
            models, histories = [str(self.result.model)], [str(self.result.history)]
            train_here(replace(self.runs, seeds=[self.seed], models=models, histories=histories))
        write_text(json.dumps({"fingerprint": self.fingerprint, "job": _job_id()}), self.result.folder / "result.json")

    def _forget(self) -> None:
        for name in ("result.json", "report.json"):
            (self.result.folder / name).unlink(missing_ok=True)

    def _end(self, error: BaseException, signals: _Signals) -> int:
        """Requeue the job if its time is over, or say what happened; the status to exit with."""
        signals.ignore()
        if signals.came(signal.SIGUSR2):
            if self.stuck >= PATIENCE and self.result.step() <= self.step:
                words = f"{self.stuck + 1} runs got no further than step {self.step}; give it more time (runtime)"
                return self._report("failed", TrainingError(words))
            try:
                signals.requeue()
            except Exception as problem:
                print(f"cannot be requeued: {problem}", flush=True)
        interrupted = signals.came(signal.SIGUSR2, signal.SIGTERM, signal.SIGINT)
        return self._report("interrupted" if interrupted else "failed", error)

    def _report(self, outcome: str, error: BaseException) -> int:
        words = str(error) if isinstance(error, OpnormError) else "".join(traceback.format_exception(error))
        print(f"{outcome}: {words}", flush=True)
        report = {"job": _job_id(), "outcome": outcome, "error": words.strip()}
        write_text(json.dumps(report), self.result.folder / "report.json")
        return 143 if outcome == "interrupted" else 1


class _Signals:
    """Takes the signals over from submitit, and knows which came.

    Inside the training loop its own handler of SIGTERM stops it at the next step; elsewhere there is nothing to save.
    """

    def __enter__(self) -> _Signals:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self._numbers: set[int] = set()
        self.submitit = signal.signal(signal.SIGUSR2, lambda *_: signal.raise_signal(signal.SIGTERM))
        self._previous = {number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGINT)}
        # Python notes every signal's number there, whoever handles it.
        self._descriptor = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._descriptor)
        for number, handler in (self._previous | {signal.SIGUSR2: self.submitit}).items():
            signal.signal(number, handler)
        os.close(self._reader)
        os.close(self._writer)

    def came(self, *numbers: int) -> bool:
        with suppress(BlockingIOError):
            self._numbers.update(os.read(self._reader, 1000))
        return not self._numbers.isdisjoint(numbers)

    def ignore(self) -> None:
        """From now on: what has to be done is being done, and a scheduler that requeues terminates what still runs."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)

    def requeue(self) -> None:
        """What submitit does on its signal: `checkpoint`, requeue, end this process."""
        if not callable(self.submitit):
            raise RuntimeError("not started by submitit")
        self.submitit(signal.SIGUSR2, None)


def _interrupt(*_: object) -> None:
    raise _Interrupted


def _job_id() -> str:
    from submitit import JobEnvironment

    return str(JobEnvironment().job_id)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}

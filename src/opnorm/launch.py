"""Where the seeds of a method are trained: in this process, on this machine's GPUs, or on a SLURM cluster.

The process that launches trainings and waits for them imports no torch. What it knows survives it: results and
reports lie beside the checkpoints, and the jobs' ids in `jobs.json`, so that the next launcher goes on where one was
killed. Only this process's clock is read, and never a file's time.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from opnorm.errors import SettingsError, TrainingError
from opnorm.launch_job import PATIENCE, BusyError, Result, Runs, TrainingJob, train_here
from opnorm.launch_watch import Interrupted, Interruptions, LeftAlone
from opnorm.tables import atomic_path, write_text

LAUNCHERS = ("here", "local", "slurm")
# Going on in a new job would end the same way, or against somebody's will.
_HOPELESS = {
    "CANCELLED": "was cancelled; its checkpoint is kept: run again to go on",
    "OUT_OF_MEMORY": "ran out of memory: raise mem_mb",
    "DEADLINE": "could not end before its deadline",
    "REVOKED": "was revoked",
}
_FINAL = _HOPELESS.keys() | {"BOOT_FAIL", "COMPLETED", "FAILED", "NODE_FAIL", "PREEMPTED", "TIMEOUT"}
# A preempted job may be requeued yet, a report may be on its way through a network file system.
_SETTLE_SECONDS = 10.0
# A result that a file system does not show after this, or a job that nobody knows, does not come any more.
_LATENCY_SECONDS = 60.0
# A controller that is restarted, or overwhelmed, is back by then.
_BUSY_SECONDS = 600.0


class Cluster(Protocol):
    """A place where jobs run."""

    capacity: int

    def submit(self, jobs: Sequence[TrainingJob]) -> list[str]:
        """Submit `jobs`; an id for each. Raises TrainingError in the scheduler's words, BusyError if it is to be asked
        again."""

    def states(self) -> Mapping[str, tuple[str, str]] | None:
        """For each of this method's jobs its state and the reason; None if there is no answer."""

    def ended(self, jobs: Sequence[str]) -> Mapping[str, str]:
        """What is known of jobs that `states` does not have any more."""

    def cancel(self, jobs: Sequence[str]) -> None:
        """Cancel those of `jobs` that are not over."""

    def log(self, job: str) -> Path:
        """Where the job writes."""


def train_seeds(runs: Runs, resources: Mapping[str, Any]) -> None:
    """Train the seeds of one method where `resources` say, and write their models and histories.

    Args:
        runs: of one method.
        resources: "launcher": "here", one after the other in this process; "local", one per visible GPU of this
            machine; or "slurm", as one array. The others are SLURM's, by the names of Snakemake's SLURM executor:
            slurm_partition, slurm_account, runtime, mem_mb, cpus_per_task, gres, ...

    Raises:
        TrainingError: a training failed, the scheduler refuses, or this process was asked to end.
    """
    launcher = resources.get("launcher") or "here"
    if launcher not in LAUNCHERS:
        raise SettingsError(f"resources: launcher={launcher!r} is unknown; known: {', '.join(LAUNCHERS)}")
    if launcher == "here":
        train_here(runs)
    else:
        Launch(runs, _cluster(launcher, runs, resources)).run()


def _cluster(launcher: str, runs: Runs, resources: Mapping[str, Any]) -> Cluster:
    folder = Path(runs.checkpoints) / "jobs"
    if launcher == "local":
        from opnorm.launch_local import Local

        return Local(folder)
    from opnorm.launch_slurm import Slurm

    place = hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:10]
    return Slurm(folder, f"{runs.method}-{place}", resources, runs.threads)


@dataclass
class _Task:
    """One seed, until its result is there or it is given up."""

    seed: int
    fingerprint: str
    result: Result
    job: str = ""  # "" while there is none
    state: str = ""
    reason: str = ""
    over_since: float | None = None  # when it was first seen to be over, or not seen any more
    step: int = 0  # of the newest checkpoint, when the job was submitted
    stuck: int = 0
    problem: str = ""
    finished: bool = False

    @property
    def is_open(self) -> bool:
        return not self.finished and not self.problem


@dataclass
class Launch:
    """Submits a method's unfinished seeds, waits for them, and collects the results."""

    runs: Runs
    cluster: Cluster
    interruptions: Interruptions = field(default_factory=Interruptions)

    def __post_init__(self) -> None:
        self._folder = Path(self.runs.checkpoints)
        self._known: set[str] = set()
        self._replaced: list[str] = []
        self._said = ""
        self._asked_at = self._submitted_at = time.monotonic()
        self._tasks = [
            _Task(seed, fingerprint, Result(self.runs.folder(seed)))
            for seed, fingerprint in self.runs.fingerprints().items()
        ]

    def run(self) -> None:
        """Return when all results are where they belong.

        Raises:
            TrainingError: names each seed that failed, and its log; or what was cancelled or left to itself.
        """
        with self.interruptions, _alone(self._folder, self.interruptions):
            try:
                self._work()
            except Interrupted:
                self._cancel_all()
            except LeftAlone:
                raise TrainingError(f"Snakemake is gone; left to themselves: {self._names(self._open)}") from None
        if self._replaced:
            # The scheduler may have requeued one in spite of what it said.
            self.cluster.cancel(self._replaced)
        _remove(self._folder / "jobs.json")
        failures = [task.problem for task in self._tasks if task.problem]
        if failures:
            raise TrainingError("\n\n".join(dict.fromkeys(failures)))
        self._collect()

    def _work(self) -> None:
        self._look_for_results()
        if self._open:
            self._adopt()
        while self._open:
            self._submit()
            self.interruptions.pause(_interval(time.monotonic() - self._submitted_at, 30, 1, 10))
            self._look_for_results()
            if time.monotonic() - self._asked_at >= _interval(time.monotonic() - self._submitted_at, 10, 3, 60):
                self._ask()

    @property
    def _open(self) -> list[_Task]:
        return [task for task in self._tasks if task.is_open]

    def _adopt(self) -> None:
        """Take over the jobs that an earlier launcher submitted for the same results."""
        record = _read_record(self._folder)
        states = self.cluster.states()
        while states is None and time.monotonic() - self._asked_at < _LATENCY_SECONDS:
            self.interruptions.pause(3)
            states = self.cluster.states()
        for task in self._open:
            found = record.get(str(task.seed), {})
            state = (states or {}).get(found.get("job", ""), ("", ""))[0]
            if found.get("fingerprint") == task.fingerprint and _is_active(state) and state != "COMPLETING":
                task.job, task.step = found["job"], task.result.step()
                self._known.add(task.job)
        if adopted := [task for task in self._open if task.job]:
            _say(f"submitted earlier, waiting for {self._names(adopted)}")
        self._cancel_strays(states or {})

    def _submit(self) -> None:
        running = sum(bool(task.job) for task in self._open)
        waiting = [task for task in self._open if not task.job][: max(self.cluster.capacity - running, 0)]
        if not waiting:
            return
        for task in waiting:
            task.step, task.over_since = task.result.step(), None
        try:
            jobs = self._submit_patiently([TrainingJob(self.runs, task.seed, task.fingerprint) for task in waiting])
        except TrainingError as error:
            # The user's Ctrl-C reaches sbatch too.
            self.interruptions.pause(0)
            for task in waiting:
                task.problem = f"{self.runs.method}, {self._names(waiting)}: {error}"
            return
        for task, job in zip(waiting, jobs, strict=True):
            task.job, task.state = job, ""
        self._known |= set(jobs)
        self._record()
        self._submitted_at = self._asked_at = time.monotonic()
        _say(f"submitted {self._names(waiting)}; logs: {self.cluster.log(waiting[0].job)}")

    def _submit_patiently(self, jobs: Sequence[TrainingJob]) -> list[str]:
        """The ids of `jobs`, of a scheduler that is asked again, ever more rarely, where it is busy."""
        begun = time.monotonic()
        while True:
            try:
                return self.cluster.submit(jobs)
            except BusyError as error:
                waited = time.monotonic() - begun
                if waited >= _BUSY_SECONDS:
                    raise
                _say(f"{error}\nTrying again")
            self.interruptions.pause(_interval(waited, 2, 5, 60))
            self._cancel_strays(self.cluster.states() or {})

    def _look_for_results(self) -> None:
        for task in self._open:
            if task.result.is_there(task.fingerprint):
                task.finished = True
                _say(f"{self._title(task)}: trained")
            elif task.job and (report := task.result.report(task.job)).get("outcome") == "failed":
                task.problem = f"{self._title(task)}: {report['error']}\nIts log: {self.cluster.log(task.job)}"
                _say(task.problem)

    def _ask(self) -> None:
        """What the scheduler says of the open tasks: one query, and one to accounting for those it has forgotten."""
        states = self.cluster.states()
        self._asked_at = time.monotonic()
        if states is None:
            self._say_once("the scheduler does not answer; waiting for results and for its answer")
            return
        self._cancel_strays(states)
        tasks = [task for task in self._open if task.job]
        forgotten = [task.job for task in tasks if task.job not in states]
        ended = self.cluster.ended(forgotten) if forgotten else {}
        for task in tasks:
            task.state, task.reason = states.get(task.job, (ended.get(task.job, ""), ""))
            if task.job in states and _is_active(task.state):
                task.over_since = None
            else:
                task.over_since = task.over_since or self._asked_at
                self._judge(task, self._asked_at - task.over_since)
        self._say_once(self._summary())

    def _judge(self, task: _Task, seconds: float) -> None:
        """Decide on a task that is over, or that nobody knows, for `seconds`; its result is not there."""
        if task.state in _HOPELESS:
            self._fail(task, _HOPELESS[task.state])
        elif task.state == "COMPLETED":
            if seconds >= _LATENCY_SECONDS:
                self._fail(task, f"ended well, and {task.result.folder} shows no result; is that folder shared?")
        elif task.state in _FINAL:
            if seconds >= _SETTLE_SECONDS:
                self._restart(task, f"ended with {task.state}")
        elif seconds >= _LATENCY_SECONDS:
            if self.cluster.log(task.job).exists():
                self._restart(task, "is not known to the scheduler any more")
            else:
                self._fail(task, "is gone from the queue without having started: cancelled, it seems. Run again")

    def _restart(self, task: _Task, why: str) -> None:
        step = task.result.step()
        task.stuck = 0 if step > task.step else task.stuck + 1
        if task.stuck >= PATIENCE:
            self._fail(task, f"{why}, {PATIENCE} times without getting further than step {step}")
        else:
            _say(f"{self._title(task)}: {why}; going on from step {step} in a new job")
            self._replaced.append(task.job)
            task.job = ""

    def _fail(self, task: _Task, words: str) -> None:
        log = self.cluster.log(task.job)
        task.problem = f"{self._title(task)} {words}\nIts log: {log}{_tail(log)}"
        _say(task.problem)

    def _cancel_strays(self, states: Mapping[str, tuple[str, str]]) -> None:
        """Jobs of this method that no record knows: a launcher was killed between submission and record, the scheduler
        took them without an answer, or other settings were wanted then."""
        strays = [job for job, (state, _) in states.items() if _is_active(state) and job not in self._known]
        if strays:
            _say(f"cancelling {', '.join(strays)}: submitted earlier, and not for these results")
            self.cluster.cancel(strays)
            self._known |= set(strays)

    def _cancel_all(self) -> None:
        # Those too whose submission was interrupted before their ids were known.
        found = [job for job, (state, _) in (self.cluster.states() or {}).items() if _is_active(state)]
        jobs = sorted({task.job for task in self._open if task.job} | set(found))
        self.cluster.cancel(jobs)
        _remove(self._folder / "jobs.json")
        raise TrainingError(
            f"{self.runs.method}: interrupted; cancelled {', '.join(jobs) or 'nothing'}. Checkpoints and finished "
            f"seeds are kept in {self._folder}; run again to go on"
        )

    def _record(self) -> None:
        jobs = {str(task.seed): {"job": task.job, "fingerprint": task.fingerprint} for task in self._open if task.job}
        write_text(json.dumps({"jobs": jobs}, indent=1), self._folder / "jobs.json")

    def _collect(self) -> None:
        for task, model, history in zip(self._tasks, self.runs.models, self.runs.histories, strict=True):
            for source, target in ((task.result.model, model), (task.result.history, history)):
                with atomic_path(target) as temporary:
                    shutil.copyfile(source, temporary)
        _remove(*(self._folder / "jobs").glob("*.pkl"))

    def _names(self, tasks: Sequence[_Task]) -> str:
        return ", ".join(f"seed {task.seed}{f' (job {task.job})' if task.job else ''}" for task in tasks)

    def _title(self, task: _Task) -> str:
        return f"{self.runs.method}, {self._names([task])}"

    def _summary(self) -> str:
        """The open tasks by their states, with the epochs that they have reached."""
        groups: dict[str, list[str]] = {}
        for task in self._open:
            reason = f" ({task.reason})" if task.reason not in ("", "None") else ""
            epoch = _epoch(self.cluster.log(task.job)) if task.job else ""
            groups.setdefault(f"{task.state or 'UNKNOWN'}{reason}", []).append(self._names([task]) + epoch)
        trained = sum(task.finished for task in self._tasks)
        return "; ".join(
            [
                f"{trained} of {len(self._tasks)} trained",
                *(f"{state}: {', '.join(who)}" for state, who in groups.items()),
            ]
        )

    def _say_once(self, text: str) -> None:
        if text != self._said:
            _say(text)
        self._said = text


def _interval(elapsed: float, part: float, lowest: float, highest: float) -> float:
    """A pause that grows with the time already waited."""
    return min(max(elapsed / part, lowest), highest)


def _is_active(state: str) -> bool:
    return state != "" and state not in _FINAL


@contextmanager
def _alone(folder: Path, interruptions: Interruptions) -> Iterator[None]:
    """Be the only launcher of these runs; wait for another one to end.

    Raises:
        TrainingError: it is not to wait any longer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "launch.lock").open("a") as lock:
        said = False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not said:
                    _say(f"{folder}: another process launches these runs; waiting for it to end")
                said = True
            try:
                interruptions.pause(1)
            except (Interrupted, LeftAlone):
                raise TrainingError(
                    f"{folder}: ended while another process launches these runs; nothing was submitted"
                ) from None
        yield


def _read_record(folder: Path) -> dict[str, dict[str, str]]:
    try:
        found: dict[str, dict[str, str]] = json.loads((folder / "jobs.json").read_text(encoding="utf-8"))["jobs"]
    except (OSError, ValueError, KeyError):
        return {}
    return found


def _remove(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _end_of(log: Path, size: int = 8000) -> str:
    with suppress(OSError), log.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(file.tell() - size, 0))
        return file.read().decode(errors="replace")
    return ""


def _epoch(log: Path) -> str:
    found = re.findall(r"epoch (\d+/\d+)", _end_of(log))
    return f" epoch {found[-1]}" if found else ""


def _tail(log: Path, lines: int = 15) -> str:
    """The last lines of `log`, of a progress bar only what it shows at last."""
    last = [line.rpartition("\r")[2] for line in _end_of(log).split("\n")]
    text = "\n".join(line for line in last if line.strip())
    return "\n" + "\n".join(text.splitlines()[-lines:]) if text else ""


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)

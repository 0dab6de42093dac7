"""A throwaway SLURM cluster on this machine: one node, two pretended GPUs, accounting, preemption.

    python tests/slurm/cluster.py up        start one and print how to reach it
    python tests/slurm/cluster.py status
    python tests/slurm/cluster.py down      end it, and whatever a killed test run left behind

or `with cluster() as slurm:` in Python. All of it lies in one private directory in /tmp: configuration, keys,
database, spool, logs. It listens on free ports of 127.0.0.1 and on its own sockets, so that it does not meet
another SLURM, MUNGE or MariaDB. It ends only what it started: the processes in its `cluster.json`, and the
steps of its jobs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import configuration
from machine import (
    ClusterError,
    Process,
    UnavailableError,
    descendants,
    execute,
    free_ports,
    install,
    processes,
    tail,
    wait_until,
)

ACCOUNT = "test"
PARENT = Path("/tmp")  # short: the path of a Unix socket has at most 107 characters
PREFIX = "opnorm-slurm-"
MARK = "OPNORM_SLURM_DIRECTORY"  # in the environment of the daemons, and so of the step daemons slurmd starts
NO_ARRAY = 0xFFFFFFFE  # what %a is in the output of a job that is no array


@dataclass
class Cluster:
    """A cluster that `up` made. `find` gives those of this machine."""

    directory: Path
    node: str
    ports: dict[str, int]
    owner: Process | None  # without it nobody needs the cluster; None: it stays until `down`
    daemons: dict[str, Process] = field(default_factory=dict)
    _children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict, repr=False)

    def environment(self) -> dict[str, str]:
        """What a process needs to talk to this cluster.

        SLURM's clients come first in PATH as scripts that set SLURM_CONF again: Snakemake's executor removes
        every SLURM_* before it calls srun in a job. They also note each call, for `calls`.
        """
        path = f"{self.directory / 'bin'}:{os.environ['PATH']}"
        return {"SLURM_CONF": str(self.directory / "slurm.conf"), "PATH": path}

    def log(self, daemon: str) -> Path:
        return self.directory / "log" / f"{daemon}.log"

    def start(self, daemon: str) -> None:
        """Start munged, mariadbd, slurmdbd, slurmctld or slurmd and wait until it answers."""
        if daemon in self.daemons and self.daemons[daemon].is_alive():
            return
        with self.log(daemon).open("ab") as log:
            process = subprocess.Popen(
                self._command(daemon),
                env=self._daemon_environment(),
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._children[daemon] = process
        self.daemons[daemon] = Process.of(process.pid)
        self.save()
        self._wait_for_answer(daemon, process)

    def _wait_for_answer(self, daemon: str, process: subprocess.Popen[bytes], seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while process.poll() is None:
            try:
                return self._ask(daemon)
            except ClusterError as error:
                if time.monotonic() > deadline:
                    problem = f"{daemon} gave no answer in {seconds:g} s: {error}{tail(self.log(daemon))}"
                    raise ClusterError(problem) from None
            time.sleep(0.1)
        raise ClusterError(f"{daemon} ended with status {process.returncode}{tail(self.log(daemon))}")

    def _ask(self, daemon: str) -> None:
        """Return if a daemon answers, else raise ClusterError."""
        here = self.directory
        questions = {
            "munged": ["munge", "--no-input", f"--socket={here}/munge.socket"],
            "mariadbd": ["mariadb-admin", "--no-defaults", f"--socket={here}/database.socket", "ping"],
            "slurmdbd": ["sacctmgr", "--noheader", "list", "cluster"],
            "slurmctld": ["scontrol", "ping"],
        }
        if daemon in questions:
            self.run(*questions[daemon])
        elif self.node_state() not in {"idle", "mixed", "allocated", "drained", "draining"}:
            raise ClusterError(f"the node is {self.node_state()}")

    def _command(self, daemon: str) -> list[str]:
        here = self.directory
        munged = ["munged", "--foreground", f"--socket={here}/munge.socket", f"--key-file={here}/munge.key"]
        munged += [f"--pid-file={here}/munged.pid", f"--seed-file={here}/munge.seed"]
        munged += [f"--log-file={here}/log/munged"]
        mariadbd = ["mariadbd", "--no-defaults", "--user=root", "--skip-networking"]
        # A database that starts clears its folder of temporary tables, those of others included.
        mariadbd += [f"--datadir={here}/database", f"--socket={here}/database.socket", f"--tmpdir={here}/temporary"]
        mariadbd += [f"--pid-file={here}/mariadbd.pid", "--innodb-flush-log-at-trx-commit=0"]
        return {
            "munged": munged,
            "mariadbd": mariadbd,
            "slurmdbd": ["slurmdbd", "-D"],
            "slurmctld": ["slurmctld", "-D"],
            "slurmd": ["slurmd", "-D", "-N", self.node],
        }[daemon]

    def _daemon_environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH"))}
        return kept | {
            "SLURM_CONF": str(self.directory / "slurm.conf"),
            "MYSQL_UNIX_PORT": str(self.directory / "database.socket"),
            MARK: str(self.directory),
        }

    def stop(self, daemon: str, seconds: float = 15) -> None:
        """End one daemon and wait until it is gone; `start` starts it again."""
        if daemon in self.daemons:
            self.daemons.pop(daemon).end(seconds)
            self.save()
        if daemon in self._children:
            self._children.pop(daemon).wait(timeout=10)

    def lose_node(self) -> None:
        """What a power cut does: slurmd and the jobs' processes are gone. `start("slurmd")` gives power again."""
        self.stop("slurmd", seconds=0)
        self._kill_steps()

    def clear(self, seconds: float = 120) -> None:
        """Cancel all jobs, wait until nothing of them is left, and let the node take jobs again."""
        for daemon in ("slurmdbd", "slurmctld", "slurmd"):
            self.start(daemon)
        self.run("scancel", "--user=root")
        wait_until(lambda: not self.run("squeue", "--noheader"), "the queue to be empty", seconds=seconds)
        if self.node_state() != "idle":
            self.resume()
            wait_until(lambda: self.node_state() == "idle", "the node to be idle", seconds=seconds)

    def down(self) -> None:
        """End the daemons and the jobs' processes, and remove the directory."""
        # The controller first, so that no job starts or is requeued; the node before its steps, for the same.
        for daemon in ("slurmctld", "slurmd"):
            self.stop(daemon, seconds=5)
        self._kill_steps()
        for daemon in ("slurmdbd", "mariadbd", "munged"):
            self.stop(daemon)
        shutil.rmtree(self.directory)

    def _kill_steps(self) -> None:
        """SIGKILL the step daemons and everything below them."""
        mark = f"{MARK}={self.directory}".encode()
        recorded = {process.pid for process in self.daemons.values()}
        marked = set()
        for pid in processes().keys() - recorded:
            with contextlib.suppress(OSError):
                if mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                    marked.add(pid)
        steps = descendants(marked)
        for step in steps:
            step.signal(signal.SIGKILL)
        wait_until(lambda: not any(step.is_alive() for step in steps), "the jobs' processes", seconds=10)

    def save(self) -> None:
        state = {"directory": str(self.directory), "node": self.node, "ports": self.ports}
        state["owner"] = self.owner and asdict(self.owner)
        state["daemons"] = {name: asdict(process) for name, process in self.daemons.items()}
        temporary = self.directory / "cluster.json.tmp"
        temporary.write_text(json.dumps(state, indent=1))
        temporary.replace(self.directory / "cluster.json")

    @classmethod
    def load(cls, directory: Path) -> Cluster:
        state = json.loads((directory / "cluster.json").read_text())
        state["owner"] = Process(**state["owner"]) if state["owner"] else None
        state["daemons"] = {name: Process(**process) for name, process in state["daemons"].items()}
        return cls(**state | {"directory": directory})

    def run(self, *command: str, seconds: float = 60) -> str:
        """Standard output of a command that talks to this cluster; its words as ClusterError if it fails."""
        return execute(command, environment=os.environ | self.environment(), seconds=seconds)

    def submit(self, script: str, **options: object) -> str:
        """Submit a shell script with sbatch's long options; the job's id. What it writes: `output_of`.

        `submit("sleep 9", partition="low", gres="gpu:1", time=1, array="0-3")`
        """
        options = {"output": f"{self.directory}/output/%A_%a.log", "open_mode": "append"} | options
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        return self.run("sbatch", "--parsable", *flags, f"--wrap={script}").strip()

    def output_of(self, job: str) -> str:
        """What a job of `submit` wrote, its runs after each other."""
        path = self.directory / "output" / f"{job if '_' in job else f'{job}_{NO_ARRAY}'}.log"
        return path.read_text() if path.exists() else ""

    def squeue(self, *arguments: str) -> list[dict[str, str]]:
        """The jobs that the controller remembers, ended ones included, one entry per array task."""
        keys = {"job": "%i", "partition": "%P", "name": "%j", "state": "%T", "reason": "%r"}
        command = ["squeue", "--all", "--array", "--states=all", "--noheader"]
        output = self.run(*command, f"--format={'|'.join(keys.values())}", *arguments)
        return [dict(zip(keys, line.split("|"), strict=True)) for line in output.splitlines()]

    def sacct(self, job: str, *arguments: str, fields: str = "JobID,State,ExitCode") -> list[dict[str, str]]:
        """What accounting says of a job and its steps; with `--duplicates`, of each of its runs."""
        output = self.run("sacct", "--parsable2", f"--format={fields}", f"--jobs={job}", *arguments)
        names, *lines = output.splitlines()
        return [dict(zip(names.split("|"), line.split("|"), strict=True)) for line in lines]

    def state(self, job: str) -> str:
        """A job's state in one word: the controller's, or accounting's when that has forgotten the job."""
        for entry in self.squeue():
            if entry["job"] == job:
                return entry["state"]
        records = self.sacct(job, "--allocations")
        return records[0]["State"].split()[0] if records else "UNKNOWN"

    def wait_for(self, job: str, *states: str, seconds: float = 120) -> str:
        """Wait until a job is in one of `states`; that state."""
        deadline = time.monotonic() + seconds
        while (state := self.state(job)) not in states:
            if time.monotonic() > deadline:
                wanted = " or ".join(states)
                problem = f"waited {seconds:g} s for job {job} to be {wanted}, and it is {state}"
                raise ClusterError(problem + tail(self.log("slurmctld")))
            time.sleep(0.2)
        return state

    def cancel(self, *jobs: str) -> None:
        self.run("scancel", *jobs)

    def kill_step(self, job: str, step: str = "batch") -> None:
        """SIGKILL the processes of a running job's step (`batch`, `0`, ...) behind the scheduler's back."""
        # An array's task has a number of its own, and only that is known here.
        number = self.run("squeue", "--noheader", f"--jobs={job}", "--format=%A").strip()
        table = [line.split() for line in self.run("scontrol", "listpids", number).splitlines()[1:]]
        pids = [int(pid) for pid, _, of_step, *_ in table if of_step == step and pid.isdigit()]
        if not pids:
            raise ClusterError(f"job {job} has no processes in a step {step}")
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def end_in(self, job: str, seconds: int) -> None:
        """Move a running job's time limit to `seconds` from now; sbatch counts in minutes."""
        end = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(time.time() + seconds))
        self.run("scontrol", "update", f"JobId={job}", f"EndTime={end}")

    def node_state(self) -> str:
        return self.run("sinfo", "--noheader", f"--nodes={self.node}", "--format=%T").split()[0]

    def drain(self, reason: str = "test") -> None:
        """Let no job start any more; those that run go on."""
        self.run("scontrol", "update", f"NodeName={self.node}", "State=DRAIN", f"Reason={reason}")

    def resume(self) -> None:
        self.run("scontrol", "update", f"NodeName={self.node}", "State=RESUME")

    def calls(self, client: str) -> list[tuple[float, str]]:
        """(time, command line) of each call of one of SLURM's clients from within `environment`."""
        path = self.directory / "calls.log"
        lines = path.read_text().splitlines() if path.exists() else []
        entries = [line.split(" ", 1) for line in lines]
        return [(float(when.replace(",", ".")), command) for when, command in entries if command.split()[0] == client]


def up(
    *,
    grace_seconds: int = 0,
    user_signal: bool = False,
    min_job_age: int = 300,
    stay: bool = False,
) -> Cluster:
    """Start a cluster, after ending those whose owner is gone.

    `grace_seconds` lie between a preempted job's SIGTERM and its end. With `user_signal` it gets the signal
    of sbatch's `--signal` first. The controller forgets a job `min_job_age` seconds after its end. With `stay`
    the cluster outlives this process.
    """
    install()
    end_abandoned()
    directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=PARENT))
    directory.chmod(0o755)  # everybody has to reach munged's socket; what is secret is private itself
    ports = dict(zip(("slurmctld", "slurmd", "slurmdbd"), free_ports(3), strict=True))
    node = socket.gethostname().split(".")[0]
    made = Cluster(directory, node, ports, owner=None if stay else Process.of(os.getpid()))
    made.save()
    try:
        configuration.write(
            directory,
            node=node,
            ports=ports,
            grace_seconds=grace_seconds,
            user_signal=user_signal,
            min_job_age=min_job_age,
        )
        _create_database(made)
        _start_all(made)
    except BaseException:
        made.down()
        raise
    return made


def _create_database(made: Cluster) -> None:
    temporary = made.directory / "temporary"
    temporary.mkdir()
    # Who may enter is whom the socket says: root, without a password.
    options = ["--no-defaults", "--user=root", f"--datadir={made.directory}/database", f"--tmpdir={temporary}"]
    options += ["--skip-test-db"]
    options += ["--auth-root-authentication-method=socket", "--auth-root-socket-user=root"]
    made.run("mariadb-install-db", *options, seconds=120)


def _start_all(made: Cluster) -> None:
    for daemon in ("munged", "mariadbd", "slurmdbd"):
        made.start(daemon)
    add = ["sacctmgr", "--immediate", "add"]
    made.run(*add, "cluster", "opnorm")  # before the controller starts, or that fails
    made.run(*add, "account", ACCOUNT, "Description=test", "Organization=test")
    made.run(*add, "user", "root", f"Account={ACCOUNT}", f"DefaultAccount={ACCOUNT}")
    for daemon in ("slurmctld", "slurmd"):
        made.start(daemon)


def find() -> list[Cluster]:
    """The clusters of this machine, those of killed test runs included."""
    states = [path for path in PARENT.glob(f"{PREFIX}*/cluster.json") if path.stat().st_uid == os.geteuid()]
    return [Cluster.load(path.parent) for path in states]


def end_abandoned() -> list[Cluster]:
    """End the clusters whose owner is gone, a killed test run for example; those clusters."""
    abandoned = [it for it in find() if it.owner and not it.owner.is_alive()]
    for it in abandoned:
        it.down()
    return abandoned


@contextlib.contextmanager
def cluster(*, grace_seconds: int = 0, user_signal: bool = False, min_job_age: int = 300) -> Iterator[Cluster]:
    """A cluster, as `up` makes it, for the time of the `with`; meanwhile os.environ leads to it."""
    made = up(grace_seconds=grace_seconds, user_signal=user_signal, min_job_age=min_job_age)
    before = dict(os.environ)
    os.environ.update(made.environment())
    try:
        yield made
    finally:
        os.environ.clear()
        os.environ.update(before)
        made.down()


def _up() -> int:
    started = time.monotonic()
    made = up(stay=True)
    print(f"# up after {time.monotonic() - started:.1f} s; to talk to it:")
    for name, value in made.environment().items():
        print(f"export {name}='{value}'")
    return 0


def _down() -> int:
    for made in find():
        if made.owner and made.owner.is_alive():
            print(f"left {made.directory} to process {made.owner.pid}, which uses it")
        else:
            made.down()
            print(f"ended {made.directory}")
    return 0


def _status() -> int:
    """One line per cluster; 0 if there is one."""
    clusters = find()
    for made in clusters:
        daemons = [f"{name} {'runs' if it.is_alive() else 'is gone'}" for name, it in made.daemons.items()]
        print(f"{made.directory}: {', '.join(daemons) or 'no daemons'}")
    if not clusters:
        print("there is none")
    return 0 if clusters else 3


def main() -> int:
    commands = {"up": _up, "down": _down, "status": _status}
    parser = argparse.ArgumentParser(description="A throwaway SLURM cluster on this machine.")
    parser.add_argument("command", choices=commands)
    try:
        return commands[parser.parse_args().command]()
    except UnavailableError as error:
        print(error, file=sys.stderr)
        return 77
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())

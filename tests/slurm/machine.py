"""This machine, for the test cluster: Debian's packages, free ports, processes ended within a time limit."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("slurm-wlm", "slurm-client", "slurmdbd", "slurm-wlm-mysql-plugin", "mariadb-server", "munge")
POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_TEXT = "#!/bin/sh\n# no service starts while the test cluster's packages are installed\nexit 101\n"


class ClusterError(RuntimeError):
    """The cluster did not do what it should in the time it had."""


class UnavailableError(ClusterError):
    """There can be no test cluster on this machine."""


def unavailable() -> str | None:
    """Why this machine cannot have a test cluster; None if it can."""
    if not Path("/etc/debian_version").exists() or shutil.which("apt-get") is None:
        return "the SLURM test cluster is made of Debian's packages, and this is not Debian"
    if os.geteuid() != 0:
        return "the SLURM test cluster needs root"
    return None


def install(seconds: float = 900) -> None:
    """Install the packages that are missing, starting none of their services."""
    if reason := unavailable():
        raise UnavailableError(reason)
    # Two test processes may want a cluster at once.
    with Path("/tmp/opnorm-slurm-install.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _install_missing(seconds)


def _install_missing(seconds: float) -> None:
    missing = [package for package in PACKAGES if not _is_installed(package)]
    if not missing:
        return
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    settings = ("DPkg::Lock::Timeout=120", "Acquire::Retries=3", "Dpkg::Options::=--force-confold")
    apt = ["apt-get", "-y", "-q", *(f"--option={setting}" for setting in settings)]
    with _no_services():
        execute([*apt, "update"], environment=environment, seconds=seconds)
        command = [*apt, "--no-install-recommends", "install", *missing]
        execute(command, environment=environment, seconds=seconds)


def _is_installed(package: str) -> bool:
    query = ["dpkg-query", "-W", "-f", "${db:Status-Status}", package]
    return subprocess.run(query, capture_output=True, text=True, check=False).stdout == "installed"


@contextlib.contextmanager
def _no_services() -> Iterator[None]:
    if not POLICY.exists():
        POLICY.write_text(POLICY_TEXT)
        POLICY.chmod(0o755)
    try:
        yield
    finally:
        if POLICY.read_text() == POLICY_TEXT:
            POLICY.unlink()


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, below those that outgoing connections take."""
    ports: list[int] = []
    for port in random.sample(range(20000, 32000), 500):
        with socket.socket() as candidate, contextlib.suppress(OSError):
            candidate.bind(("127.0.0.1", port))
            ports.append(port)
        if len(ports) == count:
            return ports
    raise ClusterError(f"no {count} free ports between 20000 and 32000")


def execute(command: Sequence[str], *, environment: Mapping[str, str], seconds: float) -> str:
    """Standard output of a command that has to succeed in time; a late one is killed with its children."""
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=seconds)
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=10)
        if isinstance(error, subprocess.TimeoutExpired):
            raise ClusterError(f"`{shlex.join(command)}` took more than {seconds:g} s") from None
        raise
    if process.returncode != 0:
        said = (errors.strip() or output.strip())[-3000:]
        raise ClusterError(f"`{shlex.join(command)}` failed with status {process.returncode}:\n{said}")
    return output


def wait_until(
    condition: Callable[[], object],
    what: str,
    *,
    seconds: float = 120,  # ample, for a busy machine: who waits in vain fails anyway
    log: Path | None = None,
    interval: float = 0.05,
) -> None:
    """Wait for `condition`; after `seconds` raise ClusterError with the last lines of `log`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise ClusterError(f"waited {seconds:g} s for {what}{tail(log) if log else ''}")
        time.sleep(interval)


def tail(log: Path, lines: int = 25) -> str:
    """The last lines of a log, as the end of an error message."""
    if not log.exists():
        return f"\n{log} does not exist"
    return "\n".join([f"\nThe last lines of {log}:", *log.read_text(errors="replace").splitlines()[-lines:]])


@dataclass(frozen=True)
class Process:
    """A process, told from a later one with the same number by when it started."""

    pid: int
    started: int  # clock ticks since boot

    @classmethod
    def of(cls, pid: int) -> Process:
        return cls(pid, int(_stat(pid)[19]))

    def is_alive(self) -> bool:
        """Whether it runs; a zombie does not."""
        try:
            fields = _stat(self.pid)
        except (FileNotFoundError, ProcessLookupError):
            return False
        return int(fields[19]) == self.started and fields[0] not in "ZX"

    def signal(self, number: int) -> None:
        if self.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def end(self, seconds: float) -> None:
        """SIGTERM, after `seconds` SIGKILL; returns when the process is gone."""
        self.signal(signal.SIGTERM)
        try:
            wait_until(lambda: not self.is_alive(), f"process {self.pid} to end", seconds=seconds)
        except ClusterError:
            self.signal(signal.SIGKILL)
            wait_until(lambda: not self.is_alive(), f"process {self.pid} to end on SIGKILL", seconds=10)


def descendants(roots: set[int]) -> list[Process]:
    """The processes of `roots` and all below them, parents first."""
    parents, found = processes(), sorted(roots)
    for pid in found:
        found += sorted(child for child, parent in parents.items() if parent == pid and child not in roots)
    living = []
    for pid in found:
        with contextlib.suppress(OSError):
            living.append(Process.of(pid))
    return living


def processes() -> dict[int, int]:
    """Every process's number and its parent's."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(entry.name)] = int(_stat(int(entry.name))[1])
    return parents


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the name: [0] state, [1] parent, [19] start time."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()

"""The test cluster does what the tests of the launcher rely on."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cluster import ACCOUNT, Cluster, end_abandoned, find
from machine import ClusterError, Process, wait_until

pytestmark = pytest.mark.slurm


def recorded(slurm: Cluster, job: str) -> list[str]:
    """The states in which accounting has a job's runs, the first run first."""
    return [run["State"] for run in slurm.sacct(job, "--allocations", "--duplicates")]


def test_a_job_runs_and_accounting_sees_it(slurm: Cluster) -> None:
    job = slurm.submit("echo hello from job $SLURM_JOB_ID")
    slurm.wait_for(job, "COMPLETED")
    assert slurm.output_of(job) == f"hello from job {job}\n"
    wait_until(lambda: recorded(slurm, job) == ["COMPLETED"], "accounting")
    assert slurm.sacct(job, "--allocations", fields="Account,ExitCode") == [{"Account": ACCOUNT, "ExitCode": "0:0"}]


def test_at_most_two_jobs_have_a_gpu_and_never_the_same(slurm: Cluster) -> None:
    script = "echo $CUDA_VISIBLE_DEVICES $(date +%s.%N); sleep 1.5; date +%s.%N"
    array = slurm.submit(script, array="0-4", gres="gpu:1")
    tasks = [f"{array}_{index}" for index in range(5)]
    for task in tasks:
        slurm.wait_for(task, "COMPLETED")
    spans = []
    for task in tasks:
        device, start, end = slurm.output_of(task).split()
        spans.append((int(device), float(start), float(end)))
    assert {device for device, _, _ in spans} == {0, 1}
    for (device, start, end), (other, other_start, other_end) in itertools.combinations(spans, 2):
        assert device != other or end <= other_start or other_end <= start


def test_a_higher_partition_preempts_and_the_job_is_requeued(slurm: Cluster) -> None:
    low = slurm.submit("echo run ${SLURM_RESTART_COUNT:-0}; sleep 600", partition="low", gres="gpu:2")
    wait_until(lambda: slurm.output_of(low) == "run 0\n", "the first run")
    high = slurm.submit("sleep 1", partition="high", gres="gpu:1")
    slurm.wait_for(low, "PENDING")
    slurm.wait_for(high, "COMPLETED")
    wait_until(lambda: "run 1\n" in slurm.output_of(low), "the second run")
    wait_until(lambda: recorded(slurm, low) == ["PREEMPTED", "RUNNING"], "accounting")
    assert slurm.state(low) == "RUNNING"


def test_a_time_limit_signals_first_and_kills_later(slurm: Cluster) -> None:
    script = "trap 'echo signalled' USR1; trap '' TERM; echo ready; while true; do sleep 0.2; done"
    job = slurm.submit(script, time=1, signal="B:USR1@50")
    wait_until(lambda: "signalled" in slurm.output_of(job), "the signal")
    assert slurm.state(job) == "RUNNING"
    slurm.end_in(job, 1)
    slurm.wait_for(job, "TIMEOUT")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"account": "nobody"}, "Invalid account"),
        ({"partition": "nowhere"}, "invalid partition"),
        ({"time": 120}, "time limit is invalid"),
    ],
)
def test_a_refused_job_is_refused_at_once(slurm: Cluster, options: dict[str, object], words: str) -> None:
    with pytest.raises(ClusterError, match=words):
        slurm.submit("true", **options)


def test_accounting_away_and_back_again(slurm: Cluster) -> None:
    slurm.stop("slurmdbd")
    job = slurm.submit("sleep 1")
    slurm.wait_for(job, "COMPLETED")
    with pytest.raises(ClusterError, match="Problem talking to the database"):
        slurm.sacct(job)
    slurm.start("slurmdbd")
    wait_until(lambda: recorded(slurm, job) == ["COMPLETED"], "accounting")


def test_a_killed_step_fails_its_job(slurm: Cluster) -> None:
    job = slurm.submit("srun sleep 600; exit $?")
    wait_until(lambda: any(it["JobID"] == f"{job}.0" for it in slurm.sacct(job)), "the step")
    slurm.kill_step(job, "0")
    slurm.wait_for(job, "FAILED")
    assert {"JobID": f"{job}.0", "State": "CANCELLED", "ExitCode": "0:9"} in slurm.sacct(job)


def test_a_lost_node_requeues_its_jobs(slurm: Cluster) -> None:
    job = slurm.submit("echo run ${SLURM_RESTART_COUNT:-0}; sleep 600")
    wait_until(lambda: slurm.output_of(job), "the first run")
    slurm.lose_node()
    slurm.wait_for(job, "PENDING")
    slurm.start("slurmd")
    wait_until(lambda: "run 1\n" in slurm.output_of(job), "the second run")
    assert slurm.state(job) == "RUNNING"


def test_a_drained_node_takes_no_job_until_it_is_resumed(slurm: Cluster) -> None:
    slurm.drain()
    job = slurm.submit("true")
    time.sleep(3)
    assert slurm.state(job) == "PENDING"
    slurm.resume()
    slurm.wait_for(job, "COMPLETED")


def test_calls_of_the_clients_are_noted(slurm: Cluster) -> None:
    before = len(slurm.calls("squeue"))
    subprocess.run(["squeue", "--noheader"], check=True)
    assert [command for _, command in slurm.calls("squeue")[before:]] == ["squeue '--noheader'"]


def test_what_a_killed_run_leaves_is_ended_and_nothing_else(slurm: Cluster) -> None:
    program = "import cluster, time; c = cluster.up(); c.submit('sleep 600'); print('up', flush=True); time.sleep(600)"
    killed = subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parent, stdout=subprocess.PIPE)
    assert killed.stdout
    with contextlib.closing(killed.stdout):
        assert killed.stdout.readline() == b"up\n"
    owner = Process.of(killed.pid)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    (left,) = [it for it in find() if it.owner == owner]
    daemons = list(left.daemons.values())
    assert len(daemons) == 5
    assert all(daemon.is_alive() for daemon in daemons)
    assert [it.directory for it in end_abandoned()] == [left.directory]
    assert not any(daemon.is_alive() for daemon in daemons)
    assert not left.directory.exists()
    assert slurm.node_state() == "idle"
    assert os.environ["SLURM_CONF"] == str(slurm.directory / "slurm.conf")

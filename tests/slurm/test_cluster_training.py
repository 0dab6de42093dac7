"""Trainings on the cluster survive what clusters do, and end in the weights of an uninterrupted one."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from cluster import Cluster
from machine import wait_until
from project import Project, is_empty

pytestmark = pytest.mark.slurm


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = Project(tmp_path_factory.mktemp("project"))
    made.uninterrupted(seeds=10)
    return made


def launcher_of(snakemake: int) -> int:
    """The process that waits for the jobs of the training rule."""
    found = subprocess.run(
        ["pgrep", "--parent", str(snakemake), "--full", r"\.train\.py"], capture_output=True, text=True, check=False
    )
    return int(found.stdout.split()[0])


def memory_mb(pid: int) -> float:
    """The most that a process has had in memory."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", text).group(1)) / 1024


def test_preempted_killed_and_without_accounting(slurm: Cluster, project: Project) -> None:
    with project.training("hard", 2, step_seconds=0.12) as run:
        run.wait_for_progress(0, 1)
        jobs = [run.job(0), run.job(1)]
        launcher = launcher_of(run.process.pid)
        assert "torch" not in Path(f"/proc/{launcher}/maps").read_text()
        high = slurm.submit("sleep 1", partition="high", gres="gpu:1")
        wait_until(lambda: "PENDING" in [slurm.state(job) for job in jobs], "preemption", seconds=20)
        slurm.stop("slurmdbd")
        slurm.wait_for(high, "COMPLETED", seconds=20)
        for job in jobs:
            slurm.wait_for(job, "RUNNING", seconds=30)
        run.wait_for_progress(0, 1)
        slurm.kill_step(jobs[0], "0")
        run.wait_until(lambda: "ended with FAILED; going on from step" in run.log, "the launcher's notice")
        run.wait_for_progress(0)
        assert run.job(0) != jobs[0]
        assert run.job(1) == jobs[1]
        assert memory_mb(launcher) < 60
        run.end()
    assert re.search(r"RUNNING: seed 0 \(job \d+_0\) epoch \d+/20", run.log)
    slurm.start("slurmdbd")


def test_a_lost_node(slurm: Cluster, project: Project) -> None:
    with project.training("lost", 1, step_seconds=0.1) as run:
        run.wait_for_progress(0)
        job = run.job(0)
        slurm.lose_node()
        slurm.wait_for(job, "PENDING", seconds=60)
        slurm.start("slurmd")
        run.end()
    assert (
        run.job(0) if run._jobs() else "resumed after step" in (run.checkpoints / f"jobs/{job}_0_log.out").read_text()
    )


def test_the_time_limit_twice(slurm: Cluster, project: Project) -> None:
    more = ["--set-resources", "train:runtime=1", "train:checkpoint_seconds=600"]
    with project.training("limited", 1, *more, step_seconds=0.4) as run:
        job = run.job(0)
        log = run.checkpoints / f"jobs/{job}_0_log.out"
        run.end(seconds=300)
    text = log.read_text()
    assert text.count("Requeued job") >= 2
    steps = [int(step) for step in re.findall(r"resumed after step (\d+) of 240", text)]
    assert len(steps) >= 2
    assert steps == sorted(set(steps))


def test_cancelled_by_hand_and_run_again(slurm: Cluster, project: Project) -> None:
    with project.training("cancelled", 2) as run:
        run.wait_for_progress(0, 1)
        job, other = run.job(0), run.job(1)
        slurm.cancel(job)
        run.end(status=1)
        kept = run.step(0)
        log = run.log
    assert f"slow, seed 0 (job {job}) was cancelled; its checkpoint is kept: run again to go on" in log
    assert f"Its log: results/cancelled/checkpoints/slow/jobs/{job}_0_log.out" in log
    assert f"slow, seed 1 (job {other}): trained" in log
    assert "Traceback" not in log
    with project.training("cancelled", 2) as run:
        again = run.job(0)
        run.end()
    assert "submitted seed 0" in run.log
    assert "seed 1 (job" not in run.log
    text = (run.checkpoints / f"jobs/{again}_0_log.out").read_text()
    assert f"resumed after step {kept}" in text


def test_snakemake_killed_and_run_again(slurm: Cluster, project: Project) -> None:
    with project.training("orphan", 2) as run:
        run.wait_for_progress(0, 1)
        jobs = [run.job(0), run.job(1)]
        launcher = launcher_of(run.process.pid)
        run.process.kill()
        wait_until(lambda: not Path(f"/proc/{launcher}").exists(), "the launcher to leave", seconds=5)
    assert [slurm.state(job) for job in jobs] == ["RUNNING", "RUNNING"]
    assert "Snakemake is gone; left to themselves: seed 0" in run.log
    before = len(slurm.calls("sbatch"))
    with project.training("orphan", 2) as run:
        run.wait_until(lambda: "submitted earlier, waiting for seed 0" in run.log, "the jobs found again")
        run.end()
    assert len(slurm.calls("sbatch")) == before
    assert f"seed 1 (job {jobs[1]}): trained" in run.log


def test_a_result_that_nobody_waited_for_is_picked_up(slurm: Cluster, project: Project) -> None:
    with project.training("unwatched", 1, step_seconds=0.02) as run:
        run.wait_for_progress(0)
        os.killpg(run.process.pid, signal.SIGKILL)
    wait_until(lambda: is_empty(slurm), "the job to end", seconds=60)
    before = len(slurm.calls("sbatch"))
    with project.training("unwatched", 1) as run:
        run.end()
    assert len(slurm.calls("sbatch")) == before


@pytest.mark.parametrize("how", ["ctrl-c", "terminate snakemake alone"])
def test_interrupted_it_cancels_its_jobs_and_keeps_checkpoints(how: str, slurm: Cluster, project: Project) -> None:
    with project.training("interrupted", 2) as run:
        run.wait_for_progress(0, 1)
        if how == "ctrl-c":
            os.killpg(run.process.pid, signal.SIGINT)
        else:
            run.process.terminate()
        assert run.process.wait(20) != 0
        wait_until(lambda: is_empty(slurm), "the jobs to be cancelled", seconds=15)
        assert "slow: interrupted; cancelled" in run.log
        kept = run.step(0)
        assert kept > 0
    with project.training("interrupted", 2, step_seconds=0.01) as run:
        job = run.job(0)
        run.end()
    assert f"resumed after step {kept}" in (run.checkpoints / f"jobs/{job}_0_log.out").read_text()
    shutil.rmtree(project.folder / "results/interrupted")


@pytest.mark.parametrize(
    ("resource", "words"),
    [
        ("slurm_account=nobody", "Invalid account"),
        ("slurm_partition=nowhere", "invalid partition"),
        ("runtime=120", "time limit is invalid"),
    ],
)
def test_refused_at_once_in_the_schedulers_words(resource: str, words: str, slurm: Cluster, project: Project) -> None:
    begun = time.monotonic()
    with project.training("refused", 2, "--set-resources", f"train:{resource}") as run:
        run.end(status=1, seconds=30)
    assert time.monotonic() - begun < 20
    assert "Error: slow, seed 0, seed 1: SLURM refuses the job" in run.log
    assert words.lower() in run.log.lower()
    assert resource.split("=")[1] in run.log
    assert "Traceback" not in run.log


def test_a_snakemake_that_runs_in_a_job_hands_nothing_down_but_where_slurm_is(slurm: Cluster, project: Project) -> None:
    inherited = {"SLURM_JOB_ID": "1", "SLURM_CPU_BIND": "quiet,mask_cpu:0x40000000", "SLURM_MEM_PER_CPU": "1"}
    # The cluster's own clients, which know of it by SLURM_CONF alone.
    inherited["PATH"] = os.environ["PATH"].replace(f"{slurm.directory}/bin:", "")
    with project.training("nested", 1, step_seconds=0.02, environment=inherited) as run:
        run.wait_for_progress(0)
        environment = Path(f"/proc/{launcher_of(run.process.pid)}/environ").read_bytes()
        names = {entry.partition(b"=")[0].decode() for entry in environment.split(b"\0")}
        assert {name for name in names if name.startswith("SLURM_")} == {"SLURM_CONF"}
        run.end()


def test_ten_at_once_on_two_gpus(slurm: Cluster, project: Project) -> None:
    running = []
    with project.training("ten", 10, step_seconds=0) as run:
        run.job(0)
        while run.process.poll() is None:
            running.append(sum(job["state"] == "RUNNING" for job in slurm.squeue()))
            time.sleep(0.3)
        run.end(seconds=1)
    assert max(running) == 2
    logs = [path.read_text() for path in (run.checkpoints / "jobs").glob("*_log.out")]
    assert len(logs) == 10
    assert {re.search(r"CUDA_VISIBLE_DEVICES=(\S+)", log).group(1) for log in logs} == {"0", "1"}


def test_a_failing_training_is_shown_and_the_others_are_kept(slurm: Cluster, project: Project) -> None:
    with project.training("failing", 2, step_seconds=0.02) as run:
        run.wait_for_progress(0, 1)
        job = run.job(0)
        (run.checkpoints / "0/result.safetensors").mkdir()
        run.end(status=1)
    assert (
        f"Error: slow, seed 0 (job {job}): results/failing/checkpoints/slow/0/result.safetensors: cannot be" in run.log
    )
    assert f"Its log: results/failing/checkpoints/slow/jobs/{job}_0_log.out" in run.log
    assert "Traceback" not in run.log
    assert re.search(r"seed 1 \(job \d+_1\): trained", run.log)
    assert (run.checkpoints / "1/result.json").exists()

"""Trainings on the cluster survive what clusters do, and end in the weights of an uninterrupted one."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from cluster import Cluster, cluster
from machine import wait_until
from project import Project, launcher_of, peak_memory_mb

pytestmark = pytest.mark.slurm


def test_preempted_killed_and_without_accounting(slurm: Cluster, project: Project) -> None:
    with project.training("hard", 2, step_seconds=0.12) as run:
        run.wait_for_progress(0, 1)
        jobs = [run.job(0), run.job(1)]
        launcher = launcher_of(run.process.pid)
        assert "torch" not in Path(f"/proc/{launcher}/maps").read_text()
        high = slurm.submit("sleep 1", partition="high", gres="gpu:1")
        wait_until(lambda: "PENDING" in [slurm.state(job) for job in jobs], "preemption")
        slurm.stop("slurmdbd")
        slurm.wait_for(high, "COMPLETED")
        for job in jobs:
            slurm.wait_for(job, "RUNNING")
        run.wait_for_progress(0, 1)
        kept = run.step(0)
        slurm.kill_step(jobs[0], "0")
        run.wait_until(lambda: "ended with FAILED; going on from step" in run.log, "the launcher's notice")
        run.wait_for_progress(0)
        assert run.job(0) != jobs[0]
        assert run.job(1) == jobs[1]
        assert run.resumed(run.job(0))[0] >= kept
        assert peak_memory_mb(launcher) < 60
        run.end()
    assert re.search(r"RUNNING: seed 0 \(job \d+_0\) epoch \d+/20", run.log)
    slurm.start("slurmdbd")


def test_a_lost_node(slurm: Cluster, project: Project) -> None:
    with project.training("lost", 1, step_seconds=0.1) as run:
        run.wait_for_progress(0)
        job = run.job(0)
        slurm.lose_node()
        slurm.wait_for(job, "PENDING")
        slurm.start("slurmd")
        run.end()
    assert run.resumed(job)


def test_the_time_limit_twice(slurm: Cluster, project: Project) -> None:
    more = ["--set-resources", "train:runtime=1", "train:checkpoint_seconds=600"]
    with project.training("limited", 1, *more, step_seconds=0.4) as run:
        job = run.job(0)
        run.end()
    assert run.log_of(job).count("Requeued job") >= 2
    steps = run.resumed(job)
    assert len(steps) >= 2
    assert steps == sorted(set(steps))


def test_preempted_where_that_cancels_after_a_grace_time(slurm: Cluster, project: Project) -> None:
    # No checkpoint but the one that the warning asks for.
    more = ["train:slurm_partition=cancel", "train:gres=gpu:1", "train:checkpoint_seconds=600"]
    with project.training("graceful", 1, "--set-resources", *more, step_seconds=0.1) as run:
        job = run.job(0)
        run.wait_until(lambda: "epoch 2/20" in run.log_of(job), "the second epoch")
        slurm.submit("sleep 1", partition="high", gres="gpu:2")
        run.wait_until(lambda: "going on from step" in run.log, "the launcher's notice")
        # The notice comes before the submission.
        run.wait_until(lambda: run.job(0) != job, "another job")
        again = run.job(0)
        run.end()
    assert run.resumed(again)[0] > 12


def test_preempted_where_a_signal_of_its_own_comes_first(project: Project) -> None:
    with cluster(grace_seconds=20, user_signal=True) as slurm:
        more = ["train:gres=gpu:1", "train:checkpoint_seconds=600"]
        with project.training("signalled", 1, "--set-resources", *more, step_seconds=0.1) as run:
            job = run.job(0)
            run.wait_until(lambda: "epoch 2/20" in run.log_of(job), "the second epoch")
            slurm.submit("sleep 1", partition="high", gres="gpu:2")
            run.end()
    assert "Requeued job" in run.log_of(job)
    assert run.resumed(job)[0] > 12


def test_ten_at_once_on_two_gpus(slurm: Cluster, project: Project) -> None:
    project.uninterrupted(seeds=10)
    running = []
    before = len(slurm.calls("sbatch"))
    with project.training("ten", 10, step_seconds=0) as run:
        run.job(0)
        assert len(slurm.calls("sbatch")) == before + 1
        jobs = run.checkpoints / "jobs"
        assert set(project.folder.rglob("*.pkl")) == set(jobs.glob("*.pkl"))
        assert "wckey" not in next(jobs.glob("*_submission.sh")).read_text()
        while run.process.poll() is None:
            running.append(sum(job["state"] == "RUNNING" for job in slurm.squeue()))
            time.sleep(0.3)
        run.end()
    assert max(running) == 2
    assert not list(jobs.glob("*.pkl"))
    logs = [path.read_text() for path in jobs.glob("*_log.out")]
    assert len(logs) == 10
    assert {re.search(r"CUDA_VISIBLE_DEVICES=(\S+)", log).group(1) for log in logs} == {"0", "1"}

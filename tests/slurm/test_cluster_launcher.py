"""Trainings on the cluster do what their user means: interrupted, cancelled, started twice, refused, failing."""

from __future__ import annotations

import os
import re
import shutil
import signal
from pathlib import Path

import pytest
from cluster import Cluster
from machine import wait_until
from project import Project, is_empty, launcher_of, model

pytestmark = pytest.mark.slurm


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
    assert run.resumed(again) == [kept]


@pytest.mark.parametrize("how", ["kill snakemake alone", "hang up"])
def test_snakemake_killed_and_run_again(how: str, slurm: Cluster, project: Project) -> None:
    (project.folder / "orphan.go").unlink(missing_ok=True)
    with project.training("orphan", 2, held=True) as run:
        run.wait_for_progress(0, 1)
        jobs = [run.job(0), run.job(1)]
        launcher = launcher_of(run.process.pid)
        if how == "hang up":
            os.killpg(run.process.pid, signal.SIGHUP)
        else:
            run.process.kill()
        wait_until(lambda: not Path(f"/proc/{launcher}").exists(), "the launcher to leave")
    assert [slurm.state(job) for job in jobs] == ["RUNNING", "RUNNING"]
    assert "Snakemake is gone; left to themselves: seed 0" in run.log
    before = len(slurm.calls("sbatch"))
    with project.training("orphan", 2) as run:
        run.wait_until(lambda: "submitted earlier, waiting for seed 0" in run.log, "the jobs found again")
        run.release()
        run.end()
    assert len(slurm.calls("sbatch")) == before, run.log
    assert f"seed 1 (job {jobs[1]}): trained" in run.log
    shutil.rmtree(project.folder / "results/orphan")


def test_two_snakemakes_train_a_run_once(slurm: Cluster, project: Project) -> None:
    with project.training("twice", 1, held=True) as first:
        first.wait_for_progress(0)
        refused = project.run("--config", "experiment=twice", "seeds=[0]", "--", model("twice", 0))
        assert refused.returncode == 1
        assert "lock" in refused.stdout + refused.stderr
        before = len(slurm.calls("sbatch"))
        with project.training("twice", 1, "--nolock") as second:
            second.wait_until(lambda: "another process launches these runs" in second.log, "the second to wait")
            first.release()
            first.end()
            second.end()
    assert len(slurm.calls("sbatch")) == before


def test_a_result_that_nobody_waited_for_is_picked_up(slurm: Cluster, project: Project) -> None:
    with project.training("unwatched", 1, step_seconds=0.02) as run:
        run.wait_for_progress(0)
        os.killpg(run.process.pid, signal.SIGKILL)
    wait_until(lambda: is_empty(slurm), "the job to end")
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
        assert run.process.wait(120) != 0
        wait_until(lambda: is_empty(slurm), "the jobs to be cancelled")
        assert "slow: interrupted; cancelled" in run.log
        kept = run.step(0)
        assert kept > 0
    with project.training("interrupted", 2, step_seconds=0.01) as run:
        job = run.job(0)
        run.end()
    assert run.resumed(job) == [kept]
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
    before = len(slurm.calls("sbatch"))
    with project.training("refused", 2, "--set-resources", f"train:{resource}") as run:
        run.end(status=1)
    assert len(slurm.calls("sbatch")) == before + 1
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


def test_a_failing_training_is_shown_and_the_others_are_kept(slurm: Cluster, project: Project) -> None:
    with project.training("failing", 2) as run:
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

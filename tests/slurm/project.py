"""A copy of the project, set up for the test cluster as a site would set it up."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from cluster import ACCOUNT, Cluster
from machine import descendants

from opnorm import weights

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BIN = Path(sys.executable).parent
SITE = {
    "slurm_account": ACCOUNT,
    "slurm_partition": "low",
    "mem_mb": 1500,
    "runtime": 20,
    "train": 1,
    "attack": 1,
    "analyze": 1,
    "checkpoint_seconds": 1,
    # The cluster's GPUs are pretended ones.
    "device": "cpu",
}


class Project:
    """The project in a folder of its own, with its own library and one objective more: slow_objective.py."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("Snakefile", "workflow", "config", "profiles", "src"):
            copy: Any = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, folder / name)
        shutil.copy(HERE / "long.yaml", folder / "config")
        shutil.copy(HERE / "slow_objective.py", folder / "src/opnorm/objectives/slow.py")
        _replace(
            folder / "src/opnorm/objectives/__init__.py",
            "REGISTRY = {",
            'REGISTRY = {"slow": "opnorm.objectives.slow:Slow",',
        )
        profile = folder / "profiles/slurm/config.yaml"
        for key, value in SITE.items():
            profile.write_text(re.sub(rf"^( +{key}): (?!$).*", rf"\1: {value}", profile.read_text(), flags=re.M))

    def environment(self, step_seconds: float = 0.0) -> dict[str, str]:
        return os.environ | {
            "PYTHONPATH": str(self.folder / "src"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OPNORM_TEST_STEP_SECONDS": str(step_seconds),
        }

    def command(self, *arguments: str, config: str = "config/long.yaml", profile: str = "slurm") -> list[str]:
        # Without --configfile's greed for what follows.
        return [str(BIN / "snakemake"), f"--profile=profiles/{profile}", "--configfile", config, *arguments]

    def run(self, *arguments: str, step_seconds: float = 0.0, **options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments, **options),
            cwd=self.folder,
            env=self.environment(step_seconds),
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    def uninterrupted(self, seeds: int) -> None:
        """Train the long experiment on this machine, for comparison."""
        done = self.run(
            "--cores=1", f"--config=seeds={list(range(seeds))}", "--", model("long", seeds - 1), profile="default"
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def weights(self, experiment: str, seed: int) -> dict[str, torch.Tensor]:
        return weights.load_model(self.folder / model(experiment, seed)).state_dict()

    @contextmanager
    def training(
        self,
        experiment: str,
        seeds: int,
        *more: str,
        step_seconds: float = 0.05,
        held: bool = False,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> Iterator[Run]:
        """The long experiment's training under another name, being run on the cluster.

        With `held` each of its jobs stops after some checkpoints until `Run.release`.
        """
        source, target = (self.folder / "results" / name / "data" for name in ("long", experiment))
        shutil.copytree(source, target, dirs_exist_ok=True)
        hold = {"OPNORM_TEST_HELD": str(self.folder / f"{experiment}.go")} if held else {}
        settings = ["--config", f"experiment={experiment}", f"seeds={list(range(seeds))}"]
        with (self.folder / f"{experiment}.log").open("a") as log:
            process = subprocess.Popen(
                self.command(*settings, *more, "--", model(experiment, 0)),
                cwd=self.folder,
                env=self.environment(step_seconds) | environment | hold,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield Run(self, experiment, seeds, process)
        finally:
            for left in descendants({process.pid}):
                left.signal(signal.SIGKILL)
            process.kill()
            process.wait()


class Run:
    """A Snakemake that trains, seen from outside."""

    def __init__(self, project: Project, experiment: str, seeds: int, process: subprocess.Popen[bytes]) -> None:
        self.project, self.experiment, self.seeds, self.process = project, experiment, seeds, process
        self.checkpoints = project.folder / "results" / experiment / "checkpoints/slow"

    @property
    def log(self) -> str:
        """What the rule wrote."""
        path = self.project.folder / "results" / self.experiment / "logs/train/slow.log"
        return path.read_text() if path.exists() else ""

    def job(self, seed: int) -> str:
        """The id of the seed's job."""
        self.wait_until(lambda: str(seed) in self._jobs(), "the submission")
        return str(self._jobs()[str(seed)]["job"])

    def log_of(self, job: str) -> str:
        """What a job wrote, its runs after each other."""
        path = self.checkpoints / f"jobs/{job}_0_log.out"
        return path.read_text() if path.exists() else ""

    def resumed(self, job: str) -> list[int]:
        """The steps after which a job's runs went on."""
        return [int(step) for step in re.findall(r"resumed after step (\d+) of", self.log_of(job))]

    def _jobs(self) -> dict[str, Any]:
        try:
            return dict(json.loads((self.checkpoints / "jobs.json").read_text())["jobs"])
        except OSError:
            return {}

    def step(self, seed: int) -> int:
        """Of the newest checkpoint."""
        return max((int(path.stem[5:]) for path in (self.checkpoints / str(seed)).glob("step-*.pt")), default=0)

    def release(self) -> None:
        """Let held jobs go on."""
        (self.project.folder / f"{self.experiment}.go").touch()

    def wait_for_progress(self, *seeds: int) -> None:
        """Until each of `seeds` has a newer checkpoint than now."""
        before = {seed: self.step(seed) for seed in seeds}
        self.wait_until(lambda: all(self.step(seed) > step for seed, step in before.items()), "a newer checkpoint")

    def wait_until(self, condition: Callable[[], object], what: str, seconds: float = 240) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, f"Snakemake ended\n{self.log}"
            assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}\n{self.log}"
            time.sleep(0.1)

    def end(self, status: int = 0, seconds: float = 400) -> None:
        """Wait for Snakemake; with status 0, the weights are those of an uninterrupted training."""
        assert self.process.wait(seconds) == status, self.log
        if status == 0:
            self.compare()

    def compare(self) -> None:
        for seed in range(self.seeds):
            whole, now = self.project.weights("long", seed), self.project.weights(self.experiment, seed)
            assert all(torch.equal(whole[name], now[name]) for name in whole), seed


def model(experiment: str, seed: int) -> str:
    return f"results/{experiment}/models/slow/{seed}.safetensors"


def is_empty(slurm: Cluster) -> bool:
    """Whether no job is queued or runs."""
    return not slurm.run("squeue", "--noheader")


def launcher_of(snakemake: int) -> int:
    """The process that waits for the jobs of the training rule."""
    found = subprocess.run(
        ["pgrep", "--parent", str(snakemake), "--full", r"\.train\.py"], capture_output=True, text=True, check=False
    )
    return int(found.stdout.split()[0])


def peak_memory_mb(pid: int) -> float:
    """The most that a process has had in memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1024


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))

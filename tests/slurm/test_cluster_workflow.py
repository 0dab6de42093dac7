"""The whole workflow through `--profile profiles/slurm`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cluster import Cluster
from project import Project

pytestmark = pytest.mark.slurm
SMOKE = "config/smoke.yaml"


def test_the_smoke_experiment_to_figures(slurm: Cluster, tmp_path: Path) -> None:
    project = Project(tmp_path)
    # A method with seeds of its own has a training rule of its own, with the profile's resources of `train`.
    smoke = tmp_path / SMOKE
    smoke.write_text(smoke.read_text().replace("    weight: 0.05\n", "    weight: 0.05\n    seeds: [0]\n"))
    done = project.run(config=SMOKE)
    assert done.returncode == 0, done.stdout + done.stderr
    results = tmp_path / "results/smoke"
    for figure in ("spectrum", "alignment", "robustness", "linearity", "dominant_singular_value", "activations"):
        for suffix in ("pdf", "png", "csv"):
            assert (results / f"figures/{figure}.{suffix}").stat().st_size > 200
    logs = [(results / f"logs/train/{method}.log").read_text() for method in ("standard", "dd_snr")]
    submitted = [re.search(r"(\S+) submitted seed 0", log).group(1) for log in logs]
    trained = [re.search(r"(\S+) .*: trained", log).group(1) for log in logs]
    assert max(submitted) <= min(trained)  # all methods wait at once
    for method in ("standard", "dd_snr"):
        (script,) = (results / f"checkpoints/{method}/jobs").glob("*_submission.sh")
        assert "#SBATCH --gres=gpu:1\n" in script.read_text()
    assert len(slurm.calls("sbatch")) >= 1 + 2 + 2 + 12 + 7
    for profile, more in (
        ("slurm", "--set-resources=train:runtime=3"),
        ("default", "--set-resources=train:device=cpu"),
    ):
        planned = project.run("-n", more, config=SMOKE, profile=profile)
        assert "Nothing to be done" in planned.stdout + planned.stderr, planned.stdout + planned.stderr

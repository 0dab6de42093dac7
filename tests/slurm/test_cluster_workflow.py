"""The whole workflow through `--profile profiles/slurm`."""

from __future__ import annotations

from pathlib import Path

import pytest
from cluster import Cluster
from project import Project

pytestmark = pytest.mark.slurm
SMOKE = "config/smoke.yaml"


def test_the_smoke_experiment_to_figures(slurm: Cluster, tmp_path: Path) -> None:
    project = Project(tmp_path)
    done = project.run(config=SMOKE)
    assert done.returncode == 0, done.stdout + done.stderr
    results = tmp_path / "results/smoke"
    for figure in ("spectrum", "alignment", "robustness", "linearity", "dominant_singular_value", "activations"):
        for suffix in ("pdf", "png", "csv"):
            assert (results / f"figures/{figure}.{suffix}").stat().st_size > 200
    assert "submitted seed 0" in (results / "logs/train/standard.log").read_text()
    assert len(slurm.calls("sbatch")) >= 1 + 2 + 2 + 12 + 7
    for profile, more in (
        ("slurm", "--set-resources=train:runtime=3"),
        ("default", "--set-resources=train:device=cpu"),
    ):
        planned = project.run("-n", more, config=SMOKE, profile=profile)
        assert "Nothing to be done" in planned.stdout + planned.stderr, planned.stdout + planned.stderr

"""The whole workflow through `--profile profiles/slurm`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml
from cluster import Cluster
from project import Project

from opnorm import provenance, weights

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
        # The machine that trains is the job's, not the one that waits for it.
        assert not provenance.machines([results / f"logs/train/{method}.log"])
        jobs = list((results / f"checkpoints/{method}/jobs").glob("*_log.out"))
        assert len(jobs) >= 1
        (machine,) = provenance.machines(jobs)
        assert machine in json.loads((results / "provenance.json").read_text())["machines"]
    assert len(slurm.calls("sbatch")) >= 1 + 2 + 2 + 12 + 7
    for profile, more in (
        ("slurm", "--set-resources=train:runtime=3"),
        ("default", "--set-resources=train:device=cpu"),
    ):
        planned = project.run("-n", more, config=SMOKE, profile=profile)
        assert "Nothing to be done" in planned.stdout + planned.stderr, planned.stdout + planned.stderr


def test_candidates_of_a_selection_are_submitted_and_one_is_chosen(slurm: Cluster, tmp_path: Path) -> None:
    project = Project(tmp_path)
    smoke = yaml.safe_load((tmp_path / SMOKE).read_text())
    rule = {"match": "adversarial", "grid": [0.01, 1.0]}
    smoke["training"]["epochs"], smoke["seeds"], smoke["selection"] = 1, [0], {"validation": 0.3}
    smoke["methods"] = {
        "adversarial": {"objective": "adversarial"},
        "dd_snr": {"objective": "data_dependent_snr", "weight": rule},
    }
    (tmp_path / SMOKE).write_text(yaml.safe_dump(smoke, sort_keys=False))
    trained = "results/smoke/models/dd_snr/0.safetensors"
    done = project.run("--", "selection", trained, config=SMOKE)
    assert done.returncode == 0, done.stdout + done.stderr
    selection = tmp_path / "results/smoke/selection"
    submitted = sorted(path.parents[2].name + " " + path.parents[1].name for path in _scripts(selection))
    assert submitted == ["adversarial itself", "dd_snr 0.01", "dd_snr 1.0"]
    for script in _scripts(selection):
        # The resources of `train`.
        assert "#SBATCH --gres=gpu:1\n" in script.read_text()
    table = pd.read_csv(selection / "dd_snr.csv")
    chosen = table.loc[table["chosen"], "weight"].item()
    assert weights.made_by(tmp_path / trained)["settings"]["method"]["options"]["weight"] == chosen
    assert (tmp_path / "results/smoke/figures/selection.png").is_file()
    planned = project.run("-n", "--", trained, "results/smoke/selection/dd_snr.csv", config=SMOKE)
    assert "Nothing to be done" in planned.stdout + planned.stderr, planned.stdout + planned.stderr


def _scripts(selection: Path) -> list[Path]:
    """What the launcher submitted for candidates."""
    return list(selection.glob("checkpoints/*/*/jobs/*_submission.sh"))

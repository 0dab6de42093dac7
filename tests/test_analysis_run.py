"""From files to files: what is said where memory runs out, and which files are not looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from opnorm import data, models, weights
from opnorm.analysis import ON_TEST_SPLIT, REGISTRY, run
from opnorm.errors import MemoryShortageError
from opnorm.tables import read_parquet
from opnorm.threat_model import ThreatModel

ARCHITECTURE = {"name": "cnn5", "width": 2}
THREAT = ThreatModel(2.0, 0.3, 2)


def short(*args: Any, **options: Any) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """A prepared test split, an untrained network, and attacked samples of it."""
    paths = {name: str(tmp_path / f"{name}.safetensors") for name in ("test", "model", "attacked")}
    data.prepare("digits", "", {"test": paths["test"]})
    architecture = ARCHITECTURE | {"channels": 1, "classes": 10, "mean": [0.3], "std": [0.4]}
    weights.save_model(paths["model"], models.build(**architecture), architecture, {})
    attack(paths)
    return paths


def attack(paths: dict[str, str]) -> None:
    run.attack_runs(
        [paths["model"]],
        [paths["attacked"]],
        test=paths["test"],
        dataset="digits",
        samples=6,
        seeds=[0],
        threat=THREAT,
        architecture=ARCHITECTURE,
    )


def measure(paths: dict[str, str], analysis: str, *, attacked: bool = True, **options: Any) -> None:
    run.measure_runs(
        analysis,
        [paths["model"] + ".parquet"],
        models=[paths["model"]],
        adversarial=[paths["attacked"]] if attacked else [],
        test=paths["test"],
        dataset="digits",
        seeds=[0],
        threat=THREAT,
        architecture=ARCHITECTURE,
        options=options,
    )


def test_an_attack_that_does_not_fit_in_memory(files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "projected_gradient_ascent", short)
    with pytest.raises(MemoryShortageError, match=r"attacking 6 samples at once: .*Lower samples \(CUDA"):
        attack(files)


@pytest.mark.parametrize(
    ("analysis", "options", "patched", "setting"),
    [
        ("spectrum", {}, "_spectrum.singular_values", "samples, below 200"),
        ("operator_norms", {"samples": 4}, "_operator_norms.operator_norm", "analyses.operator_norms.samples"),
        (
            "robustness",
            {"l2": [0.3], "linf": [], "iterations": 1},
            "worst_case.projected_gradient_ascent",
            "analyses.robustness.batch_size",
        ),
    ],
)
def test_a_measurement_that_does_not_fit_in_memory(
    analysis: str,
    options: dict[str, Any],
    patched: str,
    setting: str,
    files: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(f"opnorm.analysis.{patched}", short)
    with pytest.raises(MemoryShortageError, match=rf"^analysis {analysis} of .*Lower {setting} \(CUDA"):
        measure(files, analysis, **options)


@pytest.mark.parametrize("analysis", sorted(REGISTRY))
def test_measurements_on_the_test_split_need_no_analysed_samples(analysis: str, files: dict[str, str]) -> None:
    if analysis not in ON_TEST_SPLIT:
        with pytest.raises(ValueError, match="zip"):
            measure(files, analysis, attacked=False)
        return
    small: dict[str, Any] = {"samples": 4, "iterations": [1, 2], "restarts": 2, "autoattack": False}
    options = {"l2": [0.3], "linf": [], "iterations": 1} if analysis == "robustness" else small
    tables = []
    for attacked in (True, False):
        measure(files, analysis, attacked=attacked, **options)
        tables.append(read_parquet(files["model"] + ".parquet"))
    pd.testing.assert_frame_equal(*tables)

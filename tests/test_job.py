"""Which device a job runs on: what was asked for, or an error in words."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from opnorm.errors import OpnormError
from opnorm.job import device
from opnorm.provenance import machine, machines

PROFILE = Path(__file__).parents[1] / "profiles/slurm/config.yaml"


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> int:
    """As many GPUs as torch is made to see."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: request.param > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: request.param)
    return int(request.param)


@pytest.mark.parametrize(("gpus", "expected"), [(0, "cpu"), (1, "cuda"), (2, "cuda")], indirect=["gpus"])
def test_auto_takes_a_gpu_where_there_is_one(gpus: int, expected: str) -> None:
    assert device("auto") == expected


@pytest.mark.parametrize(("gpus", "wish"), [
    (0, "cpu"), (1, "cpu"), (1, "cuda"), (1, "cuda:0"), (2, "cuda:1"),
], indirect=["gpus"])  # fmt: skip
def test_what_is_there_can_be_asked_for(gpus: int, wish: str) -> None:
    assert device(wish) == wish


@pytest.mark.parametrize(("gpus", "wish", "seen"), [
    (0, "cuda", "no GPU"), (0, "cuda:0", "no GPU"), (1, "cuda:1", "one GPU, cuda:0"),
    (2, "cuda:2", "2 GPUs, cuda:0 to cuda:1"),
], indirect=["gpus"])  # fmt: skip
def test_a_gpu_that_is_not_there_is_refused_with_what_is(gpus: int, wish: str, seen: str) -> None:
    with pytest.raises(OpnormError, match=f"the device {wish} was asked for, but torch sees {seen}; use device auto"):
        device(wish)


@pytest.mark.parametrize("gpus", [0, 1], indirect=True)
@pytest.mark.parametrize("wish", ["gpu", "", "cuda:", "cuda:x", "cuda:-1", "mps", "CUDA", "cpu:zero"])
def test_what_is_no_device_is_refused(gpus: int, wish: str) -> None:
    with pytest.raises(OpnormError, match="is not auto, cpu, cuda or cuda: with a number"):
        device(wish)


def log_of(script: str, path: Path) -> str:
    """What a process leaves in its log, whose output nobody reads line by line."""
    code = f"from opnorm.job import running\n{script}"
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    subprocess.run([sys.executable, "-c", code, str(path)], env=variables, stdout=subprocess.PIPE, check=False)
    return path.read_text()


@pytest.mark.parametrize(("error", "last"), [("OpnormError('boom')", "Error: boom"), ("ValueError('boom')", "boom")])
def test_what_was_printed_before_a_failure_is_in_the_log(error: str, last: str, tmp_path: Path) -> None:
    script = f"""
import sys
from opnorm.errors import OpnormError
with running(sys.argv[1]):
    print("resumed after step 3")
    raise {error}
"""
    log = log_of(script, tmp_path / "log")
    assert log.index("resumed after step 3") < log.index(last)


@pytest.mark.parametrize("computes", [True, False])
def test_the_log_names_the_machine_that_computes(computes: bool, tmp_path: Path) -> None:
    log = log_of(f"import sys\nwith running(sys.argv[1], computes={computes}): pass", tmp_path / "log")
    assert machines([tmp_path / "log"]) == ([machine().removeprefix("machine: ")] if computes else [])
    assert log.endswith("done\n")


def test_the_cluster_profile_does_without_a_gpu_nowhere_that_it_asks_for_one() -> None:
    resources = yaml.safe_load(PROFILE.read_text(encoding="utf-8"))["set-resources"]
    asking = {rule: given["device"] for rule, given in resources.items() if "gres" in given}
    assert asking == {"train": "cuda", "attack": "cuda", "analyze": "cuda"}

"""Which device a job runs on: what was asked for, or an error in words."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from opnorm.errors import OpnormError
from opnorm.job import device

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


def test_the_cluster_profile_does_without_a_gpu_nowhere_that_it_asks_for_one() -> None:
    resources = yaml.safe_load(PROFILE.read_text(encoding="utf-8"))["set-resources"]
    asking = {rule: given["device"] for rule, given in resources.items() if "gres" in given}
    assert asking == {"train": "cuda", "attack": "cuda", "analyze": "cuda"}

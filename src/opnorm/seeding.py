"""Random numbers that depend on the run's seed, the stage's name and the step alone, never on order or place."""

from __future__ import annotations

import hashlib

import torch


def derived_seed(seed: int, stage: str, step: int = 0) -> int:
    """63 bits that `seed`, `stage` and `step` decide together."""
    digest = hashlib.sha256(f"{seed}/{stage}/{step}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, stage: str, step: int = 0, *, device: str | torch.device = "cpu") -> torch.Generator:
    """A fresh generator on `device` for one step of one stage of the run with `seed`."""
    return torch.Generator(device=device).manual_seed(derived_seed(seed, stage, step))

"""Trained networks in files: the weights, with the settings that made them in the metadata."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from opnorm import files, models
from opnorm.errors import FileError
from opnorm.models.classifier import Classifier
from opnorm.seeding import derived_seed


def initialised(architecture: Mapping[str, Any], seed: int) -> Classifier:
    """`models.build(**architecture)` with initial weights that `seed` decides; torch's own stream is untouched."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derived_seed(seed, "initial weights"))
        return models.build(**architecture)


def save_model(
    path: str | Path, model: Classifier, architecture: Mapping[str, Any], made_by: Mapping[str, Any]
) -> None:
    """Write `model`'s parameters and buffers.

    Args:
        path: a .safetensors file.
        model: the network.
        architecture: the arguments of `models.build` that make it.
        made_by: what else to remember: method, seed, settings, versions.
    """
    metadata = {"architecture": dict(architecture), "made_by": dict(made_by)}
    files.save_tensors(path, model.state_dict(), metadata)


def load_model(path: str | Path, expected: Mapping[str, Any] | None = None) -> Classifier:
    """The network in `path`, in evaluation mode.

    Args:
        path: a file that `save_model` wrote.
        expected: name and options of the architecture that the experiment asks for, if any.

    Raises:
        FileError: damaged, without an architecture, or of another architecture than `expected`.
    """
    tensors, metadata = files.load_tensors(path)
    found = _architecture(path, metadata)
    differing = {k: v for k, v in (expected or {}).items() if found.get(k) != v}
    if differing:
        instead = {k: found.get(k) for k in differing}
        raise FileError(
            f"{path}: holds another architecture ({instead}) than the experiment asks for ({differing}); "
            "delete it and run again"
        )
    model = models.build(**found)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise FileError(f"{path}: its tensors do not fit its architecture; delete it and run again") from error
    return model.eval()


def architecture(path: str | Path) -> dict[str, Any]:
    """The arguments of `models.build` that make the network in `path`.

    Raises:
        FileError: damaged, or without an architecture.
    """
    return _architecture(path, files.load_tensors(path)[1])


def _architecture(path: str | Path, metadata: Mapping[str, Any]) -> dict[str, Any]:
    if "architecture" not in metadata:
        raise FileError(f"{path}: not a model of this project (no architecture in it)")
    return dict(metadata["architecture"])


def made_by(path: str | Path) -> dict[str, Any]:
    """What `save_model` remembered beside the architecture: method, seed, settings, digests."""
    found: dict[str, Any] = files.load_tensors(path)[1].get("made_by", {})
    return found

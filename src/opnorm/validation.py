"""A part of the training split to choose constants on, so that the test split stays out of it."""

from __future__ import annotations

from pathlib import Path

import torch

from opnorm import data, files
from opnorm.errors import SettingsError
from opnorm.seeding import generator


def hold_out(path: str | Path, dataset: str, fraction: float, *, train: str | Path, validation: str | Path) -> None:
    """Divide a prepared split at random, every class alike, in the same way on every call.

    Args:
        path: the prepared split.
        dataset: its name; a split of another one is refused.
        fraction: of each class that is held out, rounded to whole images.
        train, validation: where what is left and what is held out are written.

    Raises:
        SettingsError: nothing would be held out, or nothing left.
    """
    split = data.read_split(path, dataset)
    held_out = torch.zeros(len(split), dtype=torch.bool)
    for label in range(split.classes):
        members = (split.labels == label).nonzero()[:, 0]
        order = torch.randperm(len(members), generator=generator(label, "validation"))
        held_out[members[order[: round(fraction * len(members))]]] = True
    if held_out.all() or not held_out.any():
        raise SettingsError(f"selection.validation: a share of {fraction:g} does not divide {len(split)} images")
    for name, place, chosen in (("train", train, ~held_out), ("validation", validation, held_out)):
        tensors = {"images": split.images[chosen], "labels": split.labels[chosen]}
        files.save_tensors(place, tensors, {"dataset": dataset, "split": name, "held_out": fraction})

"""Datasets as tensors: prepared once as uint8, used as images in [0, 1], whole on the device."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from opnorm import datasets, files
from opnorm.errors import FileError, SettingsError
from opnorm.memory import MORE_MEMORY, needed_for
from opnorm.options import resolve

SPLITS = ("train", "test")


@dataclass(frozen=True)
class Split:
    """Images uint8 (N, C, H, W) and labels int64 (N,)."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: str | torch.device) -> Split:
        """The same on `device`.

        Raises:
            MemoryShortageError: they do not fit there.
        """
        with needed_for(f"{len(self)} images on the device {device}", MORE_MEMORY):
            return Split(self.images.to(device), self.labels.to(device))

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Images in [0, 1] and labels, in order, `size` at a time."""
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            yield to_unit(self.images[part]), self.labels[part]

    @property
    def classes(self) -> int:
        """Number of classes, from the largest label."""
        return int(self.labels.max()) + 1

    def digest(self) -> str:
        """Identifies the content: pixels, labels and their order."""
        content = hashlib.sha256(self.images.cpu().contiguous().numpy().tobytes())
        content.update(self.labels.cpu().contiguous().numpy().tobytes())
        return content.hexdigest()[:16]


def load(name: str, root: str | Path, split: str) -> tuple[Tensor, Tensor]:
    """A dataset by its registry name: images (N, C, H, W) uint8 and labels (N,) int64.

    Args:
        name: registry name.
        root: folder of downloaded files, for datasets that have any.
        split: "train" or "test".

    Raises:
        SettingsError: no such dataset, or no such split.
        FileError: its files are missing or damaged.
    """
    if split not in SPLITS:
        raise SettingsError(f"split: {split!r} is not {' or '.join(SPLITS)}")
    images, labels = resolve(datasets.REGISTRY, "dataset", name)(root, split)
    return images, labels


def prepare(name: str, root: str | Path, outputs: dict[str, str | Path]) -> None:
    """Load every split in `outputs` and write it to the path given there."""
    for split, path in outputs.items():
        images, labels = load(name, root, split)
        metadata = {"dataset": name, "split": split}
        files.save_tensors(path, {"images": images, "labels": labels}, metadata)


def read_split(path: str | Path, dataset: str | None = None) -> Split:
    """Read a prepared split; with `dataset`, make sure that it is of that dataset.

    Raises:
        FileError: missing, damaged, not a split, or of another dataset.
    """
    tensors, metadata = files.load_tensors(path)
    if dataset is not None and metadata.get("dataset") != dataset:
        raise FileError(
            f"{path}: holds the dataset {metadata.get('dataset')}, but the experiment asks for {dataset}. "
            "Give the experiment another name, or delete that file, and run again"
        )
    if not {"images", "labels"} <= tensors.keys():
        raise FileError(f"{path}: not a prepared split (no images and labels in it); delete it and run again")
    return Split(tensors["images"], tensors["labels"])


def to_unit(images: Tensor) -> Tensor:
    """Images uint8 as float32 in [0, 1]."""
    return images.to(torch.float32) / 255.0


def statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of images in [0, 1]."""
    pixels = images.double().transpose(0, 1).flatten(1) / 255.0
    return tuple(pixels.mean(1).tolist()), tuple(pixels.std(1).tolist())


def batches(n: int, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """One epoch of index tensors in random order; a last, smaller batch is left out, so that all are alike."""
    order = torch.randperm(n, generator=generator, device=generator.device)
    size = min(batch_size, n)
    for start in range(0, n - size + 1, size):
        yield order[start : start + size]


def augment(images: Tensor, *, crop_padding: int, horizontal_flip: bool, generator: torch.Generator) -> Tensor:
    """A random crop of the zero-padded image, and a random mirror image, drawn for each image of the batch.

    Args:
        images: (B, C, H, W).
        crop_padding: pixels added on each side before cropping; 0 for no crops.
        horizontal_flip: mirror each image with probability 1/2.
        generator: on the device of `images`.
    """
    if crop_padding:
        images = _random_crop(images, crop_padding, generator)
    if horizontal_flip:
        coins = torch.rand(len(images), generator=generator, device=images.device) < 0.5
        images = torch.where(coins.view(-1, 1, 1, 1), images.flip(3), images)
    return images


def _random_crop(images: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    b, c, h, w = images.shape
    padded = torch.nn.functional.pad(images, [padding] * 4)
    offsets = torch.randint(2 * padding + 1, (2, b, 1), generator=generator, device=images.device)
    rows = offsets[0] + torch.arange(h, device=images.device)
    columns = offsets[1] + torch.arange(w, device=images.device)
    index = torch.arange(b, device=images.device).view(b, 1, 1, 1)
    channel = torch.arange(c, device=images.device).view(1, c, 1, 1)
    return padded[index, channel, rows.view(b, 1, h, 1), columns.view(b, 1, 1, w)]

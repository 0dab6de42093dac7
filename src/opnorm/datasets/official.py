"""Datasets that others publish: found, checked against their official MD5s, downloaded where there is a network."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from opnorm.errors import FileError

# Seconds without an answer after which a server counts as out of reach.
_PATIENCE = 30.0


@dataclass(frozen=True)
class Official:
    """What a dataset consists of.

    Attributes:
        name: of the dataset, for messages.
        files: what is read, as path below the root -> MD5.
        download: the one file that is downloaded to the root: an archive of `files`, or the file that is read itself.
        md5: of the download.
        url: of the download.
    """

    name: str
    files: Mapping[str, str]
    download: str
    md5: str
    url: str


def open_official(official: Official, root: str | Path, construct: Callable[..., Any]) -> Any:
    """The torchvision dataset that `construct(root=..., download=...)` makes of the official files.

    Files that are all there are used as they are. Otherwise they are unpacked from an archive in `root`, or downloaded;
    damaged ones are replaced. What such an attempt leaves half-written fails its MD5 the next time.
    Some files are pickles: torchvision opens them only after their MD5 was right.

    Raises:
        FileError: files are missing, damaged or unreadable and cannot be had; says which to put where.
    """
    folder, faults = Path(root).expanduser(), ""
    try:
        faults = _faults(official, folder)
        if not faults:
            return construct(root=folder, download=False)
        tqdm.write(f"{official.name} in {root}: {faults}; unpacking or downloading {official.download}")
        with _patience(_PATIENCE):
            return construct(root=folder, download=True)
    except (OSError, RuntimeError, HTTPException) as error:
        raise FileError(_remedy(official, root, faults, error)) from error


def cifar(dataset: Any, name: str, root: str | Path, split: str) -> tuple[Tensor, Tensor]:
    """Images (N, 3, 32, 32) uint8 and labels (N,) of torchvision's `CIFAR10` or `CIFAR100`.

    Raises:
        FileError: see `open_official`.
    """
    batches = [*dataset.train_list, *dataset.test_list, (dataset.meta["filename"], dataset.meta["md5"])]
    files = {f"{dataset.base_folder}/{file}": md5 for file, md5 in batches}
    official = Official(name, files, dataset.filename, dataset.tgz_md5, dataset.url)
    opened = open_official(official, root, lambda **where: dataset(train=split == "train", **where))
    images = np.ascontiguousarray(opened.data.transpose(0, 3, 1, 2))
    return torch.from_numpy(images), torch.tensor(opened.targets, dtype=torch.int64)


def _faults(official: Official, folder: Path) -> str:
    """Which files are missing or damaged, in words; empty where all is well."""
    missing = [file for file in official.files if not (folder / file).is_file()]
    damaged = [file for file, md5 in official.files.items() if file not in missing and _md5(folder / file) != md5]
    archive = folder / official.download
    if (missing or damaged) and official.download not in official.files:
        damaged += [official.download] if archive.is_file() and _md5(archive) != official.md5 else []
    found = {"missing": missing, "damaged or incomplete (wrong MD5)": damaged}
    return "; ".join(f"{', '.join(files)} {words}" for words, files in found.items() if files)


def _remedy(official: Official, root: str | Path, faults: str, error: Exception) -> str:
    unpacked = sorted({Path(file).parts[0] for file in official.files} - {official.download})
    delete = "".join(f", delete the folder {name} there if there is one" for name in unpacked)
    return (
        f"{official.name} in {root}: {faults or 'the files cannot be used'} ({type(error).__name__}: {error}). "
        f"Connect to the network and run again; or put {official.download} (MD5 {official.md5}) from {official.url} "
        f"into the folder {root}{delete}, and run again"
    )


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """Let connections fail after `seconds` of silence; torchvision sets no limit of its own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)

"""SVHN (Netzer et al. 2011): 73,257 + 26,032 colour images of house numbers, 32 x 32 pixels, ten digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from opnorm.datasets.official import Official, open_official


def svhn(root: str | Path, split: str) -> tuple[Tensor, Tensor]:
    """Images (N, 3, 32, 32) uint8 and digits (N,) in the official order, downloaded to `root` if they are not there.

    Raises:
        FileError: the split's file is missing or damaged and cannot be downloaded; says which to put where.
    """
    from torchvision.datasets import SVHN

    url, file, md5 = SVHN.split_list[split]
    official = Official("SVHN", {file: md5}, file, md5, url)
    opened = open_official(official, root, lambda **where: SVHN(split=split, **where))
    return torch.from_numpy(np.ascontiguousarray(opened.data)), torch.from_numpy(opened.labels)

"""scikit-learn's handwritten digits: 1,797 images of 8 x 8 pixels, bundled with the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

TEST_SAMPLES = 500


def digits(root: str | Path, split: str) -> tuple[Tensor, Tensor]:
    """Images (N, 1, 8, 8) uint8 and labels (N,); 500 stratified test samples, the same on every call.

    The grey levels 0 to 16 are spread over 0 to 255. `root` is not used: nothing is downloaded.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bunch = load_digits()
    images = np.rint(bunch.images * (255.0 / 16.0)).astype(np.uint8)[:, None]
    train, test = train_test_split(
        np.arange(len(images)), test_size=TEST_SAMPLES, stratify=bunch.target, random_state=0
    )
    chosen = train if split == "train" else test
    return torch.from_numpy(images[chosen]), torch.from_numpy(bunch.target[chosen].astype(np.int64))

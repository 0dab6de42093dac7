"""From tensors with named dimensions to long tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

Dimensions = Mapping[str, Collection[Any] | Tensor]


def tidy(name: str, values: Tensor, dimensions: Dimensions) -> pd.DataFrame:
    """One row per entry of `values`.

    Args:
        name: column of the values.
        values: a tensor with as many dimensions as `dimensions` has entries.
        dimensions: column name -> label of each index along that dimension, in order.
    """
    labels = [np.asarray(label.cpu() if isinstance(label, Tensor) else list(label)) for label in dimensions.values()]
    assert tuple(len(label) for label in labels) == tuple(values.shape)
    grid = np.indices(values.shape).reshape(values.ndim, -1)
    columns = {key: label[i] for key, label, i in zip(dimensions, labels, grid, strict=True)}
    return pd.DataFrame({**columns, name: values.detach().cpu().numpy().reshape(-1)})

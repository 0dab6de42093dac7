"""From one row per sample and seed to the numbers that a figure draws."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from opnorm.errors import SettingsError
from opnorm.figures.context import RANDOM, FigureContext

STATISTICS = ("mean", "standard_error", "n", "seed_std")


def summarise(table: pd.DataFrame, keys: Iterable[str], value: str) -> pd.DataFrame:
    """Mean and standard error over test samples, seeds averaged, for every combination of `keys`.

    A sample's value is its mean over seeds; the curve is the mean over samples and its uncertainty the
    standard error over samples, as in the paper. Missing values are left out.

    Args:
        table: columns `keys`, `value`, `sample` and `seed`; one row per sample and seed.
        keys: what a point of the figure is identified by.
        value: the measured column.

    Returns:
        `keys` in sorted order, then
        mean: over samples of the mean over seeds;
        standard_error: standard deviation (ddof 1) over samples / sqrt(n), NaN for a single sample;
        n: number of samples;
        seed_std: standard deviation (ddof 1) over seeds of the mean over samples, NaN for a single seed.
    """
    keys = list(keys)
    # Sums of float32 lose digits over thousands of samples.
    table = table[[*keys, "sample", "seed"]].assign(value=table[value].astype("float64"))
    samples = _mean(table, [*keys, "sample"]).groupby(keys, observed=True)["value"]
    seeds = _mean(table, [*keys, "seed"]).groupby(keys, observed=True)["value"]
    n = samples.count()
    columns = {
        "mean": samples.mean(),
        "standard_error": samples.std(ddof=1) / n**0.5,
        "n": n,
        "seed_std": seeds.std(ddof=1),
    }
    return pd.DataFrame(columns).reset_index()


def summarise_methods(table: pd.DataFrame, keys: Iterable[str], value: str, context: FigureContext) -> pd.DataFrame:
    """`summarise` with the rows in the experiment's order of methods, untrained networks last.

    Raises:
        SettingsError: the table has a method that the experiment lacks.
    """
    order = [*context.methods, RANDOM]
    unknown = sorted(set(table["method"].unique()) - set(order))
    if unknown:
        raise SettingsError(f"the table has methods that the experiment does not list: {', '.join(unknown)}")
    method = pd.Categorical(table["method"], categories=order)
    return summarise(table.assign(method=method), keys, value).astype({"method": str})


def _mean(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    return table.groupby(keys, observed=True)[["value"]].mean().reset_index()

"""Means over test samples and seeds, and how they would scatter had other samples and other seeds been drawn.

Seeds are clusters: all samples of a trained network share its accidents, and networks of one seed share their first
weights and the order of their data. With the three or five seeds that one can afford, resampling them with replacement
makes intervals too narrow: the variance of a mean of S resampled seeds is (S - 1) / S of what it should be, and no
resample leaves the range of the S seeds. So samples are resampled with replacement, and the seeds' deviations from
their mean get random multipliers (a multiplier or wild bootstrap of clusters: Cameron, Gelbach and Miller 2008), scaled
such that the interval of a mean over seeds alone is Student's, with S - 1 degrees of freedom.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from opnorm.claims.claim import Floats

RESAMPLES = 2000
LEVEL = 0.95

_EXACT = 1e-12

# Numbers in memory at once while samples are drawn.
_AT_ONCE = 2**21


def scattered_means(values: Floats, seeds: Sequence[int]) -> Floats:
    """The mean of a curve, and what it could have been.

    What is drawn is the same for all methods and curves: a sample's weight, a seed's multiplier. It is fixed by the
    number of samples, and by the seeds.

    Args:
        values: (S, N, K) of S seeds, N samples and K places; NaN where nothing was measured.
        seeds: their S numbers; for a single one the samples alone are resampled.

    Returns:
        (1 + RESAMPLES, K): first the mean over samples of the mean over seeds, then resampled ones.
    """
    over_seeds, measured = _means(values, 0)
    mean, _ = _means(over_seeds, 0)
    resampled = _weighted(over_seeds, measured) + _seed_deviations(values, seeds)
    return np.concatenate([mean[None], resampled])


def interval(statistic: Floats) -> tuple[float, float, float]:
    """Estimate and 95 % interval of (1 + RESAMPLES,) values, by percentiles.

    A resample without a value, such as a ratio to nothing, could be anything: with more than a few of them the interval
    is unbounded.
    """
    tail = 100.0 * (1.0 - LEVEL) / 2.0
    resampled = statistic[1:]
    low = np.percentile(np.where(np.isnan(resampled), -np.inf, resampled), tail, method="lower")
    high = np.percentile(np.where(np.isnan(resampled), np.inf, resampled), 100.0 - tail, method="higher")
    return float(statistic[0]), float(low), float(high)


def unseen(few: int, samples: int) -> float:
    """How far the share of all inputs that answer otherwise may exceed that of the `few` of so many samples that do,
    with the tail probability of `interval` (Clopper and Pearson 1934): resamples of a few show too little of it."""
    low, high = few / samples, 1.0
    while high - low > _EXACT:
        share = 0.5 * (low + high)
        chances = (math.comb(samples, k) * share**k * (1.0 - share) ** (samples - k) for k in range(few + 1))
        low, high = (share, high) if sum(chances) > (1.0 - LEVEL) / 2.0 else (low, share)
    return high - few / samples


def _seed_deviations(values: Floats, seeds: Sequence[int]) -> Floats:
    """How the mean over seeds deviates (RESAMPLES, K): by Student's t times the seeds' standard error."""
    S, _, K = values.shape
    if S == 1:
        return np.zeros((RESAMPLES, K))
    of_seeds, _ = _means(values, 1)
    deviations = of_seeds - _means(of_seeds, 0)[0]
    normal = np.stack([_generator("seed", seed).standard_normal(RESAMPLES) for seed in seeds], 1)
    student = np.sqrt((S - 1) / _generator("degrees of freedom", S - 1).chisquare(S - 1, (RESAMPLES, 1)))
    found: Floats = student * (normal @ np.nan_to_num(deviations)) / np.sqrt(S * (S - 1))
    return found


def _weighted(x: Floats, measured: Floats) -> Floats:
    """Means (RESAMPLES, K) of resampled samples of `x` (N, K), those that were measured."""
    weights, x = _sample_weights(len(x)), np.nan_to_num(x)
    if measured.all():
        return weights @ x / len(x)
    return divided(weights @ x, weights @ measured.astype(float))


@lru_cache(maxsize=1)
def _sample_weights(N: int) -> Floats:
    """How often each of N samples is drawn in N draws with replacement (RESAMPLES, N)."""
    generator, weights = _generator("samples", N), np.empty((RESAMPLES, N))
    step = max(1, _AT_ONCE // N)
    for start in range(0, RESAMPLES, step):
        rows = min(step, RESAMPLES - start)
        drawn = generator.integers(N, size=(rows, N)) + N * np.arange(rows)[:, None]
        weights[start : start + rows] = np.bincount(drawn.ravel(), minlength=rows * N).reshape(rows, N)
    return weights


def _means(values: Floats, axis: int) -> tuple[Floats, Floats]:
    """Mean along an axis without what is NaN, NaN where all of it is; and where there was anything."""
    measured = ~np.isnan(values)
    count = measured.sum(axis)
    return divided(np.where(measured, values, 0.0).sum(axis), count.astype(float)), count > 0


def divided(above: Floats, below: Floats) -> Floats:
    """NaN where the denominator is not above 0: all that is divided by here is a number, a size or a length."""
    found: Floats = np.divide(above, below, out=np.full(np.shape(above), np.nan), where=np.asarray(below) > 0.0)
    return found


def _generator(what: str, number: int) -> np.random.Generator:
    """Decided by its arguments alone."""
    return np.random.default_rng(list(f"claims/{what}/{number}".encode()))

"""Means over test samples and seeds, and how they would scatter had other samples and other seeds been drawn.

Seeds are clusters: all samples of a trained network share its accidents, and networks of one seed share their first
weights and the order of their data. With the three or five seeds that one can afford, resampling them with replacement
makes intervals too narrow: the variance of a mean of S resampled seeds is (S - 1) / S of what it should be, and no
resample leaves the range of the S seeds. So samples are resampled with replacement, and the seeds' deviations from
their mean get random multipliers (a multiplier or wild bootstrap of clusters: Cameron, Gelbach and Miller 2008), scaled
such that the interval of a mean over seeds alone is Student's, with S - 1 degrees of freedom. Its tails are heavy, so
that more is drawn of seeds than of samples, each draw also with the opposite sign, and their lengths are quantiles.
What samples drawn with replacement deviate is enlarged for the same two reasons, which of twenty samples is a tenth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, fdtri, ndtri, stdtrit

from opnorm.claims.claim import Floats

SAMPLE_DRAWS = 2000
RESAMPLES = 10 * SAMPLE_DRAWS
LEVEL = 0.95

# Numbers in memory at once while samples are drawn.
_AT_ONCE = 2**21


def scattered_means(values: Floats, seeds: Sequence[int]) -> Floats:
    """The mean of a curve, and what it could have been.

    What is drawn is the same for all methods and curves: a sample's weight, a seed's multiplier. It is fixed by the
    number of samples, and by the seeds.

    Args:
        values: (S, N, K) of S seeds, N samples and K places; NaN where nothing was measured. Curves that are compared
            have the same samples at the same index.
        seeds: their S numbers; for a single one the samples alone are resampled.

    Returns:
        (1 + RESAMPLES, K): first the mean over samples of the mean over seeds, then resampled ones.
    """
    over_seeds, measured = _means(values, 0)
    mean, _ = _means(over_seeds, 0)
    deviations = _enlargement(measured.sum(0)) * (_weighted(over_seeds, measured) - mean)
    resampled = mean + np.tile(deviations, (RESAMPLES // SAMPLE_DRAWS, 1)) + _seed_deviations(values, seeds)
    return np.concatenate([mean[None], resampled])


def interval(statistic: Floats, *, least_of: int = 1) -> tuple[float, float, float]:
    """Estimate and 95 % interval of (1 + RESAMPLES,) values, by percentiles.

    A resample without a value, such as a ratio to nothing, could be anything: with more than a few of them the interval
    is unbounded.

    Args:
        statistic: the estimate and what else it could have been.
        least_of: of how many intervals the first end will be taken (Bonferroni); lower ends need no such care.
    """
    tail = 100.0 * (1.0 - LEVEL) / 2.0
    resampled = statistic[1:]
    low = np.percentile(np.where(np.isnan(resampled), -np.inf, resampled), tail, method="lower")
    high = np.percentile(np.where(np.isnan(resampled), np.inf, resampled), 100.0 - tail / least_of, method="higher")
    return float(statistic[0]), float(low), float(high)


def exact_margins(answers: Floats, *, signed: bool) -> tuple[float, float]:
    """How far the mean over all inputs may lie below and above that over a few samples, at least.

    Resamples of samples that all answer alike show nothing of those that would not. Of answers that are right or wrong
    the interval is that of Clopper and Pearson (1934). Of differences between two such answers, on each side it is the
    farther of where the positive ones alone and the negative ones alone would bring it. Shares, such as means over
    seeds, have the effective number of samples of Korn and Graubard (1998).

    Args:
        answers: (N,) in [0, 1], in [-1, 1] where they are signed.
        signed: whether they may be negative.
    """
    positive = np.clip(answers, 0.0, 1.0)
    below, above = _exact_excess(1.0 - positive), _exact_excess(positive)
    if signed:
        negative = np.clip(-answers, 0.0, 1.0)
        below, above = max(below, _exact_excess(negative)), max(above, _exact_excess(1.0 - negative))
    return below, above


def _exact_excess(shares: Floats) -> float:
    """By how much the upper end of the exact interval exceeds the mean of (N,) in [0, 1]: a quantile of the beta
    distribution with mean and effective size of these and of one more that is 1."""
    if len(shares) == 0:
        return math.nan
    with_one = np.append(shares, 1.0)
    mean, variance = float(with_one.mean()), float(with_one.var())
    if mean >= 1.0:
        return float(1.0 - shares.mean())
    size = len(with_one) * mean * (1.0 - mean) / variance
    upper = betaincinv(size * mean, size * (1.0 - mean), 1.0 - (1.0 - LEVEL) / 2.0)
    return float(upper - shares.mean())


def _seed_deviations(values: Floats, seeds: Sequence[int]) -> Floats:
    """How the mean over seeds deviates (RESAMPLES, K): by Student's t times the seeds' standard error."""
    S, _, K = values.shape
    if S == 1:
        return np.zeros((RESAMPLES, K))
    of_seeds, _ = _means(values, 1)
    deviations = np.nan_to_num(of_seeds - _means(of_seeds, 0)[0])
    found: Floats = _multipliers(tuple(seeds)) @ deviations / np.sqrt(S * (S - 1))
    return found


@lru_cache(maxsize=1)
def _multipliers(seeds: tuple[int, ...]) -> Floats:
    """Of the S seeds' deviations (RESAMPLES, S): a spherical Student's t in S - 1 dimensions, the same in all
    directions; its squared length has an F distribution."""
    S, half = len(seeds), RESAMPLES // 2
    normal = np.stack([_generator("seed", seed).standard_normal(half) for seed in seeds], 1)
    normal -= normal.mean(1, keepdims=True)
    lengths = np.linalg.norm(normal, axis=1)
    order = lengths**2 / _generator("degrees of freedom", S - 1).chisquare(S - 1, half)
    quantiles = fdtri(S - 1, S - 1, (order.argsort().argsort() + 0.5) / half)
    drawn = normal * (np.sqrt((S - 1) * quantiles) / lengths)[:, None]
    return np.concatenate([drawn, -drawn])


def _enlargement(count: NDArray[np.int64]) -> Floats:
    """By what the deviations of N resampled samples are too small (K,): by (N - 1) / N in the variance, and by their
    quantile, which is not Student's. Without bound for a single sample, of which no deviation is seen."""
    of_many, freedom = ndtri(1.0 - (1.0 - LEVEL) / 2.0), np.maximum(count - 1.0, 0.5)
    found: Floats = np.sqrt(count / freedom) * stdtrit(freedom, 1.0 - (1.0 - LEVEL) / 2.0) / of_many
    found[count <= 1] = np.nan
    return found


def _weighted(x: Floats, measured: Floats) -> Floats:
    """Means (SAMPLE_DRAWS, K) of resampled samples of `x` (N, K), those that were measured."""
    weights, x = _sample_weights(len(x)), np.nan_to_num(x)
    if measured.all():
        return weights @ x / len(x)
    return divided(weights @ x, weights @ measured.astype(float))


@lru_cache(maxsize=1)
def _sample_weights(N: int) -> Floats:
    """How often each of N samples is drawn in N draws with replacement (SAMPLE_DRAWS, N)."""
    generator, weights = _generator("samples", N), np.empty((SAMPLE_DRAWS, N))
    step = max(1, _AT_ONCE // N)
    for start in range(0, SAMPLE_DRAWS, step):
        rows = min(step, SAMPLE_DRAWS - start)
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

"""Intervals: what scatters, how wide they have to be, and that they hold what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from opnorm.claims.bootstrap import LEVEL, RESAMPLES, interval, scattered_means, unseen

# Student's 97.5 % points for 1 and 2 degrees of freedom, and the normal one.
STUDENT = {2: 12.706, 3: 4.303}
NORMAL = 1.960


def simulated(
    rng: np.random.Generator, S: int, N: int, *, seeds: float, samples: float, K: int = 1, mean: float = 0.0
) -> np.ndarray:
    """(S, N, K): a mean, an effect of the seed, one of the sample, and noise."""
    of_seed = seeds * rng.standard_normal((S, 1, 1))
    of_sample = samples * rng.standard_normal((1, N, 1))
    return mean + of_seed + of_sample + 0.1 * rng.standard_normal((S, N, K))


def width(values: np.ndarray) -> float:
    _, low, high = interval(scattered_means(values, range(len(values)))[:, 0])
    return high - low


@pytest.mark.parametrize(("S", "seeds", "samples"), [(3, 1.0, 1.0), (3, 0.1, 3.0), (2, 1.0, 0.0), (5, 1.0, 1.0)])
def test_the_interval_covers_the_truth_as_often_as_it_says(S: int, seeds: float, samples: float) -> None:
    rng, trials, hits = np.random.default_rng(0), 400, 0
    for _ in range(trials):
        values = simulated(rng, S, 40, seeds=seeds, samples=samples)
        _, low, high = interval(scattered_means(values, range(S))[:, 0])
        hits += low <= 0.0 <= high
    # Four standard errors of a share of 400 trials, and of a percentile bootstrap of 40 samples a little less.
    assert hits / trials > LEVEL - 4.0 * np.sqrt(LEVEL * (1.0 - LEVEL) / trials)


def test_resampling_few_seeds_with_replacement_would_not_cover() -> None:
    rng, trials, hits = np.random.default_rng(0), 400, 0
    for _ in range(trials):
        of_seeds = rng.standard_normal(3)
        drawn = of_seeds[rng.integers(3, size=(500, 3))].mean(1)
        low, high = np.percentile(drawn, [2.5, 97.5])
        hits += low <= 0.0 <= high
    assert hits / trials < 0.85


@pytest.mark.parametrize("S", [2, 3])
def test_where_only_seeds_differ_it_is_students_interval(S: int) -> None:
    values = np.broadcast_to(np.random.default_rng(1).standard_normal((S, 1, 1)), (S, 30, 1))
    expected = 2.0 * STUDENT[S] * values[:, 0, 0].std(ddof=1) / np.sqrt(S)
    # The percentile of heavy tails from 2,000 draws.
    assert width(values) == pytest.approx(expected, rel=0.25)


def test_where_only_samples_differ_it_is_that_of_a_mean() -> None:
    values = np.broadcast_to(np.random.default_rng(1).standard_normal((1, 400, 1)), (3, 400, 1))
    assert width(values) == pytest.approx(2.0 * NORMAL * values[0].std(ddof=1) / 20.0, rel=0.1)


@pytest.mark.parametrize("samples", [1, 50, 2000])
def test_what_none_of_some_samples_showed_is_bounded_exactly(samples: int) -> None:
    # A share as large as this would be missed by all of them with the probability of one tail.
    assert (1.0 - unseen(0, samples)) ** samples == pytest.approx((1.0 - LEVEL) / 2.0)


@pytest.mark.parametrize(("few", "samples"), [(1, 50), (3, 100), (9, 2000)])
def test_what_a_few_of_some_samples_showed_is_bounded_exactly(few: int, samples: int) -> None:
    share = few / samples + unseen(few, samples)
    assert stats.binom.cdf(few, samples, share) == pytest.approx((1.0 - LEVEL) / 2.0)


def test_seeds_that_differ_widen_the_interval() -> None:
    quiet, loud = (simulated(np.random.default_rng(2), 3, 100, seeds=seeds, samples=1.0) for seeds in (0.0, 0.5))
    assert width(loud) > 2.0 * width(quiet)


def test_a_single_seed_leaves_the_samples_to_resample() -> None:
    values = simulated(np.random.default_rng(3), 1, 100, seeds=1.0, samples=1.0)
    assert width(values) == pytest.approx(2.0 * NORMAL * values.std(ddof=1) / 10.0, rel=0.15)


def test_the_first_is_the_mean_over_samples_of_the_mean_over_seeds() -> None:
    values = np.random.default_rng(4).random((3, 7, 2))
    found = scattered_means(values, range(3))
    assert found.shape == (1 + RESAMPLES, 2)
    np.testing.assert_allclose(found[0], values.mean((0, 1)), rtol=1e-12)


def test_missing_values_are_left_out() -> None:
    values = np.random.default_rng(5).random((2, 30, 2))
    values[0, :10, 0] = values[1, :3, 0] = np.nan
    found = scattered_means(values, range(2))
    samples = [np.nanmean(values[:, i, 0]) for i in range(3, 30)]
    assert found[0, 0] == pytest.approx(np.mean(samples), rel=1e-12)
    assert np.isfinite(found).all()


def test_nothing_measured_is_no_number() -> None:
    found = scattered_means(np.full((2, 5, 1), np.nan), range(2))
    assert np.isnan(found).all()
    estimate, low, high = interval(found[:, 0])
    assert np.isnan(estimate)
    assert (low, high) == (-np.inf, np.inf)


@pytest.mark.parametrize(("share", "bounded"), [(0.02, True), (0.03, False)])
def test_resamples_without_a_value_could_be_anything(share: float, bounded: bool) -> None:
    statistic = np.linspace(1.0, 2.0, 1 + RESAMPLES)
    statistic[1000 : 1000 + round(share * RESAMPLES)] = np.nan
    _, low, high = interval(statistic)
    assert np.isfinite([low, high]).all() == bounded


def test_draws_are_shared_by_curves_and_methods_and_repeat() -> None:
    rng = np.random.default_rng(6)
    common = simulated(rng, 3, 50, seeds=1.0, samples=1.0)
    shifted = scattered_means(common + 0.5, (0, 1, 2)) - scattered_means(common, (0, 1, 2))
    np.testing.assert_allclose(shifted, 0.5, rtol=1e-9)
    scattered_means(rng.random((2, 9, 3)), (4, 5))
    np.testing.assert_array_equal(scattered_means(common, (0, 1, 2)), scattered_means(common, (0, 1, 2)))


def test_many_samples_are_drawn_in_parts_that_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from opnorm.claims import bootstrap

    bootstrap._sample_weights.cache_clear()
    whole = bootstrap._sample_weights(50)
    bootstrap._sample_weights.cache_clear()
    monkeypatch.setattr(bootstrap, "_AT_ONCE", 333)
    parts = bootstrap._sample_weights(50)
    bootstrap._sample_weights.cache_clear()
    np.testing.assert_array_equal(whole, parts)
    assert (whole.sum(1) == 50).all()
    assert whole.mean(0) == pytest.approx(1.0, abs=0.15)

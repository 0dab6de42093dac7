"""Intervals: what scatters, how wide they have to be, and that they hold what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from opnorm.claims.bootstrap import LEVEL, RESAMPLES, SAMPLE_DRAWS, exact_margins, interval, scattered_means

# The normal distribution's 97.5 % point.
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


@pytest.mark.parametrize("N", [2, 5, 20, 100])
def test_the_interval_of_a_mean_over_few_samples_is_students(N: int) -> None:
    rng, of_means = np.random.default_rng(N), []
    for _ in range(20):
        values = rng.standard_normal((1, N, 1))
        of_means.append(width(values) / values.std(ddof=1))
    # Of two samples a resample is one of three; of few the tails of what is drawn are shorter than the normal's.
    wanted = 2.0 * stats.t.ppf(0.975, N - 1) / np.sqrt(N)
    assert np.mean(of_means) == pytest.approx(wanted, rel=0.4 if N == 2 else 0.1)


def test_a_single_sample_shows_nothing_of_how_samples_scatter() -> None:
    _, low, high = interval(scattered_means(np.ones((3, 1, 1)), range(3))[:, 0])
    assert (low, high) == (-np.inf, np.inf)


@pytest.mark.parametrize("N", [10, 20])
def test_few_samples_cover_the_truth_as_often_as_they_say(N: int) -> None:
    rng, trials = np.random.default_rng(0), 2000
    drawn = scattered_means(rng.standard_normal((1, N, trials)), [0])
    tails = np.percentile(drawn[1:], [2.5, 97.5], axis=0)
    hits = ((tails[0] <= 0.0) & (tails[1] >= 0.0)).mean()
    assert hits == pytest.approx(LEVEL, abs=4.0 * np.sqrt(LEVEL * (1.0 - LEVEL) / trials))


def test_resampling_few_seeds_with_replacement_would_not_cover() -> None:
    rng, trials, hits = np.random.default_rng(0), 400, 0
    for _ in range(trials):
        of_seeds = rng.standard_normal(3)
        drawn = of_seeds[rng.integers(3, size=(500, 3))].mean(1)
        low, high = np.percentile(drawn, [2.5, 97.5])
        hits += low <= 0.0 <= high
    assert hits / trials < 0.85


@pytest.mark.parametrize("seeds", [(0, 1), (3, 8), (0, 1, 2), (1, 4, 7), (2, 5, 40), (0, 1, 2, 3, 4), (9, 1, 3, 8, 2)])
def test_where_only_seeds_differ_it_is_students_interval(seeds: tuple[int, ...]) -> None:
    S = len(seeds)
    values = np.broadcast_to(np.random.default_rng(S).standard_normal((S, 1, 1)), (S, 30, 1))
    estimate, low, high = interval(scattered_means(values, seeds)[:, 0])
    half = stats.t.ppf(0.975, S - 1) * values[:, 0, 0].std(ddof=1) / np.sqrt(S)
    assert high - estimate == pytest.approx(half, rel=0.05)
    assert estimate - low == pytest.approx(high - estimate, rel=1e-9)


def test_where_only_samples_differ_it_is_that_of_a_mean() -> None:
    values = np.broadcast_to(np.random.default_rng(1).standard_normal((1, 400, 1)), (3, 400, 1))
    assert width(values) == pytest.approx(2.0 * NORMAL * values[0].std(ddof=1) / 20.0, rel=0.1)


def answers(right: int, wrong: int, samples: int) -> np.ndarray:
    """Differences between two methods' answers: so many samples the first alone has right, so many the second alone."""
    return np.repeat([1.0, -1.0, 0.0], [right, wrong, samples - right - wrong])


@pytest.mark.parametrize("samples", [1, 50, 2000])
def test_what_none_of_some_samples_showed_is_bounded_exactly(samples: int) -> None:
    below, above = exact_margins(answers(0, 0, samples), signed=False)
    # A share as large as this would be missed by all of them with the probability of one tail.
    assert (1.0 - above) ** samples == pytest.approx((1.0 - LEVEL) / 2.0)
    assert below == pytest.approx(0.0)
    assert exact_margins(answers(0, 0, samples), signed=True) == pytest.approx((above, above))


@pytest.mark.parametrize(("right", "samples"), [(1, 50), (3, 100), (9, 2000), (50, 100), (97, 100), (100, 100)])
def test_the_margins_of_answers_are_those_of_the_exact_interval(right: int, samples: int) -> None:
    below, above = exact_margins(answers(right, 0, samples), signed=False)
    exact = stats.binomtest(right, samples).proportion_ci(LEVEL, method="exact")
    assert (right / samples - below, right / samples + above) == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_of_differences_each_side_is_bounded_by_those_that_would_move_it() -> None:
    def excess(k: int) -> tuple[float, float]:
        exact = stats.binomtest(k, 50).proportion_ci(LEVEL, method="exact")
        return k / 50 - exact.low, exact.high - k / 50

    # All one way: towards 0 the lower end of these, or that some go the other way; away from it their upper end.
    assert exact_margins(answers(8, 0, 50), signed=True) == pytest.approx((excess(8)[0], excess(8)[1]), abs=1e-9)
    assert exact_margins(answers(1, 0, 50), signed=True) == pytest.approx((excess(0)[1], excess(1)[1]), abs=1e-9)
    assert exact_margins(answers(2, 7, 50), signed=True) == pytest.approx((excess(7)[1], excess(2)[1]), abs=1e-9)
    below, above = exact_margins(answers(3, 6, 50), signed=True)
    assert exact_margins(answers(6, 3, 50), signed=True) == pytest.approx((above, below))


def test_shares_count_as_many_samples_as_they_scatter_like() -> None:
    rng = np.random.default_rng(7)
    of_seeds = (rng.random((3, 400)) < 0.5).astype(float)
    single, mean = (exact_margins(values, signed=False) for values in (of_seeds[0], of_seeds.mean(0)))
    # Three independent answers of each sample are three times as many samples.
    assert mean == pytest.approx(tuple(margin / np.sqrt(3.0) for margin in single), rel=0.1)


@pytest.mark.parametrize("shares", [np.full(40, 0.5), np.full(3, 1.0 / 3.0), np.array([1.0]), np.zeros(0)])
def test_margins_exist_for_all_shares(shares: np.ndarray) -> None:
    below, above = exact_margins(shares, signed=False)
    if len(shares):
        assert 0.0 <= below <= shares.mean()
        assert 0.0 <= above <= 1.0 - shares.mean()
    else:
        assert np.isnan([below, above]).all()


@pytest.mark.parametrize("shares", [(0.0, 0.01), (0.02, 0.0), (0.1, 0.02), (0.2, 0.2), (0.005, 0.005)])
def test_with_its_margins_the_interval_of_a_difference_covers_the_truth(shares: tuple[float, float]) -> None:
    rng, trials, N = np.random.default_rng(8), 1000, 50
    missed = np.zeros(2)
    for right, wrong, _ in rng.multinomial(N, [*shares, 1.0 - sum(shares)], size=trials):
        found = answers(right, wrong, N)
        below, above = exact_margins(found, signed=True)
        half, error = NORMAL * found.std() / np.sqrt(N), found.mean() - (shares[0] - shares[1])
        missed += (error > max(below, half), -error > max(above, half))
    # On each side one tail, 25 in a thousand, or a half more where it is the normal distribution's.
    assert (missed / trials < 0.0375 + 4.0 * np.sqrt(0.0375 / trials)).all()
    if max(shares) <= 0.02:
        assert (missed / trials < 0.025 + 4.0 * np.sqrt(0.025 / trials)).all()


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
    assert whole.shape == (SAMPLE_DRAWS, 50)
    assert (whole.sum(1) == 50).all()
    assert whole.mean(0) == pytest.approx(1.0, abs=0.15)

"""From tables to a verdict per claim."""

from __future__ import annotations

import itertools
import math
import os
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from opnorm.claims.bootstrap import exact_margins, interval, scattered_means
from opnorm.claims.claim import Case, Claim, Floats, Measure, Rows, full_name, words
from opnorm.claims.methods import Context, Method
from opnorm.claims.reductions import NotMeasuredError
from opnorm.claims.registry import decidable, undecidable
from opnorm.errors import SettingsError
from opnorm.options import suggest
from opnorm.tables import read_parquet, write_csv

if TYPE_CHECKING:
    import pandas as pd

Path = str | os.PathLike[str]
# The column of answers that are right or wrong, and that of checks of a whole network.
_ANSWER, _CHECK = "correct", "passed"
COLUMNS = (
    "claim", "section", "statement", "statistic", "estimate", "low", "high", "criterion", "verdict", "figure", "seeds",
    "samples",
)  # fmt: skip


@dataclass(frozen=True)
class Curve:
    """A method's `Rows`.

    Attributes:
        values: (S, N, K) by seed, sample and place; NaN where nothing was measured.
        axis: the K places, increasing; a single 0 where the rows have no axis.
        seeds: the S seeds, increasing.
        samples: the numbers of the N samples (N,), increasing.
    """

    values: Floats
    axis: Floats
    seeds: tuple[int, ...]
    samples: NDArray[np.int64]

    def of(self, seeds: Collection[int]) -> Curve:
        """The curve of some of its seeds, or of all where it has none of them."""
        chosen = [place for place, seed in enumerate(self.seeds) if seed in seeds] or range(len(self.seeds))
        return replace(self, values=self.values[list(chosen)], seeds=tuple(self.seeds[place] for place in chosen))

    def on(self, samples: NDArray[np.int64]) -> Curve:
        """The curve with these samples, which its own are among, and NaN for those that it has not."""
        values = np.full((len(self.seeds), len(samples), len(self.axis)), np.nan)
        values[:, np.searchsorted(samples, self.samples)] = self.values
        return replace(self, values=values, samples=samples)

    def among(self, *others: Curve) -> Curve:
        """The curve with NaN where others with the same samples have no value."""
        chosen = np.all([other.has_value() for other in others], axis=0)
        return replace(self, values=np.where(chosen[..., None], self.values, np.nan))

    def has_value(self) -> NDArray[np.bool_]:
        """Which samples have one (N,)."""
        found: NDArray[np.bool_] = np.any(~np.isnan(self.values), axis=(0, 2))
        return found


Curves = Mapping[tuple[Rows, str], Curve]


def write_claims(tables: Iterable[tuple[str, str, int, Path]], context: Context, output: Path) -> None:
    """Judge all claims that the tables can decide, and write a row for each; print what was left out, and why.

    Args:
        tables: analysis, method, seed and parquet file.
        context: the experiment.
        output: a csv with `COLUMNS`.

    Raises:
        FileError: a table is damaged, or the result cannot be written.
        SettingsError: a claim looks at an analysis or a column that there is not.
    """
    cases = list(decidable(context))
    verdicts, left_out = judge(cases, read_curves(cases, tables))
    for name, reason in {**undecidable(context), **left_out}.items():
        print(f"left out {name}: {reason}")
    write_csv(verdicts, output)


def judge(cases: Iterable[tuple[Claim, Case]], curves: Curves) -> tuple[pd.DataFrame, dict[str, str]]:
    """A row with `COLUMNS` for each case of a claim, and what cannot be decided, with reasons."""
    import pandas as pd

    rows, left_out = [], {}
    for claim, of in cases:
        try:
            rows.append(_row(claim, of, curves))
        except NotMeasuredError as error:
            left_out[full_name(claim, of)] = str(error)
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"samples": "Int64"}), left_out


def read_curves(
    cases: Iterable[tuple[Claim, Case]], tables: Iterable[tuple[str, str, int, Path]]
) -> dict[tuple[Rows, str], Curve]:
    """What the claims look at, by rows and method; a table is in memory only while it is read."""
    paths: dict[tuple[str, str], dict[int, Path]] = {}
    for analysis, method, seed, path in tables:
        paths.setdefault((analysis, method), {})[seed] = path
    wanted: dict[tuple[str, str], dict[Rows, None]] = {}
    for claim, of in cases:
        for rows, trained in itertools.product(claim.statistic.looked_at(of), of.methods):
            wanted.setdefault((rows.analysis, trained.name), {})[rows] = None
    found: dict[tuple[Rows, str], dict[int, pd.Series[float]]] = {}
    for (analysis, method), of_pair in wanted.items():
        for seed, path in paths.get((analysis, method), {}).items():
            table = read_parquet(path)
            for rows in of_pair:
                if (series := select(table, rows)) is not None:
                    found.setdefault((rows, method), {})[seed] = series
    return _aligned(found)


def select(table: pd.DataFrame, rows: Rows) -> pd.Series[float] | None:
    """Mean value by sample and place of the rows that are wanted; None where the table has no such row.

    Raises:
        SettingsError: it has no such column.
    """
    for column in (rows.value, "sample", *(key for key, _ in rows.where), *([rows.axis] if rows.axis else [])):
        if column not in table.columns:
            raise SettingsError(
                f"claims: the analysis {rows.analysis} has no column {column!r}{suggest(column, table)}"
            )
    chosen = np.ones(len(table), dtype=bool)
    for key, wanted in rows.where:
        chosen &= (table[key] == wanted).to_numpy()
    if not chosen.any():
        return None
    part = table[chosen]
    values = rows.transform(part[rows.value].to_numpy(np.float64))
    places = part[rows.axis].to_numpy(np.float64) if rows.axis else np.zeros(len(part))
    return part.assign(value=values, place=places).groupby(["sample", "place"])["value"].mean()


def _aligned(found: Mapping[tuple[Rows, str], Mapping[int, pd.Series[float]]]) -> dict[tuple[Rows, str], Curve]:
    """Each method's seeds and samples as an array."""
    curves = {}
    for pair, by_seed in found.items():
        grids = [by_seed[seed].unstack("place") for seed in sorted(by_seed)]
        axis = np.unique(np.concatenate([grid.columns.to_numpy(np.float64) for grid in grids]))
        samples = np.unique(np.concatenate([grid.index.to_numpy(np.int64) for grid in grids]))
        values = [grid.reindex(index=samples, columns=axis).to_numpy(np.float64) for grid in grids]
        curves[pair] = Curve(np.stack(values), axis, tuple(sorted(by_seed)), samples)
    return curves


def _row(claim: Claim, of: Case, curves: Curves) -> dict[str, Any]:
    used = _used(claim, of, curves)
    parts = _by_method(used, of) if claim.statistic.least else [used]
    estimate, low, high = _least([_interval(claim, part, least_of=len(parts)) for part in parts])
    # Checks of a whole network have no samples of their own.
    counted = [int(curve.has_value().sum()) for measure, curve in used if measure.rows.value != _CHECK]
    return {
        "claim": full_name(claim, of),
        "section": claim.section,
        "statement": words(claim.statement, of),
        "statistic": words(claim.statistic.words, of),
        "estimate": estimate,
        "low": low,
        "high": high,
        "criterion": claim.rule.criterion(),
        "verdict": claim.rule.decide(low, high),
        "figure": claim.statistic.figure,
        "seeds": min(len(curve.seeds) for _, curve in used),
        "samples": min(counted, default=None),
    }


def _used(claim: Claim, of: Case, curves: Curves) -> list[tuple[Measure, Curve]]:
    """What the statistic is made of, by method and measure: with the seeds that all have, samples at the same index."""
    pairs = [(measure, method) for method in of.methods for measure in claim.statistic.measures(of)]
    found = [[_curve(rows, method, curves) for rows in measure.looked_at()] for measure, method in pairs]
    every = list(itertools.chain.from_iterable(found))
    seeds = _compared_seeds(every)
    samples = np.unique(np.concatenate([curve.samples for curve in every]))
    aligned = [[curve.of(seeds).on(samples) for curve in looked_at] for looked_at in found]
    return [(measure, curve.among(*among)) for (measure, _), (curve, *among) in zip(pairs, aligned, strict=True)]


def _by_method(used: Sequence[tuple[Measure, Curve]], of: Case) -> list[Sequence[tuple[Measure, Curve]]]:
    """The same, cut into what belongs to each method."""
    step = len(used) // len(of.methods)
    return [used[start : start + step] for start in range(0, len(used), step)]


def _least(found: Sequence[tuple[float, float, float]]) -> tuple[float, float, float]:
    """Of the smallest of several statistics, which is below each of their upper ends. The least in each draw would lie
    below the least that there is."""
    estimates, lows, highs = zip(*found, strict=True)
    return math.nan if any(map(math.isnan, estimates)) else min(estimates), min(lows), min(highs)


def _interval(claim: Claim, used: Sequence[tuple[Measure, Curve]], least_of: int) -> tuple[float, float, float]:
    """The statistic, and where its interval begins and ends."""
    numbers = [measure.reduction(scattered_means(curve.values, curve.seeds), curve.axis) for measure, curve in used]
    estimate, low, high = interval(claim.statistic.combination(numbers), least_of=least_of)
    if claim.statistic.checked:
        return estimate, estimate, estimate
    if all(measure.rows.value == _ANSWER for measure, _ in used):
        below, above = (math.hypot(*sides) for sides in zip(*_exact_margins(claim, used), strict=True))
        low, high = min(low, estimate - below), max(high, estimate + above)
        if len(used) == 1:
            low, high = max(low, 0.0), min(high, 1.0)
    return estimate, low, high


def _exact_margins(claim: Claim, used: Sequence[tuple[Measure, Curve]]) -> list[tuple[float, float]]:
    """Of what each phase, the samples that some curves have, adds to the statistic; statistics of answers are linear in
    them."""
    of_samples = [measure.reduction(_over_seeds(curve.values), curve.axis) for measure, curve in used]
    phases = [curve.has_value().tobytes() for _, curve in used]
    found = []
    for phase in dict.fromkeys(phases):
        parts = [x if own == phase else np.zeros_like(x) for x, own in zip(of_samples, phases, strict=True)]
        answers = claim.statistic.combination(parts)
        found.append(exact_margins(answers[~np.isnan(answers)], signed=len(used) > 1))
    return found


def _over_seeds(values: Floats) -> Floats:
    """(N, K) of (S, N, K), NaN where nothing was measured."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found: Floats = np.nanmean(values, 0)
    return found


def _compared_seeds(curves: Iterable[Curve]) -> set[int]:
    """The seeds that all curves have: networks that differ in their seeds as well say less of their methods."""
    return set.intersection(*(set(curve.seeds) for curve in curves))


def _curve(rows: Rows, method: Method, curves: Curves) -> Curve:
    """
    Raises:
        NotMeasuredError: there is none.
    """
    try:
        return curves[rows, method.name]
    except KeyError:
        of = "".join(f", {key} = {wanted}" for key, wanted in rows.where)
        raise NotMeasuredError(f"{rows.analysis} of {method.name}{of}, was not measured") from None

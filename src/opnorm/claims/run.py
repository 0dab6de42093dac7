"""From tables to a verdict per claim."""

from __future__ import annotations

import itertools
import math
import os
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from opnorm.claims.bootstrap import interval, scattered_means, unseen
from opnorm.claims.claim import Case, Claim, Floats, Measure, Rows, full_name, words
from opnorm.claims.methods import Context, Method
from opnorm.claims.reductions import NotMeasuredError
from opnorm.claims.registry import CLAIMS, decidable
from opnorm.tables import read_parquet, write_csv

if TYPE_CHECKING:
    import pandas as pd

Path = str | os.PathLike[str]
# The column of answers that are right or wrong; where fewer samples than these differ, resamples show too little.
_ANSWER, _FEW = "correct", 10
_ROUNDING = 1e-9
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
    """

    values: Floats
    axis: Floats
    seeds: tuple[int, ...]

    def of(self, seeds: Collection[int]) -> Curve:
        """The curve of some of its seeds, or of all where it has none of them."""
        chosen = [place for place, seed in enumerate(self.seeds) if seed in seeds] or range(len(self.seeds))
        return Curve(self.values[list(chosen)], self.axis, tuple(self.seeds[place] for place in chosen))


Curves = Mapping[tuple[Rows, str], Curve]


def write_claims(tables: Iterable[tuple[str, str, int, Path]], context: Context, output: Path) -> None:
    """Judge all claims that the tables can decide, and write a row for each; print what was left out, and why.

    Args:
        tables: analysis, method, seed and parquet file.
        context: the experiment.
        output: a csv with `COLUMNS`.

    Raises:
        FileError: a table is damaged, or the result cannot be written.
    """
    cases = list(decidable(context))
    for name in dict.fromkeys(claim.name for claim in CLAIMS):
        if name not in {claim.name for claim, _ in cases}:
            print(f"left out {name}: the experiment lacks its methods or analyses")
    verdicts, left_out = judge(cases, read_curves(cases, tables))
    for name, reason in left_out.items():
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
    return pd.DataFrame(rows, columns=list(COLUMNS)), left_out


def read_curves(
    cases: Iterable[tuple[Claim, Case]], tables: Iterable[tuple[str, str, int, Path]]
) -> dict[tuple[Rows, str], Curve]:
    """What the claims look at, by rows and method; a table is in memory only while it is read."""
    paths: dict[tuple[str, str], dict[int, Path]] = {}
    for analysis, method, seed, path in tables:
        paths.setdefault((analysis, method), {})[seed] = path
    wanted: dict[tuple[str, str], dict[Rows, None]] = {}
    for claim, of in cases:
        for measure, trained in itertools.product(claim.statistic.measures(of), of.methods):
            wanted.setdefault((measure.rows.analysis, trained.name), {})[measure.rows] = None
    found: dict[tuple[Rows, str], dict[int, pd.Series[float]]] = {}
    for (analysis, method), of_pair in wanted.items():
        for seed, path in paths.get((analysis, method), {}).items():
            table = read_parquet(path)
            for rows in of_pair:
                if (series := select(table, rows)) is not None:
                    found.setdefault((rows, method), {})[seed] = series
    return _aligned(found)


def select(table: pd.DataFrame, rows: Rows) -> pd.Series[float] | None:
    """Mean value by sample and place of the rows that are wanted; None where the table has no such column or row."""
    columns = [rows.value, "sample", *(key for key, _ in rows.where), *([rows.axis] if rows.axis else [])]
    if not set(columns) <= set(table.columns):
        return None
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
    """Arrays in which all methods have the same samples at the same index, for each `Rows`."""
    samples: dict[Rows, Floats] = {}
    for (rows, _), by_seed in found.items():
        for series in by_seed.values():
            here = series.index.get_level_values("sample").unique().to_numpy()
            samples[rows] = np.union1d(samples[rows], here) if rows in samples else np.sort(here)
    curves = {}
    for (rows, method), by_seed in found.items():
        grids = [by_seed[seed].unstack("place") for seed in sorted(by_seed)]
        axis = np.unique(np.concatenate([grid.columns.to_numpy(np.float64) for grid in grids]))
        values = [grid.reindex(index=samples[rows], columns=axis).to_numpy(np.float64) for grid in grids]
        curves[rows, method] = Curve(np.stack(values), axis, tuple(sorted(by_seed)))
    return curves


def _row(claim: Claim, of: Case, curves: Curves) -> dict[str, Any]:
    measures = claim.statistic.measures(of)
    used = [(measure, _curve(measure, method, curves)) for method in of.methods for measure in measures]
    seeds = _compared_seeds([curve for _, curve in used])
    used = [(measure, curve.of(seeds)) for measure, curve in used]
    numbers = [measure.reduction(scattered_means(curve.values, curve.seeds), curve.axis) for measure, curve in used]
    estimate, low, high = interval(claim.statistic.combination(numbers))
    samples = min(curve.values.shape[1] for _, curve in used)
    if claim.statistic.checked:
        low = high = estimate
    elif all(measure.rows.value == _ANSWER for measure, _ in used):
        beyond = _unseen(claim, used)
        low, high = min(low, estimate - beyond), max(high, estimate + beyond)
        if len(used) == 1:
            low, high = max(low, 0.0), min(high, 1.0)
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
        "samples": samples,
    }


def _unseen(claim: Claim, used: Sequence[tuple[Measure, Curve]]) -> float:
    """By how much an accuracy, or a difference of two, may be farther off than the few samples say that speak for it; 0
    where they are many. Statistics of answers are linear in them."""
    of_samples = [measure.reduction(_over_seeds(curve.values), curve.axis) for measure, curve in used]
    answers = np.abs(claim.statistic.combination(of_samples))
    answers = answers[~np.isnan(answers)]
    # Of a single accuracy the rarer answer counts.
    few = min(answers.sum(), len(answers) - answers.sum()) if len(used) == 1 else answers.sum()
    return unseen(math.ceil(few - _ROUNDING), len(answers)) if few < _FEW else 0.0


def _over_seeds(values: Floats) -> Floats:
    """(N, K) of (S, N, K), NaN where nothing was measured."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found: Floats = np.nanmean(values, 0)
    return found


def _compared_seeds(curves: Iterable[Curve]) -> set[int]:
    """The seeds that all curves have: networks that differ in their seeds as well say less of their methods."""
    return set.intersection(*(set(curve.seeds) for curve in curves))


def _curve(measure: Measure, method: Method, curves: Curves) -> Curve:
    """
    Raises:
        NotMeasuredError: there is none.
    """
    try:
        return curves[measure.rows, method.name]
    except KeyError:
        raise NotMeasuredError(f"{measure.rows.analysis} of {method.name} was not measured") from None

"""Figures: what is averaged over what, the csv contract, and that pictures show the csv and nothing else."""

from __future__ import annotations

import importlib
import itertools
import math
import os
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from opnorm.errors import FileError, SettingsError
from opnorm.figures import REGISTRY, aliases, panels, style
from opnorm.figures.context import RANDOM, FigureContext, figure_context
from opnorm.figures.render import redraw, render
from opnorm.figures.summary import STATISTICS, summarise
from opnorm.selection import Selection
from opnorm.settings import Experiment, Method, Optimization
from opnorm.tables import write_parquet
from opnorm.threat_model import ThreatModel

METHODS = ("standard", "adversarial", "global_snr")
SEEDS = (0, 1)
EPSILON = 0.5
CONTEXT = FigureContext(
    METHODS,
    {"standard": "Standard", "adversarial": "AT"},
    2.0,
    EPSILON,
    "digits",
    {"standard": 0.0, "adversarial": 0.25, "global_snr": 1.0},
)

# The contract: the columns in front of the statistics; the last of them is the x axis.
COLUMNS = {
    "spectrum": ["method", "inputs", "rank"],
    "alignment": ["method", "rank"],
    "robustness": ["method", "norm", "epsilon"],
    "linearity": ["method", "direction", "distance"],
    "dominant_singular_value": ["method", "direction", "distance"],
    "activations": ["method", "center", "direction", "distance"],
    "alignment_distance": ["method", "epsilon"],
    "alignment_iterations": ["method", "process", "iterations"],
    "logit_alignment_iterations": ["method", "process", "iterations"],
    "attack_iterations": ["method", "quantity", "iterations"],
    "operator_norms": ["method", "p", "q", "exact"],
    "theorem": ["method", "p", "q", "iteration"],
    "theorem_distance": ["method", "p", "q", "epsilon"],
    "logit_spectrum": ["method", "inputs", "rank"],
    "spectrum_explanations": ["method", "inputs", "rank"],
    "logit_spectrum_explanations": ["method", "inputs", "rank"],
    "logit_alignment": ["method", "rank"],
    "logit_dominant_singular_value": ["method", "direction", "distance"],
    "logit_direction": ["method", "quantity", "direction", "inputs"],
    "interpolation": ["mixture", "norm", "epsilon"],
    "robustness_linf": ["method", "norm", "epsilon"],
    "explanations": ["method", "norm", "epsilon"],
    "evaluation": ["method", "norm", "epsilon", "attack"],
    "evaluation_interpolation": ["method", "norm", "epsilon", "attack"],
    "evaluation_linf": ["method", "norm", "epsilon", "attack"],
    "evaluation_explanations": ["method", "norm", "epsilon", "attack"],
    "sanity": ["method", "check", "norm", "epsilon", "threshold"],
    "sanity_interpolation": ["method", "check", "norm", "epsilon", "threshold"],
    "sanity_linf": ["method", "check", "norm", "epsilon", "threshold"],
    "sanity_explanations": ["method", "check", "norm", "epsilon", "threshold"],
    "accuracies": ["method", "epsilon"],
}
VALUES = {
    "spectrum": "singular_value",
    "alignment": "cosine",
    "logit_spectrum": "singular_value",
    "spectrum_explanations": "singular_value",
    "logit_spectrum_explanations": "singular_value",
    "logit_alignment": "cosine",
    "logit_dominant_singular_value": "singular_value",
    "logit_direction": "cosine",
    "robustness": "correct",
    "robustness_linf": "correct",
    "explanations": "correct",
    "linearity": "deviation",
    "dominant_singular_value": "singular_value",
    "activations": "shared",
    "alignment_distance": "cosine",
    "alignment_iterations": "cosine",
    "logit_alignment_iterations": "cosine",
    "attack_iterations": "shared",
    "operator_norms": "norm",
    "theorem": "difference",
    "theorem_distance": "cosine",
    "evaluation": "correct",
    "sanity": "value",
}
# Columns behind the statistics.
FURTHER = {"operator_norms": ["upper"]}
EXPONENTS = [1.0, 2.0, math.inf]
DIRECTIONS, DISTANCES = ["random", "adversarial"], [0.0, 0.25, 0.5, 1.0]
EVALUATIONS = ["evaluation", "evaluation_interpolation", "evaluation_linf", "evaluation_explanations"]
SANITY = ["sanity", "sanity_interpolation", "sanity_linf", "sanity_explanations"]
DOTS = [
    "accuracies",
    "operator_norms",
    "logit_direction",
    "interpolation",
    *SANITY,
    "alignment_iterations",
    "logit_alignment_iterations",
    "attack_iterations",
    *EVALUATIONS,
]
CHECKS = ["monotone", "more_iterations_200", "black_box", "more_iterations_50", "large_epsilon"]
ATTACKS = ["worst_case", "pga_200x5", "clean", "pga_200", "square", "pga_50", "autoattack"]
CURVES = [name for name in COLUMNS if name not in DOTS]


def grid(**columns: list) -> pd.DataFrame:
    return pd.DataFrame(list(itertools.product(*columns.values())), columns=list(columns))


def rows(analysis: str) -> pd.DataFrame:
    """The rows of one run, without the measured values."""
    samples = list(range(4))
    if analysis in ("spectrum", "logit_spectrum"):
        return grid(sample=samples, inputs=["clean", "adversarial"], rank=list(range(1, 16)))
    if analysis in ("alignment", "logit_alignment"):
        return grid(sample=samples, network=["trained", "random"], rank=list(range(1, 16)))
    if analysis == "robustness":
        radii = {2.0: [0.0, 0.25, EPSILON, 1.0], math.inf: [0.0, 0.05, EPSILON]}
        return pd.concat([grid(sample=samples, norm=[norm], epsilon=epsilons) for norm, epsilons in radii.items()])
    if analysis == "activations":
        data = grid(sample=samples, center=["data"], direction=DIRECTIONS, distance=DISTANCES)
        return pd.concat([data, data[data["direction"] == "random"].assign(center="uniform")])
    if analysis == "logit_direction":
        table = grid(sample=samples, inputs=["clean", "adversarial"], direction=["cross_entropy", "random"])
        return table.assign(gain=np.random.default_rng(5).uniform(0.1, 1.0, len(table)))
    if analysis == "alignment_distance":
        return grid(sample=samples, epsilon=[0.25, EPSILON, 1.0])
    if analysis in ("alignment_iterations", "logit_alignment_iterations"):
        found = grid(sample=samples, process=["attack", "power_method"], iterations=[1, 2, 5, 10])
        return pd.concat([grid(sample=samples, process=["input_gradient"], iterations=[1]), found])
    if analysis == "attack_iterations":
        table = grid(sample=samples, iterations=[10, 50, 200])
        drawn = np.random.default_rng(6).uniform(0.1, 1.0, (2, len(table)))
        return table.assign(singular_value=drawn[0], deviation=drawn[1])
    if analysis == "theorem":
        return grid(sample=samples, p=EXPONENTS, q=EXPONENTS, iteration=[1, 2, 3]).assign(in_cell=True)
    if analysis == "theorem_distance":
        return grid(sample=samples, p=EXPONENTS, q=EXPONENTS, epsilon=[0.05, EPSILON, 1.0])
    if analysis == "operator_norms":
        norms = grid(sample=samples, p=EXPONENTS, q=EXPONENTS)
        return norms.assign(exact=(norms["p"] < math.inf) | (norms["q"] != 2.0), upper=1.25)
    if analysis == "evaluation":
        return pd.concat([grid(sample=samples, norm=[norm], epsilon=[0.1], attack=ATTACKS) for norm in (2.0, math.inf)])
    if analysis == "sanity":
        alone = grid(sample=[0], check=["zero_gradients"], norm=[math.nan], epsilon=[math.nan], threshold=[0.0])
        return pd.concat([grid(sample=[0], check=CHECKS, norm=[2.0], epsilon=[0.1], threshold=[0.5]), alone])
    return grid(sample=samples, direction=DIRECTIONS, distance=DISTANCES)


@cache
def measured(analysis: str, seed: int) -> pd.DataFrame:
    table, generator = rows(analysis), np.random.default_rng(seed)
    values = generator.uniform(0.1, 1.0, len(table))
    return table.assign(**{VALUES[analysis]: values > 0.4 if VALUES[analysis] == "correct" else values})


@cache
def pooled(analysis: str) -> pd.DataFrame:
    runs = itertools.product(enumerate(METHODS), SEEDS)
    return pd.concat(
        [measured(analysis, 10 * place + seed).assign(method=method, seed=seed) for (place, method), seed in runs]
    )


def module_of(name: str) -> ModuleType:
    return importlib.import_module(REGISTRY[name].module)


def summary_of(name: str, context: FigureContext = CONTEXT) -> pd.DataFrame:
    return module_of(name).summarise(pooled(REGISTRY[name].analysis), context)


def draw(name: str, context: FigureContext = CONTEXT) -> tuple[Figure, pd.DataFrame]:
    summary = summary_of(name, context)
    return module_of(name).draw(summary, context), summary


def training_lines(axes: Axes) -> list[list[float]]:
    return [list(line.get_xdata()) for line in axes.lines if line.get_label() == style.TRAINING_LINE["label"]]


def data_lines(axes: Axes) -> dict[str, matplotlib.lines.Line2D]:
    return {line.get_label(): line for line in axes.lines if line.get_label() != style.TRAINING_LINE["label"]}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every figure, rendered from parquet files as the workflow does it."""
    folder = tmp_path_factory.mktemp("figures")
    for name, entry in REGISTRY.items():
        tables = []
        for (place, method), seed in itertools.product(enumerate(METHODS), SEEDS):
            path = folder / entry.analysis / method / f"{seed}.parquet"
            write_parquet(measured(entry.analysis, 10 * place + seed), path)
            tables.append((method, seed, path))
        # Runs may be listed in any order.
        render(name, tables[::-1], CONTEXT, **outputs(folder, name), csv=folder / f"{name}.csv")
    return folder


def outputs(folder: Path, name: str) -> dict[str, Path]:
    return {"pdf": folder / f"{name}.pdf", "png": folder / f"{name}.png"}


# Summaries


def slow_summary(table: pd.DataFrame, keys: list[str], value: str) -> list[tuple]:
    """Loops that do what the definition says."""
    found = []
    for key in sorted(set(table[keys].itertuples(index=False, name=None))):
        part = [row for row in table.to_dict("records") if tuple(row[k] for k in keys) == key]

        def means(part: list[dict], column: str) -> list[float]:
            groups = sorted({row[column] for row in part})
            return [float(np.mean([row[value] for row in part if row[column] == group])) for group in groups]

        samples, seeds = means(part, "sample"), means(part, "seed")
        error = np.std(samples, ddof=1) / math.sqrt(len(samples))
        found.append((*key, np.mean(samples), error, len(samples), np.std(seeds, ddof=1)))
    return found


def test_summary_agrees_with_loops() -> None:
    generator = np.random.default_rng(0)
    table = grid(method=["a", "b"], rank=[1, 2, 3], sample=list(range(5)), seed=[0, 1, 2])
    table = table.assign(value=generator.normal(size=len(table))).sample(frac=1.0, random_state=1)
    table = table[~((table["rank"] == 3) & (table["sample"] > 2))]
    expected = pd.DataFrame(slow_summary(table, ["method", "rank"], "value"), columns=["method", "rank", *STATISTICS])
    found = summarise(table, ["method", "rank"], "value")
    # Sums of fifteen float64 numbers of order one.
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-13, atol=1e-14)


def test_seeds_are_averaged_before_samples() -> None:
    table = pd.DataFrame({"method": "a", "sample": [0, 0, 1, 1], "seed": [0, 1, 0, 1], "value": [0.0, 2.0, 1.0, 1.0]})
    (row,) = summarise(table, ["method"], "value").to_dict("records")
    # The samples agree once seeds are averaged; four rows taken as samples would have an error of 0.41.
    assert (row["mean"], row["standard_error"], row["n"]) == (1.0, 0.0, 2)
    assert row["seed_std"] == pytest.approx(np.std([0.5, 1.5], ddof=1))


def test_a_spread_of_one_is_missing_not_zero() -> None:
    table = pd.DataFrame({"method": ["a"], "sample": [0], "seed": [0], "value": [1.0]})
    (row,) = summarise(table, ["method"], "value").to_dict("records")
    assert math.isnan(row["seed_std"])
    assert math.isnan(row["standard_error"])


def test_missing_values_are_left_out() -> None:
    table = pd.DataFrame({"method": "a", "sample": [0, 1, 2], "seed": 0, "value": [1.0, 3.0, np.nan]})
    (row,) = summarise(table, ["method"], "value").to_dict("records")
    assert (row["mean"], row["n"]) == (2.0, 2)


def test_float32_is_summed_in_float64() -> None:
    values = np.full(3, 1.0, dtype="float32") + np.array([0.0, 0.0, 1e-7], dtype="float32")
    table = pd.DataFrame({"method": "a", "sample": range(3), "seed": 0, "value": values})
    assert summarise(table, ["method"], "value")["mean"][0] == np.mean(values.astype("float64"))


# The csv contract


@pytest.mark.parametrize("name", COLUMNS)
def test_csv_has_the_contract_s_columns(name: str, rendered: Path) -> None:
    header = (rendered / f"{name}.csv").read_text().splitlines()[0]
    assert header.split(",") == [*COLUMNS[name], "mean", "standard_error", "n", "seed_std", *FURTHER.get(name, ())]


def test_every_figure_is_in_the_contract() -> None:
    assert set(REGISTRY) == set(COLUMNS)


@pytest.mark.parametrize("name", sorted({*CURVES, "operator_norms", "evaluation"} - {"alignment", "logit_alignment"}))
def test_csv_agrees_with_loops(name: str, rendered: Path) -> None:
    table = pooled(REGISTRY[name].analysis)
    expected = slow_summary(table, COLUMNS[name], VALUES[name])
    found = pd.read_csv(rendered / f"{name}.csv").drop(columns=FURTHER.get(name, []))
    found = sorted(found.itertuples(index=False, name=None))
    assert [row[:-4] for row in found] == [row[:-4] for row in expected]
    # The csv has nine digits.
    np.testing.assert_allclose([r[-4:] for r in found], [r[-4:] for r in expected], rtol=1e-8)


def test_rows_follow_the_experiment_s_order() -> None:
    context = FigureContext(("global_snr", "standard", "adversarial"), {}, 2.0, EPSILON, "digits")
    assert list(summary_of("alignment", context)["method"].unique()) == [*context.methods, RANDOM]


def test_norms_are_written_as_words(rendered: Path) -> None:
    found = pd.read_csv(rendered / "robustness.csv", dtype=str, keep_default_na=False)
    assert set(found["norm"]) == {"2", "inf"}


def test_untrained_networks_of_all_methods_are_one() -> None:
    table = pooled("alignment")
    summary = summary_of("alignment").set_index(["method", "rank"])
    untrained, trained = table[table["network"] == "random"], table[table["network"] == "trained"]
    for rank in (1, 15):
        expected = untrained[untrained["rank"] == rank]["cosine"].mean()
        assert summary.loc[(RANDOM, rank), "mean"] == pytest.approx(expected)
        assert summary.loc[(RANDOM, rank), "n"] == 4
        own = trained[(trained["rank"] == rank) & (trained["method"] == "adversarial")]
        assert summary.loc[("adversarial", rank), "mean"] == pytest.approx(own["cosine"].mean())


@pytest.mark.parametrize("norm", [2.0, math.inf])
def test_accuracies_are_those_of_the_training_s_norm(norm: float) -> None:
    context = FigureContext(METHODS, {}, norm, EPSILON, "digits")
    table = pooled("robustness")
    found = summary_of("accuracies", context).set_index(["method", "epsilon"])
    assert len(found) == 2 * len(METHODS)
    for method, epsilon in found.index:
        part = table[(table["method"] == method) & (table["norm"] == norm) & (table["epsilon"] == epsilon)]
        assert found.loc[(method, epsilon), "mean"] == pytest.approx(part["correct"].mean())


def test_accuracies_find_an_epsilon_rounded_to_float32() -> None:
    context = FigureContext(METHODS, {}, 2.0, 0.1, "digits")
    table = pooled("robustness")
    table = table.assign(epsilon=(table["epsilon"] * 0.2).astype("float32").astype("float64"))
    assert len(module_of("accuracies").summarise(table, context)) == 2 * len(METHODS)


def test_accuracies_without_the_training_s_epsilon_are_an_error() -> None:
    context = FigureContext(METHODS, {}, 2.0, 0.7, "digits")
    with pytest.raises(SettingsError, match="0.7"):
        summary_of("accuracies", context)


# Pictures


@pytest.mark.parametrize("name", CURVES)
def test_lines_are_the_summary(name: str) -> None:
    figure, summary = draw(name)
    x = COLUMNS[name][-1]
    split = [column for column in ("norm", "center", "p", "q") if column in summary]
    parts = [part for _, part in summary.groupby(split, sort=False)] if split else [summary]
    assert len(figure.axes) == len(parts)
    for axes, part in zip(figure.axes, parts, strict=True):
        condition = next((c for c in ("inputs", "direction") if c in part), None)
        curves = part.groupby(["method"] if condition is None else ["method", condition])
        lines = data_lines(axes)
        assert len(lines) == len(curves)
        for key, rows in curves:
            line = lines[", ".join([CONTEXT.label(key[0]), *key[1:]])]
            np.testing.assert_array_equal(line.get_xdata(), rows[x])
            np.testing.assert_array_equal(line.get_ydata(), rows["mean"])
            assert (line.get_linestyle() == "--") == ("adversarial" in key[1:])


def test_iterations_of_attack_and_power_method_are_curves_beside_the_input_gradient() -> None:
    figure, summary = draw("alignment_iterations")
    shown = {
        axes.get_title(): sorted(y for line in axes.lines if line.get_marker() != "None" for y in line.get_ydata())
        for axes in figure.axes
    }
    drawn = {"projected gradient ascent": ["input_gradient", "attack"], "power method": ["power_method"]}
    for title, processes in drawn.items():
        assert shown[title] == pytest.approx(sorted(summary[summary["process"].isin(processes)]["mean"]))
    ticks = [[text.get_text() for text in axes.get_xticklabels()] for axes in figure.axes]
    assert ticks == [["input\ngradient", "1", "2", "5", "10"], ["1", "2", "5", "10"]]


def test_both_quantities_of_logit_directions_are_summarised_and_shown() -> None:
    figure, summary = draw("logit_direction")
    table = pooled("logit_direction")
    keys = ["method", "direction", "inputs"]
    for quantity in ("cosine", "gain"):
        part = summary[summary["quantity"] == quantity].set_index(keys)
        for key, rows in table.groupby(keys):
            assert part.loc[key, "mean"] == pytest.approx(rows[quantity].mean())
    for axes, quantity in zip(figure.axes, ("cosine", "gain"), strict=True):
        shown = sorted(x for line in axes.lines for x in line.get_xdata() if line.get_marker() != "None")
        assert shown == pytest.approx(sorted(summary[summary["quantity"] == quantity]["mean"]))
        assert quantity in axes.get_xlabel()


def test_the_interpolation_is_over_the_methods_mixtures() -> None:
    figure, summary = draw("interpolation")
    table = pooled("robustness")
    by_mixture = {CONTEXT.mixtures[method]: table[table["method"] == method] for method in METHODS}
    for row in summary.itertuples():
        part = by_mixture[row.mixture]
        part = part[(part["norm"] == float(row.norm)) & (part["epsilon"] == row.epsilon)]
        assert row.mean == pytest.approx(part["correct"].mean())
    assert len(summary) == 3 * (4 + 3)
    for axes, norm in zip(figure.axes, ("2", "inf"), strict=True):
        part = summary[summary["norm"] == norm]
        lines = [tuple(line.get_ydata()) for line in axes.lines]
        assert lines == [tuple(rows.sort_values("mixture")["mean"]) for _, rows in part.groupby("epsilon")]
        assert [text.get_text() for text in axes.texts][0] == "clean"
        assert all(list(line.get_xdata()) == [0.0, 0.25, 1.0] for line in axes.lines)
        thick = [line.get_linewidth() > 1.0 for line in axes.lines]
        assert thick == ([False, False, True, False] if norm == "2" else [False] * 3)


def test_the_interpolation_leaves_out_what_is_no_mixture_and_refuses_two_that_are_the_same() -> None:
    context = FigureContext(METHODS, {}, 2.0, EPSILON, "digits", {"standard": 0.25})
    assert {*summary_of("interpolation", context)["mixture"]} == {0.25}
    context = replace(context, mixtures=dict.fromkeys(METHODS, 0.5))
    with pytest.raises(SettingsError, match="same mixture"):
        summary_of("interpolation", context)


def test_mixtures_without_a_common_seed_are_answered_in_words() -> None:
    table = pd.DataFrame(
        {"sample": 0, "norm": 2.0, "epsilon": 0.5, "correct": True, "method": ["one", "other"], "seed": [0, 1]}
    )
    context = FigureContext({"one": "one", "other": "other"}, {}, 2.0, EPSILON, "digits", {"one": 0.0, "other": 1.0})
    with pytest.raises(SettingsError, match="no seed in common"):
        module_of("interpolation").summarise(table, context)


@pytest.mark.parametrize("values", [[1.0, 0.99, 0.98, 0.5], [0.9, 0.02, 0.01, 0.0], [0.0] * 4, [1.0] * 4])
def test_labels_keep_their_distance(values: list[float]) -> None:
    places = module_of("interpolation").spread(values, 0.1)
    assert all(above - below >= 0.1 - 1e-12 for above, below in itertools.pairwise(places))
    assert all(0.0 <= place <= 1.0 for place in places)
    assert module_of("interpolation").spread([0.9, 0.5, 0.1], 0.1) == [0.9, 0.5, 0.1]


REGULARISED = {"objective": "data_dependent_snr", "options": {"weight": 1.0, "solver": "exact"}}
ATTACKED: dict[str, Any] = {"objective": "adversarial", "options": {}}


@pytest.mark.parametrize(("changed", "expected"), [
    ({}, {"half": 0.5, "snr": 0.0, "at": 1.0}),
    ({"snr": {"options": {"weight": 2.0}}}, {"half": 0.5, "at": 1.0}),
    ({"snr": {"options": {"weight": 1.0, "solver": "power"}}}, {"half": 0.5, "at": 1.0}),
    ({"snr": {"options": {"weight": 1.0, "form": "sigma"}}}, {"half": 0.5, "at": 1.0}),
    ({"snr": {"options": {"weight": 1.0, "p": 2.0, "form": "sum_of_squares"}}}, {"half": 0.5, "snr": 0.0, "at": 1.0}),
    ({"at": {"options": {"fraction": 0.5}}}, {"half": 0.5, "snr": 0.0}),
    ({"at": {"options": {"fraction": 1.0}}}, {"half": 0.5, "snr": 0.0, "at": 1.0}),
    ({"at": {"threat": ThreatModel(math.inf, 0.1, 3)}}, {"half": 0.5, "snr": 0.0}),
    ({"snr": {"objective": "mixture", "options": {"weight": 1.0, "mixture": 1.0}}}, {"half": 0.5, "snr": 1.0}),
    ({"half": {"objective": "standard", "options": {}}}, {}),
])  # fmt: skip
def test_mixtures_ends_are_the_methods_that_they_would_be(changed: dict[str, Any], expected: dict[str, float]) -> None:
    experiment = experiment_of({"half": "interpolation", "snr": "main", "at": "main"})
    given = {"half": {"objective": "mixture", "options": {"weight": 1.0, "mixture": 0.5}}, "snr": REGULARISED}
    methods = [
        replace(method, **{**given.get(method.name, ATTACKED), **changed.get(method.name, {})})
        for method in experiment.methods
    ]
    experiment = replace(experiment, methods=tuple(methods))
    assert figure_context(experiment, "main", "interpolation").mixtures == expected


def test_accuracies_show_the_summary() -> None:
    figure, summary = draw("accuracies")
    (axes,) = figure.axes
    points = {(x, y) for line in axes.lines for x, y in zip(*line.get_data(), strict=True)}
    expected = {(row.mean, METHODS.index(row.method)) for row in summary.itertuples()}
    assert points == expected
    texts = [text.get_text() for text in axes.texts]
    for mean, error in summary[["mean", "standard_error"]].to_numpy():
        assert f"{100 * mean:.1f}±{100 * error:.1f}" in texts


def test_the_theorem_is_shown_for_samples_inside_their_cell() -> None:
    table, module = pooled("theorem"), module_of("theorem")
    left = table.assign(in_cell=table["sample"] < 3)
    expected = module.summarise(table[table["sample"] < 3], CONTEXT)
    assert (expected["n"] == 3).all()
    pd.testing.assert_frame_equal(module.summarise(left, CONTEXT), expected)
    with pytest.raises(SettingsError, match="no sample"):
        module.summarise(table.assign(in_cell=False), CONTEXT)


def test_no_difference_is_drawn_as_zero() -> None:
    summary = summary_of("theorem").assign(mean=0.0, standard_error=0.0)
    axes = module_of("theorem").draw(summary, CONTEXT).axes[0]
    assert axes.get_yscale() == "symlog"
    assert axes.get_ylim()[0] < 0.0
    assert all((line.get_ydata() == 0.0).all() for line in axes.lines)


def test_operator_norms_show_the_summary() -> None:
    figure, summary = draw("operator_norms")
    assert len(figure.axes) == 9
    for axes, (p, q) in zip(figure.axes, itertools.product(("1", "2", "inf"), repeat=2), strict=True):
        part = summary[(summary["p"] == p) & (summary["q"] == q)]
        points = {(x, y) for line in axes.lines for x, y in zip(*line.get_data(), strict=True) if x > 0.0}
        exact = (p, q) != ("inf", "2")
        bounds = set() if exact else {(1.25, METHODS.index(row.method)) for row in part.itertuples()}
        assert points == {(row.mean, METHODS.index(row.method)) for row in part.itertuples()} | bounds
        assert axes.get_xlim()[0] == 0.0
        assert axes.get_xlim()[1] > max(part["mean"] + part["standard_error"])
        assert exact or axes.get_xlim()[1] > 1.25
        letters = (word.replace("inf", r"\infty") for word in (p, q))
        assert axes.get_title().startswith("$p = {}$, $q = {}$".format(*letters))
        assert ("enclosed" in axes.get_title()) == (not exact)


def test_operator_norms_have_the_mean_of_the_bounds_and_are_drawn_without_it() -> None:
    summary = summary_of("operator_norms")
    # As in its table of two seeds and four samples.
    assert (summary["upper"] == 1.25).all()
    figure = module_of("operator_norms").draw(summary.drop(columns="upper"), CONTEXT)
    for axes in figure.axes:
        assert not any(x > summary["mean"].max() for line in axes.lines for x in line.get_xdata())
    assert figure.axes[7].get_title().endswith("estimate from below")


def test_where_attacks_end_is_drawn_over_their_iterations() -> None:
    figure, summary = draw("attack_iterations")
    for axes, quantity in zip(figure.axes, ("singular_value", "deviation", "shared"), strict=True):
        assert [label.get_text() for label in axes.get_xticklabels()] == ["10", "50", "200"]
        part = summary[summary["quantity"] == quantity]
        assert len(axes.lines) == len(METHODS)
        for line, method in zip(axes.lines, METHODS, strict=True):
            own = part[part["method"] == method].sort_values("iterations")
            np.testing.assert_array_equal(line.get_ydata(), own["mean"])
            np.testing.assert_array_equal(line.get_xdata(), range(3))
    assert len({axes.get_ylabel() for axes in figure.axes}) == 3


def test_the_evaluation_shows_the_summary_from_no_attack_to_all() -> None:
    figure, summary = draw("evaluation")
    assert len(figure.axes) == 2
    for axes, norm in zip(figure.axes, ("2", "inf"), strict=True):
        part = summary[summary["norm"] == norm]
        labels = [label.get_text() for label in axes.get_yticklabels()]
        assert labels == [
            "clean",
            "PGA-50",
            "PGA-200",
            "PGA-200, 5 starts",
            "then Square",
            "AutoAttack",
            "all attacks together",
        ]
        order = ["clean", "pga_50", "pga_200", "pga_200x5", "square", "autoattack", "worst_case"]
        for container, method in zip(axes.containers, METHODS, strict=True):
            own = part[part["method"] == method].set_index("attack")["mean"][order]
            np.testing.assert_array_equal(container[0].get_xdata(), own)
            np.testing.assert_array_equal(container[0].get_ydata(), range(7))
        texts = [text.get_text() for text in axes.texts]
        assert sorted(texts) == sorted(f"{100 * mean:.1f}" for mean in part["mean"])


def test_attacks_of_some_samples_are_shown_for_what_they_change_on_these() -> None:
    """Of 300 samples and three seeds; restarts have a fifth of them, which happen to be easier."""
    rng, N, n = np.random.default_rng(0), 300, 60
    runs, every = [], np.arange(N)
    left = np.where(every % 5 == 0, 0.8, 0.4)
    for seed in range(3):
        ascent = rng.random(N) < left
        restarts = ascent & (rng.random(N) < 0.75)
        answers = {"clean": every >= 0, "pga_10": rng.random(N) < 0.9, "pga_20": ascent, "pga_20x5": restarts}
        for attack, correct in answers.items():
            chosen = every % 5 == 0 if attack == "pga_20x5" else every >= 0
            run = {"sample": every[chosen], "attack": attack, "correct": correct[chosen], "seed": seed}
            runs.append(pd.DataFrame(run | {"method": METHODS[0], "norm": 2.0, "epsilon": 0.1}))
    table = pd.concat(runs)
    summary = module_of("evaluation").summarise(table, CONTEXT).set_index("attack")
    by_sample = table.groupby(["attack", "sample"])["correct"].mean()
    ascent, changed = by_sample["pga_20"], (by_sample["pga_20x5"] - by_sample["pga_20"])
    few = changed.notna()
    assert by_sample["pga_20x5"].mean() > ascent.mean()
    assert summary["mean"]["pga_20x5"] == pytest.approx(ascent.mean() + changed.mean())
    # A sample's part in this sum is a draw from those that have both, or from the others.
    part = ascent / N + changed.fillna(0.0) / n
    variance = n * part[few].var() + (N - n) * part[~few].var()
    assert summary["standard_error"]["pga_20x5"] == pytest.approx(variance**0.5, rel=0.05)
    assert summary["n"].to_dict() == {"clean": N, "pga_10": N, "pga_20": N, "pga_20x5": n}
    # Where these happen to be easier than all, more may be broken of them than all of the others leave.
    easy = table.assign(correct=np.where(table["attack"] == "pga_20", table["sample"] % 5 == 0, False))
    assert module_of("evaluation").summarise(easy, CONTEXT).set_index("attack")["mean"]["pga_20x5"] == 0.0
    # Those of all samples are what they are by themselves.
    alone = module_of("evaluation").summarise(table[table["attack"] != "pga_20x5"], CONTEXT).set_index("attack")
    pd.testing.assert_frame_equal(summary.drop("pga_20x5"), alone)


def test_sanity_marks_what_is_above_its_threshold() -> None:
    figure, summary = draw("sanity")
    (axes,) = figure.axes
    names = [label.get_text().split(",")[0].split(" (")[0] for label in axes.get_yticklabels()]
    assert names == [
        "zero gradients", "gained by 50 iterations", "gained by 200 iterations", "broken by black box alone",
        "accuracy rises with radius", "accuracy in largest ball",
    ]  # fmt: skip
    assert len(axes.texts) == len(summary) == 6 * len(METHODS)
    marked = sorted(text.get_text() for text in axes.texts if text.get_bbox_patch() is not None)
    expected = summary[summary["mean"] > summary["threshold"]]
    assert marked == sorted(f"{mean:.3g}" for mean in expected["mean"])
    assert 0 < len(marked) < len(summary)


def test_a_check_without_a_number_is_marked() -> None:
    summary = summary_of("sanity").assign(mean=math.nan)
    (axes,) = module_of("sanity").draw(summary, CONTEXT).axes
    assert all(text.get_bbox_patch() is not None for text in axes.texts)


def test_the_standard_error_is_shaded() -> None:
    axes = Figure().subplots()
    look = style.look("standard", CONTEXT)
    style.curve(axes, [0.0, 1.0, 2.0], [1.0, 2.0, 4.0], [0.1, 0.2, 0.4], look)
    (band,) = axes.collections
    corners = {(x, round(y, 12)) for x, y in band.get_paths()[0].vertices}
    assert corners == {(0.0, 0.9), (0.0, 1.1), (1.0, 1.8), (1.0, 2.2), (2.0, 3.6), (2.0, 4.4)}


def test_a_method_looks_the_same_everywhere() -> None:
    seen: dict[str, set] = {method: set() for method in METHODS}
    for name in CURVES:
        figure, _ = draw(name)
        for axes, method in itertools.product(figure.axes, METHODS):
            label = CONTEXT.label(method)
            own = [line for key, line in data_lines(axes).items() if key.split(", ")[0] == label]
            assert own
            seen[method] |= {(line.get_color(), line.get_marker(), line.get_linewidth()) for line in own}
    figure, _ = draw("accuracies")
    ticks = dict(enumerate(METHODS))
    for line in figure.axes[0].lines:
        (colour,) = {look[0] for look in seen[ticks[int(line.get_ydata()[0])]]}
        assert line.get_color() == colour
    assert all(len(looks) == 1 for looks in seen.values())


def test_ten_methods_differ_in_colour_and_in_marker() -> None:
    context = FigureContext(tuple("abcdefghij"), {}, 2.0, EPSILON, "digits")
    looks = [style.look(method, context) for method in (*context.methods, RANDOM)]
    assert len({look.colour for look in looks}) == len({look.marker for look in looks}) == 11


def test_after_ten_methods_colours_come_with_other_markers() -> None:
    context = FigureContext(tuple("abcdefghijklmnopqrstuvwxyz"), {}, 2.0, EPSILON, "digits")
    looks = [style.look(method, context) for method in context.methods]
    assert looks[10].colour == looks[0].colour
    assert len({(look.colour, look.marker) for look in looks}) == 26


def experiment_of(groups: dict[str, str], **threats: ThreatModel) -> Experiment:
    """An experiment with methods of these groups, whose threats may differ from its own."""
    threat = ThreatModel(2.0, EPSILON, 3)
    methods = tuple(
        Method(name, name.upper(), "standard", {}, threats.get(name, threat), group, (0,))
        for name, group in groups.items()
    )
    return Experiment(
        "e",
        "digits",
        "data",
        {},
        (0,),
        threat,
        Optimization(1, 2, 0.1),
        methods,
        1,
        {},
        selection=Selection(),
        config={},
    )


def test_a_figure_knows_the_methods_of_its_groups_and_no_others() -> None:
    experiment = experiment_of({"a": "linf", "b": "main", "c": "explanations", "d": "main"})
    assert figure_context(experiment, "main").methods == ("b", "d")
    context = figure_context(experiment, "main", "linf")
    assert context.methods == ("b", "d", "a")
    assert context.labels == {"a": "A", "b": "B", "d": "D"}
    for method in ("b", "d"):
        own = style.look(method, figure_context(experiment, "main"))
        other = style.look(method, context)
        assert (own.colour, own.marker, own.layer) == (other.colour, other.marker, other.layer)


def test_a_figure_s_training_epsilon_is_that_of_its_own_group() -> None:
    other, third = ThreatModel(math.inf, 0.1, 3), ThreatModel(math.inf, 0.2, 3)
    groups = {"a": "main", "b": "linf", "c": "linf"}
    agreed = figure_context(experiment_of(groups, b=other, c=other), "main", "linf")
    assert (agreed.norm, agreed.epsilon) == (math.inf, 0.1)
    divided = figure_context(experiment_of(groups, b=other, c=third), "main", "linf")
    assert (divided.norm, divided.epsilon) == (2.0, EPSILON)


def test_methods_that_coincide_are_drawn_at_different_widths() -> None:
    """Standard and global SNR, and the two forms of d.d. SNR: the thinner is on top."""
    context = FigureContext(("standard", "at", "global", "exact", "power"), {}, 2.0, EPSILON, "digits")
    for below, above in (("standard", "global"), ("exact", "power")):
        under, over = (style.look(method, context).line() for method in (below, above))
        assert under["linewidth"] > over["linewidth"]
        assert under["zorder"] < over["zorder"]


@pytest.mark.parametrize(
    ("name", "norm", "expected"),
    [
        ("robustness", 2.0, [1, 0]),
        ("robustness", math.inf, [0, 1]),
        ("robustness", 1.0, [0, 0]),
        ("robustness_linf", math.inf, [0, 1]),
        ("linearity", 2.0, [1]),
        ("linearity", math.inf, [0]),
        ("dominant_singular_value", 2.0, [1]),
        ("activations", 2.0, [1, 1]),
        ("activations", math.inf, [0, 0]),
        ("spectrum", 2.0, [0]),
        ("alignment", 2.0, [0]),
        ("alignment_distance", 2.0, [1]),
        ("alignment_distance", math.inf, [0]),
        ("theorem", 2.0, [0] * 9),
        ("theorem_distance", 2.0, [0, 0, 0, 1, 1, 1, 0, 0, 0]),
        ("theorem_distance", math.inf, [0, 0, 0, 0, 0, 0, 1, 1, 1]),
    ],
)
def test_training_epsilon_stands_in_panels_of_its_norm(name: str, norm: float, expected: list[int]) -> None:
    context = FigureContext(METHODS, {}, norm, 0.375, "digits")
    figure, _ = draw(name, context)
    assert [training_lines(axes) for axes in figure.axes] == [[[0.375, 0.375]] * n for n in expected]
    (legend,) = figure.legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert (style.TRAINING_LINE["label"] in labels) == any(expected)


def test_the_legend_names_what_is_drawn_and_no_more() -> None:
    summary = summary_of("activations")
    handles = panels.distance_legend(summary[summary["direction"] == "random"], CONTEXT)
    labels = [handle.get_label() for handle in handles]
    assert labels == ["Standard", "AT", "global_snr", "random direction", style.TRAINING_LINE["label"]]


@pytest.mark.parametrize("name", CURVES)
def test_the_legend_covers_no_data(name: str) -> None:
    figure, _ = draw(name)
    figure.draw_without_rendering()
    legend = figure.legends[0].get_window_extent()
    assert all(axes.get_window_extent().y1 <= legend.y0 for axes in figure.axes)
    assert 0.0 <= legend.x0 <= legend.x1 <= figure.bbox.x1
    assert legend.y1 <= figure.bbox.y1


def test_the_spectrum_is_drawn_from_zero_to_its_largest_value() -> None:
    summary = module_of("spectrum").summarise(pooled("spectrum"), CONTEXT)
    axes = module_of("spectrum").draw(summary, CONTEXT).axes[0]
    assert axes.get_yscale() == "linear"
    assert axes.get_ylim() == pytest.approx((0.0, 1.05 * summary["mean"].max()))


# Files


@pytest.mark.parametrize("name", COLUMNS)
def test_the_csv_alone_gives_the_same_bytes(name: str, rendered: Path, tmp_path: Path) -> None:
    again = outputs(tmp_path, name)
    redraw(name, rendered / f"{name}.csv", CONTEXT, **again)
    for kind, path in outputs(rendered, name).items():
        assert again[kind].read_bytes() == path.read_bytes()


def test_another_process_gives_the_same_bytes(rendered: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from opnorm.figures.context import FigureContext; from opnorm.figures.render import redraw;"
        f"redraw('activations', sys.argv[1], FigureContext({METHODS!r}, {dict(CONTEXT.labels)!r}, 2.0, {EPSILON},"
        " 'digits'), pdf=sys.argv[2], png=sys.argv[3])"
    )
    again = outputs(tmp_path, "activations")
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    arguments = [str(rendered / "activations.csv"), str(again["pdf"]), str(again["png"])]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, env=environment)
    for kind, path in outputs(rendered, "activations").items():
        assert again[kind].read_bytes() == path.read_bytes()


def test_pdf_has_embedded_fonts_and_no_date(rendered: Path) -> None:
    content = (rendered / "robustness.pdf").read_bytes()
    assert b"/FontFile2" in content
    assert b"/Type3" not in content
    assert b"/CreationDate" not in content


def test_reader_s_settings_neither_change_nor_are_changed(rendered: Path, tmp_path: Path) -> None:
    again = outputs(tmp_path, "linearity")
    with matplotlib.rc_context({"font.size": 20, "lines.linewidth": 9, "axes.facecolor": "red"}):
        before = dict(matplotlib.rcParams)
        redraw("linearity", rendered / "linearity.csv", CONTEXT, **again)
        assert dict(matplotlib.rcParams) == before
    assert again["png"].read_bytes() == (rendered / "linearity.png").read_bytes()


def test_one_seed_leaves_the_spread_empty(tmp_path: Path) -> None:
    write_parquet(measured("linearity", 0), tmp_path / "0.parquet")
    csv = tmp_path / "linearity.csv"
    tables = [("standard", 0, tmp_path / "0.parquet")]
    render("linearity", tables, CONTEXT, **outputs(tmp_path, "linearity"), csv=csv)
    assert all(line.endswith(",") for line in csv.read_text().splitlines()[1:])


def test_a_run_of_an_unknown_method_is_an_error(tmp_path: Path) -> None:
    write_parquet(measured("linearity", 0), tmp_path / "0.parquet")
    tables = [("standard", 0, tmp_path / "0.parquet"), ("mystery", 0, tmp_path / "0.parquet")]
    with pytest.raises(SettingsError, match="mystery"):
        render("linearity", tables, CONTEXT, **outputs(tmp_path, "linearity"), csv=tmp_path / "linearity.csv")


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("spectrum", "rank", "order", "lacks rank"),
        ("linearity", "standard,", "mystery,", "mystery"),
        ("linearity", "0.25", "a quarter", "not a readable table"),
    ],
)
def test_a_csv_that_does_not_fit_is_an_error(
    name: str, old: str, new: str, message: str, rendered: Path, tmp_path: Path
) -> None:
    path = tmp_path / "changed.csv"
    path.write_text((rendered / f"{name}.csv").read_text().replace(old, new))
    with pytest.raises(FileError, match=message):
        redraw(name, path, CONTEXT, **outputs(tmp_path, name))
    assert list(tmp_path.iterdir()) == [path]


def test_a_method_may_be_called_null(tmp_path: Path) -> None:
    write_parquet(measured("linearity", 0), tmp_path / "0.parquet")
    context = FigureContext(("null",), {}, 2.0, EPSILON, "digits")
    tables = [("null", 0, tmp_path / "0.parquet")]
    render("linearity", tables, context, **outputs(tmp_path, "linearity"), csv=tmp_path / "linearity.csv")
    assert (tmp_path / "linearity.png").exists()


def test_a_missing_csv_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"none\.csv"):
        redraw("spectrum", tmp_path / "none.csv", CONTEXT, **outputs(tmp_path, "spectrum"))


# The registry


def test_the_paper_s_numbers_name_figures() -> None:
    assert aliases() == {
        "figure2": ["spectrum", "alignment"],
        "figure3": ["robustness"],
        "figure4": ["linearity", "dominant_singular_value"],
        "figure5": ["activations"],
        "figure7": ["interpolation"],
        "figure9": ["activations"],
        "table1": ["operator_norms"],
        "table2": ["accuracies"],
    }


def test_random_is_no_method_s_name() -> None:
    with pytest.raises(SettingsError, match="random"):
        FigureContext(("standard", "random"), {}, 2.0, EPSILON, "digits")


def test_the_registry_is_light() -> None:
    code = (
        "import sys, opnorm.figures, opnorm.figures.context;"
        "print(*{'torch', 'matplotlib', 'pandas', 'numpy'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.split() == []


def test_figures_need_no_torch() -> None:
    modules = ", ".join(["opnorm.figures.render", *(entry.module for entry in REGISTRY.values())])
    code = f"import sys, {modules}; print(*{{'torch', 'matplotlib.pyplot'}} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.split() == []

"""Verdicts: in a world where the paper is right, in one where it is wrong, and where seeds disagree."""

from __future__ import annotations

import inspect
import itertools
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

from opnorm import analysis, figures, objectives
from opnorm.analysis import _theorem as analysed_theorem
from opnorm.claims import evaluation, methods, reductions, registry
from opnorm.claims import theorem as claimed_theorem
from opnorm.claims.cases import compared, each, solvers
from opnorm.claims.claim import Claim, Measure, Rows, Statistic, full_name, words
from opnorm.claims.methods import Context, Method, any_method, describe
from opnorm.claims.reductions import average, value
from opnorm.claims.registry import CLAIMS, decidable, needed
from opnorm.claims.run import COLUMNS, write_claims
from opnorm.claims.verdict import Above, AtMost, Below, Rule, Within
from opnorm.errors import FileError, SettingsError
from opnorm.options import resolve, with_defaults
from opnorm.settings import Experiment
from opnorm.tables import write_parquet

PAPER, OPPOSITE = "paper", "opposite"
EPSILON, LINF_EPSILON = 1.0, 0.1
SAMPLES, TEST_SAMPLES = 10, 400
RANKS = np.arange(1, 25)
DISTANCES = np.array([0.0, 0.5, 1.0, 2.0])
RADII = np.array([0.0, 0.5, 1.0, 2.0])


def method(name: str, objective: str, group: str = methods.MAIN, steps: int = 10, **options: Any) -> Method:
    inside = group == methods.LINF
    norm, epsilon = (math.inf, LINF_EPSILON) if inside else (2.0, EPSILON)
    known = with_defaults(options, objectives.REGISTRY[objective])
    return Method(name, name.replace("_", " "), objective, group, known, norm, epsilon, steps)


METHODS = (
    method("standard", "standard"),
    method("adversarial", "adversarial"),
    method("global", "global_snr", weight=1.0),
    method("exact", "data_dependent_snr", weight=1.0),
    method("power", "data_dependent_snr", weight=1.0, solver="power"),
    method("global_ten", "global_snr", "explanations", weight=1.0, iterations=10),
    method("fgm", "adversarial", "explanations", steps=1),
    method("gradient", "input_gradient", "explanations", weight=1.0),
    method("frobenius", "frobenius", "explanations", weight=1.0),
    method("mixture", "mixture", "interpolation", weight=1.0, mixture=0.5),
    method("end", "mixture", "interpolation", weight=1.0, mixture=1.0),
    method("at_linf", "adversarial", methods.LINF),
    method("onr_linf", "data_dependent_snr", methods.LINF, weight=1.0, p=math.inf, q=1),
)
NAMES = [found.name for found in METHODS]
ANALYSES = {name: {} for name in analysis.REGISTRY} | {"robustness": {"l2": [0.5, 1.0, 2.0], "linf": [0.05, 0.1, 0.2]}}
CONTEXT = Context(METHODS, 2.0, EPSILON, ANALYSES)

# What decides the claims, for each method, in the two worlds.
Levels = dict[str, dict[str, float]]
SINGULAR_VALUE: Levels = {
    PAPER: {"standard": 10.0, "adversarial": 6.0, "global": 10.1, "exact": 5.0, "power": 5.1, "global_ten": 10.2},
    OPPOSITE: {"standard": 10.0, "adversarial": 9.6, "global": 6.0, "exact": 12.0, "power": 15.0, "global_ten": 9.0},
}
# Accuracy at the radii 0, 0.5, 1, 2 of what is robust, and of what is not, in l2.
ROBUST, NOT_ROBUST, ALSO_NOT = (0.96, 0.8, 0.5, 0.1), (0.97, 0.4, 0.0, 0.0), (0.96, 0.4, 0.0, 0.0)
WEAK = (0.96, 0.6, 0.2, 0.0)
ACCURACY: dict[str, dict[str, tuple[float, ...]]] = {
    PAPER: {
        "standard": NOT_ROBUST, "adversarial": ROBUST, "global": ALSO_NOT, "exact": ROBUST, "power": ROBUST,
        "global_ten": NOT_ROBUST, "fgm": WEAK, "gradient": WEAK, "frobenius": WEAK, "mixture": ROBUST, "end": ROBUST,
        "at_linf": ROBUST, "onr_linf": ROBUST,
    },
    OPPOSITE: {
        "standard": (0.97, 0.0, 0.7, 0.0), "adversarial": (0.6, 0.1, 0.2, 0.1), "global": (0.97, 0.1, 0.8, 0.0),
        "exact": (0.96, 0.0, 0.5, 0.0), "power": (0.4, 0.0, 0.7, 0.0), "global_ten": (0.7, 0.0, 0.5, 0.0),
        **dict.fromkeys(["fgm", "gradient", "frobenius"], (0.96, 0.0, 0.7, 0.0)), "mixture": (0.9, 0.0, 0.6, 0.0),
        "end": (0.9, 0.0, 0.6, 0.0),
        "at_linf": (0.9, 0.0, 0.2, 0.0), "onr_linf": (0.6, 0.2, 0.4, 0.0),
    },
}  # fmt: skip
GOOD = {"adversarial", "exact", "power"}


def grid(samples: int = SAMPLES, **columns: Any) -> pd.DataFrame:
    return pd.DataFrame(list(itertools.product(range(samples), *columns.values())), columns=["sample", *columns])


def spectrum(name: str, world: str) -> pd.DataFrame:
    table = grid(inputs=["clean", "adversarial"], rank=RANKS)
    return table.assign(singular_value=SINGULAR_VALUE[world].get(name, 7.0) * 0.9 ** table["rank"])


def alignment(name: str, world: str) -> pd.DataFrame:
    table = grid(network=["trained", "random"], rank=RANKS)
    falling, flat = 0.6 / table["rank"], 0.1 + 0.0 * table["rank"]
    trained = table["network"] == "trained"
    rising = 0.02 * table["rank"]
    return table.assign(
        cosine=np.where(trained, falling, flat) if world == PAPER else np.where(trained, rising, falling)
    )


def alignment_distance(name: str, world: str) -> pd.DataFrame:
    table = grid(epsilon=[0.25, 0.5, 1.0, 2.0])
    level = 0.5 if (name in GOOD) == (world == PAPER) else 0.3
    slope = -0.05 if world == PAPER else 0.05
    return table.assign(cosine=level + slope * np.log2(table["epsilon"]))


def alignment_iterations(name: str, world: str) -> pd.DataFrame:
    counts = grid(process=["attack", "power_method"], iterations=[1, 2, 10, 50])
    table = pd.concat([grid(process=["input_gradient"], iterations=[1]), counts], ignore_index=True)
    late = table["iterations"] >= 10
    cosine = np.where(late == (world == PAPER), 0.95, 0.4)
    return table.assign(cosine=np.where((table["iterations"] == 50) & (world == OPPOSITE), 0.8, cosine))


def attack_iterations(name: str, world: str) -> pd.DataFrame:
    table = grid(iterations=[1, 10, 200])
    # Shorter attacks say the opposite.
    good = (name in GOOD) == ((world == PAPER) == (table["iterations"] == 200))
    size = np.where(good, 1.0, 2.0) * (3.0 if name == "global" and world == OPPOSITE else 1.0)
    return table.assign(singular_value=size, deviation=size, shared=1.0 - 0.1 * size)


def robustness(name: str, world: str) -> pd.DataFrame:
    parts = []
    for norm, scale in ((2.0, 1.0), (math.inf, LINF_EPSILON)):
        table = grid(TEST_SAMPLES, place=range(len(RADII)))
        accuracy = np.array(ACCURACY[world][name])[table["place"]]
        # The same share of the samples in every run.
        correct = (table["sample"] + 0.5) / TEST_SAMPLES < accuracy
        parts.append(table.assign(norm=norm, epsilon=scale * RADII[table["place"]], correct=correct))
    return pd.concat(parts, ignore_index=True).drop(columns="place")


def linearity(name: str, world: str) -> pd.DataFrame:
    table = grid(direction=["random", "adversarial"], distance=DISTANCES)
    size = 1.0 if (name in GOOD) == (world == PAPER) else 4.0
    ahead = (table["direction"] == "adversarial") == (world == PAPER)
    x, size = table["distance"], size * np.where(ahead, 3.0, 1.0)
    bent = 0.1 * x + np.maximum(x - 1.0, 0.0) if world == PAPER else np.minimum(x, 1.0)
    return table.assign(deviation=size * bent, linear=5.0 * x if world == PAPER else 1.0 * x)


def dominant_singular_value(name: str, world: str) -> pd.DataFrame:
    table = grid(direction=["random", "adversarial"], distance=DISTANCES)
    x, grows = table["distance"], (world == PAPER) == (name not in GOOD)
    return table.assign(singular_value=10.0 * (1.0 + 0.8 * np.minimum(x, 1.0)) if grows else 8.0 + 0.0 * x)


def activations(name: str, world: str) -> pd.DataFrame:
    table = grid(center=["data", "uniform"], direction=["random", "adversarial"], distance=DISTANCES)
    at_data, good = table["center"] == "data", name in GOOD
    factor = np.where(at_data == (world == PAPER), 0.5, 1.0) if good else 1.0
    return table.assign(shared=1.0 - 0.2 * table["distance"] * factor)


def theorem(name: str, world: str) -> pd.DataFrame:
    stays = [True, True] if world == PAPER else [True, False]
    table = grid(p=[1.0, 2.0, math.inf], q=[1.0, 2.0, math.inf], iteration=[1, 2], in_cell=stays)
    agree = (table["sample"] % 2 == 0) | (world == PAPER)
    # Half of the cell's radius.
    epsilon = 0.01 if world == PAPER else 1.0
    return table.assign(difference=np.where(table["in_cell"] & agree, 1e-12, 0.3), epsilon=epsilon)


def theorem_distance(name: str, world: str) -> pd.DataFrame:
    table = grid(p=[1.0, 2.0, math.inf], q=[1.0, 2.0, math.inf], epsilon=[0.5, 2.0])
    return table.assign(cosine=0.97 if world == PAPER else 0.6)


def evaluation_(name: str, world: str) -> pd.DataFrame:
    # At the training epsilon; what weaker attacks leave beyond it is the same for all methods.
    left = {"pga_10": 0.2, "pga_50": 0.1, "pga_200x5": -0.1, "fab_t": 0.15, "autoattack": -0.2}
    table = grid(TEST_SAMPLES, attack=[*left, "pga_200", "apgd_ce", "square", "worst_case"])
    beyond = table["attack"].map(left).fillna(0.0) * (world == OPPOSITE)
    correct = (table["sample"] + 0.5) / TEST_SAMPLES < ACCURACY[world][name][2] + beyond
    # An attack that no claim is about says the opposite.
    table = table.assign(correct=correct ^ (table["attack"] == "apgd_ce"))
    balls = [table.assign(norm=2.0, epsilon=EPSILON), table.assign(norm=math.inf, epsilon=LINF_EPSILON)]
    return pd.concat(balls, ignore_index=True)


def sanity(name: str, world: str) -> pd.DataFrame:
    checks = [*evaluation.checks(CONTEXT), "monotone", "large_epsilon"]
    return pd.DataFrame({"sample": 0, "check": checks, "norm": 2.0, "passed": world == PAPER})


def logit_direction(name: str, world: str) -> pd.DataFrame:
    table = grid(inputs=["clean", "adversarial"], direction=["cross_entropy", "random"])
    ahead = (table["direction"] == "cross_entropy") == (world == PAPER)
    return table.assign(cosine=np.where(ahead, 0.6, 0.3))


TABLES: dict[str, Callable[[str, str], pd.DataFrame]] = {
    "spectrum": spectrum, "logit_spectrum": spectrum, "alignment": alignment, "logit_alignment": alignment,
    "alignment_distance": alignment_distance, "alignment_iterations": alignment_iterations,
    "logit_alignment_iterations": alignment_iterations, "attack_iterations": attack_iterations,
    "robustness": robustness, "linearity": linearity,
    "dominant_singular_value": dominant_singular_value, "logit_dominant_singular_value": dominant_singular_value,
    "activations": activations, "theorem": theorem,
    "theorem_distance": theorem_distance, "evaluation": evaluation_, "sanity": sanity,
    "logit_direction": logit_direction,
}  # fmt: skip


def judged(folder: Path, worlds: list[str]) -> pd.DataFrame:
    """The verdicts on runs of which each seed lives in a world."""
    tables = []
    for (kind, name), (seed, world) in itertools.product(needed(CONTEXT), enumerate(worlds)):
        path = folder / f"{kind}-{name}-{seed}.parquet"
        TABLES[kind](name, world).to_parquet(path)
        tables.append((kind, name, seed, path))
    write_claims(tables, CONTEXT, folder / "claims.csv")
    return pd.read_csv(folder / "claims.csv")


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """Expected verdict -> row's name -> verdict."""
    worlds = {"supported": [PAPER] * 3, "refuted": [OPPOSITE] * 3, "inconclusive": [PAPER, OPPOSITE]}
    found = {expected: judged(tmp_path_factory.mktemp(expected), seeds) for expected, seeds in worlds.items()}
    return {expected: dict(zip(table["claim"], table["verdict"], strict=True)) for expected, table in found.items()}


CASES = list(decidable(CONTEXT))
ROWS = [full_name(claim, of) for claim, of in CASES]


CHECKED = {full_name(claim, of) for claim, of in CASES if claim.statistic.checked}


@pytest.mark.parametrize("row", ROWS)
def test_every_claim_can_be_supported_refuted_and_left_open(row: str, verdicts: dict[str, dict[str, str]]) -> None:
    expected = {name: name for name in verdicts}
    # That a check failed on one seed is known.
    if row in CHECKED:
        expected["inconclusive"] = "refuted"
    assert {name: of_world[row] for name, of_world in verdicts.items()} == expected


def test_checks_have_no_interval(tmp_path: Path) -> None:
    table = judged(tmp_path, [PAPER, OPPOSITE]).set_index("claim")
    found = table.loc[sorted(CHECKED)]
    assert (found["low"] == found["estimate"]).all()
    assert (found["high"] == found["estimate"]).all()
    assert found.loc["attacks_can_be_believed.exact.black_box", "estimate"] == 0.5
    assert found.loc["theorem_in_cell.exact", "estimate"] == 0.75
    assert not CHECKED & {name for name in table.index if "robust" in name}


def test_there_is_a_row_for_every_claim_and_no_other(verdicts: dict[str, dict[str, str]]) -> None:
    assert len(ROWS) == len(set(ROWS))
    assert {claim.name for claim, _ in CASES} == {claim.name for claim in CLAIMS}
    assert all(set(of_world) == set(ROWS) for of_world in verdicts.values())


@pytest.mark.parametrize(("rule", "interval", "verdict"), [
    (Above(0.5), (0.6, 0.9), "supported"),
    (Above(0.5), (0.1, 0.4), "refuted"),
    (Above(0.5), (0.4, 0.6), "inconclusive"),
    (Above(0.5), (0.5, 0.5), "inconclusive"),
    (Below(0.5), (0.1, 0.4), "supported"),
    (Below(0.5), (0.6, 0.9), "refuted"),
    (Below(0.5), (0.4, 0.6), "inconclusive"),
    (AtMost(0.02), (0.02, 0.02), "supported"),
    (AtMost(0.02), (0.03, 0.03), "refuted"),
    (AtMost(0.02), (0.01, 0.03), "inconclusive"),
    (Within(-0.1, 0.1), (-0.05, 0.09), "supported"),
    (Within(-0.1, 0.1), (0.11, 0.2), "refuted"),
    (Within(-0.1, 0.1), (-0.3, -0.11), "refuted"),
    # A difference that is not shown, and equality that is not shown either.
    (Within(-0.1, 0.1), (-0.3, 0.3), "inconclusive"),
    (Within(-0.1, 0.1), (0.05, 0.3), "inconclusive"),
    (Within(-0.1, 0.1), (-math.inf, math.inf), "inconclusive"),
])  # fmt: skip
def test_rules_decide_on_intervals(rule: Rule, interval: tuple[float, float], verdict: str) -> None:
    assert rule.decide(*interval) == verdict


def test_rules_say_what_they_ask_for() -> None:
    assert [rule.criterion() for rule in (Above(0.5), Below(0.9), AtMost(0.02), Within(-0.05, 0.05))] == [
        "above 0.5", "below 0.9", "at most 0.02", "between -0.05 and 0.05",
    ]  # fmt: skip


def test_estimates_are_what_a_loop_finds(tmp_path: Path) -> None:
    table = judged(tmp_path, [PAPER]).set_index("claim")
    assert list(table.reset_index().columns) == list(COLUMNS)
    assert table.loc["spectrum_dampened.exact", "estimate"] == pytest.approx(0.5)
    # Accuracies at the radii 0.5 and 1.0.
    assert table.loc["more_robust_than_standard.adversarial", "estimate"] == pytest.approx(0.65 - 0.2)
    assert table.loc["training_epsilon_suffices.standard", "estimate"] == 0.0
    assert table.loc["explanations_less_robust.fgm", "estimate"] == pytest.approx(0.4 - 0.65)
    # 0.3 at distance 1 on a change of 5; slopes of 1.1 and 0.1.
    assert table.loc["linear_in_ball.exact", "estimate"] == pytest.approx(0.06)
    assert table.loc["flat_then_growing.exact", "estimate"] == pytest.approx(11.0)
    # Of the next smaller radius than 0.1, in l-infinity.
    assert table.loc["linf_training_epsilon_is_smallest.standard", "estimate"] == 0.4
    assert table.loc["alignment_falls_with_epsilon.standard", "estimate"] == pytest.approx(-0.05)
    assert table.loc["cells_mainly_on_data.exact", "estimate"] == pytest.approx(0.5)
    assert table.loc["spectrum_dampened.exact", "statement"].startswith("exact dampens")
    assert table.loc["alignment_strong.exact", "estimate"] == pytest.approx(1.0 / np.mean(1.0 / np.arange(13, 25)))


def test_a_single_seed_is_judged_by_its_samples(tmp_path: Path) -> None:
    table = judged(tmp_path, [PAPER]).set_index("claim")
    assert (table["seeds"] == 1).all()
    robust = table.loc["more_robust_than_standard.adversarial"]
    assert robust["low"] < robust["estimate"] < robust["high"]
    assert robust["samples"] == TEST_SAMPLES
    assert (table["verdict"] == "supported").all()


def test_what_many_methods_are_compared_with_is_looked_for_once() -> None:
    looked_at = []

    def reference(method: Method) -> bool:
        looked_at.append(method.name)
        return methods.standard(method)

    many = tuple(method(f"m{i}", "adversarial") for i in range(30))
    context = Context((*many, METHODS[0]), 2.0, EPSILON, {})
    found = compared(methods.any_method, reference)(context)
    assert [of.methods for of in found] == [(of, METHODS[0]) for of in many]
    assert len(looked_at) == len(many) + 1


def test_methods_are_compared_on_the_seeds_that_they_share(tmp_path: Path) -> None:
    tables = []
    for name, seeds in (("standard", [OPPOSITE, PAPER, OPPOSITE]), ("adversarial", [None, PAPER, None])):
        for seed, world in enumerate(seeds):
            if world:
                robustness(name, world).to_parquet(tmp_path / f"{name}-{seed}.parquet")
                tables.append(("robustness", name, seed, tmp_path / f"{name}-{seed}.parquet"))
    write_claims(tables, CONTEXT, tmp_path / "claims.csv")
    found = pd.read_csv(tmp_path / "claims.csv").set_index("claim").loc["more_robust_than_standard.adversarial"]
    assert found["seeds"] == 1
    assert found["estimate"] == pytest.approx(0.65 - 0.2)


def test_order_and_names_of_tables_and_methods_decide_nothing(tmp_path: Path) -> None:
    tables = []
    for (kind, make), name, (seed, world) in itertools.product(TABLES.items(), NAMES[:5], enumerate([PAPER, OPPOSITE])):
        path = tmp_path / f"{kind}-{name}-{seed}.parquet"
        make(name, world).to_parquet(path)
        tables.append((kind, name, seed, path))
    write_claims(tables, CONTEXT, tmp_path / "one.csv")
    write_claims(tables[::-1], CONTEXT, tmp_path / "other.csv")
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "other.csv").read_bytes()

    renamed = tuple(Method(**{**vars(found), "name": f"m{place}"}) for place, found in enumerate(METHODS))
    again = [(kind, f"m{NAMES.index(name)}", seed, path) for kind, name, seed, path in tables]
    write_claims(again, Context(renamed, 2.0, EPSILON, ANALYSES), tmp_path / "renamed.csv")
    one, other = (pd.read_csv(tmp_path / f"{name}.csv").drop(columns="claim") for name in ("one", "renamed"))
    pd.testing.assert_frame_equal(one, other)


def test_what_was_not_measured_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    context = Context(METHODS[:2], 2.0, EPSILON, {"spectrum": {}, "robustness": {}, "linearity": {}})
    tables = []
    for name in NAMES[:2]:
        write_parquet(spectrum(name, PAPER), tmp_path / f"spectrum-{name}.parquet")
        # A grid that does not reach the training epsilon.
        short = linearity(name, PAPER).query("distance < 1.0")
        write_parquet(short, tmp_path / f"linearity-{name}.parquet")
        tables += [(kind, name, 0, tmp_path / f"{kind}-{name}.parquet") for kind in ("spectrum", "linearity")]
    write_claims(tables, context, tmp_path / "claims.csv")
    assert [*pd.read_csv(tmp_path / "claims.csv")["claim"]] == [
        "spectrum_dampened.adversarial",
        "spectrum_dampened_attacked.adversarial",
        "more_linear.adversarial.random",
        "more_linear.adversarial.adversarial",
        "least_linear_adversarially.standard",
        "least_linear_adversarially.adversarial",
    ]
    printed = capsys.readouterr().out
    assert "left out theorem_exact: the experiment lacks the analysis theorem" in printed
    # Two methods, and a correlation needs three.
    assert "left out sensitivity_tied_to_spectrum: the experiment lacks its methods" in printed
    assert "left out more_robust_than_standard.adversarial: robustness of adversarial" in printed
    assert "was not measured" in printed
    assert "left out flat_then_growing.adversarial: nothing was measured" in printed


def test_a_column_that_no_table_has_is_a_mistake(tmp_path: Path) -> None:
    context = Context(METHODS[:2], 2.0, EPSILON, {"spectrum": {}})
    table = spectrum("standard", PAPER).rename(columns={"singular_value": "singular_valu"})
    write_parquet(table, tmp_path / "table.parquet")
    with pytest.raises(SettingsError, match="spectrum has no column 'singular_value'; did you mean singular_valu"):
        write_claims([("spectrum", "standard", 0, tmp_path / "table.parquet")], context, tmp_path / "claims.csv")


def test_a_claim_on_an_unknown_analysis_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    statistic = Statistic("", "spectrum", lambda _: [Measure(Rows("spectrm", "value"), average)], value)
    monkeypatch.setattr(registry, "CLAIMS", (Claim("mine", "9", "", each(any_method), statistic, Below(0.0)),))
    with pytest.raises(SettingsError, match="claim mine: unknown analysis 'spectrm'; did you mean spectrum"):
        list(registry.decidable(Context(METHODS[:2], 2.0, EPSILON, {})))


def test_in_another_norm_than_l2_claims_on_l2_lengths_are_not_judged() -> None:
    analyses = {name: {} for name in analysis.REGISTRY}
    reasons = registry.undecidable(Context(METHODS, math.inf, LINF_EPSILON, analyses))
    in_l2 = {name for name, reason in reasons.items() if "radius is one of linf" in reason}
    assert {"more_linear", "cells_larger", "alignment_above_standard"} <= in_l2
    assert "input_gradient_misses_more_than_attack" in in_l2
    assert not in_l2 & registry.undecidable(Context(METHODS, 2.0, EPSILON, analyses)).keys()


@pytest.mark.parametrize(("change", "same"), [
    ({}, True), ({"norm": math.inf}, False), ({"epsilon": 0.5}, False), ({"weight": 2.0}, False), ({"q": 1.0}, False),
    ({"iterations": 3}, True), ({"p": 2.0}, True),
])  # fmt: skip
def test_solvers_are_compared_where_nothing_else_differs(change: dict[str, float], same: bool) -> None:
    exact = method("exact", "data_dependent_snr", weight=1.0)
    ball = {key: value for key, value in change.items() if key in ("norm", "epsilon")}
    others = {key: value for key, value in change.items() if key not in ball}
    power = replace(exact, name="power", options={**exact.options, **others, "solver": "power"}, **ball)
    # The first one that is the same is the one to compare with.
    other = replace(exact, name="other", options={**exact.options, "weight": 7.0})
    found = solvers(Context((other, exact, power), 2.0, EPSILON, {}))
    assert [[method.name for method in of.methods] for of in found] == ([["power", "exact"]] if same else [])


def in_phases(folder: Path, **answers: tuple[np.ndarray, ...]) -> pd.DataFrame:
    """The claims by method -> answers under the default attack, of the first of these samples under the longest ascent,
    and of the first of those under all attacks; where there are two, the last are those of both."""
    tables = []
    for name, (default, *ascent, worst) in answers.items():
        ball = {"norm": [2.0], "epsilon": [EPSILON]}
        attacked = {"pga_200": ascent[0] if ascent else worst, "worst_case": worst}
        of_attacks = [grid(len(a), **ball, attack=[attack]).assign(correct=a) for attack, a in attacked.items()]
        of_analysis = {
            "robustness": grid(len(default), **ball).assign(correct=default),
            "evaluation": pd.concat(of_attacks, ignore_index=True),
        }
        for kind, table in of_analysis.items():
            write_parquet(table, folder / f"{kind}-{name}.parquet")
            tables.append((kind, name, 0, folder / f"{kind}-{name}.parquet"))
    write_claims(tables, CONTEXT, folder / "claims.csv")
    return pd.read_csv(folder / "claims.csv").set_index("claim")


@pytest.mark.parametrize(("samples", "verdict"), [(50, "inconclusive"), (100, "supported")])
def test_answers_that_are_all_alike_are_no_certainty(samples: int, verdict: str, tmp_path: Path) -> None:
    wrong = (np.zeros(400, dtype=bool), np.zeros(samples, dtype=bool))
    found = in_phases(tmp_path, standard=wrong, **{"global": wrong}).loc[
        "attacked_global_snr_not_robust.global.worst_case"
    ]
    # Below 0.05, which 1 of 20 would not be; and of the many that both attack alike.
    of_few, of_many = (1.0 - 0.025 ** (1.0 / N) for N in (samples, 400))
    assert (found["estimate"], found["high"]) == (0.0, pytest.approx(math.hypot(of_few, of_many)))
    assert found["samples"] == samples
    assert found["verdict"] == verdict


def test_a_strong_attack_on_few_samples_is_believed_for_what_it_changes(tmp_path: Path) -> None:
    """Of 1,000 samples both methods have half right, of the first 50 one has many more by chance; an attack that breaks
    as many more of both leaves them equal."""
    rng = np.random.default_rng(0)
    default = {name: rng.permutation(np.repeat([True, False], 500)) for name in ("adversarial", "exact")}
    default["exact"][:50] = np.sort(default["exact"])[-50:]
    default["exact"][50:] = rng.permutation(np.repeat([True, False], [450, 500]))
    broken = {name: found[:50] & (np.arange(50) % 25 > 0) for name, found in default.items()}
    table = in_phases(tmp_path, **{name: (default[name], broken[name]) for name in default})
    row = table.loc["attacked_equally_robust.exact.worst_case"]
    lost = [broken[name].mean() - default[name][:50].mean() for name in ("exact", "adversarial")]
    assert row["estimate"] == pytest.approx(lost[0] - lost[1])
    direct = broken["exact"].mean() - broken["adversarial"].mean()
    assert direct > 0.3
    # The two shares scatter by a half over the root of 50, were they compared directly.
    assert row["high"] - row["low"] < 2.0 * 1.96 * math.sqrt(0.5 / 50)
    assert row["low"] < 0.0 < row["high"]


def test_two_phases_cover_the_truth(tmp_path: Path) -> None:
    rng, trials, hits = np.random.default_rng(1), 60, 0
    for _ in range(trials):
        answers = {}
        for name, robust, lost in (("adversarial", 0.5, 0.1), ("exact", 0.45, 0.2)):
            default = rng.random(500) < robust
            answers[name] = (default, default[:60] & (rng.random(60) > lost))
        row = in_phases(tmp_path, **answers).loc["attacked_equally_robust.exact.worst_case"]
        hits += row["low"] <= 0.45 * 0.8 - 0.5 * 0.9 <= row["high"]
    assert hits / trials > 0.95 - 4.0 * math.sqrt(0.95 * 0.05 / trials)


def test_three_phases_cover_the_truth_and_are_narrower_than_two(tmp_path: Path) -> None:
    """All 400 samples have the longest ascent, 60 of them all attacks: what these change beyond it is little."""
    rng, trials, hits, shorter = np.random.default_rng(2), 60, 0, 0
    for _ in range(trials):
        three, two = {}, {}
        for name, robust, lost in (("adversarial", 0.5, 0.2), ("exact", 0.45, 0.4)):
            default = rng.random(400) < robust
            ascent = default & (rng.random(400) > lost)
            worst = ascent[:60] & (rng.random(60) > 0.1)
            three[name], two[name] = (default, ascent, worst), (default, worst)
        rows = [in_phases(tmp_path, **a).loc["attacked_equally_robust.exact.worst_case"] for a in (three, two)]
        assert [row["samples"] for row in rows] == [60, 60]
        kept = [three[name][1].mean() - (three[name][1][:60].mean() - three[name][2].mean()) for name in three]
        assert rows[0]["estimate"] == pytest.approx(kept[1] - kept[0])
        hits += rows[0]["low"] <= 0.45 * 0.6 * 0.9 - 0.5 * 0.8 * 0.9 <= rows[0]["high"]
        widths = [row["high"] - row["low"] for row in rows]
        shorter += widths[0] < widths[1]
    assert hits / trials > 0.95 - 4.0 * math.sqrt(0.95 * 0.05 / trials)
    assert shorter == trials


def test_where_all_samples_have_the_attack_the_default_one_does_not_count(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    answers = {name: (rng.random(200) < 0.5, rng.random(200) < 0.4) for name in ("adversarial", "exact")}
    row = in_phases(tmp_path, **answers).loc["longer_attack_equally_robust.exact.pga_200"]
    kept = {name: both[1] for name, both in answers.items()}
    for name, correct in kept.items():
        write_parquet(grid(200, norm=[2.0], epsilon=[EPSILON]).assign(correct=correct), tmp_path / f"{name}.parquet")
    write_claims([("robustness", name, 0, tmp_path / f"{name}.parquet") for name in kept], CONTEXT, tmp_path / "a.csv")
    direct = pd.read_csv(tmp_path / "a.csv").set_index("claim").loc["equally_robust_at_epsilon.exact"]
    assert list(row[["estimate", "low", "high"]]) == pytest.approx(list(direct[["estimate", "low", "high"]]))


def test_attacks_of_some_samples_are_compared_on_these(tmp_path: Path) -> None:
    """Of 40 samples the ascent leaves the first half. Of the first ten, restarts leave nine and AutoAttack seven."""
    ascent = grid(40, norm=[2.0], epsilon=[EPSILON], attack=["pga_200"])
    few = grid(10, norm=[2.0], epsilon=[EPSILON], attack=["pga_200x5", "autoattack"])
    left = few["attack"].map({"pga_200x5": 9, "autoattack": 7})
    ascent, few = ascent.assign(correct=ascent["sample"] < 20), few.assign(correct=few["sample"] < left)
    write_parquet(pd.concat([ascent, few], ignore_index=True), tmp_path / "evaluation.parquet")
    for options, gained in (({}, 0.2), ({"restarts": 1}, 0.3)):
        context = Context(METHODS, 2.0, EPSILON, {"evaluation": options})
        tables = [("evaluation", "adversarial", 0, tmp_path / "evaluation.parquet")]
        write_claims(tables, context, tmp_path / "claims.csv")
        found = pd.read_csv(tmp_path / "claims.csv").set_index("claim")
        longest = evaluation.attacks(context)[0] if not options else "pga_200"
        row = found.loc[f"ascent_as_strong_as_autoattack.adversarial.{longest}"]
        assert (row["estimate"], row["samples"]) == (pytest.approx(gained), 10)
        # As if there were no others: the exact interval of three or two of ten.
        assert row["low"] <= stats.binomtest(round(10 * gained), 10).proportion_ci(method="exact").low + 1e-9
        if not options:
            step = found.loc["stronger_attack_finds_little.adversarial.pga_200x5_after_pga_200"]
            assert (step["estimate"], step["samples"]) == (pytest.approx(0.1), 10)


@pytest.mark.parametrize(("power", "expected"), [(1.0, 1.0), (1.5, 2.0**1.5 - 1.0), (2.0, 3.0)])
def test_a_bend_is_the_same_however_far_the_grid_goes(power: float, expected: float) -> None:
    for grid_end in (2.0, 3.0, 4.0):
        axis = np.arange(0.0, grid_end + 0.1, 0.5)
        assert reductions.bend(1.0)((axis**power)[None], axis) == pytest.approx([expected])
    with pytest.raises(reductions.NotMeasuredError, match="at 2"):
        reductions.bend(1.0)(np.ones((1, 3)), np.array([0.0, 1.0, 1.5]))


@pytest.mark.parametrize("few", [0, 1, 3, 9, 10, 50, 91, 97, 100])
def test_few_answers_have_the_exact_interval(few: int, tmp_path: Path) -> None:
    correct = np.arange(100) < few
    for name, answers in (("standard", correct), ("adversarial", np.ones(100, dtype=bool))):
        table = grid(100, norm=[2.0], epsilon=[EPSILON]).assign(correct=answers)
        write_parquet(table, tmp_path / f"{name}.parquet")
    tables = [("robustness", name, 0, tmp_path / f"{name}.parquet") for name in ("standard", "adversarial")]
    write_claims(tables, CONTEXT, tmp_path / "claims.csv")
    found = pd.read_csv(tmp_path / "claims.csv").set_index("claim")
    exact = stats.binomtest(few, 100).proportion_ci(method="exact")
    accuracy = found.loc["training_epsilon_suffices.standard"]
    difference = found.loc["more_robust_than_standard.adversarial"]
    assert accuracy["estimate"] == few / 100
    assert (accuracy["low"], accuracy["high"]) == pytest.approx((exact.low, exact.high), abs=0.01)
    assert accuracy["low"] <= exact.low + 1e-9
    assert accuracy["high"] >= exact.high - 1e-9
    # Of a difference all that differ do so in one direction; none in the other, which may be the larger margin.
    unseen = 1.0 - 0.025**0.01
    assert difference["high"] == pytest.approx(1.0 - exact.low, abs=0.01)
    assert difference["low"] == pytest.approx(min(1.0 - exact.high, 1.0 - few / 100 - unseen), abs=0.01)


@pytest.mark.parametrize(("curve", "expected"), [
    ([0.99, 0.95, 0.8, 0.1], 10 ** (1 / 3)), ([0.8, 0.95, 0.95, 0.95], -0.1), ([0.95, 0.95, 0.95, 0.95], 100.0),
    ([0.99, 0.8, 0.95, 0.95], 0.1 * 10 ** (0.09 / 0.19)), ([0.9, 0.0, 0.0, 0.0], 0.1),
])  # fmt: skip
def test_reach_ends_where_the_curve_first_crosses(curve: list[float], expected: float) -> None:
    found = reductions.reach(0.9)(np.array([curve, curve]), np.array([0.1, 1.0, 10.0, 100.0]))
    assert found == pytest.approx([expected, expected])


def test_a_pair_of_norms_is_judged_by_its_own_rows_on_the_worst_network(tmp_path: Path) -> None:
    tables = []
    for name in NAMES[:5]:
        cosines = theorem_distance(name, PAPER)
        inside = theorem(name, PAPER)
        missed, larger = (
            (table["p"] == 1.0) & (table["q"] == math.inf) & (name == "exact") for table in (cosines, inside)
        )
        # Less than 0.5, where cells have a radius of 0.1.
        of_analysis = {
            "theorem_distance": cosines.assign(cosine=np.where(missed, 0.6, cosines["cosine"])),
            "theorem": inside.assign(epsilon=np.where(larger, 0.05, inside["epsilon"])),
        }
        for kind, table in of_analysis.items():
            write_parquet(table, tmp_path / f"{kind}-{name}.parquet")
            tables.append((kind, name, 0, tmp_path / f"{kind}-{name}.parquet"))
    write_claims(tables, CONTEXT, tmp_path / "claims.csv")
    found = pd.read_csv(tmp_path / "claims.csv").set_index("claim")
    of_pairs = found[found.index.str.startswith("theorem_beyond_cell_for_all_norms.")]
    assert len(of_pairs) == 9
    assert of_pairs.index[of_pairs["verdict"] == "refuted"].tolist() == ["theorem_beyond_cell_for_all_norms.l1_to_linf"]
    assert (of_pairs["verdict"] == "supported").sum() == 8
    # Up to 2.0, where cells have a radius of 0.02.
    assert of_pairs["estimate"].max() == pytest.approx(100.0)
    assert (found.loc[[f"theorem_beyond_cell.{name}" for name in NAMES[:5]], "verdict"] == "supported").all()


@pytest.mark.parametrize(("radius", "verdict"), [(0.1, "refuted"), (0.01, "inconclusive")])
def test_a_grid_that_begins_where_directions_have_parted_refutes_only_near_the_cells(
    radius: float, verdict: str, tmp_path: Path
) -> None:
    """At its first radius, 0.5, one of five methods is below: five or fifty times its cells' radius or nearer."""
    tables = []
    for name in NAMES[:5]:
        of_analysis = {
            "theorem_distance": theorem_distance(name, OPPOSITE if name == "exact" else PAPER),
            "theorem": theorem(name, PAPER).assign(epsilon=0.5 * radius),
        }
        for kind, table in of_analysis.items():
            write_parquet(table, tmp_path / f"{kind}-{name}.parquet")
            tables.append((kind, name, 0, tmp_path / f"{kind}-{name}.parquet"))
    write_claims(tables, CONTEXT, tmp_path / "claims.csv")
    found = pd.read_csv(tmp_path / "claims.csv").set_index("claim")
    for row in ("theorem_beyond_cell.exact", "theorem_beyond_cell_for_all_norms.l2_to_l2"):
        assert found["verdict"][row] == verdict
        assert np.isnan(found["estimate"][row]) == (verdict == "inconclusive")
    # The least is at most that of the others.
    high = found["high"]["theorem_beyond_cell_for_all_norms.l2_to_l2"]
    assert high == pytest.approx(5.0 if verdict == "refuted" else 200.0)


def test_a_gain_of_just_so_much_is_not_more() -> None:
    kept = [np.array(0.44), np.array(0.42)]
    assert reductions.difference(kept) != 0.02
    assert reductions.gain(kept) == 0.02


def test_a_reach_is_over_the_geometric_mean_of_radii_and_at_least_it() -> None:
    log_radius = np.log(np.array([1e-6, 1e-2])).mean()
    ratio = reductions.over_geometric_mean(10.0)
    assert ratio([np.array(0.5), log_radius]) == pytest.approx(0.5 / 1e-4)
    assert ratio([np.array(1e-5), log_radius]) == 1.0
    assert np.isfinite(ratio([np.array(0.5), np.array(-1e4)]))
    # Less than the first place: known well enough where that is not much larger than the cells.
    assert ratio([np.array(-9e-4), log_radius]) == pytest.approx(9.0)
    assert np.isnan(ratio([np.array(-0.5), log_radius]))


def test_the_least_of_all_methods_is_not_the_least_of_each_draw(tmp_path: Path) -> None:
    rng, tables = np.random.default_rng(0), []
    for name in NAMES[:5]:
        cosines = theorem_distance(name, PAPER)
        # About 0.9 in the middle of the radii, by sample and network above or below.
        falling = 1.0 - 0.2 * (cosines["epsilon"].rank(method="dense") - 1.0) / (cosines["epsilon"].nunique() - 1)
        of_sample = 0.02 * rng.standard_normal(SAMPLES)[cosines["sample"]]
        of_analysis = {
            "theorem_distance": cosines.assign(cosine=falling + of_sample),
            "theorem": theorem(name, PAPER),
        }
        for kind, table in of_analysis.items():
            write_parquet(table, tmp_path / f"{kind}-{name}.parquet")
            tables.append((kind, name, 0, tmp_path / f"{kind}-{name}.parquet"))
    write_claims(tables, CONTEXT, tmp_path / "claims.csv")
    found = pd.read_csv(tmp_path / "claims.csv").set_index("claim")
    of_each = found.loc[[f"theorem_beyond_cell.{name}" for name in NAMES[:5]]]
    least = found.loc["theorem_beyond_cell_for_all_norms.l2_to_l2"]
    assert of_each["low"].nunique() > 1
    assert least["estimate"] == of_each["estimate"].min()
    assert least["low"] == of_each["low"].min()
    # Below each of five ends, of which each is below what it bounds in one of two hundred cases.
    assert of_each["high"].min() < least["high"] < 1.2 * of_each["high"].max()


def test_tables_with_other_samples_are_drawn_together(tmp_path: Path) -> None:
    """Of two tables that are equal, but for the samples that one of them lacks, the ratio scatters by these alone."""
    size = np.random.default_rng(0).uniform(1.0, 9.0, 30)
    clean = pd.DataFrame({"sample": range(30), "inputs": "clean", "rank": 1, "singular_value": size})
    tables = []
    for name, table in (("standard", clean), ("global", clean[5:].assign(singular_value=size[5:]))):
        write_parquet(table, tmp_path / f"{name}.parquet")
        tables.append(("spectrum", name, 0, tmp_path / f"{name}.parquet"))
    write_claims(tables, CONTEXT, tmp_path / "claims.csv")
    row = pd.read_csv(tmp_path / "claims.csv").set_index("claim").loc["spectrum_not_dampened.global"]
    alone = size.std() / size.mean() / math.sqrt(30)
    # Drawn apart: twice 1.96 times the root of two.
    assert row["high"] - row["low"] < 3.0 * alone
    assert row["samples"] == 25


def test_checks_of_networks_have_no_number_of_samples(tmp_path: Path) -> None:
    table = judged(tmp_path, [PAPER, PAPER]).set_index("claim")
    of_networks = table["figure"].str.startswith("sanity")
    assert of_networks.any()
    assert table.loc[of_networks, "samples"].isna().all()
    assert (table.loc[~of_networks, "samples"] >= 1).all()


def test_a_longer_run_has_to_be_longer() -> None:
    means, axis = np.array([[1.0, 2.0]]), np.array([5.0, 10.0])
    assert reductions.beyond(5.0)(means, axis) == [2.0]
    with pytest.raises(reductions.NotMeasuredError, match="beyond 10"):
        reductions.beyond(10.0)(means, axis)


def test_no_tables_at_all_give_an_empty_table(tmp_path: Path) -> None:
    write_claims([], CONTEXT, tmp_path / "claims.csv")
    found = pd.read_csv(tmp_path / "claims.csv")
    assert found.empty
    assert list(found.columns) == list(COLUMNS)


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "0.parquet").write_text("no table")
    with pytest.raises(FileError, match="0.parquet"):
        write_claims([("spectrum", "standard", 0, tmp_path / "0.parquet")], CONTEXT, tmp_path / "claims.csv")


def test_an_experiment_in_another_norm_has_no_claims_on_distances_in_l2() -> None:
    names = {claim.name for claim, _ in decidable(Context(METHODS, math.inf, 0.1, ANALYSES))}
    assert not names & {"more_linear", "singular_value_kept_low", "cells_larger", "alignment_above_standard"}
    assert "equally_robust" in names


def test_attacks_are_those_that_the_evaluation_runs() -> None:
    defaults = inspect.signature(resolve(analysis.REGISTRY, "analysis", "evaluation")).parameters
    assert defaults["iterations"].default == evaluation.ITERATIONS
    assert defaults["restarts"].default == evaluation.RESTARTS
    assert evaluation.attacks(CONTEXT) == ["pga_200x5", "autoattack", "worst_case"]
    options = {"iterations": (10, 20), "restarts": 1, "autoattack": False}
    few = Context(METHODS, 2.0, EPSILON, {"evaluation": options})
    assert evaluation.attacks(few) == ["worst_case"]
    assert [evaluation.longer_attacks(context) for context in (CONTEXT, few)] == [["pga_200"], ["pga_20"]]
    no_longer = Context(METHODS, 2.0, EPSILON, {"evaluation": {"iterations": (5, 10)}})
    assert evaluation.longer_attacks(no_longer) == []
    assert evaluation.ascents(CONTEXT) == ["pga_50_after_pga_10", "pga_200_after_pga_50", "pga_200x5_after_pga_200"]
    assert evaluation.black_box(CONTEXT) == ["square_after_fab_t"]
    assert evaluation.ascents(few) == ["pga_20_after_pga_10"]
    assert evaluation.black_box(few) == []


def test_the_tables_that_are_needed_are_those_of_the_cases() -> None:
    context = Context(METHODS, 2.0, EPSILON, {"robustness": {}, "spectrum": {}})
    assert {name for name, _ in needed(context)} == {"robustness", "spectrum"}
    assert {method for name, method in needed(context) if name == "robustness"} == set(NAMES) - {"end"}
    assert ("spectrum", "fgm") not in needed(context)


@pytest.mark.parametrize(("claim", "of"), CASES, ids=ROWS)
def test_every_claim_is_in_words_and_has_a_figure(claim: Any, of: Any) -> None:
    for text in (claim.statement, claim.statistic.words):
        assert "{" not in words(text, of)
    assert of.methods[0].label in words(claim.statement + claim.statistic.words, of)
    assert claim.statistic.figure in figures.REGISTRY


def test_margins_and_claims_are_documented() -> None:
    from opnorm.claims import margins

    text = (Path(__file__).parents[1] / "docs/claims.md").read_text(encoding="utf-8")
    for name in (name for name, number in vars(margins).items() if isinstance(number, float)):
        assert f"`{name}` = {getattr(margins, name):g}" in text, name
    for claim in CLAIMS:
        assert f"`{claim.name.removeprefix('logit_')}`" in text, claim.name


@pytest.mark.parametrize("name", ["digits", "digits_full", "cifar10", "cifar10_wrn", "cifar10_small", "smoke"])
def test_the_experiments_at_hand_have_claims(name: str) -> None:
    root = Path(__file__).parents[1]
    config, schema = (
        yaml.safe_load((root / path).read_text(encoding="utf-8"))
        for path in (f"config/{name}.yaml", "workflow/schemas/experiment.schema.yaml")
    )
    experiment = Experiment.from_config(config, schema, name)
    context = Context.from_dict(describe(experiment))
    assert [found.name for found in context.methods] == [found.name for found in experiment.methods]
    names = [full_name(claim, of) for claim, of in decidable(context)]
    assert len(names) == len(set(names)) > 0


def test_verdicts_need_no_torch() -> None:
    program = "import sys, opnorm.claims.run; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
    light = "import sys, opnorm.claims.registry; assert 'pandas' not in sys.modules"
    subprocess.run([sys.executable, "-c", light], check=True)


def test_cells_are_as_much_larger_than_the_theorems_balls_as_the_analysis_has_it() -> None:
    assert claimed_theorem.FRACTION == analysed_theorem._FRACTION

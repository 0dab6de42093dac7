"""Evaluation by several attacks on linear networks, whose robust samples are known, and the checks that go with it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from linear import linear_network, linear_subject, radii
from opnorm import analysis, data
from opnorm.analysis import _evaluation
from opnorm.analysis._sanity import diameter
from opnorm.analysis.subject import Subject
from opnorm.errors import SettingsError
from opnorm.models.classifier import Classifier, Normalise
from opnorm.threat_model import ThreatModel

EPSILON = {2.0: 0.025, math.inf: 0.004}
ATTACKS = ["clean", "pga_5", "pga_20", "pga_20x3", "apgd_ce", "apgd_t", "fab_t", "square", "autoattack", "worst_case"]
OPTIONS: dict[str, Any] = {"iterations": (5, 20), "restarts": 3, "samples": 16, "linf": (EPSILON[math.inf],)}


@pytest.fixture(autouse=True)
def few_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Square is given two hundred queries instead of five thousand."""
    attack = _evaluation.attacked_by

    def shorter(*args: Any, **options: Any) -> Tensor:
        return attack(*args, **{"queries": 200} | options)

    monkeypatch.setattr(_evaluation, "attacked_by", shorter)


@pytest.fixture(scope="module")
def subject() -> Subject:
    return linear_subject(linear_network(5), ThreatModel(2.0, EPSILON[2.0], 5))


@pytest.fixture(scope="module")
def table(subject: Subject) -> pd.DataFrame:
    with pytest.MonkeyPatch.context() as patch:
        attack = _evaluation.attacked_by
        patch.setattr(_evaluation, "attacked_by", lambda *args, **o: attack(*args, **{"queries": 200} | o))
        return analysis.evaluation(subject, **OPTIONS)


def wide(table: pd.DataFrame, norm: float) -> pd.DataFrame:
    part = table[table["norm"] == norm]
    return part.pivot_table(index="sample", columns="attack", values="correct", aggfunc="all")


def test_a_row_per_sample_ball_and_attack(table: pd.DataFrame, subject: Subject) -> None:
    assert list(table.columns) == ["sample", "norm", "epsilon", "attack", "correct"]
    assert list(table["attack"].unique()) == ATTACKS
    assert len(table) == 16 * 2 * len(ATTACKS)
    assert not table.duplicated(["sample", "norm", "epsilon", "attack"]).any()
    assert {*zip(table["norm"], table["epsilon"], strict=True)} == {*EPSILON.items()}
    assert table["sample"].nunique() == 16
    assert set(table["sample"]) <= set(range(len(subject.test)))
    assert table["correct"].dtype == bool


@pytest.mark.parametrize("norm", [2.0, math.inf])
def test_the_worst_case_is_the_closed_form(norm: float, table: pd.DataFrame, subject: Subject) -> None:
    answers = wide(table, norm)
    x, y = data.to_unit(subject.test.images), subject.test.labels
    r = radii(subject.model, x, y, norm)[answers.index.tolist()].numpy()
    assert (answers["clean"] == (r > 0.0)).all()
    robust, broken = r > 1.001 * EPSILON[norm], r < 0.95 * EPSILON[norm]
    assert 3 <= robust.sum() <= 13
    for attack in answers:
        assert answers[attack][robust].all(), attack
    for attack in ("worst_case", "autoattack"):
        assert not answers[attack][broken].any(), attack
    # Cross-entropy does not always lead to the nearest class; mostly it does.
    assert not answers["pga_20x3"][r < 0.6 * EPSILON[norm]].any()


def test_the_worst_case_is_never_above_a_single_attack(table: pd.DataFrame) -> None:
    for norm in (2.0, math.inf):
        answers = wide(table, norm)
        for attack in answers:
            assert (answers["worst_case"] <= answers[attack]).all()
            assert (answers[attack] <= answers["clean"]).all()
        assert (answers["worst_case"] == answers.all(axis=1)).all()
        parts = ["apgd_ce", "apgd_t", "fab_t", "square"]
        for before, after in zip(["clean", *parts], parts, strict=False):
            assert (answers[after] <= answers[before]).all()
        assert (answers["autoattack"] == answers["square"]).all()
        # From the same start; the longer one goes on where the shorter one ends.
        assert (answers["pga_20x3"] <= answers["pga_20"]).all()
        assert (answers["pga_20"] <= answers["pga_5"]).all()
        assert answers["worst_case"].any()


def test_each_part_of_autoattack_is_given_what_those_before_it_left(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Tensor] = {}

    def breaks_the_first(
        model: nn.Module, x: Tensor, y: Tensor, threat: ThreatModel, *, attack: str, **_: Any
    ) -> Tensor:
        given[attack] = x
        images = data.to_unit(subject.test.images)
        wrong = images[model(images).argmax(1) != y[0]]
        return torch.cat([wrong[:1], x[1:]])

    monkeypatch.setattr(_evaluation, "attacked_by", breaks_the_first)
    table = analysis.evaluation(subject, iterations=(5,), restarts=1, samples=100)
    answers = wide(table, 2.0)
    clean = answers["clean"]
    assert 0 < clean.sum() < len(clean)
    # Those that the ascent breaks are attacked all the same: AutoAttack's accuracy is its own.
    expected = data.to_unit(subject.test.images)[torch.tensor(clean.to_numpy())]
    assert list(given) == ["apgd_ce", "apgd_t", "fab_t", "square"]
    for broken, x in enumerate(given.values()):
        assert torch.equal(x, expected[broken:])
    assert answers["autoattack"].sum() == clean.sum() - 4


def test_restarts_and_autoattack_can_be_left_to_some_of_the_samples(
    subject: Subject, table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Tensor] = []
    attack = _evaluation.attacked_by

    def recorded(model: nn.Module, x: Tensor, *args: Any, **options: Any) -> Tensor:
        given.append(x)
        return attack(model, x, *args, **options)

    monkeypatch.setattr(_evaluation, "attacked_by", recorded)
    found = analysis.evaluation(subject, **OPTIONS, thorough_samples=6)
    samples = {attack: set(part["sample"]) for attack, part in found.groupby("attack")}
    assert list(found["attack"].unique()) == ATTACKS
    few = samples["autoattack"]
    assert len(few) == 6
    assert few < samples["clean"] == set(table["sample"])
    for attack_name, its in samples.items():
        assert its == (samples["clean"] if attack_name in ("clean", "pga_5", "pga_20") else few)
    # They are those of an experiment with so few samples, and AutoAttack sees no others.
    fewer = analysis.evaluation(subject, **OPTIONS | {"samples": 6, "autoattack": False, "restarts": 1})
    assert few == set(fewer["sample"])
    images = data.to_unit(subject.test.images)[sorted(few)]
    assert all((x[:, None] == images).flatten(2).all(2).any(1).all() for x in given)
    # Ascents from one start do not depend on what follows them.
    for ascent in ("clean", "pga_5", "pga_20"):
        same = [t[t["attack"] == ascent].reset_index(drop=True) for t in (found, table)]
        pd.testing.assert_frame_equal(*same)
    for norm in (2.0, math.inf):
        answers = wide(found, norm).loc[sorted(few)].astype(bool)
        assert (answers["worst_case"] == answers.drop(columns="worst_case").all(axis=1)).all()
        assert (answers["pga_20x3"] <= answers["pga_20"]).all()


def test_a_run_can_be_repeated_and_leaves_nothing_behind(
    subject: Subject, table: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    state = torch.get_rng_state()
    torch.manual_seed(123)
    moved = torch.get_rng_state()
    again = analysis.evaluation(subject, **OPTIONS)
    assert torch.equal(torch.get_rng_state(), moved)
    torch.set_rng_state(state)
    pd.testing.assert_frame_equal(again, table)
    # Honest: what there is to doubt is that cross-entropy leads to the nearest class, as the targeted attacks do.
    warnings = [line for line in capsys.readouterr().out.splitlines() if "warning" in line]
    assert all("independent_attack" in line for line in warnings)
    assert all(p.grad is None and p.requires_grad for p in subject.model.parameters())


def test_seeds_share_samples_and_differ_in_draws(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []

    def idle(model: nn.Module, x: Tensor, *_: Any, seed: int, **__: Any) -> Tensor:
        seeds.append(seed)
        return x

    monkeypatch.setattr(_evaluation, "attacked_by", idle)
    tables = [
        analysis.evaluation(replace(subject, seed=seed), samples=5, linf=(0.1,), iterations=(2,)) for seed in (0, 1)
    ]
    assert tables[0]["sample"].tolist() == tables[1]["sample"].tolist()
    # Every attack in every ball of every run draws for itself.
    assert len(set(seeds)) == len(seeds) == 2 * 2 * 4


def test_options_decide_what_is_measured(subject: Subject) -> None:
    own = replace(subject, threat=ThreatModel(1.0, 0.5, 3))
    table = analysis.evaluation(
        own, l2=(0.0, 0.1, 0.2), iterations=(1, 3), restarts=1, samples=1000, autoattack=False, batch_size=5
    )
    assert {*zip(table["norm"], table["epsilon"], strict=True)} == {(1.0, 0.5), (2.0, 0.1), (2.0, 0.2)}
    assert set(table["attack"]) == {"clean", "pga_1", "pga_3", "worst_case"}
    assert table["sample"].nunique() == len(subject.test)


def test_whole_numbers_in_an_experiment_file_are_the_same_ball(subject: Subject) -> None:
    options: dict[str, Any] = {"samples": 8, "iterations": (2,), "restarts": 1, "autoattack": False}
    whole, real = (
        analysis.evaluation(replace(subject, threat=ThreatModel(norm, epsilon, 5)), **options)
        for norm, epsilon in ((2, 1), (2.0, 1.0))
    )
    pd.testing.assert_frame_equal(whole, real)


class Rounded(nn.Flatten):
    """Pixels in sixteenths: no gradient comes through."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward((16.0 * x).round() / 16.0)


@pytest.fixture
def masked() -> Subject:
    honest = linear_network(5)
    network = Classifier(Normalise((0.0,), (1.0,)), Rounded(), honest.linear).eval()
    return linear_subject(network, ThreatModel(math.inf, 0.05, 5))


def test_masked_gradients_leave_warnings_in_the_log(masked: Subject, capsys: pytest.CaptureFixture[str]) -> None:
    table = analysis.evaluation(masked, iterations=(5, 20), restarts=1, samples=8)
    written = capsys.readouterr()
    log = written.out + written.err
    assert "warning: seed 0: robust accuracy may be overestimated: zero_gradients: 1, at most 0 expected" in log
    assert "black_box (linf, epsilon 0.05)" in log
    answers = wide(table, math.inf)
    assert answers["square"].sum() < answers[["pga_20", "apgd_ce"]].all(axis=1).sum()
    assert (answers["worst_case"] <= answers["square"]).all()


def measured(subject: Subject, **options: Any) -> pd.DataFrame:
    chosen = {"iterations": (10, 20), "restarts": 2, "queries": 200, "samples": 24} | options
    return analysis.sanity(subject, **chosen)


def test_sanity_of_an_honest_network(subject: Subject, capsys: pytest.CaptureFixture[str]) -> None:
    table = measured(subject, linf=(EPSILON[math.inf],))
    assert list(table.columns) == ["sample", "check", "norm", "epsilon", "value", "threshold", "passed"]
    assert table["passed"].all(), table
    assert "warning" not in capsys.readouterr().out
    checks = {name: list(part["norm"].dropna()) for name, part in table.groupby("check")}
    assert checks == {
        "zero_gradients": [], "randomness": [], "probabilities": [], "more_iterations_20": [2.0, math.inf],
        "black_box": [2.0, math.inf], "monotone": [2.0, math.inf], "large_epsilon": [2.0, math.inf],
    }  # fmt: skip
    largest = table[table["check"] == "large_epsilon"]
    assert largest["epsilon"].tolist() == [8.0, 1.0]
    assert (largest["threshold"] == 1.0 / 5.0).all()
    assert (table["sample"] == 0).all()


def test_sanity_sees_masked_gradients(masked: Subject, capsys: pytest.CaptureFixture[str]) -> None:
    table = measured(masked).set_index("check")
    assert not table["passed"]["zero_gradients"]
    assert not table["passed"]["black_box"]
    assert table["value"]["black_box"] > 0.1
    assert table["passed"][["randomness", "probabilities"]].all()
    assert "black_box (linf, epsilon 0.05)" in capsys.readouterr().out


def test_sanity_sees_softmax_and_noise(subject: Subject) -> None:
    class Softmax(Classifier):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x + 0.01 * torch.rand_like(x)).softmax(1)

    network = Softmax(subject.model.normalise, subject.model.body, subject.model.linear).eval()
    table = measured(replace(subject, model=network)).set_index("check")
    assert not table["passed"][["randomness", "probabilities"]].any()


def test_sanity_sees_an_accuracy_that_does_not_fall(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """An attack that finds less the further it may go."""

    def worse(model: nn.Module, x: Tensor, y: Tensor, threat: ThreatModel, **_: Any) -> Tensor:
        return (torch.arange(len(x)) < 3.0 * threat.epsilon)[None, None]

    monkeypatch.setattr("opnorm.analysis._sanity.correct_under_ascent", worse)
    table = measured(subject).set_index("check")
    assert not table["passed"][["monotone", "large_epsilon"]].any()


@pytest.mark.parametrize(("norm", "bounds", "expected"), [
    (2.0, (0.0, 1.0), 8.0), (math.inf, (0.0, 1.0), 1.0), (1.0, (0.0, 1.0), 64.0),
    (2.0, (0.25, 0.75), 4.0), (2.0, None, 8.0),
])  # fmt: skip
def test_the_largest_ball_covers_the_images(norm: float, bounds: tuple[float, float] | None, expected: float) -> None:
    assert diameter(torch.zeros(3, 1, 8, 8), ThreatModel(norm, 0.1, 1, bounds=bounds)) == expected


def test_small_batches_are_attacked_too(subject: Subject) -> None:
    options = {"iterations": (10,), "autoattack": False, "samples": 6}
    one, other = (measured(subject, batch_size=size, **options) for size in (3, 6))
    pd.testing.assert_frame_equal(one, other, atol=1e-6)


def test_without_a_ball_there_is_nothing_to_attack_in(subject: Subject) -> None:
    still = replace(subject, threat=replace(subject.threat, epsilon=0.0))
    with pytest.raises(SettingsError, match="no ball to attack in"):
        measured(still)

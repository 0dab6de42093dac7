"""Constants chosen by rule: the smallest sufficient radius, the best match, and how rules are read."""

import copy
import math

import pandas as pd
import pytest
import torch

from opnorm import data, files, lp, validation, weights
from opnorm.attacks import projected_gradient_ascent
from opnorm.errors import FileError, SettingsError
from opnorm.figures.selection import render_selection
from opnorm.seeding import generator
from opnorm.selection import (
    EPSILONS,
    Choice,
    EpsilonRule,
    MatchRule,
    Taken,
    choose_epsilon,
    choose_value,
    comparison,
    epsilon_table,
    match_table,
    read_choice,
)
from opnorm.selection_run import misclassified, select_epsilon, select_values
from opnorm.threat_model import ThreatModel
from test_settings import SMOKE, experiment


def shares(values):
    epsilons = [float(epsilon) for epsilon in range(1, len(values) + 1)]
    return pd.DataFrame({"epsilon": epsilons, "misclassified": values, "seed_std": 0.0, "n": 100})


@pytest.mark.parametrize(
    ("values", "share", "epsilon"),
    [
        ([0.5, 0.98, 0.99, 1.0], 0.99, 3.0),
        ([0.99, 1.0], 0.99, 1.0),
        ([0.5, 0.9, 1.0], 1.0, 3.0),
        # Not monotone: the smallest that suffices, though a larger one does not.
        ([0.5, 0.995, 0.98, 1.0], 0.99, 2.0),
        # A mean of thirds, whose sum is rounded.
        ([0.1, (0.1 + 0.2 + 0.6) / 3], 0.3, 2.0),
    ],
)
def test_the_smallest_sufficient_radius_is_chosen(values, share, epsilon):
    assert choose_epsilon(shares(values), share) == epsilon
    assert choose_epsilon(shares(values).iloc[::-1], share) == epsilon


def test_without_a_sufficient_radius_the_largest_share_is_named():
    with pytest.raises(SettingsError, match=r"has 99 % .* the largest share is 97\.3 %, at 2\. Add larger radii"):
        choose_epsilon(shares([0.5, 0.973, 0.973]), 0.99)


@pytest.mark.parametrize(
    ("accuracies", "target", "value"),
    [
        ([0.99, 0.97, 0.94], 0.96, 1.0),
        ([0.99, 0.97, 0.94], 0.90, 2.0),
        # As far above as below, and twice the same: the larger.
        ([0.98, 0.96, 0.92], 0.94, 2.0),
        ([0.7 + 0.2, 0.9, 0.5], 0.9, 1.0),
        # Not monotone.
        ([0.90, 0.99, 0.951], 0.95, 2.0),
    ],
)
def test_the_value_of_the_closest_accuracy_is_chosen(accuracies, target, value):
    table = pd.DataFrame({"weight": [0.0, 1.0, 2.0], "accuracy": accuracies})
    assert choose_value(table, "weight", target) == value
    assert choose_value(table.iloc[::-1], "weight", target) == value


@pytest.mark.parametrize(
    ("accuracies", "warning"),
    [
        ([0.9, 0.8, 0.7], ""),
        ([0.8, 0.7, 0.6], "the smallest of the grid: one beyond it may match better"),
        ([0.99, 0.98, 0.9], "the largest of the grid: one beyond it may match better"),
    ],
)
def test_a_choice_at_the_edge_of_the_grid_comes_with_a_warning(accuracies, warning):
    measured = pd.DataFrame({"weight": [3.0, 1.0, 2.0], "accuracy": accuracies[-1:] + accuracies[:2], "seed_std": 0.0})
    table = match_table(measured, MatchRule("weight", "adversarial", (1.0, 2.0, 3.0)), 0.8)
    assert table["weight"].tolist() == [1.0, 2.0, 3.0]
    assert table["chosen"].sum() == 1
    assert table.loc[table["chosen"], "warning"].tolist() == [warning]
    assert (table.loc[~table["chosen"], "warning"] == "").all()


@pytest.mark.parametrize(("values", "warning"), [([0.1, 1.0], ""), ([1.0, 1.0], "the smallest of the grid")])
def test_a_radius_at_the_edge_of_the_grid_comes_with_a_warning(values, warning):
    table = epsilon_table(shares(values), EpsilonRule("standard", (1.0, 2.0)))
    assert table.loc[table["chosen"], "warning"].str.startswith(warning).all()
    assert (table["share"] == 0.99).all()


def as_predicted(split, model, mistakes=0):
    """The split with the model's own answers for labels, but for the first few."""
    labels = model(data.to_unit(split.images)).argmax(1)
    labels[:mistakes] = (labels[:mistakes] + 1) % 10
    return data.Split(split.images, labels)


@pytest.mark.parametrize("relative_step", [None, 0.3])
def test_misclassified_agrees_with_an_attack_on_each_sample(relative_step, digits, cnn5):
    model, epsilons = cnn5.float(), (0.1, 1.0)
    split, threat = as_predicted(digits["test"], model, mistakes=3), ThreatModel(2.0, 0.0, 2)
    found = misclassified(model, split, threat, epsilons, seed=3, relative_step=relative_step)
    x, y = data.to_unit(split.images), split.labels
    wrong = model(x).argmax(1) != y
    expected = []
    for epsilon in epsilons:
        left = (~wrong).nonzero()[:, 0]
        # A sample's start is the same whichever are left.
        start = x + lp.sample_ball(x, 2.0, epsilon, generator(3, f"selection/2.0/{epsilon}"))
        adversary = ThreatModel(2.0, epsilon, 2, step_size=relative_step and relative_step * epsilon)
        visited = []
        attack = {"start": start[left], "trace": visited.append, "rescore": False}
        projected_gradient_ascent(model, x[left], y[left], adversary, **attack)
        wrong = wrong.clone()
        wrong[left] = torch.stack([model(point).argmax(1) != y[left] for point in visited]).any(0)
        expected.append(wrong)
    assert torch.equal(found, torch.stack(expected, 1))
    assert 3 < found[:, 0].sum() < found[:, 1].sum() < len(split)


@pytest.fixture
def prepared(digits, tmp_path):
    """A prepared split of 60 digits."""
    path = tmp_path / "train.safetensors"
    split = digits["train"]
    files.save_tensors(path, {"images": split.images, "labels": split.labels}, {"dataset": "digits"})
    return path


def test_the_radius_is_chosen_from_files(digits, cnn5, tmp_path, monkeypatch):
    split = as_predicted(digits["train"], cnn5.float())
    test = tmp_path / "test.safetensors"
    files.save_tensors(test, {"images": split.images, "labels": split.labels}, {"dataset": "digits"})
    architecture = {"name": "cnn5", "channels": 1, "mean": [0.3], "std": [0.4], "width": 2}
    models = [tmp_path / "0.safetensors", tmp_path / "1.safetensors"]
    for path in models:
        weights.save_model(path, cnn5, architecture, {})
    arguments = {
        "test": test, "dataset": "digits", "seeds": [0, 1], "architecture": {"name": "cnn5", "width": 2},
        "threat": {"norm": 2.0, "iterations": 2, "step_size": None, "bounds": [0.0, 1.0]},
    }  # fmt: skip
    # Nine digits are not enough for it.
    sufficient = 31 / 3
    rule = {"standard": "standard", "grid": (0.1, sufficient), "share": 0.8, "chosen": None}
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    select_epsilon(models, tmp_path / "epsilon.csv", rule=rule, **arguments)
    # As in all measurements, a GPU's convolutions are not rounded to ten bits.
    assert not torch.backends.cudnn.allow_tf32
    table = pd.read_csv(tmp_path / "epsilon.csv")
    splits = [misclassified(cnn5, split, ThreatModel(2.0, 0.0, 2), (0.1,), seed=s) for s in (0, 1)]
    assert table["misclassified"][0] == pytest.approx(torch.stack(splits).double().mean().item(), rel=1e-8)
    assert table["n"].tolist() == [60, 60]
    assert read_choice(tmp_path / "epsilon.csv", "epsilon") == sufficient
    with pytest.raises(SettingsError, match="no radius of the grid has 80 %"):
        select_epsilon(models, tmp_path / "none.csv", rule={**rule, "grid": (0.1,)}, **arguments)
    assert not (tmp_path / "none.csv").exists()


def test_values_are_chosen_from_the_last_accuracies_of_histories(tmp_path):
    last = {
        ("at", None): [0.90, 0.92],
        ("snr", 1.0): [0.97, 0.99],
        ("snr", 2.0): [0.93, 0.91],
        ("snr", 4.0): [0.8, 0.7],
        ("other", 1 / 3): [0.5, 0.6],
    }
    histories = []
    for (method, value), accuracies in last.items():
        for seed, accuracy in enumerate(accuracies):
            path = tmp_path / f"{method}{value}{seed}.csv"
            pd.DataFrame({"epoch": [1, 2], "test_accuracy": [0.1, accuracy]}).to_csv(path)
            histories.append((method, value, seed, path))
    rules = {
        "snr": {"option": "weight", "match": "at", "grid": (1.0, 2.0, 4.0), "chosen": None},
        "other": {"option": "strength", "match": "at", "grid": (1 / 3,), "chosen": 3.0},
    }
    select_values(histories, [tmp_path / "snr.csv", tmp_path / "other.csv"], rules=rules)
    table = pd.read_csv(tmp_path / "snr.csv", keep_default_na=False)
    assert table["accuracy"].tolist() == pytest.approx([0.98, 0.92, 0.75])
    assert table["seed_std"].tolist() == pytest.approx([0.02 / math.sqrt(2)] * 2 + [0.1 / math.sqrt(2)])
    assert table["target"].tolist() == pytest.approx([0.91] * 3)
    assert table["chosen"].tolist() == [False, True, False]
    assert table["match"].tolist() == ["at"] * 3
    assert read_choice(tmp_path / "other.csv", "strength") == 1 / 3


def test_what_is_held_out_is_a_share_of_every_class_and_always_the_same(prepared, digits, tmp_path):
    paths = {"train": tmp_path / "rest.safetensors", "validation": tmp_path / "out.safetensors"}
    validation.hold_out(prepared, "digits", 0.25, **paths)
    rest, out, whole = (data.read_split(path, "digits") for path in (*paths.values(), prepared))
    for label in range(10):
        members = int((whole.labels == label).sum())
        assert int((out.labels == label).sum()) == round(0.25 * members)
        assert int((rest.labels == label).sum()) == members - round(0.25 * members)
    images = torch.cat([rest.images, out.images]).flatten(1)
    assert sorted(images.tolist()) == sorted(whole.images.flatten(1).tolist())
    before = out.digest()
    validation.hold_out(prepared, "digits", 0.25, **paths)
    assert data.read_split(paths["validation"]).digest() == before


@pytest.mark.parametrize("fraction", [0.001, 0.999])
def test_a_share_that_divides_nothing_is_refused(fraction, prepared, tmp_path):
    with pytest.raises(SettingsError, match=r"selection\.validation: a share of 0\.\d+ does not divide 60 images"):
        validation.hold_out(prepared, "digits", fraction, train=tmp_path / "a", validation=tmp_path / "b")


def test_the_experiment_file_is_compared_with_the_rules(tmp_path):
    path = str(tmp_path / "epsilon.csv")
    epsilon_table(shares([0.1, 1.0]), EpsilonRule("standard", (1.0, 2.0))).to_csv(path, index=False)
    choices = [(Choice("threat.epsilon", "epsilon", "epsilon", number), path) for number in (None, 2.0, 0.5)]
    same = "threat.epsilon: the rule chooses 2, "
    assert comparison(choices).splitlines() == [
        f"{same}which is used ({path})",
        f"{same}as the experiment file has it ({path})",
        f"{same}but the experiment file has 0.5 ({path})",
    ]


def test_of_a_number_that_is_taken_it_is_said_whose_it_is():
    assert comparison([], [Taken("power", "weight", "exact")]) == "methods.power.weight: that of exact\n"


def test_what_is_no_table_of_a_choice_is_named(tmp_path):
    path = tmp_path / "epsilon.csv"
    with pytest.raises(FileNotFoundError):
        read_choice(str(path), "epsilon")
    path.write_text("epsilon,chosen\n1.0,False\n")
    with pytest.raises(FileError, match=r"epsilon\.csv: not a table of a choice"):
        read_choice(str(path), "epsilon")


def test_the_figure_draws_every_rule(tmp_path):
    epsilon_table(shares([0.1, 1.0]), EpsilonRule("standard", (1.0, 2.0))).to_csv(tmp_path / "epsilon.csv")
    measured = pd.DataFrame({"weight": [0.0, 1.0], "accuracy": [0.99, 0.9], "seed_std": [float("nan")] * 2})
    match_table(measured, MatchRule("weight", "at", (0.0, 1.0)), 0.91).to_csv(tmp_path / "snr.csv")
    panels = [
        {"key": "threat.epsilon", "column": "epsilon", "title": "Standard", "target": "99 %", "norm": "2"},
        {"key": "methods.snr.weight", "column": "weight", "title": "SNR", "target": "AT", "norm": "2"},
        {"key": "methods.snr2.weight", "column": "weight", "title": "SNR 2", "target": "AT", "norm": "2"},
    ]
    tables = [tmp_path / "epsilon.csv", tmp_path / "snr.csv", tmp_path / "snr.csv"]
    outputs = {suffix: tmp_path / f"selection.{suffix}" for suffix in ("pdf", "png", "csv")}
    render_selection(panels, tables, **outputs)
    drawn = pd.read_csv(outputs["csv"])
    assert list(drawn.columns) == ["rule", "value", "mean", "seed_std", "target", "chosen"]
    assert drawn["rule"].tolist() == [panel["key"] for panel in panels for _ in range(2)]
    assert drawn["target"].tolist() == [0.99] * 2 + [0.91] * 4
    assert all(path.stat().st_size > 0 for path in outputs.values())
    with pytest.raises(FileError, match="not a table of a choice"):
        render_selection(panels[:1], tables[1:2], **outputs)


SELECTED = copy.deepcopy(SMOKE)
SELECTED["threat"]["epsilon"] = {"select": [2, "1e0"], "share": 0.9}
SELECTED["methods"]["adversarial"] = {"objective": "adversarial"}
SELECTED["methods"]["other"] = {"objective": "adversarial", "threat": {"epsilon": 7.0}}
SELECTED["methods"]["dd_snr"]["weight"] = {"match": "adversarial", "grid": [0.1, 0.01]}


def test_rules_are_read_and_answered():
    found = experiment(SELECTED)
    assert found.selection.epsilon == EpsilonRule("standard", (1.0, 2.0), 0.9)
    assert found.selection.matches == {"dd_snr": MatchRule("weight", "adversarial", (0.01, 0.1))}
    assert found.selection.seeds == found.seeds
    assert found.selection.candidates() == [
        ("adversarial", None, 0), ("adversarial", None, 1), ("dd_snr", 0.01, 0), ("dd_snr", 0.01, 1),
        ("dd_snr", 0.1, 0), ("dd_snr", 0.1, 1),
    ]  # fmt: skip
    chosen = found.with_choices({"threat.epsilon": 2.0, "methods.dd_snr.weight": 0.1})
    assert chosen.threat.epsilon == 2.0
    assert chosen.training("adversarial").method.threat.epsilon == 2.0
    assert chosen.training("other").method.threat.epsilon == 7.0
    assert chosen.training("dd_snr").method.options["weight"] == 0.1
    assert chosen.training("dd_snr", 0.01).method.options["weight"] == 0.01


def test_what_waits_for_a_choice():
    selection = experiment(SELECTED).selection
    keys = {name: [choice.key for choice in selection.awaited(name)] for name in ("standard", "adversarial", "dd_snr")}
    both = ["threat.epsilon", "methods.dd_snr.weight"]
    assert keys == {"standard": [], "adversarial": both[:1], "dd_snr": both}
    assert [choice.key for choice in selection.awaited()] == both[:1]
    assert [choice.key for choice in selection.awaited("standard", "dd_snr")] == both


def test_standard_training_does_not_know_a_radius_that_it_comes_before():
    found = experiment(SELECTED)
    settings = [found.with_choices({"threat.epsilon": epsilon}).training("standard") for epsilon in (1.0, 2.0)]
    assert settings[0] == settings[1]
    assert settings[0].method.threat.epsilon == 0.0


def test_with_the_choice_in_the_file_it_is_the_experiment_with_plain_numbers():
    given = copy.deepcopy(SELECTED)
    given["threat"]["epsilon"]["chosen"] = 1.5
    given["methods"]["dd_snr"]["weight"]["chosen"] = 0.05
    plain = copy.deepcopy(SELECTED)
    plain["threat"]["epsilon"] = 1.5
    plain["methods"]["dd_snr"]["weight"] = 0.05
    found, expected = experiment(given), experiment(plain)
    assert not found.selection.is_open
    assert [choice.number for choice in found.selection.choices()] == [1.5, 0.05]
    assert not any(found.selection.awaited(*names) for names in ((), given["methods"]))
    assert found.threat == expected.threat
    assert [found.training(name) for name in given["methods"]] == [expected.training(name) for name in given["methods"]]


SHARED = copy.deepcopy(SELECTED)
SHARED["methods"]["power"] = {"objective": "data_dependent_snr", "weight": {"of": "dd_snr"}, "solver": "power"}
SHARED["methods"]["half"] = {"objective": "mixture", "weight": {"of": "power"}, "mixture": 0.5}
SHARED["methods"]["all"] = {"objective": "mixture", "weight": {"of": "dd_snr"}, "mixture": {"of": "half"}}
SHARED["methods"]["global"] = {"objective": "global_snr", "weight": 0.7}
SHARED["methods"]["gradient"] = {"objective": "input_gradient", "weight": {"of": "global"}}


def weights_of(found):
    names = ("dd_snr", "power", "half", "all", "gradient")
    return [found.training(name).method.options["weight"] for name in names]


def test_a_number_is_taken_from_another_method():
    found = experiment(SHARED)
    chosen = found.with_choices({"methods.dd_snr.weight": 0.1})
    assert weights_of(found) == [0.01] * 4 + [0.7]
    assert weights_of(chosen) == [0.1] * 4 + [0.7]
    assert chosen.method("all").options["mixture"] == 0.5
    # The methods that take it have no candidates.
    assert found.selection.candidates() == experiment(SELECTED).selection.candidates()
    assert found.selection.choices() == experiment(SELECTED).selection.choices()


def test_what_takes_a_choice_waits_for_it_and_for_no_other():
    config = copy.deepcopy(SHARED)
    config["methods"]["frobenius"] = {"objective": "frobenius", "weight": {"match": "adversarial", "grid": [1]}}
    config["methods"]["dd_snr"]["p"] = 1.0
    config["methods"]["other_p"] = {"objective": "data_dependent_snr", "weight": 1, "p": {"of": "dd_snr"}}
    selection = experiment(config).selection
    for name in ("dd_snr", "power", "half", "all"):
        assert [choice.key for choice in selection.awaited(name)] == ["threat.epsilon", "methods.dd_snr.weight"], name
    for name in ("gradient", "other_p", "adversarial"):
        assert [choice.key for choice in selection.awaited(name)] == ["threat.epsilon"], name


def test_what_is_said_to_be_chosen_is_taken_without_waiting():
    config = copy.deepcopy(SHARED)
    config["threat"]["epsilon"] = 1.0
    config["methods"]["dd_snr"]["weight"]["chosen"] = 0.05
    found = experiment(config)
    assert weights_of(found) == [0.05] * 4 + [0.7]
    assert not found.selection.is_open
    assert found.selection.awaited(*config["methods"]) == []


@pytest.mark.parametrize("given", ["select", {"select": None}])
def test_select_alone_chooses_from_the_norms_radii(given):
    config = copy.deepcopy(SMOKE)
    config["threat"] = {"norm": "inf", "epsilon": given, "iterations": 2}
    assert experiment(config).selection.epsilon == EpsilonRule("standard", EPSILONS[math.inf], 0.99)
    assert all(list(grid) == sorted(set(grid)) for grid in EPSILONS.values())


WEIGHT = "methods.dd_snr.weight"
MISTAKES = [
    ("threat.epsilon", "choose", "threat.epsilon: 'choose' is not allowed here"),
    ("threat.epsilon", {"selct": [1]}, "threat.epsilon"),
    ("threat.epsilon", {"select": []}, "threat.epsilon.select: [] is not allowed here; it is null, or a list"),
    ("threat.epsilon", {"select": [0]}, "threat.epsilon.select.0: 0 is not allowed here; it is a number above 0"),
    ("threat.epsilon", {"select": [1], "share": 1.5}, "threat.epsilon.share: 1.5 is not allowed here"),
    ("threat.epsilon", {"select": [1], "chosen": -1}, "threat.epsilon.chosen: -1 is not allowed here"),
    ("methods.standard.objective", "adversarial", "threat.epsilon: select looks at the standard model"),
    (
        "methods.adversarial.threat",
        {"epsilon": "select"},
        "methods.adversarial.threat.epsilon: 'select' is not allowed",
    ),
    (f"{WEIGHT}.match", "adversary", f"{WEIGHT}.match: unknown name 'adversary'; did you mean adversarial?"),
    (f"{WEIGHT}.match", "dd_snr", f"{WEIGHT}.match: unknown name 'dd_snr'"),
    (f"{WEIGHT}.match", 3, f"{WEIGHT}.match: unknown name 3"),
    (f"{WEIGHT}.match", ["standard"], f"{WEIGHT}.match: unknown name ['standard']"),
    (
        "methods.adversarial.fraction",
        {"match": "standard", "grid": [1]},
        f"{WEIGHT}.match: adversarial is itself matched",
    ),
    (f"{WEIGHT}.grid", [], f"{WEIGHT}.grid: [] is not a list of one or more numbers"),
    (f"{WEIGHT}.grid", [-1.0], f"{WEIGHT}.grid: [-1.0] is not a list of one or more numbers of at least 0"),
    (f"{WEIGHT}", {"match": "adversarial"}, f"{WEIGHT}.grid: missing"),
    (f"{WEIGHT}", {"grid": [1]}, f"{WEIGHT}.match: missing"),
    (f"{WEIGHT}.grdi", [1], f"{WEIGHT}.grdi: unknown key; did you mean grid?"),
    (f"{WEIGHT}.chosen", -1, f"{WEIGHT}: -1 is not a number of at least 0"),
    ("methods.dd_snr.p", {"match": "adversarial", "grid": [1, 2]}, f"{WEIGHT}: only one option of a method"),
    (
        "methods.other.fraction",
        {"match": "adversarial", "grid": [3]},
        "methods.other.fraction.grid: 3.0 is not a",
    ),
    ("methods.dd_snr.wieght", {"match": "adversarial", "grid": [3]}, f"{WEIGHT}: only one option of a method"),
    (
        "methods.epsilon",
        {"objective": "global_snr", "weight": {"match": "standard", "grid": [1]}},
        "methods.epsilon.weight: the",
    ),
    (
        "selection",
        {"validation": 1},
        "selection.validation: 1 is not allowed here; it is a fraction above 0 and below 1",
    ),
    ("selection", {"seed": [1]}, "selection.seed: unknown key; did you mean seeds?"),
]


POWER = "methods.power.weight"
MISTAKES_IN_TAKING = [
    (POWER, {"of": "dd_snrr"}, f"{POWER}.of: unknown name 'dd_snrr'; did you mean dd_snr?"),
    (POWER, {"of": ["dd_snr"]}, f"{POWER}.of: unknown name ['dd_snr']"),
    (POWER, {"of": "power"}, f"{POWER}.of: the chain power -> power ends in no number"),
    (POWER, {"of": "half"}, "methods.half.weight.of: the chain power -> half -> power ends in no number"),
    (POWER, {"of": "standard"}, f"{POWER}.of: standard has no weight in this file"),
    (POWER, {"off": "dd_snr"}, f"{POWER}.off: unknown key; did you mean of?"),
    (POWER, {"of": "dd_snr", "chosen": 1}, f"{POWER}.chosen: not beside `of`, which takes a number as it is"),
    ("methods.power.wieght", {"of": "dd_snr"}, "methods.power.wieght.of: dd_snr has no wieght in this file"),
    ("methods.half.solver", {"of": "power"}, "methods.half.solver.of: power has no number there, but 'power'"),
    ("methods.dd_snr.weight", None, "methods.power.weight.of: dd_snr has no number there, but None"),
    ("methods.dd_snr.weight", True, "methods.power.weight.of: dd_snr has no number there, but True"),
    ("methods.global.weight", -1, "methods.global.weight: -1 is not a number of at least 0"),
    (
        "methods.half.mixture",
        {"match": "adversarial", "grid": [0.1]},
        "methods.half.weight: half is compared before the rule of methods.dd_snr.weight has chosen; give it a number",
    ),
    (
        "methods.gradient.weight",
        {"match": "power", "grid": [1]},
        f"{POWER}: power is compared before the rule of methods.dd_snr.weight has chosen; give it a number",
    ),
    (
        "methods.adversarial.fraction",
        {"of": "dd_snr"},
        "methods.adversarial.fraction.of: dd_snr has no fraction in this file",
    ),
]


def test_a_grid_is_checked_for_what_takes_its_choice_too():
    config = copy.deepcopy(SHARED)
    config["methods"]["dd_snr"] |= {"weight": 1.0, "p": {"match": "adversarial", "grid": [1, 2]}}
    config["methods"]["global"]["p"] = {"of": "dd_snr"}
    with pytest.raises(SettingsError, match=r"methods\.global\.p: unknown key"):
        experiment(config)
    config["methods"]["global"] = {"objective": "mixture", "weight": 0.7, "mixture": {"of": "standard"}}
    config["methods"]["standard"]["mixture"] = {"match": "adversarial", "grid": [0.1, 3]}
    with pytest.raises(SettingsError, match=r"methods\.global\.mixture: 3\.0 is not a number between 0 and 1"):
        experiment(config)


@pytest.mark.parametrize(
    ("base", "path", "value", "message"),
    [*((SELECTED, *mistake) for mistake in MISTAKES), *((SHARED, *mistake) for mistake in MISTAKES_IN_TAKING)],
    ids=lambda x: repr(x)[:40],
)
def test_a_mistake_in_a_rule_is_named(base, path, value, message):
    config = copy.deepcopy(base)
    *parents, last = path.split(".")
    place = config
    for key in parents:
        place = place[key]
    place[last] = value
    with pytest.raises(SettingsError) as caught:
        experiment(config)
    assert str(caught.value).startswith(f"config/mine.yaml: {message}")

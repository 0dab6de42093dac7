"""Experiment files: what they become, and how mistakes in them are answered."""

import copy
import math
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from opnorm import figures
from opnorm.errors import SettingsError
from opnorm.settings import Experiment, Optimization, TrainingSettings
from opnorm.threat_model import ThreatModel

ROOT = Path(__file__).parents[1]
SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/experiment.schema.yaml").read_text())
SMOKE = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())


def experiment(config):
    return Experiment.from_config(config, SCHEMA, "config/mine.yaml")


def changed(path, value):
    config = copy.deepcopy(SMOKE)
    *parents, last = path.split(".")
    place = config
    for key in parents:
        place = place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return config


def test_without_the_schema_a_valid_file_gives_the_same_values_and_names_are_still_checked():
    assert Experiment.from_config(SMOKE, None, "config/mine.yaml") == experiment(SMOKE)
    with pytest.raises(SettingsError, match="config/mine.yaml: dataset: unknown name 'digitz'; did you mean digits"):
        Experiment.from_config(changed("dataset", "digitz"), None, "config/mine.yaml")


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda path: path.name)
def test_every_experiment_file_is_valid(path):
    found = experiment(yaml.safe_load(path.read_text()))
    assert found.name == path.stem
    assert found.methods


def test_values_of_the_smoke_experiment():
    found = experiment(SMOKE)
    assert found.seeds == (0, 1)
    assert found.threat == ThreatModel(2.0, 1.0, 2)
    assert found.model == {"name": "cnn5", "width": 2}
    assert found.method("dd_snr").options == {"weight": 0.05}
    assert found.method("standard").label == "Standard"
    assert found.analyses["spectrum"] == {}
    assert found.analyses["robustness"]["l2"] == (0.5, 1.0)


def test_a_method_may_have_its_own_threat():
    found = experiment(changed("methods.dd_snr.threat", {"norm": "inf", "epsilon": "1e-1"}))
    assert found.method("dd_snr").threat == ThreatModel(math.inf, 0.1, 2)
    assert found.method("standard").threat == found.threat


def test_a_method_may_have_its_own_seeds_and_group():
    config = changed("methods.dd_snr", {**SMOKE["methods"]["dd_snr"], "seeds": [7, "3"], "group": "explanations"})
    found = experiment(config)
    assert found.method("standard").seeds == found.seeds == (0, 1)
    assert found.method("dd_snr").seeds == (7, 3)
    assert found.method("standard").group == "main"
    assert found.method("dd_snr").group == "explanations"
    assert found.runs("main") == [("standard", 0), ("standard", 1)]
    assert found.runs("explanations", "main") == [("standard", 0), ("standard", 1), ("dd_snr", 7), ("dd_snr", 3)]


def test_group_and_seeds_decide_nothing_about_a_trained_network():
    config = changed("methods.dd_snr", {**SMOKE["methods"]["dd_snr"], "seeds": [7], "group": "explanations"})
    assert experiment(config).training("dd_snr").to_dict() == experiment(SMOKE).training("dd_snr").to_dict()


def test_the_main_methods_come_first_in_every_figure():
    names = {"a": "explanations", "b": "main", "c": "linf", "d": "explanations", "e": "main"}
    ball = {"norm": "inf"}
    found = experiment(
        changed("methods", {n: {"objective": "standard", "group": g, "threat": ball} for n, g in names.items()})
    )
    assert [method.name for method in found.methods_of("main")] == ["b", "e"]
    assert [method.name for method in found.methods_of("main", "explanations")] == ["b", "e", "a", "d"]


def test_figures_are_those_with_something_to_draw():
    assert set(experiment(SMOKE).figures()) == {
        "spectrum", "alignment", "robustness", "linearity", "dominant_singular_value", "activations", "accuracies"
    }  # fmt: skip
    without = changed("analyses.spectrum", 0)
    del without["analyses"]["spectrum"]
    assert "spectrum" not in experiment(without).figures()
    linf = changed("methods.dd_snr", {**SMOKE["methods"]["dd_snr"], "group": "linf", "threat": {"norm": "inf"}})
    assert set(experiment(linf).figures()) - set(experiment(SMOKE).figures()) == {"robustness_linf"}
    linf["analyses"] = {**linf["analyses"], "evaluation": {"samples": 2}, "sanity": {"samples": 2}}
    assert set(experiment(linf).figures()) - set(experiment(SMOKE).figures()) == {
        "robustness_linf", "evaluation", "evaluation_linf", "sanity", "sanity_linf"
    }  # fmt: skip
    alone = changed("methods", {"m": {"objective": "standard", "group": "explanations"}})
    assert experiment(alone).figures() == []


def test_text_may_look_like_a_number():
    found = experiment(changed("methods.dd_snr.label", "10"))
    assert found.method("dd_snr").label == "10"
    assert experiment(changed("data_root", "2024")).data_root == "2024"
    with pytest.raises(SettingsError, match=r"methods\.dd_snr\.label: 10 is not allowed here"):
        experiment(changed("methods.dd_snr.label", 10))


@pytest.mark.parametrize("key", ["norm", "epsilon", "iterations", "step_size", "bounds"])
def test_what_a_method_does_not_use_of_the_adversary_does_not_train_it_again(key):
    value = {"norm": 1, "epsilon": 0.123, "iterations": 17, "step_size": 0.3, "bounds": [-1.0, 2.0]}[key]
    threat = {name: given for name, given in SMOKE["threat"].items() if name != "relative_step"}
    methods = {
        name: {"objective": name, **options}
        for name, options in {
            "standard": {}, "adversarial": {}, "global_snr": {"weight": 0.1}, "data_dependent_snr": {"weight": 0.1},
            "input_gradient": {"weight": 0.1}, "frobenius": {"weight": 0.1}, "mixture": {"weight": 0.1, "mixture": 0.5},
        }.items()
    }  # fmt: skip
    if key == "norm":
        # That of a mixture is always 2.
        del methods["mixture"]
    before = experiment({**SMOKE, "threat": threat, "methods": methods})
    after = experiment({**SMOKE, "threat": {**threat, key: value}, "methods": methods})
    again = {name for name in methods if before.training(name).to_dict() != after.training(name).to_dict()}
    used = {"adversarial", "mixture"} | ({"data_dependent_snr"} if key == "epsilon" else set())
    assert again == used & methods.keys()


@pytest.mark.parametrize("name", ["digits_full", "cifar10_full"])
def test_a_full_experiment_has_every_figure_and_attacks_each_method_in_its_own_ball(name):
    found = Experiment.from_config(yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()), SCHEMA, name)
    assert found.figures() == list(figures.REGISTRY)
    for analysis in ("evaluation", "sanity"):
        radii = {(math.inf, epsilon) for epsilon in found.analyses[analysis]["linf"]}
        radii.add((found.threat.norm, found.threat.epsilon))
        assert {(method.threat.norm, method.threat.epsilon) for method in found.methods} <= radii


def test_the_full_digits_experiment_has_the_constants_of_the_default_one():
    default, full = (yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()) for name in ("digits", "digits_full"))
    for key in ("dataset", "model", "seeds", "threat", "training", "samples"):
        assert full[key] == default[key], key
    assert {name: full["methods"][name] for name in default["methods"]} == default["methods"]


def test_the_digits_radius_in_linf_is_the_smallest_that_breaks_the_standard_network():
    config = yaml.safe_load((ROOT / "config/digits_full.yaml").read_text())
    found = Experiment.from_config(config, SCHEMA, "digits_full")
    (epsilon,) = {method.threat.epsilon for method in found.methods if method.group == "linf"}
    table = pd.read_csv(ROOT / "results/reference/digits_full/figures/robustness_linf.csv", dtype={"norm": str})
    standard = table[(table["method"] == "standard") & (table["norm"] == "inf")].set_index("epsilon")["mean"]
    assert standard[epsilon] <= 0.01
    assert (standard[standard.index < epsilon] > 0.01).all()


@pytest.mark.parametrize("name", ["cifar10", "cifar10_full", "digits", "digits_full"])
def test_both_solvers_and_all_mixtures_have_the_weight_of_data_dependent_snr(name):
    found = Experiment.from_config(yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()), SCHEMA, name)
    found = found.with_choices({"methods.dd_snr.weight": 0.123})
    expected = found.method("dd_snr").options["weight"]
    same = [m for m in found.methods if m.name == "dd_snr_power" or m.objective == "mixture"]
    assert {method.options["weight"] for method in same} == {expected}
    # It is chosen once.
    assert not {method.name for method in same}.intersection(found.selection.matches)


@pytest.mark.parametrize(("key", "name"), [("schedule", "one-cycle"), ("optimizer", "lion"), ("precision", "float16")])
def test_a_training_of_another_name_is_refused_without_a_schema_too(key, name):
    with pytest.raises(SettingsError, match=rf"training\.{key}: unknown name '{name}'"):
        Optimization(epochs=1, batch_size=10, learning_rate=0.1, **{key: name})


def test_training_settings_survive_the_way_through_snakemake():
    found = experiment(SMOKE).training("dd_snr")
    assert TrainingSettings.from_dict(found.to_dict()) == found


MISTAKES = [
    ("epsilom", 1, "epsilom: unknown key"),
    ("threat.epsilonn", 1, "threat.epsilonn: unknown key; did you mean epsilon?"),
    ("training.epoch", 1, "training.epoch: unknown key; did you mean epochs?"),
    ("methods.dd_snr.wieght", 1, "methods.dd_snr.wieght: unknown key; did you mean weight?"),
    ("methods.dd_snr.objective", "data_dependent", "methods.dd_snr.objective: unknown name 'data_dependent'"),
    ("methods.dd_snr.solver", "fast", "methods.dd_snr.solver: 'fast' is not one of exact, power"),
    ("methods.dd_snr.weight", -1, "methods.dd_snr.weight: -1"),
    ("methods.dd_snr.weight", "heavy", "methods.dd_snr.weight: 'heavy'"),
    ("methods.dd_snr.p", 3, "methods.dd_snr.p: 3"),
    ("dataset", "digitz", "dataset: unknown name 'digitz'; did you mean digits?"),
    ("model.name", "resnet", "model.name: unknown name 'resnet'"),
    ("model.widht", 3, "model.widht: unknown key; did you mean width?"),
    ("model.width", 0, "model.width: 0"),
    ("threat.epsilon", -0.5, "threat.epsilon: -0.5 is not allowed here; it is a number of at least 0"),
    ("threat.epsilon", math.nan, "threat.epsilon: 'nan'"),
    ("threat.epsilon", "nan", "threat.epsilon: 'nan'"),
    ("threat.epsilon", "large", "threat.epsilon: 'large'"),
    ("threat.epsilon", math.inf, "threat.epsilon: inf"),
    ("threat.norm", 3, "threat.norm: 3 is not 1, 2 or inf"),
    ("threat.norm", "two", "threat.norm: 'two'"),
    ("threat.iterations", 0, "threat.iterations: 0"),
    ("threat.iterations", 2.5, "threat.iterations: 2.5"),
    ("threat.step_size", 0, "threat.step_size: 0"),
    ("threat.bounds", [1, 0], "threat.bounds: (1, 0)"),
    ("seeds", [], "seeds: [] is not allowed here; it is a list of different whole numbers, at least one"),
    ("seeds", [0, 0], "seeds: [0, 0]"),
    ("seeds", 3, "seeds: 3"),
    ("methods.dd_snr.seeds", [], "methods.dd_snr.seeds: [] is not allowed here; it is a list of different whole"),
    ("methods.dd_snr.seeds", [1, -1], "methods.dd_snr.seeds.1: -1"),
    ("methods.dd_snr.group", "lynf", "methods.dd_snr.group: unknown name 'lynf'; did you mean linf?"),
    (
        "methods.dd_snr.group",
        "interpolation",
        "methods.dd_snr.group: interpolation is for methods of the objective mixture",
    ),
    ("methods.dd_snr.group", "linf", "methods.dd_snr.group: linf is for methods trained in an l-infinity ball"),
    (
        "methods.dd_snr",
        {"objective": "mixture", "weight": 1.0, "mixture": 0.5, "threat": {"norm": "inf"}},
        "methods.dd_snr.threat.norm: a mixture's regulariser is of l2",
    ),
    ("methods.dd_snr.group", 3, "methods.dd_snr.group: 3 is not allowed here; it is a word"),
    ("samples", 0, "samples: 0"),
    ("training.learning_rate", 0, "training.learning_rate: 0"),
    ("training.learning_rate", math.nan, "training.learning_rate: 'nan'"),
    ("training.batch_size", 1, "training.batch_size: 1"),
    ("training.warmup", 1, "training.warmup: 1"),
    ("training.schedule", "linear", "training.schedule: 'linear'"),
    ("training.horizontal_flip", "often", "training.horizontal_flip: 'often'"),
    ("training.epochs", None, "training: 'epochs' is missing"),
    ("threat.norm", None, "threat: 'norm' is missing"),
    ("dataset", None, "top level: 'dataset' is missing"),
    ("experiment", "../escape", "experiment: '../escape'"),
    ("experiment", "/etc", "experiment: '/etc'"),
    ("experiment", "a/b", "experiment: 'a/b'"),
    ("experiment", "..", "experiment: '..'"),
    ("experiment", "a\n", "experiment: 'a\\n'"),
    ("experiment", "", "experiment: ''"),
    ("experiment", 7, "experiment: 7"),
    ("methods", {}, "methods: {}"),
    ("methods", {"../up": {"objective": "standard"}}, "methods: '../up'"),
    ("methods", {"random": {"objective": "standard"}}, "methods: 'random' is not allowed here; it is not the name"),
    ("methods", {"m": {}}, "methods.m: 'objective' is missing"),
    ("methods", {"m": None}, "methods.m: None"),
    ("analyses.spectra", {}, "analyses: unknown name 'spectra'; did you mean spectrum?"),
    ("analyses.spectrum", {"top": 3}, "analyses.spectrum.top: unknown key"),
    ("analyses.linearity", {}, "analyses.linearity.distances: missing"),
    ("analyses.linearity.distances", [-1], "analyses.linearity.distances: [-1]"),
]


@pytest.mark.parametrize(("path", "value", "message"), [m for m in MISTAKES if m[2]], ids=lambda x: repr(x)[:40])
def test_a_mistake_is_named_with_file_and_key(path, value, message):
    with pytest.raises(SettingsError) as caught:
        experiment(changed(path, value))
    assert str(caught.value).startswith(f"config/mine.yaml: {message}")


def test_all_mistakes_of_structure_are_named_at_once():
    config = changed("threat.epsilon", -1)
    config["training"]["epoch"] = 3
    with pytest.raises(SettingsError, match=r"(?s)threat\.epsilon.*training\.epoch"):
        experiment(config)


def test_reading_an_experiment_imports_neither_torch_nor_pandas():
    code = """
import sys
from opnorm import analysis, datasets, figures, models, objectives, locks, provenance, settings
import opnorm
sys.exit(any(name in sys.modules for name in ("torch", "pandas", "matplotlib", "sklearn")))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_candidate_of_a_whole_number_is_a_whole_number():
    config = changed("methods.adversarial", {"objective": "adversarial"})
    config["methods"]["dd_snr"]["iterations"] = {"match": "adversarial", "grid": [1, 10]}
    found = experiment(config)
    for value in (1.0, 10.0):
        iterations = found.training("dd_snr", value).method.options["iterations"]
        assert (type(iterations), iterations) == (int, int(value))
    assert found.training("dd_snr", 1.0) == found.training("dd_snr")


@pytest.mark.parametrize("name", ["reference", "redrawn"])
def test_an_experiment_does_not_take_the_folder_of_collected_results(name):
    with pytest.raises(SettingsError, match=f"experiment: '{name}' is not allowed here; it is not the name of"):
        experiment(changed("experiment", name))

"""Options are read from constructors' source and checked before anything runs."""

import math
import subprocess
import sys
from typing import Literal

import pytest

from opnorm import analysis, datasets, models, objectives, options
from opnorm.errors import SettingsError
from opnorm.options import Count, Counts, Fraction, Grid, NonNegative, Norm, Positive, Size

ENTRY = objectives.REGISTRY["data_dependent_snr"]


def test_options_are_the_annotated_keyword_arguments():
    found = options.options_of(ENTRY)
    assert set(found) == {"weight", "p", "q", "form", "solver", "iterations"}
    assert found["weight"].required
    assert not found["solver"].required
    assert found["solver"].annotation == Literal["exact", "power"]
    assert found["p"].annotation == Norm


def test_arguments_that_the_workflow_fills_in_are_no_options():
    assert set(options.options_of(models.REGISTRY["cnn5"])) == {"width"}
    assert options.options_of(objectives.REGISTRY["standard"]) == {}


@pytest.mark.parametrize("registry", [analysis.REGISTRY, datasets.REGISTRY, models.REGISTRY, objectives.REGISTRY])
def test_every_registered_name_resolves_and_declares_its_options(registry):
    for name, entry in registry.items():
        assert callable(options.resolve(registry, "thing", name))
        options.options_of(entry)


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        (Norm, [1, 2.0, "inf", math.inf], [3, 0, "two", True, None, math.nan, -1]),
        (Positive, [0.5, "1e-3", 3], [0, -1, "x", math.nan, math.inf, False]),
        (NonNegative, [0, 0.5], [-1e-9, math.nan, math.inf, [1]]),
        (Fraction, [0, 1, 0.5], [-0.1, 1.1, math.nan]),
        (Count, [1, 10, "3", 10.0, "1e1"], [0, 1.5, "1.5", "x", True, math.inf]),
        (Size, [0, 3, 0.0], [-1, 0.5, math.nan]),
        (Grid, [[0, 0.5], ["1e-2"], (1,)], [[], [-1], ["x"], 0.5, [math.inf], [math.nan], None]),
        (Counts, [[1, 10], ["3"], (7,)], [[], [0], [1.5], ["x"], [True], 3, None]),
        (bool, [True, False], [1, "yes"]),
        (str, ["word"], [1]),
        (Literal["a", "b"], ["a"], ["c", 1]),
    ],
)
def test_values_are_checked_against_their_type(annotation, good, bad):
    for value in good:
        options.check_value(value, annotation, "key")
    for value in bad:
        with pytest.raises(SettingsError, match="^key: "):
            options.check_value(value, annotation, "key")


def test_values_arrive_as_their_type():
    assert options.check_value("1e-3", Positive, "key") == 1e-3
    assert options.check_value("inf", Norm, "key") == math.inf
    assert isinstance(options.check_value(2, Norm, "key"), float)
    assert isinstance(options.check_value("1e1", Count, "key"), int)
    assert options.check_value([2, "1e-1"], Grid, "key") == (0.1, 2.0)


def test_an_empty_list_is_one_where_it_is_the_default():
    entry = analysis.REGISTRY["evaluation"]
    assert options.check_options({"l2": [], "linf": [0.1]}, entry, "evaluation") == {"l2": (), "linf": (0.1,)}
    for name, key in (("evaluation", "iterations"), ("robustness", "l2")):
        required = {
            option.name: [1.0] for option in options.options_of(analysis.REGISTRY[name]).values() if option.required
        }
        with pytest.raises(SettingsError, match=f"^{name}.{key}: "):
            options.check_options(required | {key: []}, analysis.REGISTRY[name], name)


def test_wrong_options_are_named_with_what_is_known():
    with pytest.raises(SettingsError, match=r"methods\.m\.wieght: unknown key; did you mean weight\?"):
        options.check_options({"wieght": 1}, ENTRY, "methods.m")
    with pytest.raises(SettingsError, match=r"methods\.m\.weight: missing"):
        options.check_options({}, ENTRY, "methods.m")
    with pytest.raises(SettingsError, match=r"methods\.m\.solver: 'quick' is not one of exact, power"):
        options.check_options({"weight": 1, "solver": "quick"}, ENTRY, "methods.m")
    with pytest.raises(SettingsError, match="unknown objective 'standart'; did you mean standard"):
        options.resolve(objectives.REGISTRY, "objective", "standart")


def test_a_registry_that_names_what_is_not_there_is_answered_in_words(tmp_path, monkeypatch):
    (tmp_path / "mine_of_test.py").write_text(
        "class Gaussian:\n    def __init__(self, *, deviation: float, weight: Count = 1): ...\n"
    )
    (tmp_path / "broken_of_test.py").write_text("class Gaussian\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SettingsError, match="there is no module opnorm.no_such"):
        options.options_of("opnorm.no_such:Gaussian")
    with pytest.raises(SettingsError, match=r"mine_of_test.py defines no Gausian; did you mean Gaussian\?"):
        options.options_of("mine_of_test:Gausian")
    with pytest.raises(SettingsError, match=r"methods.m.deviation: its annotation in mine_of_test:Gaussian is not"):
        options.check_options({"deviation": 1.0}, "mine_of_test:Gaussian", "methods.m")
    assert options.check_options({"weight": 2}, "mine_of_test:Gaussian", "methods.m") == {"weight": 2}
    with pytest.raises(SyntaxError) as caught:
        options.options_of("broken_of_test:Gaussian")
    assert caught.value.filename == str(tmp_path / "broken_of_test.py")


def test_checking_imports_no_torch():
    code = f"""
import sys
from opnorm import options
options.check_options({{"weight": 1}}, {ENTRY!r}, "here")
sys.exit("torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_counts_are_whole_numbers_in_order_and_once():
    found = options.check_value([50, "10", 50, 200], Counts, "key")
    assert found == (10, 50, 200)
    assert all(type(count) is int for count in found)

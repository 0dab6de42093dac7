"""Where results lie, and which code they go through."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from opnorm import figures, plan, provenance
from opnorm.settings import Experiment


def read(name):
    return yaml.safe_load((Path(__file__).parents[1] / f"config/{name}.yaml").read_text())


SMOKE = read("smoke")
EXPERIMENT, DIGITS, FULL = (
    Experiment.from_config(read(name), None, f"{name}.yaml") for name in ("smoke", "digits", "digits_full")
)
FILES = plan.Files("results/smoke")


def test_paths_keep_what_stands_in_braces():
    assert FILES.split("train") == "results/smoke/data/train.safetensors"
    assert FILES.model("standard", 0) == "results/smoke/models/standard/0.safetensors"
    assert FILES.history("{method}", "{seed}") == "results/smoke/history/{method}/{seed}.csv"
    assert FILES.adversarial("m", 1) == "results/smoke/adversarial/m/1.safetensors"
    assert FILES.table("spectrum", "m", 1) == "results/smoke/analysis/spectrum/m/1.parquet"
    assert FILES.figure("spectrum", "{suffix}") == "results/smoke/figures/spectrum.{suffix}"
    assert FILES.claims == "results/smoke/claims.csv"
    assert FILES.report == "results/smoke/report.html"
    assert FILES.provenance == "results/smoke/provenance.json"
    assert FILES.checkpoints("m") == "results/smoke/checkpoints/m"


@pytest.mark.parametrize(("code", "modules", "others"), [
    (lambda: plan.data_code(EXPERIMENT), ["data", "datasets.digits"], ["datasets.cifar10", "models.cnn5"]),
    (
        lambda: plan.training_code(EXPERIMENT, "dd_snr"),
        ["training", "models.cnn5", "objectives.data_dependent_snr", "lp"],
        ["models.cnn7", "objectives.adversarial", "settings"],
    ),
    (lambda: plan.attack_code(EXPERIMENT), ["attacks", "models.cnn5"], ["analysis._spectrum", "training"]),
    (
        lambda: plan.analysis_code(EXPERIMENT, "spectrum"),
        ["analysis._spectrum", "models.cnn5"],
        ["analysis._alignment", "models.cnn7"],
    ),
    (lambda: plan.figure_code("spectrum"), ["figures.spectrum", "figures.render"], ["figures.alignment", "lp"]),
    (lambda: plan.claims_code(), ["claims.run", "claims.spectrum", "claims.margins"], ["figures.spectrum", "lp"]),
    (plan.report_code, ["report.style", "report.claims", "provenance"], ["figures.spectrum", "lp"]),
])  # fmt: skip
def test_a_digest_is_of_the_code_that_a_result_goes_through(code, modules, others, monkeypatch):
    before, digest = code(), provenance._source_digest
    for module in (*modules, *others):
        with monkeypatch.context() as patch:
            patch.setattr(
                provenance, "_source_digest", lambda name, m=module: digest(name) + (name == f"opnorm.{m}") * "!"
            )
            provenance.code_digest.cache_clear()
            assert (code() != before) == (module in modules), module
        provenance.code_digest.cache_clear()


def test_a_figure_that_the_experiment_cannot_draw_is_named_with_what_it_lacks():
    lacks = plan.not_drawn(DIGITS)
    assert lacks["figure7"] == lacks["interpolation"] == "a method of the group interpolation"
    assert lacks["table1"] == "the analysis operator_norms"
    assert lacks["evaluation_linf"] == "the analysis evaluation and a method of the group linf"
    assert not lacks.keys() & {*DIGITS.figures(), "figure2", "figure3", "figure4", "figure5", "figure9", "table2"}
    assert set(DIGITS.figures()) | lacks.keys() >= figures.REGISTRY.keys()
    assert plan.not_drawn(FULL) == {}
    assert plan.not_drawn(EXPERIMENT)["theorem"] == "the analysis theorem"


def test_a_method_that_others_match_has_a_place_among_the_candidates():
    assert FILES.candidate_history("m", None, 0) == "results/smoke/selection/history/m/itself/0.csv"
    assert FILES.candidate_model("m", 0.5, 0) == "results/smoke/selection/models/m/0.5/0.safetensors"
    assert FILES.candidate_checkpoints("m", "{value}") == "results/smoke/selection/checkpoints/m/{value}"


def test_numbers_by_rule_are_those_of_the_experiment():
    methods = SMOKE["methods"] | {
        "dd_snr": {"objective": "data_dependent_snr", "weight": {"match": "standard", "grid": [1, 2]}},
        "power": {"objective": "data_dependent_snr", "weight": {"of": "dd_snr"}, "solver": "power"},
        "global": {"objective": "global_snr", "weight": 3.0},
        "gradient": {"objective": "input_gradient", "weight": {"of": "global"}},
    }
    config = SMOKE | {"threat": SMOKE["threat"] | {"epsilon": {"select": [1, 2, 3], "chosen": 2}}, "methods": methods}
    experiment = Experiment.from_config(config, None, "smoke.yaml").with_choices({"methods.dd_snr.weight": 2.0})
    found = {"threat.epsilon": 2.0, "methods.dd_snr.weight": 2.0}
    assert plan.numbers_by_rule(experiment) == found | {"methods.power.weight": 2.0}
    assert plan.drawn(experiment) == [*experiment.figures(), "selection"]
    assert plan.numbers_by_rule(EXPERIMENT) == {}
    assert plan.drawn(EXPERIMENT) == EXPERIMENT.figures()


def test_claims_are_judged_by_the_tables_of_all_seeds():
    runs = plan.claimed_runs(EXPERIMENT)
    assert len(runs) == len(set(runs))
    assert {run for run in runs if run[0] == "robustness"} == {
        ("robustness", method, seed) for method in ("standard", "dd_snr") for seed in (0, 1)
    }
    assert {name for name, _, _ in runs} <= set(EXPERIMENT.analyses)


def test_it_imports_no_torch():
    code = "import sys, opnorm.plan; sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

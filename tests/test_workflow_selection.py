"""Constants chosen by rule in the workflow: in order, once, and again only where something changed."""

import re
from pathlib import Path

import pandas as pd
import pytest

from opnorm import weights
from test_workflow import ROOT, Project

pytestmark = pytest.mark.workflow

RESULTS = "results/smoke"
TRAINED, ATTACKED = f"{RESULTS}/models/dd_snr/0.safetensors", f"{RESULTS}/adversarial/dd_snr/0.safetensors"
SHARED = f"{RESULTS}/models/power/0.safetensors"
TARGETS = ("selection", ATTACKED, SHARED)


class Selected(Project):
    """A smoke experiment with rules for the radius and for a weight, which two methods have."""

    def with_grid(self, *grid, experiment="smoke", radii=(0.01, 1.0, 20.0), share=0.8, **rule):
        return self.configure(
            experiment=experiment,
            seeds=[0],
            training={**self.smoke["training"], "epochs": 1},
            threat={"norm": 2, "epsilon": {"select": [*radii], "share": share}, "iterations": 2},
            methods={
                "standard": {"objective": "standard"},
                "adversarial": {"objective": "adversarial"},
                "dd_snr": {
                    "objective": "data_dependent_snr",
                    "weight": {"match": "adversarial", "grid": list(grid), **rule},
                },
                "power": {"objective": "data_dependent_snr", "weight": {"of": "dd_snr"}, "solver": "power"},
            },
            selection={"validation": 0.3},
        )

    def table(self, name):
        return pd.read_csv(self.folder / RESULTS / f"selection/{name}.csv", keep_default_na=False)

    def chosen(self, name, column):
        table = self.table(name)
        return table.loc[table["chosen"], column].item()

    def remembered(self, path=TRAINED):
        return weights.made_by(self.folder / path)["settings"]["method"]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The experiment, run to an attacked network with a chosen weight."""
    found = Selected(tmp_path_factory.mktemp("project"))
    done = found.run(*TARGETS, config=found.with_grid(0.01, 1.0))
    assert done.returncode == 0, done.stdout + done.stderr
    found.output = done.stdout + done.stderr
    return found


def test_what_was_chosen_is_what_is_used_and_remembered(project):
    epsilon, weight = project.chosen("epsilon", "epsilon"), project.chosen("dd_snr", "weight")
    measured = project.table("epsilon")
    assert epsilon == measured.loc[measured["misclassified"] >= 0.8, "epsilon"].min()
    method = project.remembered()
    assert method["threat"]["epsilon"] == epsilon
    assert method["options"]["weight"] == project.remembered(SHARED)["options"]["weight"] == weight
    standard = weights.made_by(project.folder / RESULTS / "models/standard/0.safetensors")
    assert standard["settings"]["method"]["threat"]["epsilon"] == 0.0
    candidate = weights.made_by(project.folder / RESULTS / "selection/models/dd_snr/0.01/0.safetensors")
    assert candidate["settings"]["method"]["options"]["weight"] == 0.01
    assert candidate["settings"]["method"]["threat"]["epsilon"] == epsilon
    assert candidate["data"] != standard["data"]
    assert f"threat.epsilon: the rule chooses {epsilon:g}, which is used" in project.output
    assert f"methods.dd_snr.weight: the rule chooses {weight:g}, which is used" in project.output
    assert "methods.power.weight: that of dd_snr" in project.output


def test_candidates_are_compared_on_what_they_are_not_trained_on(project):
    histories = project.folder / RESULTS / "selection/history"
    accuracy = {path.parent.name: pd.read_csv(path)["test_accuracy"].iloc[-1] for path in histories.glob("*/*/0.csv")}
    table = project.table("dd_snr")
    assert table["accuracy"].tolist() == pytest.approx([accuracy["0.01"], accuracy["1.0"]])
    assert table["target"].tolist() == pytest.approx([accuracy["itself"]] * 2)


def test_what_takes_a_choice_needs_the_candidates_of_the_other_method_alone(project):
    planned = project.planned(SHARED.replace("smoke", "plan"), config=project.with_grid(0.01, 1.0, experiment="plan"))
    # Trained are standard, for the radius, and what takes the choice; the candidates are two weights and a target.
    assert planned == {
        "data": 1, "train": 2, "select_epsilon": 1, "hold_out": 1, "train_candidate": 3, "select_values": 1,
    }  # fmt: skip


def test_a_second_run_repeats_nothing(project):
    assert project.planned(*TARGETS, config=project.with_grid(0.01, 1.0)) == {"selection": 1}


def test_a_longer_grid_trains_what_is_added(project):
    added = {"train_candidate": 1, "select_values": 1, "draw_selection": 1, "selection": 1}
    assert project.planned(*TARGETS, config=project.with_grid(0.01, 0.1, 1.0)) == added


def test_with_the_choice_in_the_file_nothing_waits_for_it(project):
    config = project.with_grid(0.01, 1.0, chosen=0.5)
    planned = project.planned(ATTACKED, SHARED, config=config)
    assert planned == {"train": 2, "attack": 1}
    planned = project.planned("selection", config=config)
    assert "train_candidate" not in planned
    assert "train" not in planned


def test_another_choice_trains_again_in_the_same_run(project):
    other = {0.01: 1.0, 1.0: 0.01}[project.chosen("dd_snr", "weight")]
    config = project.with_grid(other)
    again = {"select_values": 1, "draw_selection": 1, "selection": 1}
    assert project.planned(*TARGETS, config=config) == again
    done = project.run(*TARGETS, config=config)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [project.remembered(path)["options"]["weight"] for path in (TRAINED, SHARED)] == [other, other]
    ran = re.findall(r"Finished jobid: \d+ \(Rule: (\w+)\)", done.stdout + done.stderr)
    assert sorted(ran) == sorted(["select_values", "draw_selection", "selection", "train", "train", "attack"])
    assert project.planned(*TARGETS, config=config) == {"selection": 1}


def test_no_sufficient_radius_is_an_error_in_words(project):
    config = project.with_grid(1.0, radii=[0.01], share=1.0)
    done = project.run(f"{RESULTS}/selection/epsilon.csv", config=config)
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert "Error: threat.epsilon: no radius of the grid has 100 % of the standard model's test inputs" in output
    assert "Traceback" not in output


def test_rules_take_numbers_that_may_have_been_chosen():
    """What is read from the experiment as such may stand in for a choice."""
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        if path.name != "common.smk":
            used = re.findall(r"EXPERIMENT\.(threat|training)\b", Path(path).read_text())
            assert not used, path.name

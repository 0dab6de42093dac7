"""The workflow itself: really run, and rerun exactly where it must."""

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from opnorm import weights

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
FIGURES = {
    "spectrum": {"method", "inputs", "rank"},
    "alignment": {"method", "rank"},
    "robustness": {"method", "norm", "epsilon"},
    "linearity": {"method", "direction", "distance"},
    "dominant_singular_value": {"method", "direction", "distance"},
    "activations": {"method", "center", "direction", "distance"},
    "accuracies": {"method", "epsilon"},
}

pytestmark = pytest.mark.workflow


class Project:
    """A copy of the project in a folder of its own, with its own library."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("Snakefile", "workflow", "config", "profiles", "src"):
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, folder / name)
        self.environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
        self.smoke = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())

    def configure(self, **changes):
        """A variant of the smoke experiment; the path of its file."""
        path = self.folder / "config" / "variant.yaml"
        path.write_text(yaml.safe_dump({**self.smoke, **changes}, sort_keys=False))
        return "config/variant.yaml"

    def command(self, *arguments, config="config/smoke.yaml"):
        chosen = ["--configfile", config] if config else []
        return [str(BIN / "snakemake"), *arguments, *chosen]

    def run(self, *arguments, config="config/smoke.yaml"):
        return subprocess.run(
            self.command(*arguments, config=config),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self, *arguments, config="config/smoke.yaml"):
        return subprocess.Popen(
            self.command(*arguments, config=config),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def planned(self, *arguments, config="config/smoke.yaml"):
        """Rule -> number of jobs that a run would start, without the target."""
        done = self.run("-n", *arguments, config=config)
        assert done.returncode == 0, done.stdout + done.stderr
        table = re.search(r"job +count\n[ -]+\n(.*?)\ntotal", done.stdout + done.stderr, re.S)
        rows = [row.split() for row in table.group(1).splitlines()] if table else []
        return {name: int(count) for name, count in rows if name != "default"}

    def planned_after_edit(self, file, old, new):
        """What a run would start if the first `old` in `file` were `new`."""
        path = self.folder / file
        text = path.read_text()
        assert old in text, (file, old)
        path.write_text(text.replace(old, new, 1))
        try:
            return self.planned()
        finally:
            path.write_text(text)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The smoke experiment, run to all figures."""
    found = Project(tmp_path_factory.mktemp("project"))
    done = found.run("--verbose")
    found.output = done.stdout + done.stderr
    assert done.returncode == 0, found.output
    return found


def test_the_smoke_experiment_makes_what_the_contract_names(project):
    results = project.folder / "results/smoke"
    for figure, columns in FIGURES.items():
        for suffix in ("pdf", "png", "csv"):
            assert (results / f"figures/{figure}.{suffix}").stat().st_size > 200
        frame = pd.read_csv(results / f"figures/{figure}.csv")
        assert {*frame.columns} == columns | {"mean", "standard_error", "n", "seed_std"}
        assert {*frame["method"]} - {"random"} == {"standard", "dd_snr"}
    for method in ("standard", "dd_snr"):
        for seed in (0, 1):
            assert (results / f"models/{method}/{seed}.safetensors").exists()
            assert (results / f"history/{method}/{seed}.csv").exists()
            assert (results / f"adversarial/{method}/{seed}.safetensors").exists()
            assert (results / f"analysis/spectrum/{method}/{seed}.parquet").exists()
    assert {*pd.read_csv(results / "claims.csv")["verdict"]} <= {"supported", "refuted", "inconclusive"}
    logs, benchmarks = list(results.glob("logs/**/*.log")), list(results.glob("benchmarks/**/*.tsv"))
    assert len(logs) == len(benchmarks) == 1 + 2 + 2 + 12 + 7 + 2
    assert all("process" in log.read_text() and log.read_text().endswith("done\n") for log in logs)
    assert "epoch 2/2" in (results / "logs/train/dd_snr.log").read_text()


def test_the_scheduler_looks_for_jobs_when_one_has_ended_and_not_all_the_time(project):
    jobs = 1 + 2 + 2 + 12 + 7 + 2
    assert 0 < project.output.count("Ready jobs: ") <= 2 * jobs


def test_a_second_run_has_nothing_to_do(project):
    assert project.planned() == {}


SHOWN = dict.fromkeys(FIGURES, 1) | {"claims": 1, "report": 1}
EVERYTHING = {"train": 2, "attack": 2, "analyze": 12} | SHOWN


@pytest.mark.parametrize(
    ("file", "old", "new", "planned"),
    [
        ("figures/spectrum.py", "annotations\n", "annotations\n\nEXTRA = 1\n", {"spectrum": 1, "report": 1}),
        ("report/style.py", "h1 {", "h1 { color: red;", {"report": 1}),
        (
            "analysis/_robustness.py",
            "import math\n",
            "import math\n\nEXTRA = 1\n",
            {"analyze": 2, "robustness": 1, "accuracies": 1, "claims": 1, "report": 1},
        ),
        ("claims/margins.py", "ACCURACY = 0.05", "ACCURACY = 0.04", {"claims": 1, "report": 1}),
        ("claims/__init__.py", '"""', '"""Other words. ', {}),
        # Standard training computes no norm; the regularised one does, and so do attacks and analyses.
        ("lp.py", "import math\n", "import math\n\nEXTRA = 1\n", {**EVERYTHING, "train": 1}),
        ("training.py", "self.model.train()", "self.model.train(True)", EVERYTHING),
        ("models/cnn5.py", "nn.Flatten()", "nn.Flatten(1)", EVERYTHING),
        ("lp.py", '"""', '"""Other words. ', {}),
        ("training.py", "        self.model.train()\n", "        self.model.train()  # a comment\n\n", {}),
        ("objectives/__init__.py", "REGISTRY = {", 'REGISTRY = {\n    "new": "opnorm.new:New",', {}),
    ],
)
def test_an_edit_repeats_exactly_what_went_through_it(project, file, old, new, planned):
    assert project.planned_after_edit(f"src/opnorm/{file}", old, new) == planned


def test_another_caption_repeats_the_report_alone(project):
    assert project.planned_after_edit("workflow/report/spectrum.rst", "Singular", "All singular") == {"report": 1}


def test_changing_a_method_retrains_that_method(project):
    methods = {**project.smoke["methods"]}
    methods["dd_snr"] = {**methods["dd_snr"], "weight": 0.1}
    config = project.configure(methods=methods)
    assert project.planned(config=config) == {"train": 1, "attack": 1, "analyze": 6} | SHOWN


def test_other_analysed_samples_leave_measurements_on_the_test_split_alone(project):
    shown = {name: count for name, count in SHOWN.items() if name not in ("robustness", "accuracies")}
    planned = project.planned(config=project.configure(samples=project.smoke["samples"] + 1))
    assert planned == {"attack": 2, "analyze": 10} | shown


def test_adding_a_method_trains_that_method(project):
    config = project.configure(
        methods={**project.smoke["methods"], "global_snr": {"objective": "global_snr", "weight": 1}}
    )
    assert project.planned(config=config) == {"train": 1, "attack": 1, "analyze": 6} | SHOWN


LINF = {"objective": "standard", "group": "linf", "threat": {"norm": "inf"}, "seeds": [3]}


def test_adding_a_method_of_another_group_repeats_and_redraws_nothing_else(project):
    config = project.configure(methods={**project.smoke["methods"], "other": LINF})
    # Of its measurements the one that its figure reads, for which no samples are attacked before, and that figure.
    assert project.planned(config=config) == {
        "train_seeds_3": 1,
        "analyze_seeds_3": 1,
        "robustness_linf": 1,
        "claims": 1,
        "report": 1,
    }


def test_resources_of_a_stage_hold_for_methods_with_seeds_of_their_own(project):
    config = project.configure(methods={**project.smoke["methods"], "other": LINF})
    arguments = ["results/smoke/models/other/3.safetensors", "--set-resources", "train:launcher=nowhere"]
    done = project.run(*arguments, config=config)
    assert done.returncode != 0
    assert "launcher='nowhere' is unknown" in done.stdout + done.stderr


def test_where_a_job_runs_and_how_often_it_saves_repeats_nothing(project):
    arguments = ["--set-resources", "train:device=cpu", "train:checkpoint_seconds=5", "--cores", "1"]
    assert project.planned(*arguments) == {}


def test_adding_a_seed_does_not_train_the_others_again(project, tmp_path):
    copy = shutil.copytree(project.folder, tmp_path / "copy")
    other = Project.__new__(Project)
    other.__dict__.update(project.__dict__, folder=copy)
    other.environment = {**project.environment, "PYTHONPATH": str(copy / "src")}
    before = weights.load_model(copy / "results/smoke/models/standard/0.safetensors").state_dict()
    config = other.configure(seeds=[0, 1, 2])
    done = other.run("results/smoke/models/standard/2.safetensors", config=config)
    assert done.returncode == 0, done.stdout + done.stderr
    log = (copy / "results/smoke/logs/train/standard.log").read_text()
    assert "standard, seed 0: resumed after step 24 of 24" in log
    assert "seed 1, epoch" not in log
    assert "seed 2, epoch 2/2" in log
    after = weights.load_model(copy / "results/smoke/models/standard/0.safetensors").state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_targets_by_name_and_by_the_papers_number(project):
    listed = project.run("--list").stdout.split()
    assert {*FIGURES, "figure2", "figure3", "figure4", "figure5", "figure9", "table2"} <= {*listed}
    assert project.planned("figure3", "--forcerun", "robustness") == {"robustness": 1, "figure3": 1}


def test_the_default_experiment_is_planned(project):
    planned = project.planned(config=None)
    assert planned["train"] == 5
    assert planned["analyze"] == 30


def test_the_report_has_every_figure_and_what_made_it(project):
    results = project.folder / "results/smoke"
    text = (results / "report.html").read_text()
    for figure in FIGURES:
        assert base64.b64encode((results / f"figures/{figure}.png").read_bytes()).decode() in text
    made = json.loads((results / "provenance.json").read_text())
    assert made["config"] == project.smoke
    assert made["data"].keys() == {"train", "test"}
    assert len(made["machines"]) == 1
    jobs = {row["stage"]: row["jobs"] for row in made["stages"]}
    assert jobs["train standard"] == jobs["data"] == 1
    assert jobs["analyze spectrum"] == 2
    assert jobs["figures"] == len(FIGURES)


def test_snakemakes_own_report_with_captions_is_made(project):
    done = project.run("--report", "report.html")
    assert done.returncode == 0, done.stdout + done.stderr
    text = (project.folder / "report.html").read_text()
    assert "Singular values of the features" in text


def test_a_truncated_model_is_named_and_nothing_finished_is_lost(project):
    results = project.folder / "results/smoke"
    model = results / "models/standard/1.safetensors"
    whole = model.read_bytes()
    model.write_bytes(whole[:200])
    kept = (results / "models/dd_snr/0.safetensors").read_bytes()
    try:
        done = project.run("spectrum")
        output = done.stdout + done.stderr
        assert done.returncode != 0
        assert "Error: results/smoke/models/standard/1.safetensors: damaged or incomplete" in output
        assert "delete it and run again" in output
        assert "Traceback" not in output
        assert (results / "models/dd_snr/0.safetensors").read_bytes() == kept
    finally:
        model.write_bytes(whole)
    done = project.run()
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_library_alone_makes_the_same_weights_and_figures(project, tmp_path):
    arguments = ["-m", "opnorm.reference", "run", "config/smoke.yaml", "--out", str(tmp_path), "--device", "cpu"]
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=project.folder,
        env={**project.environment, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results = project.folder / "results/smoke"
    models = sorted(results.glob("models/*/*.safetensors"))
    assert len(models) == 4
    for path in models:
        assert (tmp_path / "smoke" / path.relative_to(results)).read_bytes() == path.read_bytes()
    for figure in FIGURES:
        for suffix in ("csv", "png"):
            path = f"figures/{figure}.{suffix}"
            assert (tmp_path / "smoke" / path).read_bytes() == (results / path).read_bytes()


def test_results_are_collected_for_git(project):
    try:
        done = project.run("reference")
        assert done.returncode == 0, done.stdout + done.stderr
        kept = project.folder / "results/reference/smoke"
        for figure in FIGURES:
            csv = f"figures/{figure}.csv"
            assert (kept / csv).read_bytes() == (project.folder / "results/smoke" / csv).read_bytes()
        assert len(pd.read_csv(kept / "history.csv")) == 4
        page = (kept / "README.md").read_text()
        assert "| train standard | 1 |" in page
        assert f"torch {torch.__version__.split('+')[0]}" in page
        assert not list(kept.rglob("*.safetensors"))
        collect, before = project.folder / "src/opnorm/reference/collect.py", files_of(kept)
        text = collect.read_text()
        collect.write_text(text.replace("LARGEST = 10 * 2**20", "LARGEST = 10"))
        try:
            done = project.run("reference")
        finally:
            collect.write_text(text)
        assert "would be kept, more than 0" in done.stdout + done.stderr
        # What git has stays where it cannot be replaced.
        assert files_of(kept) == before
    finally:
        shutil.rmtree(project.folder / "results/reference", ignore_errors=True)


def files_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_figure_that_the_experiment_cannot_draw_is_answered_in_words(project):
    done = project.run("-n", "figure7")
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert "cannot draw figure7 for want of a method of the group interpolation." in output
    assert "snakemake figure7 --configfile config/digits_full.yaml" in output
    assert "Traceback" not in output


def test_a_wrong_number_on_the_command_line_is_not_blamed_on_the_file_alone(project):
    done = project.run("-n", "--config", "seeds=[-1]")
    assert done.returncode != 0
    assert re.search(r"Error: config/\w+\.yaml and --config: seeds", done.stdout + done.stderr)


def test_a_method_that_the_experiment_has_not_is_answered_in_words(project):
    done = project.run("-n", "results/smoke/analysis/spectrum/standart/0.parquet")
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert "Error: config/smoke.yaml: methods.standart is not there; did you mean standard?" in output
    assert "Traceback" not in output


def test_methods_with_and_without_seeds_of_their_own_are_told_apart(project):
    names = {"a": [0, 1], "a-b": [1], "ab": [0, 1], "b": [0, 1]}
    methods = {name: {"objective": "standard", "seeds": seeds} for name, seeds in names.items()}
    config = project.configure(methods=methods, experiment="apart")
    models = [f"results/apart/models/{name}/1.safetensors" for name in names]
    assert project.planned(*models, config=config) == {"data": 1, "train": 3, "train_seeds_1": 1}
    done = project.run("-n", "results/apart/models/a-b/0.safetensors", config=config)
    assert "MissingRuleException" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"experiment": "../outside"}, "experiment: '../outside' is not allowed here"),
        ({"seeds": []}, "seeds: [] is not allowed here"),
        ({"threat": {"norm": 3, "epsilon": 1, "iterations": 1}}, "threat.norm: 3 is not 1, 2 or inf"),
        ({"dataset": "digitz"}, "dataset: unknown name 'digitz'; did you mean digits?"),
        ({"methods": {"m": {"objective": "magic"}}}, "methods.m.objective: unknown name 'magic'; known: adversarial"),
    ],
)
def test_a_wrong_experiment_file_is_answered_in_words(project, changes, message):
    done = project.run("-n", config=project.configure(**changes))
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert f"Error: config/variant.yaml: {message}" in output
    assert "Traceback" not in output
    assert not (project.folder.parent / "outside").exists()


def wait_for(path, process, seconds=120):
    deadline = time.monotonic() + seconds
    while not list(path.parent.glob(path.name)):
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)


LONG = {"epochs": 40, "batch_size": 100, "learning_rate": 0.01}
INTERRUPTIBLE = {
    "experiment": "interrupted",
    "training": LONG,
    "seeds": [0],
    "methods": {"standard": {"objective": "standard"}},
    "analyses": {"spectrum": None},
}
MODEL = "results/{}/models/standard/0.safetensors"
SAVING = ["--set-resources", "train:checkpoint_seconds=0", "--set-threads", "train=1"]


@pytest.fixture(scope="module")
def uninterrupted(project):
    """The weights of the training that the next tests interrupt."""
    path = MODEL.format("whole")
    done = project.run(path, config=project.configure(**{**INTERRUPTIBLE, "experiment": "whole"}))
    assert done.returncode == 0, done.stdout + done.stderr
    return weights.load_model(project.folder / path).state_dict()


@pytest.mark.parametrize("how", ["ctrl-c", "kill snakemake", "kill all"])
def test_interrupted_and_run_again_it_ends_in_the_same_weights(how, project, uninterrupted):
    config, path = project.configure(**INTERRUPTIBLE), MODEL.format("interrupted")
    shutil.rmtree(project.folder / "results/interrupted", ignore_errors=True)
    process = project.start(path, *SAVING, config=config)
    wait_for(project.folder / "results/interrupted/checkpoints/standard/0/step-00000001*.pt", process)
    if how == "kill snakemake":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGINT if how == "ctrl-c" else signal.SIGKILL)
    process.wait()
    process.stdout.close()
    log = project.folder / "results/interrupted/logs/train/standard.log"
    if how == "ctrl-c":
        assert re.search(r"standard, seed 0: interrupted after step \d+ of 480; run again", log.read_text())
    done = project.run(path, config=config)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"resumed after step \d+ of 480|another process trains this run", log.read_text())
    weights_now = weights.load_model(project.folder / path).state_dict()
    assert all(torch.equal(uninterrupted[name], weights_now[name]) for name in uninterrupted)


def test_lint_and_format():
    lint = subprocess.run([BIN / "snakemake", "--lint"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert lint.returncode == 0, lint.stdout + lint.stderr
    assert "good condition" in lint.stdout + lint.stderr
    formatted = subprocess.run(
        [BIN / "snakefmt", "--check", "Snakefile", "workflow"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert formatted.returncode == 0, formatted.stdout + formatted.stderr


def test_scripts_are_short():
    for script in (ROOT / "workflow/scripts").glob("*.py"):
        assert len(script.read_text().splitlines()) <= 40

"""An experiment with the library alone: the same bits in slices as at once, and nothing made twice."""

import copy
import json
import math
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from opnorm import plan, training, weights
from opnorm.analysis import run as analysis_run
from opnorm.errors import FileError, InterruptedTrainingError, OpnormError, SettingsError, TrainingError
from opnorm.reference.__main__ import UNFINISHED, main
from opnorm.reference.configuration import read_experiment
from opnorm.reference.ledger import Ledger, Turn
from opnorm.reference.packages import refuse_missing
from opnorm.reference.run import next_step, provenance_of, run
from opnorm.reference.steps import Steps, pending
from opnorm.reference.time_slice import TimeSlice
from opnorm.selection import read_choice

ROOT = Path(__file__).parents[1]
SMOKE = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
SMALL = SMOKE | {
    "experiment": "small",
    "seeds": [0],
    "samples": 5,
    "methods": {"standard": {"objective": "standard"}},
    "analyses": {"spectrum": None, "alignment": None},
}
ALL = [
    "data", "train standard 0", "attack standard 0", "analyze spectrum standard 0", "analyze alignment standard 0",
    "draw spectrum", "draw alignment", "claims",
]  # fmt: skip


def small(folder, **changes):
    """The steps of a small experiment with results below `folder`, and the experiment as it is written."""
    path = Path(folder) / "small.yaml"
    path.write_text(yaml.safe_dump(SMALL | changes, sort_keys=False))
    experiment, config = read_experiment(path)
    return Steps(experiment, plan.Files(f"{folder}/small"), "cpu"), config


def names(steps):
    return [step.name for step in steps]


def left(steps):
    """What a run would make now."""
    return names(pending(steps.results(), Ledger(Path(steps.files.folder)).is_made))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The steps of an experiment that was made at once."""
    steps, config = small(tmp_path_factory.mktemp("whole"))
    assert left(steps) == ALL
    assert run(steps, config, TimeSlice()) == []
    return steps


def stop_after(monkeypatch, *steps, of=""):
    """Have the time be over after these steps of the training, or of a method's trainings."""
    after_step, waiting = training._Keeper.after_step, list(steps)

    def keep(keeper, stop):
        if waiting and keeper.training.step == waiting[0] and keeper.run.startswith(of):
            waiting.pop(0)
            signal.raise_signal(signal.SIGALRM)
        after_step(keeper, stop)

    monkeypatch.setattr(training._Keeper, "after_step", keep)


def test_in_slices_it_ends_in_the_same_bits_as_at_once(whole, monkeypatch, tmp_path):
    steps, config = small(tmp_path)
    stop_after(monkeypatch, 5, 12, 24)
    for _ in range(3):
        assert names(run(steps, config, TimeSlice())) == ALL[1:]
        assert not Path(steps.files.model("standard", 0)).exists()
        assert list(Path(steps.files.checkpoints("standard")).glob("0/*.pt"))
    assert run(steps, config, TimeSlice()) == []
    times = pd.read_csv(f"{steps.files.folder}/times.csv")
    assert list(times.loc[times["stage"] == "train", "finished"]) == [False, False, False, True]
    assert not list(Path(steps.files.checkpoints("standard")).glob("0"))
    model, other = (weights.load_model(found.files.model("standard", 0)).state_dict() for found in (steps, whole))
    assert all(torch.equal(model[name], other[name]) for name in other)
    for figure in ("spectrum", "alignment"):
        for suffix in ("csv", "pdf", "png"):
            paths = [Path(found.files.figure(figure, suffix)) for found in (steps, whole)]
            assert paths[0].read_bytes() == paths[1].read_bytes()


def test_results_of_the_workflow_are_not_taken_over(whole, tmp_path):
    steps, config = small(tmp_path)
    steps.data().make()
    path = Path(steps.files.model("standard", 0))
    path.parent.mkdir(parents=True)
    path.write_text("another's")
    with pytest.raises(FileError, match=r"small/models/standard/0\.safetensors: made by Snakemake.* --out"):
        run(steps, config, TimeSlice())
    assert path.read_text() == "another's"
    assert not (tmp_path / "small/made.json").exists()


def test_nothing_is_made_twice(whole):
    assert left(whole) == []
    before = Path(f"{whole.files.folder}/times.csv").read_bytes()
    assert run(whole, SMALL, TimeSlice()) == []
    assert Path(f"{whole.files.folder}/times.csv").read_bytes() == before


@pytest.mark.parametrize(("changes", "expected"), [
    ({"samples": 6}, ALL[2:]),
    ({"training": SMALL["training"] | {"epochs": 3}}, ALL[1:]),
    ({"methods": {"standard": {"objective": "standard", "label": "plain"}}}, ALL[-3:]),
    ({"seeds": [0, 1]}, ["train standard 1", "attack standard 1", "analyze spectrum standard 1",
                         "analyze alignment standard 1", "draw spectrum", "draw alignment", "claims"]),
    ({"analyses": {"spectrum": None, "alignment": None, "linearity": {"distances": [0.1]}}},
     ["analyze linearity standard 0", "draw linearity", "claims"]),
])  # fmt: skip
def test_a_change_repeats_what_it_decides(whole, changes, expected, tmp_path):
    steps, _ = small(tmp_path, **changes)
    assert left(Steps(steps.experiment, whole.files, "cpu")) == expected


def test_other_code_repeats_what_went_through_it(whole, monkeypatch):
    code = plan.analysis_code
    monkeypatch.setattr(plan, "analysis_code", lambda e, name: code(e, name) + "edited" * (name == "spectrum"))
    assert left(whole) == ["analyze spectrum standard 0", "draw spectrum"]


def test_what_is_made_does_not_need_what_it_was_made_of(whole):
    paths = [Path(whole.files.split("train")), Path(whole.files.model("standard", 0))]
    hidden = [path.rename(path.with_suffix(".hidden")) for path in paths]
    try:
        assert left(whole) == []
    finally:
        for path, aside in zip(paths, hidden, strict=True):
            aside.rename(path)
    csv = Path(whole.files.figure("spectrum", "csv"))
    aside = csv.rename(csv.with_suffix(".hidden"))
    try:
        assert left(whole) == ["draw spectrum"]
    finally:
        aside.rename(csv)


def test_seeds_take_their_turns_one_after_the_other(tmp_path):
    methods = {"a": {"objective": "standard"}, "b": {"objective": "standard", "seeds": [3]}}
    steps, _ = small(tmp_path, seeds=[3, 1], methods=methods, analyses={"spectrum": None})
    assert left(steps) == [
        "data",
        *(f"{what} {method} 3" for what in ("train", "attack", "analyze spectrum") for method in "ab"),
        *(f"{what} a 1" for what in ("train", "attack", "analyze spectrum")),
        "draw spectrum",
        "claims",
    ]


def test_the_time_stops_what_runs_and_signals_do():
    started = time.monotonic()
    time_slice = TimeSlice(0.2)
    with time_slice.limit():
        time.sleep(60.0)
    assert time_slice.is_over
    assert not time_slice.interrupted
    assert 0.1 < time.monotonic() - started < 30.0
    for number in (signal.SIGTERM, signal.SIGINT):
        handler, time_slice = signal.getsignal(number), TimeSlice()
        assert time_slice.left == math.inf
        with time_slice.limit():
            signal.raise_signal(number)
            pytest.fail("goes on")
        assert time_slice.is_over
        assert time_slice.interrupted
        assert signal.getsignal(number) is handler


def test_what_fails_is_not_taken_for_being_stopped():
    time_slice = TimeSlice(60.0)
    with pytest.raises(ValueError, match="broken"), time_slice.limit():
        raise ValueError("broken")
    assert not time_slice.is_over
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0.0
    with time_slice.limit():
        raise InterruptedTrainingError("run again")
    assert time_slice.is_over


def test_a_step_is_not_begun_that_takes_longer_than_what_is_left(tmp_path):
    steps, config = small(tmp_path)
    ledger = Ledger(Path(steps.files.folder))
    ledger.note(Turn("attack", "attack standard 7", 1000.0, True, "here"))
    ledger.note(Turn("train", "train standard 7", 1000.0, True, "here"))
    assert names(run(steps, config, TimeSlice(500.0))) == ALL[2:]


def test_a_step_that_needs_more_than_a_slice_is_named(whole, tmp_path, monkeypatch):
    steps, config = small(tmp_path)
    monkeypatch.setattr("opnorm.data.prepare", lambda *_: time.sleep(60.0))
    assert names(run(steps, config, TimeSlice(0.2))) == ALL
    Ledger(Path(steps.files.folder)).note(Turn("data", "data", 1000.0, False, "here"))
    with pytest.raises(OpnormError, match="data: not done in a whole slice; give it more minutes"):
        run(steps, config, TimeSlice(0.2))
    assert left(steps) == ALL


def test_what_is_left_of_a_slice_is_used_by_what_fits(whole, tmp_path):
    steps, _ = small(tmp_path, seeds=[0, 1])
    ledger = Ledger(tmp_path)
    ledger.note(Turn("analyze", "analyze spectrum standard 7", 500.0, False, "here"))
    todo = [step for step in steps.results() if step.stage == "analyze"]
    assert names(todo)[0] == "analyze spectrum standard 0"
    for seconds, begun, expected in (
        (599.0, False, "analyze alignment standard 0"),
        (601.0, False, "analyze spectrum standard 0"),
        (-1.0, False, "analyze spectrum standard 0"),
    ):
        assert next_step(todo, {}, ledger, seconds, begun=begun).name == expected
    assert next_step(todo, {}, ledger, -1.0, begun=True) is None
    with_needs = pending(steps.results(), lambda step: False)
    assert next_step(with_needs, {}, ledger, math.inf, begun=False).name == "data"


def test_what_fails_leaves_the_rest_alone_and_comes_last_the_next_time(tmp_path, monkeypatch, capsys):
    steps, config = small(tmp_path)
    measure = analysis_run.measure_runs

    def broken(analysis, *args, **options):
        if analysis == "spectrum":
            raise ZeroDivisionError("broken")
        measure(analysis, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(analysis_run, "measure_runs", broken)
        with pytest.raises(OpnormError, match=r"(?s)2 steps are left.*analyze spectrum standard 0: ZeroDivisionError"):
            run(steps, config, TimeSlice())
    assert "Traceback" in capsys.readouterr().err
    failed = "analyze spectrum standard 0"
    assert left(steps) == [failed, "draw spectrum"]
    ledger = Ledger(Path(steps.files.folder))
    again = [step for step in steps.results() if step.stage == "analyze"]
    assert next_step(again, {}, ledger, math.inf, begun=False).name == "analyze alignment standard 0"
    assert run(steps, config, TimeSlice()) == []
    assert not Ledger(Path(steps.files.folder)).has_failed(again[0])


@pytest.mark.parametrize(("missing", "dataset", "analyses", "said"), [
    (["yaml", "tqdm"], "digits", {"spectrum": None}, r"pip install tqdm pyyaml$"),
    (["torchvision", "sklearn"], "digits", {"spectrum": None}, r"pip install scikit-learn$"),
    (["torchvision", "sklearn"], "cifar10", {"spectrum": None}, r"pip install torchvision$"),
    (["pyautoattack"], "digits", {"sanity": None}, r"pip install pyautoattack \(.*or set autoattack: false in"),
    (["pyautoattack"], "digits", {"evaluation": {"l2": [0.1]}}, r"pip install pyautoattack"),
    (["pyautoattack"], "digits", {"evaluation": {"autoattack": False}, "sanity": {"autoattack": False}}, None),
    (["snakemake", "submitit", "jsonschema", "pyautoattack"], "digits", {"spectrum": None}, None),
])  # fmt: skip
def test_missing_packages_are_named_before_anything_is_made(missing, dataset, analyses, said, tmp_path, monkeypatch):
    model = {"name": "cnn5" if dataset == "digits" else "cnn7", "width": 2}
    steps, _ = small(tmp_path, dataset=dataset, analyses=analyses, model=model)
    for module in missing:
        monkeypatch.setitem(sys.modules, module, None)
    with nullcontext() if said is None else pytest.raises(OpnormError, match=said):
        refuse_missing(steps.experiment)


def test_a_missing_package_ends_the_command_at_once(tmp_path):
    bare = BARE.replace("for name in", "sys.modules['yaml'] = None\nfor name in")
    arguments = [sys.executable, "-c", bare, "run", str(ROOT / "config/smoke.yaml"), "--out", str(tmp_path)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "Error: packages are missing: pip install pyyaml\n")
    assert not list(tmp_path.iterdir())


def test_how_it_was_made_is_recorded(whole, tmp_path):
    found = provenance_of(whole)
    assert found["config"] == SMALL
    assert {stage["stage"] for stage in found["stages"]} == {
        "data", "train standard", "attack", "analyze spectrum", "analyze alignment", "figures", "claims",
    }  # fmt: skip
    assert all(stage["jobs"] == 1 + (stage["stage"] == "figures") for stage in found["stages"])
    assert sum(stage["seconds"] for stage in found["stages"]) > 0.0
    assert len(found["machines"]) == 1
    assert {*found["data"]} == {"train", "test"}
    steps, _ = small(tmp_path, samples=6)
    with pytest.raises(FileError, match=r"small: 6 steps are not made.* attack standard 0; run again"):
        provenance_of(Steps(steps.experiment, whole.files, "cpu"))


def test_a_damaged_ledger_is_named(tmp_path):
    (tmp_path / "made.json").write_text("{")
    with pytest.raises(FileError, match=r"made\.json: cannot be read .*delete it"):
        Ledger(tmp_path)
    (tmp_path / "made.json").unlink()
    (tmp_path / "times.csv").write_text("stage,step\na,b\n")
    with pytest.raises(FileError, match=r"times\.csv: cannot be read .*delete it"):
        Ledger(tmp_path)


METHODS = {"standard": {"objective": "standard"}, "adversarial": {"objective": "adversarial"}}
NAMES = ("standard", "adversarial", "dd_snr")
SELECTED = {
    "training": SMALL["training"] | {"epochs": 1},
    "threat": {"norm": 2, "epsilon": {"select": [0.01, 1.0, 20.0], "share": 0.8}, "iterations": 2},
    "methods": METHODS
    | {"dd_snr": {"objective": "data_dependent_snr", "weight": {"match": "adversarial", "grid": [0.01, 1.0]}}},
    "selection": {"validation": 0.3},
    "analyses": {"spectrum": None},
}
CANDIDATES = ["candidate adversarial itself 0", "candidate dd_snr 0.01 0", "candidate dd_snr 1.0 0"]
RULES = ["data", "train standard 0", "select epsilon", "hold out", *CANDIDATES, "select values"]
RESULTS = [
    "train adversarial 0", "train dd_snr 0", *(f"attack {method} 0" for method in NAMES),
    *(f"analyze spectrum {method} 0" for method in NAMES), "draw selection", "draw spectrum", "claims",
]  # fmt: skip


def numbers(steps):
    """What the rules chose, radius and weight."""
    return [
        read_choice(steps.files.choice(table), column) for table, column in (("epsilon",) * 2, ("dd_snr", "weight"))
    ]


@pytest.fixture(scope="module")
def selected(tmp_path_factory):
    """The steps of an experiment whose constants are chosen by rule, made in two slices."""
    steps, config = small(tmp_path_factory.mktemp("selected"), **SELECTED)
    assert left(steps) == RULES + RESULTS
    with pytest.MonkeyPatch.context() as monkeypatch:
        stop_after(monkeypatch, 4, of="dd_snr")
        assert names(run(steps, config, TimeSlice())) == RULES[5:] + RESULTS
    assert list(Path(steps.files.candidate_checkpoints("dd_snr", 0.01)).glob("0/*.pt"))
    assert run(steps, config, TimeSlice()) == []
    assert left(steps) == []
    return steps


def test_only_what_awaits_no_number_is_made_where_a_candidate_fails(tmp_path, monkeypatch):
    steps, config = small(tmp_path, **SELECTED | {"threat": SMALL["threat"], "analyses": {"spectrum": None}})
    train = training.train

    def broken(settings, *splits, **options):
        if settings.method.options.get("weight") == 0.01:
            raise TrainingError("the loss is NaN")
        return train(settings, *splits, **options)

    monkeypatch.setattr(training, "train", broken)
    with pytest.raises(OpnormError, match=r"candidate dd_snr 0\.01 0: the loss is NaN"):
        run(steps, config, TimeSlice())
    assert {Path(path).parent.name for path in Path(steps.files.folder).glob("analysis/*/*/*")} == {*METHODS}
    assert {step for step in left(steps) if step.startswith(("train", "candidate"))} == {
        "candidate dd_snr 0.01 0", "train dd_snr 0",
    }  # fmt: skip


def test_rules_choose_by_what_was_measured(selected):
    epsilon, weight = numbers(selected)
    radii = pd.read_csv(selected.files.choice("epsilon"))
    assert epsilon == radii.loc[radii["misclassified"] >= 0.8, "epsilon"].min()
    histories = [("adversarial", None), ("dd_snr", 0.01), ("dd_snr", 1.0)]
    paths = [selected.files.candidate_history(*run, 0) for run in histories]
    target, *found = (pd.read_csv(path)["test_accuracy"].iloc[-1] for path in paths)
    assert weight == min(zip((0.01, 1.0), found, strict=True), key=lambda pair: abs(pair[1] - target))[0]
    assert {Path(path).name for path in Path(selected.files.selection).glob("data/*")} == {
        "train.safetensors", "validation.safetensors",
    }  # fmt: skip


def test_after_the_rules_it_ends_in_the_same_bits_as_with_their_numbers(selected, tmp_path):
    plain = copy.deepcopy(SELECTED)
    plain["threat"]["epsilon"], plain["methods"]["dd_snr"]["weight"] = numbers(selected)
    steps, _ = small(tmp_path, **plain)
    steps.data().make()
    for method in ("adversarial", "dd_snr"):
        steps.train(method, 0).make()
        paths = [found.files.model(method, 0) for found in (selected, steps)]
        model, other = (weights.load_model(path).state_dict() for path in paths)
        assert all(torch.equal(model[name], other[name]) for name in other)
        assert weights.made_by(paths[0]) == weights.made_by(paths[1])
    candidate = weights.made_by(selected.files.candidate_model("dd_snr", 0.01, 0))
    assert candidate["settings"]["method"]["threat"]["epsilon"] == plain["threat"]["epsilon"]
    assert candidate["data"] != weights.made_by(paths[0])["data"]


def test_a_choice_repeats_what_it_decides(selected, tmp_path):
    longer = copy.deepcopy(SELECTED)
    longer["methods"]["dd_snr"]["weight"]["grid"] = [0.01, 0.1, 1.0]
    steps, _ = small(tmp_path, **longer)
    expected = ["candidate dd_snr 0.1 0", "select values", "draw selection"]
    assert left(Steps(steps.experiment, selected.files, "cpu")) == expected
    epsilon, weight = numbers(selected)
    given = copy.deepcopy(SELECTED)
    given["methods"]["dd_snr"]["weight"]["chosen"] = {0.01: 1.0, 1.0: 0.01}[weight]
    steps, _ = small(tmp_path, **given)
    again = left(Steps(steps.experiment, selected.files, "cpu"))
    assert again[:2] == ["train dd_snr 0", "attack dd_snr 0"]
    assert not [name for name in again if name.startswith(("candidate", "select"))]


def test_what_takes_a_choice_comes_after_it_and_has_its_number(selected, tmp_path):
    config = copy.deepcopy(SELECTED)
    config["methods"]["power"] = {"objective": "data_dependent_snr", "weight": {"of": "dd_snr"}, "solver": "power"}
    steps, _ = small(tmp_path, **config)
    planned = left(steps)
    assert planned[: len(RULES)] == RULES
    assert "train power 0" in planned[len(RULES) :]
    steps = Steps(steps.experiment, selected.files, "cpu")
    assert left(steps) == [
        "train power 0", "attack power 0", "analyze spectrum power 0", "draw spectrum", "claims",
    ]  # fmt: skip
    options = steps.decided().train("power", 0).made_by[0]["method"]["options"]
    assert options == {"solver": "power", "weight": numbers(selected)[1]}


def test_what_was_chosen_is_reported_and_collected(selected, tmp_path):
    epsilon, weight = numbers(selected)
    page = Path(selected.files.report).read_text()
    assert f"of size {epsilon:g}" in page
    assert all(f">{stage}<" in page for stage in ("selection", "train dd_snr"))
    file = str(Path(selected.files.folder).with_suffix(".yaml"))
    assert main(["collect", file, "--out", str(Path(file).parent)]) == 0
    kept = Path(file).parent / "reference/small"
    assert (kept / "figures/selection.png").is_file()
    assert "![selection](figures/selection.png)" in (kept / "README.md").read_text()
    assert {path.name for path in kept.glob("selection/*")} == {"epsilon.csv", "dd_snr.csv"}
    chosen = {"threat.epsilon": epsilon, "methods.dd_snr.weight": weight}
    assert json.loads((kept / "provenance.json").read_text())["chosen"] == chosen
    assert f"| `methods.dd_snr.weight` | {weight:g} |" in (kept / "README.md").read_text()


WITHOUT = ("snakemake", "submitit", "jsonschema", "psutil", "hypothesis", "pytest")
BARE = f"""
import sys
for name in {WITHOUT}:
    sys.modules[name] = None
from opnorm.reference.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def test_the_library_alone_runs_and_collects(whole, tmp_path):
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SMALL, sort_keys=False))
    for command in ("run", "collect"):
        arguments = [sys.executable, "-c", BARE, command, "small.yaml", "--out", "out"]
        done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "that needs jsonschema" in done.stdout
    csv = Path(whole.files.figure("spectrum", "csv")).read_bytes()
    assert (tmp_path / "out/small/figures/spectrum.csv").read_bytes() == csv
    assert (tmp_path / "out/reference/small/figures/spectrum.csv").read_bytes() == csv


def test_the_status_says_whether_to_run_again(tmp_path, monkeypatch, capsys):
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SMALL, sort_keys=False))
    arguments = ["run", str(tmp_path / "small.yaml"), "--out", str(tmp_path), "--minutes", "9", "--device", "cpu"]
    stop_after(monkeypatch, 5)
    assert main(arguments) == UNFINISHED
    assert "7 steps are left: run again" in capsys.readouterr().out
    assert main([*arguments, "--config", "samples=0"]) == 1
    assert "small.yaml and --config: samples: 0 is not allowed here" in capsys.readouterr().err


def test_an_interrupt_asks_for_no_other_slice(tmp_path, monkeypatch, capsys):
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SMALL, sort_keys=False))
    monkeypatch.setattr("opnorm.data.prepare", lambda *_: signal.raise_signal(signal.SIGINT))
    arguments = ["run", str(tmp_path / "small.yaml"), "--out", str(tmp_path), "--minutes", "9", "--device", "cpu"]
    assert main(arguments) == 130
    assert "steps are left: run again" in capsys.readouterr().out


def test_mistakes_of_the_command_line_are_answered_in_words(tmp_path, capsys):
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(SMALL, sort_keys=False))
    assert main(["run", str(path), "--config", "seeds=[0"]) == 1
    assert "Error: seeds=[0: what follows the = is no YAML" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["run", str(path), "--threads", "0"])
    assert "--threads: 0 is not at least 1" in capsys.readouterr().err
    path.write_bytes("label: Stärke".encode("latin-1"))
    assert main(["run", str(path)]) == 1
    assert f"Error: {path}: cannot be read (" in capsys.readouterr().err


def test_keys_are_changed_as_snakemake_does():
    changes = ["seeds=[4]", "training={epochs: 1}", "threat={epsilon: 2.5}"]
    experiment, config = read_experiment(ROOT / "config/smoke.yaml", changes)
    assert experiment.seeds == (4,)
    assert (experiment.optimization.epochs, experiment.optimization.batch_size) == (1, 100)
    assert experiment.threat.epsilon == config["threat"]["epsilon"] == 2.5
    with pytest.raises(SettingsError, match="seeds: not of the form key=value"):
        read_experiment(ROOT / "config/smoke.yaml", ["seeds"])
    with pytest.raises(SettingsError, match=r"smoke\.yaml and --config: seeds"):
        read_experiment(ROOT / "config/smoke.yaml", ["seeds=[-1]"])
    with pytest.raises(FileError, match=r"none\.yaml: cannot be read"):
        read_experiment(ROOT / "config/none.yaml")

"""Trainings and measurements on a GPU, or on a pretended one where there is none: nothing meets on the wrong device."""

import inspect
from contextlib import nullcontext
from functools import partial
from unittest import mock

import pandas as pd
import pytest
import torch

from opnorm import analysis, data, files, training, weights
from opnorm.analysis.run import attack_runs, measure_runs
from opnorm.analysis.subject import features, logits
from opnorm.analysis.tidy import tidy
from opnorm.autoattack import autoattack
from opnorm.errors import InterruptedTrainingError, MemoryShortageError, SettingsError
from opnorm.jacobian import DenseOperator, InputJacobian
from opnorm.lanczos import dominant_singular_value
from opnorm.selection_run import select_epsilon
from opnorm.settings import Method, Optimization, TrainingSettings
from opnorm.threat_model import ThreatModel
from pretended_gpu import OnGPU, pretended_gpu

MODEL = {"name": "cnn5", "width": 2}
THREAT = ThreatModel(2.0, 0.3, 2)
OBJECTIVES = {
    "standard": {},
    "adversarial": {},
    "global_snr": {"weight": 0.01},
    "data_dependent_snr": {"weight": 0.1},
    "mixture": {"weight": 0.1, "mixture": 0.5, "solver": "power", "iterations": 2},
    "input_gradient": {"weight": 0.1},
    "frobenius": {"weight": 0.1, "projections": 2},
}
ATTACKS = {"samples": 4, "iterations": [2, 3], "restarts": 2, "linf": [0.1]}
# Without the theorem's, and without the form "sigma": torch's forward mode ends the process on a pretended GPU.
ANALYSES = {
    "spectrum": {},
    "alignment": {},
    "logit_spectrum": {},
    "logit_alignment": {},
    "logit_direction": {},
    "robustness": {"l2": [0.1], "linf": [0.1], "iterations": 2},
    "linearity": {"distances": [0.0, 1.0]},
    "dominant_singular_value": {"distances": [0.0, 1.0]},
    "logit_dominant_singular_value": {"distances": [0.0, 1.0]},
    "activations": {"distances": [0.0, 1.0]},
    "alignment_distance": {"epsilons": [0.1]},
    "alignment_iterations": {"iterations": [1, 2]},
    "logit_alignment_iterations": {"iterations": [1, 2]},
    "attack_iterations": {"iterations": [1, 2]},
    "operator_norms": {"samples": 2},
    "evaluation": {**ATTACKS, "autoattack": False},
    "sanity": {**ATTACKS, "queries": 5},
}
# They draw starts of attacks on the device, and a GPU's random numbers are not the CPU's.
DRAW = {
    "robustness", "alignment_distance", "alignment_iterations", "logit_alignment_iterations", "attack_iterations",
    "evaluation", "sanity",
}  # fmt: skip
# They compare with singular vectors. Those are compared here whose values differ by so much of the largest one: in the
# kernel, and of equal values, any vectors are right.
VECTORS, APART = {"alignment": features, "logit_alignment": logits}, 1e-2
# Sums in another order: backward passes take several rows of a Jacobian at once where a GPU has room for more.
ROUNDING = {"rtol": 1e-3, "atol": 1e-4}


@pytest.fixture
def gpu():
    """The name of a device."""
    with nullcontext("cuda:0") if torch.cuda.is_available() else pretended_gpu() as device:
        yield device


def train(device, splits, folder, objective, precision):
    """Two steps of a training that stops after the first and goes on."""
    optimization = Optimization(
        epochs=1, batch_size=20, learning_rate=0.01, optimizer="sgd", crop_padding=1, horizontal_flip=True,
        precision=precision,
    )  # fmt: skip
    method = Method("m", "M", objective, OBJECTIVES[objective], THREAT)
    settings = TrainingSettings("digits", MODEL, method, optimization)

    def train_on(**patched):
        # On a pretended one a compiler would look for the GPU itself.
        compiler = partial(training._compile, aloud=True) if torch.cuda.is_available() else mock.DEFAULT
        with mock.patch.multiple(training, **patched, _compile=compiler):
            return training.train(settings, *splits, seed=0, checkpoints=folder, device=device, checkpoint_seconds=0.0)

    after_step = training._Keeper.after_step

    def stop(keeper, request):
        request.set()
        after_step(keeper, request)

    with mock.patch.object(training._Keeper, "after_step", stop), pytest.raises(InterruptedTrainingError):
        train_on()
    return train_on()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_trainings_run_and_go_on_from_checkpoints(objective, gpu, digits, tmp_path):
    splits = [data.Split(split.images[:40], split.labels[:40]) for split in digits.values()]
    for precision in ("float32", "bfloat16"):
        there = train(gpu, splits, tmp_path / precision, objective, precision)
        assert there.history["loss"].between(0.0, 100.0).all()
        assert there.model.linear.weight.device == torch.device(gpu)
    weights.save_model(tmp_path / "model.safetensors", there.model, there.architecture, {})
    assert weights.load_model(tmp_path / "model.safetensors", MODEL).linear.weight.device.type == "cpu"


@pytest.fixture(scope="module")
def trained(digits, tmp_path_factory):
    """Paths of a test split and of an untrained network."""
    folder = tmp_path_factory.mktemp("trained")
    paths = {name: str(folder / f"{name}.safetensors") for name in ("test", "model")}
    split = digits["test"]
    files.save_tensors(paths["test"], {"images": split.images, "labels": split.labels}, {"dataset": "digits"})
    architecture = MODEL | {"channels": 1, "classes": 10, "mean": [0.3], "std": [0.4]}
    weights.save_model(paths["model"], weights.initialised(architecture, 0), architecture, {})
    return paths


def measure(device, trained, folder, name, attacked_on):
    """The table of an analysis on `device`, of samples that were attacked on another or the same."""
    where = {"test": trained["test"], "dataset": "digits", "seeds": [0], "threat": THREAT, "architecture": MODEL}
    attacked, table = str(folder / f"{attacked_on}.safetensors"), str(folder / f"{device}.parquet")
    attack_runs([trained["model"]], [attacked], samples=4, device=attacked_on, **where)
    models, options = [trained["model"]], ANALYSES[name]
    measure_runs(name, [table], models=models, adversarial=[attacked], options=options, device=device, **where)
    return pd.read_parquet(table)


@pytest.mark.parametrize("name", ANALYSES)
def test_measurements_run_there_and_find_the_same(name, gpu, trained, tmp_path):
    here = measure("cpu", trained, tmp_path, name, "cpu")
    if not torch.cuda.is_available():
        # The pretended GPU has the CPU's random numbers.
        pd.testing.assert_frame_equal(measure(gpu, trained, tmp_path, name, gpu), here, **ROUNDING)
    elif name in DRAW:
        assert len(measure(gpu, trained, tmp_path, name, gpu)) == len(here)
    else:
        there = measure(gpu, trained, tmp_path, name, "cpu")
        if name in VECTORS:
            there, here = (of_separate_values(table, trained, VECTORS[name]) for table in (there, here))
            assert len(here) > 0
        pd.testing.assert_frame_equal(there, here, **ROUNDING)


def of_separate_values(table, trained, output):
    """The rows whose singular value is far from the others and from zero; both networks are the untrained one."""
    model = weights.load_model(trained["model"]).requires_grad_(False)
    images = data.to_unit(files.load_tensors(trained["test"])[0]["images"])
    J = InputJacobian(output(model), images[sorted(set(table["sample"]))]).dense()
    S = torch.linalg.svdvals(J)
    gaps = -torch.diff(S, prepend=torch.full((len(S), 1), torch.inf), append=torch.zeros(len(S), 1))
    separate = torch.minimum(gaps[:, :-1], gaps[:, 1:]) > APART * S[:, :1]
    index = {sample: row for row, sample in enumerate(sorted(set(table["sample"])))}
    kept = [
        bool(separate[index[sample], rank - 1]) for sample, rank in zip(table["sample"], table["rank"], strict=True)
    ]
    return table[kept]


@pytest.mark.parametrize("name", VECTORS)
def test_what_is_compared_of_vectors_is_something(name, trained, tmp_path):
    table = measure("cpu", trained, tmp_path, name, "cpu")
    kept = of_separate_values(table, trained, VECTORS[name])
    assert set(kept["network"]) == {"trained", "random"}
    assert (kept.groupby("network")["rank"].min() == 1).all()


def test_every_measurement_is_tried():
    assert set(ANALYSES) | {"theorem", "theorem_distance"} == set(analysis.REGISTRY)


def test_a_radius_is_chosen_there(gpu, trained, tmp_path):
    threat = {"norm": 2.0, "iterations": 2}
    rule = {"standard": "standard", "grid": [0.01, 20.0], "share": 0.5}
    where = {"test": trained["test"], "dataset": "digits", "architecture": MODEL, "device": gpu}
    select_epsilon([trained["model"]], str(tmp_path / "epsilon.csv"), seeds=[0], threat=threat, rule=rule, **where)
    assert pd.read_csv(tmp_path / "epsilon.csv")["misclassified"].iloc[-1] >= 0.5


def test_too_little_memory_for_choosing_a_radius_is_said_in_words(gpu, trained, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("opnorm.selection_run.correct_up_to", full)
    rule = {"standard": "standard", "grid": [0.01, 20.0], "share": 0.5}
    where = {"test": trained["test"], "dataset": "digits", "architecture": MODEL, "device": gpu}
    output, threat = str(tmp_path / "epsilon.csv"), {"norm": 2.0, "iterations": 2}
    with pytest.raises(MemoryShortageError, match=r"attacking \d+ samples: too little memory. End what else"):
        select_epsilon([trained["model"]], output, seeds=[0], threat=threat, rule=rule, **where)


def test_lanczos_goes_on_there_where_matrices_are_too_large_for_one_call(gpu):
    J = torch.randn(2, 40, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    start = torch.ones(2, 50, dtype=torch.float64)
    found = dominant_singular_value(DenseOperator(J.to(gpu)), start=start.to(gpu), tolerance=0.0, max_iterations=36)
    assert found.iterations == 36
    assert found.value.device == found.right.device == found.error.device == torch.device(gpu)
    torch.testing.assert_close(found.value.cpu(), torch.linalg.svdvals(J)[:, 0])


def test_autoattack_runs_there(gpu, trained, digits):
    model = weights.load_model(trained["model"]).to(gpu)
    x = data.to_unit(digits["test"].images[:2]).to(gpu)
    perturbed = autoattack(model, x, model(x).argmax(1), THREAT, attack="square", seed=0, queries=5)
    assert perturbed.device == x.device


@pytest.mark.parametrize("function", [training.train_runs, select_epsilon, attack_runs, measure_runs])
def test_whatever_runs_first_uses_all_digits_of_float32(function, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    torch.backends.cuda.matmul.allow_tf32 = True
    arguments = dict.fromkeys(inspect.signature(function).parameters) | {"threads": 1}
    # It is set before anything is read.
    with pytest.raises((TypeError, AttributeError, SettingsError)):
        function(**arguments)
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


@pytest.mark.skipif(torch.cuda.is_available(), reason="of the pretended GPU")
def test_the_pretended_gpu_refuses_what_a_gpu_refuses():
    with pretended_gpu() as device:
        there, here = torch.ones(2, device=device), torch.ones(2)
        assert isinstance(there, OnGPU)
        assert (there + here.to(device)).cpu().tolist() == [2.0, 2.0]
        with pytest.raises(RuntimeError, match="are on the CPU, others on the GPU"):
            there + here
        with pytest.raises(RuntimeError, match="the generator is on another device"):
            torch.rand(2, device=device, generator=torch.Generator())
        with pytest.raises(RuntimeError, match="the generator is on another device"):
            torch.rand(2, generator=torch.Generator(device))
        with pytest.raises(TypeError, match="to numpy"):
            there.numpy()
        assert tidy("x", there, {"sample": there})["sample"].tolist() == [1.0, 1.0]

"""The training loop: what it computes, and that it survives any end."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from opnorm import attacks, checkpoint, data, training, weights
from opnorm.errors import FileError, InterruptedTrainingError, MemoryShortageError, TrainingError
from opnorm.settings import Method, Optimization, TrainingSettings
from opnorm.threat_model import ThreatModel

OBJECTIVES = {
    "standard": {},
    "adversarial": {"fraction": 0.5},
    "global_snr": {"weight": 0.01},
    "data_dependent_snr": {"weight": 0.1, "solver": "power", "iterations": 2},
}
OPTIMIZATION = Optimization(epochs=2, batch_size=50, learning_rate=0.01, crop_padding=1, horizontal_flip=True)


def settings(objective="standard", options=None, **changes):
    threat = ThreatModel(2.0, 0.5, 2)
    method = Method("m", "M", objective, OBJECTIVES[objective] if options is None else options, threat)
    return TrainingSettings("digits", {"name": "cnn5", "width": 2}, method, replace(OPTIMIZATION, **changes))


@pytest.fixture(scope="module")
def splits():
    images, labels = data.load("digits", "", "train")
    return data.Split(images[:200], labels[:200]), data.Split(images[200:300], labels[200:300])


def train(splits, folder, chosen, seed=0, **options):
    return training.train(chosen, *splits, seed=seed, checkpoints=folder, **options)


def assert_same_weights(a, b):
    a, b = a.state_dict(), b.state_dict()
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


def interrupt_after(step, monkeypatch):
    """SIGTERM to this process after `step` steps."""
    after_step = training._Keeper.after_step

    def interrupted(keeper, stop):
        if keeper.training.step == step:
            os.kill(os.getpid(), signal.SIGTERM)
        after_step(keeper, stop)

    monkeypatch.setattr(training._Keeper, "after_step", interrupted)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_an_interrupted_training_ends_in_the_same_bits(objective, optimizer, splits, tmp_path, monkeypatch):
    chosen = settings(objective, optimizer=optimizer)
    whole = train(splits, tmp_path / "whole", chosen)
    for step in (2, 4, 7):  # in an epoch, at its end, in the next one
        with monkeypatch.context() as patch:
            interrupt_after(step, patch)
            with pytest.raises(
                InterruptedTrainingError, match=rf"m, seed 0: interrupted after step {step} of 8"
            ) as caught:
                train(splits, tmp_path / "parts", chosen)
            assert f"step-{step:09d}.pt" in str(caught.value)
    parts = train(splits, tmp_path / "parts", chosen)
    assert_same_weights(whole.model, parts.model)
    timeless = ["epoch", "loss", "accuracy", "test_accuracy"]
    pd.testing.assert_frame_equal(whole.history[timeless], parts.history[timeless], check_exact=True)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


DRIVER = """
    import os, signal, sys
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    import torch
    torch.set_num_threads(1)
    import test_training as t
    from opnorm import data, weights
    images, labels = data.load("digits", "", "train")
    splits = data.Split(images[:200], labels[:200]), data.Split(images[200:300], labels[200:300])
    if "in-the-middle-of-a-write" in sys.argv:
        save, count = torch.save, [0]
        def half(content, path):
            save(content, path)
            count[0] += 1
            if count[0] == 3:
                os.truncate(path, os.path.getsize(path) // 2)
                os.kill(os.getpid(), signal.SIGKILL)
        torch.save = half
    chosen = t.settings("global_snr")
    done = t.train(splits, Path(sys.argv[1]), chosen, checkpoint_seconds=0.0)
    weights.save_model(sys.argv[2], done.model, done.architecture, {{}})
"""


def drive(folder, output, *extra):
    code = textwrap.dedent(DRIVER.format(tests=str(Path(__file__).parent)))
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder), str(output), *extra],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_at_step(process, folder, step):
    deadline = time.monotonic() + 120
    while not any(int(path.stem[5:]) >= step for path in folder.glob("step-*.pt")):
        assert time.monotonic() < deadline
        if process.poll() is not None:
            return
        time.sleep(0.001)
    process.kill()


def test_killed_anywhere_it_ends_in_the_same_bits(splits, tmp_path):
    whole = train(splits, tmp_path / "whole", settings("global_snr"))
    folder, output = tmp_path / "parts", tmp_path / "model.safetensors"
    process = drive(folder, output)
    kill_at_step(process, folder, 3)
    assert process.wait() == -signal.SIGKILL
    process.stderr.close()
    process = drive(folder, output, "in-the-middle-of-a-write")
    assert process.wait() == -signal.SIGKILL
    process.stderr.close()
    assert list(folder.glob(".step-*")) != []
    process = drive(folder, output)
    assert process.wait() == 0, process.stderr.read()
    process.stderr.close()
    assert_same_weights(whole.model, weights.load_model(output))


def test_a_finished_training_is_not_done_again(splits, tmp_path, monkeypatch):
    first = train(splits, tmp_path, settings())
    monkeypatch.setattr(training._Training, "_step", lambda *_: pytest.fail("trained again"))
    again = train(splits, tmp_path, settings())
    assert_same_weights(first.model, again.model)
    assert len(again.history) == OPTIMIZATION.epochs


def test_other_settings_start_from_the_beginning_and_say_so(splits, tmp_path, capsys):
    train(splits, tmp_path / "a", settings())
    other = settings(learning_rate=0.02)
    resumed = train(splits, tmp_path / "a", other)
    assert "learning_rate: 0.01 there, 0.02 now" in capsys.readouterr().out
    assert_same_weights(resumed.model, train(splits, tmp_path / "b", other).model)
    code = train(splits, tmp_path / "a", other, code="another digest")
    assert "code: '' there, 'another digest' now" in capsys.readouterr().out
    assert_same_weights(resumed.model, code.model)


def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(splits, tmp_path, monkeypatch, capsys):
    whole = train(splits, tmp_path / "whole", settings())
    with monkeypatch.context() as patch:
        interrupt_after(5, patch)
        with pytest.raises(TrainingError):
            train(splits, tmp_path / "parts", settings(), checkpoint_seconds=0.0)
    newest = checkpoint.last_written(tmp_path / "parts")
    newest.write_bytes(newest.read_bytes()[:1000])
    parts = train(splits, tmp_path / "parts", settings())
    output = capsys.readouterr().out
    assert f"{newest}: damaged" in output
    assert "resumed after step 4 of 8" in output
    assert_same_weights(whole.model, parts.model)


def test_seeds_and_only_seeds_change_the_weights(splits, tmp_path):
    a = train(splits, tmp_path / "a", settings(), seed=0).model
    torch.rand(7)  # the global stream has no part in it
    np.random.default_rng().random()
    b = train(splits, tmp_path / "b", settings(), seed=0).model
    c = train(splits, tmp_path / "c", settings(), seed=1).model
    assert_same_weights(a, b)
    assert not torch.equal(a.linear.weight, c.linear.weight)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_bad_loss_stops_with_step_run_and_last_good_checkpoint(bad, splits, tmp_path, monkeypatch):
    total = training.Loss.total.fget
    calls = []

    def poisoned(loss):
        calls.append(1)
        return total(loss) * bad if len(calls) == 6 else total(loss)

    monkeypatch.setattr(training.Loss, "total", property(poisoned))
    with pytest.raises(TrainingError, match=r"m, seed 0: .*NaN or infinite at step 5 of 8") as caught:
        train(splits, tmp_path, settings(), checkpoint_seconds=0.0)
    last = checkpoint.last_written(tmp_path)
    assert str(last) in str(caught.value)
    assert last.name == "step-000000005.pt"
    state = torch.load(last, weights_only=True)["state"]
    assert all(bool(torch.isfinite(x).all()) for x in state["model"].values() if x.is_floating_point())


def test_a_bad_loss_in_the_last_steps_is_seen(splits, tmp_path, monkeypatch):
    total = training.Loss.total.fget
    monkeypatch.setattr(training, "_LOOK_EVERY", 3)
    seen = []

    def poisoned(loss):
        seen.append(1)
        return total(loss) * float("nan") if len(seen) == 8 else total(loss)

    monkeypatch.setattr(training.Loss, "total", property(poisoned))
    # Two epochs of four steps: of the looks at steps 3 and 6, and at the ends of epochs, only the last is in time.
    with pytest.raises(TrainingError, match="NaN or infinite at step 7 of 8"):
        train(splits, tmp_path, settings())


@pytest.mark.parametrize("changed", ["images", "labels"])
def test_another_test_split_is_classified_anew(changed, splits, tmp_path):
    train(splits, tmp_path, settings())
    test = replace(splits[1], **{changed: getattr(splits[1], changed).flip(0)})
    found = train((splits[0], test), tmp_path, settings()).history["test_accuracy"]
    expected = train((splits[0], test), tmp_path / "other", settings()).history["test_accuracy"]
    assert list(found) == list(expected)
    assert list(found) != list(train(splits, tmp_path / "before", settings()).history["test_accuracy"])


def test_momentum_counts(splits, tmp_path):
    found = [
        train(splits, tmp_path / str(momentum), settings(optimizer="sgd", momentum=momentum)).model
        for momentum in (0.0, 0.9)
    ]
    assert not torch.equal(found[0].linear.weight, found[1].linear.weight)


def test_history_has_the_contracts_columns(splits, tmp_path):
    history = train(splits, tmp_path, settings("global_snr")).history
    assert list(history["epoch"]) == [1, 2]
    assert {"loss", "classification", "penalty", "accuracy", "test_accuracy", "seconds", "images_per_second"} <= {
        *history.columns
    }
    np.testing.assert_allclose(history["loss"], history["classification"] + history["penalty"], rtol=1e-5)


def test_training_learns(splits, tmp_path):
    # 200 digits, ten balanced classes: chance is 0.1.
    chosen = settings(epochs=15, crop_padding=0, horizontal_flip=False)
    trained = train(splits, tmp_path, replace(chosen, model={"name": "cnn5", "width": 8}))
    assert trained.history["test_accuracy"].iloc[-1] > 0.6
    assert trained.history["loss"].iloc[-1] < 0.7 * trained.history["loss"].iloc[0]
    assert training.accuracy(trained.model, splits[1]) == trained.history["test_accuracy"].iloc[-1]


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "constant"])
def test_schedules(schedule):
    chosen = Optimization(epochs=1, batch_size=2, learning_rate=2.0, schedule=schedule, warmup=0.25)
    rates = [training.learning_rate(chosen, i / 1000) for i in range(1001)]
    assert max(rates) == pytest.approx(2.0)
    if schedule == "constant":
        assert min(rates) == 2.0
        return
    assert rates[0] == 0.0
    assert rates[-1] == pytest.approx(0.0, abs=1e-12)
    assert np.argmax(rates) == 250
    assert training.learning_rate(chosen, 0.625) == pytest.approx(1.0)  # halfway down, by both


def test_a_schedule_without_warmup_begins_at_the_top():
    chosen = Optimization(epochs=1, batch_size=2, learning_rate=2.0, warmup=0.0)
    assert training.learning_rate(chosen, 0.0) == 2.0


def test_every_optimizer_trains(splits, tmp_path):
    models = [
        train(splits, tmp_path / name, settings(optimizer=name, epochs=1, weight_decay=0.1)).model
        for name in ("adam", "adamw", "sgd")
    ]
    flat = [torch.cat([p.flatten() for p in model.parameters()]) for model in models]
    assert not torch.equal(flat[0], flat[1])
    assert not torch.equal(flat[0], flat[2])


def test_a_batch_larger_than_the_data_is_the_data(splits, tmp_path):
    history = train(splits, tmp_path, settings(batch_size=1000, epochs=1)).history
    assert len(history) == 1


def test_train_runs_writes_models_that_load_and_say_how_they_were_made(tmp_path):
    paths = {name: str(tmp_path / f"{name}.safetensors") for name in data.SPLITS}
    data.prepare("digits", "", paths)
    outputs = {
        "models": [str(tmp_path / f"{seed}.safetensors") for seed in (3, 4)],
        "histories": [str(tmp_path / f"{seed}.csv") for seed in (3, 4)],
    }
    chosen = settings(epochs=1)
    training.train_runs(
        chosen, data_paths=paths, seeds=[3, 4], checkpoints=str(tmp_path / "c"), outputs=outputs, code="abc"
    )
    model = weights.load_model(outputs["models"][0], chosen.model)
    made_by = weights.made_by(outputs["models"][1])
    assert not model.training
    assert made_by["seed"] == 4
    assert made_by["code"] == "abc"
    assert TrainingSettings.from_dict(made_by["settings"]) == chosen
    assert len(pd.read_csv(outputs["histories"][0])) == 1
    with pytest.raises(FileError, match=r"3\.safetensors: holds another architecture .*'width': 2.*'width': 8"):
        weights.load_model(outputs["models"][0], {"name": "cnn5", "width": 8})


@pytest.mark.parametrize("keep", [0, 5, 500, -3])
def test_a_truncated_model_file_is_named(keep, splits, tmp_path):
    trained = train(splits, tmp_path, settings(epochs=1))
    path = tmp_path / "model.safetensors"
    weights.save_model(path, trained.model, trained.architecture, {})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(FileError, match=r"model\.safetensors: damaged or incomplete .* delete it and run again"):
        weights.load_model(path)


def test_bfloat16_trains_float32_weights_close_to_those_of_float32(splits, tmp_path):
    exact = train(splits, tmp_path / "a", settings(epochs=1)).model
    rounded = train(splits, tmp_path / "b", settings(epochs=1, precision="bfloat16")).model
    assert rounded.precision == torch.float32
    assert {p.dtype for p in rounded.parameters()} == {torch.float32}
    first = exact.body[0][0].weight, rounded.body[0][0].weight
    # Adam moves each weight by about the learning rate a step, in the direction of the gradient's sign.
    assert 0.0 < (first[0] - first[1]).abs().mean() < 0.5 * OPTIMIZATION.learning_rate


def test_a_norm_of_the_jacobian_itself_is_a_loss_in_bfloat16(splits, tmp_path):
    chosen = settings("data_dependent_snr", {"weight": 0.01, "form": "sigma"}, epochs=1, precision="bfloat16")
    exact = settings("data_dependent_snr", {"weight": 0.01, "form": "sigma"}, epochs=1)
    rounded, full = (train(splits, tmp_path / name, of) for name, of in (("a", chosen), ("b", exact)))
    assert rounded.history["loss"].iloc[-1] == pytest.approx(full.history["loss"].iloc[-1], rel=0.1)


TWICE_DIFFERENTIATED = {"input_gradient": {"weight": 0.01}, "frobenius": {"weight": 0.01, "projections": 2}}
"""Objectives whose gradient is differentiated once more, which compiled code cannot be."""


@pytest.fixture
def compiled(monkeypatch):
    """Networks are traced in training as on a GPU, but run by torch's own operators: no compiler is needed."""
    prepared = training._Training.__init__

    def prepare(self, *args, **kwargs):
        prepared(self, *args, **kwargs)
        training._compile(self.model, "aot_eager", aloud=True)

    torch._dynamo.utils.counters.clear()
    with monkeypatch.context() as patched:
        patched.setattr(training._Training, "__init__", prepare)
        yield torch._dynamo.utils.counters
    torch._dynamo.reset()


COMPILED = ["adversarial", "data_dependent_snr", "mixture"]
OPTIONS = {"mixture": {"mixture": 0.5, "weight": 0.01}, **TWICE_DIFFERENTIATED}


@pytest.mark.parametrize("objective", [*COMPILED, *TWICE_DIFFERENTIATED])
def test_compiled_training_steps_are_those_of_the_plain_network(objective, splits, tmp_path, monkeypatch, request):
    # Compiled networks are not folded, and an ascent magnifies rounding: the plain one is not folded here either.
    monkeypatch.setattr(attacks, "folded", lambda model: model)
    chosen = settings(objective, OPTIONS.get(objective), epochs=1)
    plain = train(splits, tmp_path / "plain", chosen)
    calls = request.getfixturevalue("compiled")
    fast = train(splits, tmp_path / "compiled", chosen)
    assert (calls["stats"]["unique_graphs"] >= 1) == (objective not in TWICE_DIFFERENTIATED)
    assert not calls["graph_break"]
    for a, b in zip(plain.model.parameters(), fast.model.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("objective", COMPILED)
def test_compiled_training_steps_run_in_bfloat16(objective, splits, tmp_path, request):
    chosen = settings(objective, OPTIONS.get(objective), epochs=1, precision="bfloat16")
    plain = train(splits, tmp_path / "plain", chosen)
    calls = request.getfixturevalue("compiled")
    fast = train(splits, tmp_path / "compiled", chosen)
    assert calls["stats"]["unique_graphs"] >= 1
    assert not calls["graph_break"]
    # Rounding to eight bits, magnified by ascents and by some steps of training.
    assert fast.history["loss"].iloc[-1] == pytest.approx(plain.history["loss"].iloc[-1], rel=0.1)


@pytest.mark.parametrize("objective", ["adversarial", "global_snr"])
def test_where_the_compiler_fails_the_training_is_that_of_the_plain_network(
    objective, splits, tmp_path, monkeypatch, capsys
):
    """Also where it fails late, when BatchNorm and the objective have moved on."""
    chosen = settings(objective, {"global_snr": {"weight": 0.01}}.get(objective), epochs=1)
    plain = train(splits, tmp_path / "plain", chosen)
    prepared, written = training._Training.__init__, []

    def late(graph, inputs):
        def run(*args):
            outputs = graph.forward(*args)
            if outputs[0].requires_grad:
                outputs[0].register_hook(fail)
            return outputs

        return run

    def fail(*_):
        raise RuntimeError("no C compiler\nfound")

    for backend in (fail, late):

        def prepare(self, *args, backend=backend, **kwargs):
            prepared(self, *args, **kwargs)
            training._compile(self.model, backend)

        torch._dynamo.reset()
        with monkeypatch.context() as patched:
            patched.setattr(training._Training, "__init__", prepare)
            patched.setattr(training.tqdm, "write", written.append)
            slow = train(splits, tmp_path / backend.__name__, chosen)
        assert len(written) == 1
        assert re.fullmatch("The compiler fails.*no C compiler.*", written.pop())
        assert slow.model._compiled_call_impl is None
        for a, b in zip(plain.model.state_dict().values(), slow.model.state_dict().values(), strict=True):
            assert torch.equal(a, b)


def test_without_a_compiler_nothing_is_compiled(splits):
    model, _ = training.untrained({"name": "cnn5", "width": 2}, splits[0], 0)
    with torch._dynamo.config.patch(disable=True):
        training._compile(model)
    assert model._compiled_call_impl is None


def test_a_batch_that_does_not_fit_in_memory_is_named_with_what_to_set(splits, tmp_path, monkeypatch):
    def short(training, index):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(training._Training, "_step", short)
    message = r"m, seed 0: a training step on 50 images: .*Lower training\.batch_size .*2\.00 GiB"
    with pytest.raises(MemoryShortageError, match=message):
        train(splits, tmp_path, settings())

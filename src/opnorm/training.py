"""The one training loop, for every method."""

from __future__ import annotations

import copy
import math
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from opnorm import checkpoint, data, objectives, weights
from opnorm.errors import InterruptedTrainingError, TrainingError
from opnorm.memory import is_shortage, needed_for
from opnorm.models.classifier import Classifier
from opnorm.modes import evaluation, precision, prepare_torch
from opnorm.objectives.objective import Loss, Objective
from opnorm.seeding import generator
from opnorm.tables import write_csv

if TYPE_CHECKING:
    from opnorm.settings import Optimization, TrainingSettings

_OPTIMIZERS: dict[str, Any] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}
_PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
# The loss is looked at for NaN once in so many steps: each look waits for the device.
_LOOK_EVERY = 50


@dataclass(frozen=True)
class Trained:
    """A trained network, the arguments of `models.build` that make its architecture, and a row per epoch."""

    model: Classifier
    architecture: dict[str, Any]
    history: pd.DataFrame


def train(
    settings: TrainingSettings,
    train_split: data.Split,
    test_split: data.Split,
    *,
    seed: int,
    checkpoints: str | Path,
    device: str = "cpu",
    code: str = "",
    checkpoint_seconds: float = 60.0,
) -> Trained:
    """Train one network, from the newest checkpoint of the same training if there is one.

    On a CPU the weights are the same, bit for bit, however often the training was ended and started again.

    Args:
        settings: method, model, optimisation.
        train_split, test_split: the data; the test split is only for the history's accuracy.
        seed: of this run; with the stage's name and the step it decides every random number.
        checkpoints: a folder for this run alone.
        device: where to train.
        code: digest of the library code; checkpoints of other code are not resumed from.
        checkpoint_seconds: at most so much work is lost when the training is killed.

    Raises:
        TrainingError: the loss is NaN or infinite; names the run, the step and the newest checkpoint.
        InterruptedTrainingError: SIGINT or SIGTERM came; names the checkpoint that the next call goes on from.
        FileError: a checkpoint cannot be written.
    """
    run, checkpoints = f"{settings.method.name}, seed {seed}", Path(checkpoints)
    # Random numbers, and so what is left of an epoch, differ between a GPU and a CPU.
    made_of = {"test": test_split.digest(), "torch": str(torch.__version__), "device": torch.device(device).type}
    fingerprint = _plain(_made_by(settings, train_split, seed, code)) | made_of
    with checkpoint.exclusive(checkpoints, tqdm.write), _stop_requests() as stop:
        training = _Training(settings, train_split.to(device), test_split.to(device), seed=seed, device=device)
        _resume(training, checkpoints, fingerprint, run)
        keeper = _Keeper(training, checkpoints, fingerprint, run, checkpoint_seconds)
        while training.step < training.steps:
            training.run_epoch(run, lambda: keeper.after_step(stop))
        keeper.save()
    return Trained(training.model.eval(), training.architecture, pd.DataFrame(training.history))


def train_runs(
    settings: TrainingSettings,
    *,
    data_paths: Mapping[str, str],
    seeds: Sequence[int],
    checkpoints: str,
    outputs: Mapping[str, Sequence[str]],
    device: str = "cpu",
    threads: int = 1,
    code: str = "",
    checkpoint_seconds: float = 60.0,
) -> None:
    """Train the seeds of one method in this process, one after the other, and write models and histories.

    Args:
        settings: method, model, optimisation.
        data_paths: "train" and "test" -> prepared split.
        seeds: of the runs.
        checkpoints: folder of this method's checkpoints; each seed has a folder in it.
        outputs: "models" and "histories" -> one path per seed.
        device: where to train.
        threads: of the CPU; the result depends on their number in its last bits.
        code: digest of the library code.
        checkpoint_seconds: at most so much work is lost when the training is killed.
    """
    prepare_torch(threads)
    splits = [data.read_split(data_paths[name], settings.dataset) for name in data.SPLITS]
    for seed, model_path, history_path in zip(seeds, outputs["models"], outputs["histories"], strict=True):
        trained = train(
            settings,
            *splits,
            seed=seed,
            checkpoints=Path(checkpoints) / str(seed),
            device=device,
            code=code,
            checkpoint_seconds=checkpoint_seconds,
        )
        made_by = _made_by(settings, splits[0], seed, code)
        weights.save_model(model_path, trained.model, trained.architecture, made_by)
        write_csv(trained.history, history_path)


def learning_rate(optimization: Optimization, progress: float) -> float:
    """The schedule at `progress`, the fraction of the steps that are done."""
    highest, warmup = optimization.learning_rate, optimization.warmup
    if optimization.schedule == "constant":
        return highest
    if progress < warmup:
        return highest * progress / warmup
    rest = (1.0 - progress) / (1.0 - warmup)
    if optimization.schedule == "cosine":
        return highest * 0.5 * (1.0 - math.cos(math.pi * rest))
    return highest * rest


def accuracy(model: Classifier, split: data.Split, *, batch_size: int = 1000) -> float:
    """Fraction of `split` that `model`, in evaluation mode, classifies correctly."""
    correct = 0
    with evaluation(model), torch.no_grad():
        for x, y in split.batches(batch_size):
            correct += int((model.forward(x).argmax(1) == y).sum())
    return correct / len(split)


class _Training:
    """A training between two steps: all its state, and how to go on from it."""

    def __init__(
        self,
        settings: TrainingSettings,
        train_split: data.Split,
        test_split: data.Split,
        *,
        seed: int,
        device: str,
    ) -> None:
        self.settings, self.optimization = settings, settings.optimization
        self.train_split, self.test_split = train_split, test_split
        self.seed, self.device = seed, device
        self.images = data.to_unit(train_split.images)
        self.steps_per_epoch = max(len(train_split) // self.optimization.batch_size, 1)
        self.steps = self.optimization.epochs * self.steps_per_epoch
        self.model, self.architecture = untrained(settings.model, train_split, seed, device)
        self.objective = _objective(settings, self.model, seed, device)
        self.optimizer = _optimizer(self.model, self.optimization)
        self.precision = _PRECISIONS[self.optimization.precision]
        if self.images.is_cuda:
            _compile(self.model)
        self.compiler_is_tried = False
        self.step = 0
        self.history: list[dict[str, float]] = []
        self._begin_epoch()

    def _begin_epoch(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.seconds = 0.0
        self.first_bad_step = torch.tensor(-1, device=self.device)

    def run_epoch(self, run: str, after_step: Any) -> None:
        """From the step where the training stands to the end of its epoch."""
        epoch, done = divmod(self.step, self.steps_per_epoch)
        shuffle = generator(self.seed, "shuffle", epoch, device=self.device)
        batches = list(data.batches(len(self.images), self.optimization.batch_size, shuffle))[done:]
        title = f"{run}, epoch {epoch + 1}/{self.optimization.epochs}"
        with tqdm(batches, desc=title, initial=done, total=self.steps_per_epoch, mininterval=1.0) as bar:
            for index in bar:
                start = time.perf_counter()
                with needed_for(f"{run}: a training step on {len(index)} images", "Lower training.batch_size"):
                    self._step(index)
                    self._wait()
                self.seconds += time.perf_counter() - start
                if self.step % self.steps_per_epoch == 0:
                    with needed_for(f"{run}: classifying {len(index)} test images", "Lower training.batch_size"):
                        self._end_epoch()
                    bar.set_postfix({"loss": self.history[-1]["loss"], "test": self.history[-1]["test_accuracy"]})
                after_step()

    def _step(self, index: Tensor) -> None:
        x, y = self._batch(index)
        rate = learning_rate(self.optimization, self.step / self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss, total = self._differentiate(x, y) if self.compiler_is_tried else self._try_compiler(x, y)
        self.optimizer.step()
        self._record(loss, total, y)
        self.step += 1

    def _differentiate(self, x: Tensor, y: Tensor) -> tuple[Loss, Tensor]:
        """Loss and total loss of a batch; its gradients are left in the parameters."""
        self.model.train()
        random = generator(self.seed, "objective", self.step, device=self.device)
        with precision(self.model, self.precision):
            loss = self.objective(self.model, x, y, random)
        total = loss.total
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        return loss, total.detach()

    def _try_compiler(self, x: Tensor, y: Tensor) -> tuple[Loss, Tensor]:
        """The same for the first batch, which is when code is compiled: without the compiler where that fails."""
        self.compiler_is_tried = True
        if self.model._compiled_call_impl is None or not torch._dynamo.config.suppress_errors:
            return self._differentiate(x, y)
        before = [copy.deepcopy(module.state_dict()) for module in (self.model, self.objective)]
        try:
            with torch._dynamo.config.patch(suppress_errors=False):
                return self._differentiate(x, y)
        except Exception as error:
            if is_shortage(error):
                raise
            # The first line names the compiler, the second what it says.
            said = " ".join((str(error).strip() or type(error).__name__).splitlines()[:2])
            tqdm.write(f"The compiler fails; the training goes on, slower, without it. ({said})")
        # An attack folds what is not compiled.
        self.model._compiled_call_impl = None
        for module, state in zip((self.model, self.objective), before, strict=True):
            module.load_state_dict(state)
        return self._differentiate(x, y)

    def _wait(self) -> None:
        """For the GPU, now and then: its time counts, not that of handing it its work."""
        if self.images.is_cuda and self.is_to_be_looked_at:
            torch.cuda.synchronize(self.images.device)

    @property
    def is_to_be_looked_at(self) -> bool:
        """Now and then, and at the end of an epoch."""
        return 0 in (self.step % _LOOK_EVERY, self.step % self.steps_per_epoch)

    def _batch(self, index: Tensor) -> tuple[Tensor, Tensor]:
        x = data.augment(
            self.images[index],
            crop_padding=self.optimization.crop_padding,
            horizontal_flip=self.optimization.horizontal_flip,
            generator=generator(self.seed, "augment", self.step, device=self.device),
        )
        return x, self.train_split.labels[index]

    @torch.no_grad()
    def _record(self, loss: Loss, total: Tensor, y: Tensor) -> None:
        correct = (loss.logits.argmax(1) == y).float().mean()
        for name, value in {"loss": total, "accuracy": correct, **loss.terms}.items():
            self.sums[name] = self.sums.get(name, torch.zeros((), device=self.device)) + value.detach()
        bad = ~torch.isfinite(total) & (self.first_bad_step < 0)
        self.first_bad_step = torch.where(bad, self.step, self.first_bad_step)

    def _end_epoch(self) -> None:
        means = {name: float(value) / self.steps_per_epoch for name, value in self.sums.items()}
        images = self.steps_per_epoch * min(self.optimization.batch_size, len(self.images))
        # On the way a curve to look at, at the end a result.
        with precision(self.model, torch.float32 if self.step == self.steps else self.precision):
            test_accuracy = accuracy(self.model, self.test_split, batch_size=self.optimization.batch_size)
        self.history.append(
            {
                "epoch": self.step // self.steps_per_epoch,
                **means,
                "test_accuracy": test_accuracy,
                "seconds": self.seconds,
                "images_per_second": images / max(self.seconds, 1e-9),
            }
        )
        if int(self.first_bad_step) < 0:
            self._begin_epoch()

    def state_dict(self) -> dict[str, Any]:
        """All that the rest of the training depends on, and the history so far."""
        return {
            "step": self.step,
            "model": self.model.state_dict(),
            "objective": self.objective.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "sums": self.sums,
            "seconds": self.seconds,
            "history": self.history,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self.step, self.seconds = state["step"], state["seconds"]
        self.history = list(state["history"])
        self.sums = {name: value.to(self.device) for name, value in state["sums"].items()}
        self.model.load_state_dict(state["model"])
        self.objective.load_state_dict(state["objective"])
        self.optimizer.load_state_dict(state["optimizer"])


class _Keeper:
    """Saves a training now and then, and stops it where it must not go on."""

    def __init__(
        self,
        training: _Training,
        directory: Path,
        fingerprint: Mapping[str, Any],
        run: str,
        seconds: float,
    ) -> None:
        self.training, self.directory, self.fingerprint, self.run = training, directory, fingerprint, run
        self.seconds = seconds
        self.saved_at = time.monotonic()
        self.saved_step = training.step

    def after_step(self, stop: threading.Event) -> None:
        """Look for NaN, for the time to save, and for a request to stop."""
        training = self.training
        due = time.monotonic() - self.saved_at >= self.seconds
        if due or stop.is_set() or training.is_to_be_looked_at:
            self._refuse_bad_loss()
        if due or stop.is_set():
            self.save()
        if stop.is_set():
            raise InterruptedTrainingError(
                f"{self.run}: interrupted after step {training.step} of {training.steps}; "
                f"run again to go on from {checkpoint.last_written(self.directory)}"
            )

    def save(self) -> None:
        """Write a checkpoint, unless this step's is there."""
        if self.saved_step == self.training.step and checkpoint.last_written(self.directory):
            return
        checkpoint.write(self.directory, self.training.step, self.training.state_dict(), self.fingerprint)
        self.saved_at, self.saved_step = time.monotonic(), self.training.step

    def _refuse_bad_loss(self) -> None:
        bad = int(self.training.first_bad_step)
        if bad >= 0:
            raise TrainingError(
                f"{self.run}: the loss is NaN or infinite at step {bad} of {self.training.steps}. "
                "Lower training.learning_rate or the method's weight. "
                f"Last good checkpoint: {checkpoint.last_written(self.directory) or 'none yet'}"
            )


def untrained(
    model: Mapping[str, Any], split: data.Split, seed: int, device: str = "cpu"
) -> tuple[Classifier, dict[str, Any]]:
    """A network with initial weights that `seed` decides, normalising by the statistics of `split`.

    Returns:
        The network, and the arguments of `models.build` that make its architecture.
    """
    mean, std = data.statistics(split.images)
    architecture = {
        **model,
        "channels": split.images.shape[1],
        "classes": split.classes,
        "mean": list(mean),
        "std": list(std),
    }
    return weights.initialised(architecture, seed).to(device), architecture


def _objective(settings: TrainingSettings, model: Classifier, seed: int, device: str) -> Objective:
    method = settings.method
    objective = objectives.build(method.objective, method.threat, **method.options)
    objective.prepare(model, generator(seed, "objective state", device=device))
    return objective.to(device)


def _optimizer(model: Classifier, optimization: Optimization) -> torch.optim.Optimizer:
    momentum = optimization.momentum
    extra = {"momentum": momentum, "nesterov": momentum > 0.0} if optimization.optimizer == "sgd" else {}
    optimizer: torch.optim.Optimizer = _OPTIMIZERS[optimization.optimizer](
        model.parameters(), lr=1.0, weight_decay=optimization.weight_decay, fused=True, **extra
    )
    return optimizer


def _compile(model: Classifier, backend: str = "inductor", *, aloud: bool = False) -> None:
    """Let `model(x)`, but not `model.forward(x)`, run as compiled code.

    A training whose first step finds that the compiler fails goes on without it, or `aloud` raises.
    TORCH_COMPILE_DISABLE=1 in the environment turns this off.
    """
    if torch._dynamo.config.disable:
        return
    torch._dynamo.config.suppress_errors = not aloud
    model.compile(dynamic=False, backend=backend)


def _made_by(settings: TrainingSettings, train_split: data.Split, seed: int, code: str) -> dict[str, Any]:
    """What a model's file says of how it was made."""
    return {"settings": settings.to_dict(), "seed": seed, "data": train_split.digest(), "code": code}


def _resume(training: _Training, checkpoints: Path, fingerprint: Mapping[str, Any], run: str) -> None:
    """Go on from the newest checkpoint of the same training, or remove all there are."""
    state = checkpoint.newest(checkpoints, fingerprint, tqdm.write)
    if state is None:
        checkpoint.clear(checkpoints)
    else:
        training.load_state_dict(state)
        tqdm.write(f"{run}: resumed after step {training.step} of {training.steps}")


def _plain(value: Any) -> Any:
    """With lists for tuples: what a checkpoint's reader gives back, so that the two compare."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


@contextmanager
def _stop_requests() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set; the loop ends at the next step instead of in the middle of one."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    previous = [signal.signal(number, lambda *_: stop.set()) for number in signals]
    try:
        yield stop
    finally:
        for number, handler in zip(signals, previous, strict=True):
            signal.signal(number, handler)

"""From files to files: attack the analysed samples once, then measure on them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import torch

from opnorm import data, files, weights
from opnorm.analysis import ON_TEST_SPLIT, REGISTRY
from opnorm.analysis.subject import SAMPLES_AT_ONCE, Samples, Subject, draw_samples
from opnorm.attacks import projected_gradient_ascent
from opnorm.memory import needed_for
from opnorm.modes import prepare_torch
from opnorm.options import resolve
from opnorm.seeding import generator
from opnorm.tables import write_parquet
from opnorm.threat_model import ThreatModel


def attack_runs(
    models: Sequence[str],
    outputs: Sequence[str],
    *,
    test: str,
    dataset: str,
    samples: int,
    seeds: Sequence[int],
    threat: ThreatModel,
    architecture: Mapping[str, Any],
    device: str = "cpu",
    threads: int = 1,
) -> None:
    """Attack the same test samples on each network, and write samples and attacked samples.

    The attacked label is the predicted one, as in the paper.

    Args:
        models, outputs, seeds: one of each per run.
        test: the prepared test split.
        dataset: its name; a split of another one is refused.
        samples: how many test samples, drawn once for all networks; all of them where there are fewer.
        threat: the adversary.
        architecture: what the experiment says of the model; other files are refused.
        device, threads: where to run.
    """
    prepare_torch(threads)
    split = data.read_split(test, dataset)
    index = torch.randperm(len(split), generator=generator(0, "analysed samples"))[:samples]
    x = data.to_unit(split.images[index]).to(device)
    for path, output, seed in zip(models, outputs, seeds, strict=True):
        model = weights.load_model(path, architecture).to(device)
        random = generator(seed, "attacked samples", device=device)
        with needed_for(f"{path}: attacking {len(x)} samples at once", "Lower samples"):
            with torch.no_grad():
                predicted = model(x).argmax(1)
            perturbed = projected_gradient_ascent(model, x, predicted, threat, generator=random)
        tensors = {"index": index, "images": x, "perturbed": perturbed, "attacked_label": predicted}
        files.save_tensors(output, tensors, {"threat": repr(threat)})


def measure_runs(
    analysis: str,
    outputs: Sequence[str],
    *,
    models: Sequence[str],
    adversarial: Sequence[str],
    test: str,
    dataset: str,
    seeds: Sequence[int],
    threat: ThreatModel,
    architecture: Mapping[str, Any],
    options: Mapping[str, Any],
    device: str = "cpu",
    threads: int = 1,
) -> None:
    """Take one measurement on each network, and write its table.

    Args:
        analysis: a name in the registry.
        models, outputs, seeds: one of each per run.
        adversarial: the attacked samples of each run; those in `ON_TEST_SPLIT` take none.
        test: the prepared test split.
        dataset: its name; a split of another one is refused.
        threat: the adversary.
        architecture: what the experiment says of the model; other files are refused.
        options: of the measurement.
        device, threads: where to run.
    """
    prepare_torch(threads)
    measure = resolve(REGISTRY, "analysis", analysis)
    split = data.read_split(test, dataset).to(device)
    if analysis in ON_TEST_SPLIT:
        analysed = (_none_of(split) for _ in models)
    else:
        analysed = (_read_samples(path, device) for path in adversarial)
    for path, samples, output, seed in zip(models, analysed, outputs, seeds, strict=True):
        model = weights.load_model(path, architecture).to(device)
        subject = Subject(
            model=model,
            untrained=weights.initialised(weights.architecture(path), seed).to(device).eval(),
            samples=samples,
            test=split,
            threat=threat,
            seed=seed,
        )
        with needed_for(f"analysis {analysis} of {path}", f"Lower {_size_setting(analysis, measure)}"):
            table = measure(subject, **options)
        write_parquet(table, output)


def _size_setting(analysis: str, measure: Callable[..., Any]) -> str:
    """What decides how much a measurement holds in memory at once."""
    sizes = inspect.signature(measure).parameters.keys() & {"batch_size", "samples"}
    return " or ".join(f"analyses.{analysis}.{name}" for name in sorted(sizes)) or f"samples, below {SAMPLES_AT_ONCE}"


def _read_samples(path: str, device: str) -> Samples:
    tensors, _ = files.load_tensors(path)
    samples = draw_samples(tensors["index"], tensors["images"], tensors["perturbed"])
    return Samples(*(getattr(samples, field.name).to(device) for field in fields(samples)))


def _none_of(split: data.Split) -> Samples:
    """No analysed samples."""
    none = data.to_unit(split.images[:0])
    return draw_samples(split.labels[:0], none, none)

"""Robust accuracy that can be believed: what each of several attacks, an independent one among them, leaves correct."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from opnorm import data, sanity
from opnorm.analysis.subject import Subject
from opnorm.analysis.tidy import tidy
from opnorm.autoattack import attacks
from opnorm.autoattack import autoattack as attacked_by
from opnorm.errors import SettingsError
from opnorm.evaluation import correct, correct_under_ascent
from opnorm.options import Count, Counts, Grid
from opnorm.seeding import derived_seed, generator
from opnorm.threat_model import ThreatModel

Answers = dict[str, Tensor]


def evaluation(
    subject: Subject,
    *,
    l2: Grid = (),
    linf: Grid = (),
    samples: Count = 1000,
    thorough_samples: Count = 1000,
    iterations: Counts = (10, 50, 200),
    restarts: Count = 5,
    autoattack: bool = True,
    batch_size: Count = 500,
) -> pd.DataFrame:
    """Which test samples stay correct under each of several attacks, and under all of them (Sec. 5.1, 5.3).

    A sample that is wrong without an attack is wrong under all of them. All others are attacked by each projected
    gradient ascent, and by AutoAttack as its authors run it: one part after the other, each on what those before it
    left correct. Restarts and AutoAttack, which cost many times as much as a single ascent, may be left to some of the
    samples. What gives reason to doubt the result (`opnorm.sanity`) is written to the log before it.

    Args:
        subject: what to measure on; the samples are drawn from its test split.
        l2, linf: radii of balls, in units of images in [0, 1]; the experiment's own ball is always added, 0 left out.
        samples: how many, drawn once for all networks; all of them where there are fewer.
        thorough_samples: how many of these are attacked from several starts and by AutoAttack too, drawn once as well.
        iterations: of projected gradient ascent: after how many, increasing, it is looked what is left.
        restarts: starts of the longest ascent, all but the first in one batch.
        autoattack: whether to run AutoAttack too.
        batch_size: points attacked at once.

    Returns:
        Columns sample (position in the test split), norm (2 or inf, or the experiment's), epsilon, attack, correct.
        `attack` is "clean" (no attack); "pga_N" (N iterations, one start); "pga_NxR" (R starts); "apgd_ce", "apgd_t",
        "fab_t" and "square" (black-box): after this part of AutoAttack and those before it; "autoattack" (after all
        of them); "worst_case" (correct under everything). Those from "pga_NxR" on are of `thorough_samples`.
    """
    index = evaluated_samples(subject, samples)
    thorough = torch.isin(index, evaluated_samples(subject, min(samples, thorough_samples)))
    x, y = data.to_unit(subject.test.images[index]), subject.test.labels[index]
    doubts, tables = sanity.model_checks(subject.model, x, y, batch_size=batch_size), []
    for threat in balls(subject, l2, linf):
        found = under_ascent(subject, x, y, threat, iterations, batch_size)
        tables.append(answers_table(found, index, threat))
        few = {attack: answers[thorough] for attack, answers in found.items()}
        further = under_restarts(subject, x[thorough], y[thorough], threat, few, iterations, restarts, batch_size)
        if autoattack:
            further |= _under_autoattack(subject, x[thorough], y[thorough], threat, few["clean"], batch_size)
        further["worst_case"] = torch.stack([*few.values(), *further.values()]).all(0)
        tables.append(answers_table(further, index[thorough], threat))
    result = pd.concat(tables, ignore_index=True)
    doubts += sanity.more_iterations(result) + sanity.independent_attack(result) + sanity.black_box_alone(result)
    warn(doubts, subject.seed)
    return result


def evaluated_samples(subject: Subject, count: int) -> Tensor:
    """Positions in the test split (n,), the same for every network, in order."""
    drawn = torch.randperm(len(subject.test), generator=generator(0, "evaluated samples"))[:count]
    return drawn.sort().values.to(subject.test.labels.device)


def balls(subject: Subject, l2: Grid, linf: Grid) -> list[ThreatModel]:
    """The balls of both grids and that of the experiment, of radii above 0, by norm and radius.

    Raises:
        SettingsError: there is none.
    """
    radii = {(2.0, epsilon) for epsilon in l2} | {(math.inf, epsilon) for epsilon in linf}
    radii.add((float(subject.threat.norm), float(subject.threat.epsilon)))
    bounds = subject.threat.bounds
    found = [ThreatModel(norm, epsilon, 1, bounds=bounds) for norm, epsilon in sorted(radii) if epsilon > 0.0]
    if not found:
        raise SettingsError("evaluation, sanity: no ball to attack in; set threat.epsilon, l2 or linf to more than 0")
    return found


def under_ascent(
    subject: Subject, x: Tensor, y: Tensor, threat: ThreatModel, iterations: Counts, batch_size: int
) -> Answers:
    """What stays correct (B,) without an attack, and under "pga_N" for each N, from one start."""
    clean = correct(subject.model, x, y, batch_size=batch_size)
    answers = _ascent(subject, x[clean], y[clean], threat, "pga", looks=iterations, batch_size=batch_size)
    return {"clean": clean} | {
        f"pga_{n}": _among(clean, after[0]) for n, after in zip(iterations, answers, strict=True)
    }


def under_restarts(
    subject: Subject, x: Tensor, y: Tensor, threat: ThreatModel, found: Answers,
    iterations: Counts, restarts: int, batch_size: int,
) -> Answers:  # fmt: skip
    """What of the samples that the longest ascent `found` correct (B,) stays so from all further starts, as "pga_NxR";
    nothing where there is one start."""
    if restarts == 1:
        return {}
    longest, further = iterations[-1:], restarts - 1
    left = found[f"pga_{longest[0]}"]
    random = "pga_restarts"
    answers = _ascent(subject, x[left], y[left], threat, random, looks=longest, starts=further, batch_size=batch_size)
    return {f"pga_{longest[0]}x{restarts}": _among(left, answers[0].all(0))}


def under_attack_of(
    name: str, subject: Subject, x: Tensor, y: Tensor, threat: ThreatModel, left: Tensor, **options: int
) -> Tensor:
    """What of the samples `left` correct (B,) stays correct under one attack of AutoAttack; bool (B,)."""
    seed = derived_seed(subject.seed, _stage(threat, name))
    perturbed = attacked_by(subject.model, x[left], y[left], threat, attack=name, seed=seed, **options)
    return _among(left, correct(subject.model, perturbed, y[left]))


def answers_table(answers: Answers, index: Tensor, threat: ThreatModel) -> pd.DataFrame:
    """Columns sample, norm, epsilon, attack, correct, from attack -> answers (B,) to the samples `index`."""
    table = tidy("correct", torch.stack(list(answers.values()), 1), {"sample": index, "attack": list(answers)})
    table = table.assign(norm=threat.norm, epsilon=threat.epsilon)
    return table[["sample", "norm", "epsilon", "attack", "correct"]]


@torch.no_grad()
def number_of_classes(subject: Subject, x: Tensor) -> int:
    """Of the network, seen on one of the inputs (B, ...)."""
    return int(subject.model(x[:1]).shape[1])


def warn(checks: list[sanity.Check], seed: int) -> None:
    """Write what gives reason to doubt to the log."""
    for check in sanity.failed(checks):
        tqdm.write(f"warning: seed {seed}: robust accuracy may be overestimated: {check}")


def _under_autoattack(
    subject: Subject, x: Tensor, y: Tensor, threat: ThreatModel, clean: Tensor, batch_size: int
) -> Answers:
    left, found = clean, {}
    for name in attacks(number_of_classes(subject, x)):
        left = found[name] = under_attack_of(name, subject, x, y, threat, left, batch_size=batch_size)
    return found | {"autoattack": left}


def _ascent(subject: Subject, x: Tensor, y: Tensor, threat: ThreatModel, stage: str, **options: Any) -> Tensor:
    random = generator(subject.seed, _stage(threat, stage), device=x.device)
    return correct_under_ascent(subject.model, x, y, threat, generator=random, **options)


def _among(chosen: Tensor, answers: Tensor) -> Tensor:
    """`answers` for the `chosen` samples (B,), False for all others."""
    return torch.zeros_like(chosen).masked_scatter(chosen, answers)


def _stage(threat: ThreatModel, attack: str) -> str:
    return f"evaluation/{threat.norm}/{threat.epsilon}/{attack}"

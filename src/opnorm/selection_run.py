"""From files to files: measure what constants are chosen from, and write the choices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from torch import Tensor

from opnorm import data, weights
from opnorm.analysis.worst_case import correct_up_to
from opnorm.memory import MORE_MEMORY, needed_for
from opnorm.models.classifier import Classifier
from opnorm.modes import prepare_torch
from opnorm.selection import EpsilonRule, MatchRule, epsilon_table, match_table
from opnorm.tables import write_csv
from opnorm.threat_model import ThreatModel


def select_epsilon(
    models: Sequence[str],
    output: str,
    *,
    test: str,
    dataset: str,
    seeds: Sequence[int],
    threat: Mapping[str, Any],
    rule: Mapping[str, Any],
    architecture: Mapping[str, Any],
    device: str = "cpu",
    threads: int = 1,
) -> None:
    """Attack the standard model at every radius of the rule, and write which one it chooses.

    Args:
        models, seeds: one of each per run of the standard model.
        output: the table, a csv.
        test: the prepared test split.
        dataset: its name; a split of another one is refused.
        threat: the adversary, without a radius.
        rule: an `EpsilonRule` in plain values.
        architecture: what the experiment says of the model; other files are refused.
        device, threads: where to run.

    Raises:
        SettingsError: no radius will do.
        MemoryShortageError: the samples do not fit in memory.
    """
    prepare_torch(threads)
    split = data.read_split(test, dataset).to(device)
    chosen_by, adversary = EpsilonRule(**rule), ThreatModel(**threat, epsilon=0.0)
    shares = []
    for path, seed in zip(models, seeds, strict=True):
        model = weights.load_model(path, architecture).to(device)
        step = chosen_by.relative_step
        with needed_for(f"{path}: attacking {len(split)} samples", MORE_MEMORY):
            wrong = misclassified(model, split, adversary, chosen_by.grid, seed=seed, relative_step=step)
        shares.append(wrong.double().mean(0).tolist())
    table = pd.DataFrame(shares, columns=list(chosen_by.grid))
    columns = {"misclassified": table.mean(), "seed_std": table.std(ddof=1), "n": len(split)}
    measured = pd.DataFrame(columns).rename_axis("epsilon").reset_index()
    # What is chosen is trained with, and has to be a number of the grid.
    write_csv(epsilon_table(measured, chosen_by), output, exact=True)


def misclassified(
    model: Classifier,
    split: data.Split,
    threat: ThreatModel,
    epsilons: Sequence[float],
    *,
    seed: int,
    relative_step: float | None = None,
) -> Tensor:
    """Which samples are misclassified as they are, or attacked in a ball of each radius or in a smaller one.

    Args:
        model: in evaluation mode.
        split: N samples, on the device of `model`.
        threat: the adversary; its radius does not count.
        epsilons: E radii, ascending.
        seed: of the run, for the attacks' random starts.
        relative_step: alpha / epsilon; None for the step of `threat`.

    Returns:
        bool (N, E).
    """
    radii = (0.0, *epsilons)
    correct = correct_up_to(model, split, threat, radii, relative_step=relative_step, seed=seed, stage="selection")
    return ~correct[:, 1:]


def select_values(
    histories: Iterable[tuple[str, float | None, int, str]],
    outputs: Sequence[str],
    *,
    rules: Mapping[str, Mapping[str, Any]],
) -> None:
    """Compare candidates with the methods that they have to match, and write which value each rule chooses.

    What is compared is the accuracy at the end of each training on the split that it was not trained on.

    Args:
        histories: method, value (None for a method that others match), seed and history of each training.
        outputs: for each rule the table, a csv.
        rules: for each method a `MatchRule` in plain values.
    """
    rows = [(*run, float(pd.read_csv(path)["test_accuracy"].iloc[-1])) for *run, path in histories]
    runs = pd.DataFrame(rows, columns=["method", "value", "seed", "accuracy"]).astype({"value": float})
    for (method, values), output in zip(rules.items(), outputs, strict=True):
        rule = MatchRule(**values)
        target = runs.loc[(runs["method"] == rule.match) & runs["value"].isna(), "accuracy"].mean()
        candidates = runs[(runs["method"] == method) & runs["value"].notna()].groupby("value")["accuracy"]
        measured = candidates.agg(accuracy="mean", seed_std="std").rename_axis(rule.option).reset_index()
        write_csv(match_table(measured, rule, float(target)), output, exact=True)

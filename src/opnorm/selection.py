"""Constants that the data choose: the rules by which the paper chose them, on tables of what was measured.

Nothing here imports torch or pandas: the rules are read and the choices looked up wherever an experiment is planned.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from opnorm.errors import FileError, SettingsError

if TYPE_CHECKING:
    import pandas as pd

SHARE = 0.99
"""Of the standard model's test inputs, where an experiment asks for no other."""

_L2_GRID = tuple(k / 8.0 for k in (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32))
EPSILONS: dict[float, tuple[float, ...]] = {
    1.0: tuple(8.0 * epsilon for epsilon in _L2_GRID),
    2.0: _L2_GRID,
    math.inf: tuple(k / 255.0 for k in (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64)),
}
"""Radii to choose from, by the norm, where an experiment names none."""

VALIDATION = 0.1
"""Of the training split, held out to compare candidates on."""

EPSILON_KEY = "threat.epsilon"

# Means of the same counts may differ in the last digits.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class EpsilonRule:
    """The smallest epsilon at which almost all inputs to the standard model are misclassified (Sec. 5.1).

    Attributes:
        standard: the method whose networks are the standard model.
        grid: radii to choose from, ascending.
        share: what counts as almost all.
        relative_step: alpha / epsilon of the attack; None for the step of the experiment's.
        chosen: what the rule is said to choose; None where the workflow has to find out.
    """

    standard: str
    grid: tuple[float, ...]
    share: float = SHARE
    relative_step: float | None = None
    chosen: float | None = None


@dataclass(frozen=True)
class MatchRule:
    """The value of an option at which a method's clean accuracy is closest to that of another method.

    Attributes:
        option: of the method's objective.
        match: the other method.
        grid: values to choose from, ascending.
        chosen: what the rule is said to choose; None where the workflow has to find out.
    """

    option: str
    match: str
    grid: tuple[float, ...]
    chosen: float | None = None


@dataclass(frozen=True)
class Taken:
    """An option whose number is that of another method.

    Attributes:
        method: which takes it.
        option: of both methods' objectives.
        of: the other method, which has a number or a `MatchRule` there.
    """

    method: str
    option: str
    of: str

    @property
    def key(self) -> str:
        """The place of the option in the experiment file."""
        return option_key(self.method, self.option)

    @property
    def source(self) -> str:
        """The place of the number that is taken."""
        return option_key(self.of, self.option)


@dataclass(frozen=True)
class Choice:
    """One constant that a rule chooses.

    Attributes:
        key: its place in the experiment file.
        table: the name of the table of its candidates.
        column: of their values there.
        number: what the experiment file says that the rule chooses; None where the workflow has to find out.
    """

    key: str
    table: str
    column: str
    number: float | None


@dataclass(frozen=True)
class Selection:
    """The rules of an experiment, and what its candidates are trained and compared on.

    Attributes:
        epsilon: how the experiment's radius is chosen; None where it is no matter of a rule.
        matches: how an option of some methods is chosen, by the method's name.
        taken: the options whose numbers are those of other methods.
        validation: fraction of the training split that candidates are not trained but compared on.
        seeds: of the candidates' trainings.
    """

    epsilon: EpsilonRule | None = None
    matches: Mapping[str, MatchRule] = field(default_factory=dict)
    taken: tuple[Taken, ...] = ()
    validation: float = VALIDATION
    seeds: tuple[int, ...] = ()

    def choices(self) -> list[Choice]:
        """What the rules choose, the radius first."""
        radius = [] if self.epsilon is None else [Choice(EPSILON_KEY, "epsilon", "epsilon", self.epsilon.chosen)]
        options = [
            Choice(option_key(method, rule.option), method, rule.option, rule.chosen)
            for method, rule in self.matches.items()
        ]
        return [*radius, *options]

    @property
    def is_open(self) -> bool:
        """Whether something has to be chosen before the experiment can go on."""
        return any(choice.number is None for choice in self.choices())

    def awaited(self, *methods: str) -> list[Choice]:
        """The choices that have to be made before `methods` are trained, without any before networks are measured."""
        tables = set(methods)
        if not methods or not all(map(self.is_standard, methods)):
            tables.add("epsilon")
        sources = {taken.source for taken in self.taken if taken.method in methods}
        waiting = [choice for choice in self.choices() if choice.number is None]
        return [choice for choice in waiting if choice.table in tables or choice.key in sources]

    def is_standard(self, method: str) -> bool:
        """Whether the radius is yet to be chosen on the networks of `method`."""
        return self.epsilon is not None and self.epsilon.chosen is None and self.epsilon.standard == method

    def candidates(self) -> list[tuple[str, float | None, int]]:
        """The trainings that are compared: method, value, seed; without a value for a method that others match."""
        references = dict.fromkeys((rule.match, None) for rule in self.matches.values())
        values = [(method, value) for method, rule in self.matches.items() for value in rule.grid]
        return [(*candidate, seed) for candidate in (*references, *values) for seed in self.seeds]


def option_key(method: str, option: str) -> str:
    """The place of a method's option in the experiment file."""
    return f"methods.{method}.{option}"


def choose_epsilon(table: pd.DataFrame, share: float) -> float:
    """The smallest epsilon in `table` (columns epsilon, misclassified) at which at least `share` are misclassified.

    Raises:
        SettingsError: there is none; names the largest share that was reached.
    """
    reached = table.loc[table["misclassified"] >= share - _ROUNDING, "epsilon"]
    if reached.empty:
        largest = float(table["misclassified"].max())
        place = float(table.loc[table["misclassified"] == largest, "epsilon"].min())
        raise SettingsError(
            f"{EPSILON_KEY}: no radius of the grid has {100 * share:g} % of the standard model's test inputs "
            f"misclassified: the largest share is {100 * largest:.4g} %, at {place:g}. "
            "Add larger radii to `select`, raise `threat.iterations`, or lower `share`"
        )
    return float(reached.min())


def choose_value(table: pd.DataFrame, option: str, target: float) -> float:
    """The value in `table` (columns `option`, accuracy) whose accuracy is closest to `target`; of several the largest.

    Where accuracy hardly depends on a weight, the largest is the strongest regulariser that costs no more.
    """
    distance = (table["accuracy"] - target).abs()
    return float(table.loc[distance <= distance.min() + _ROUNDING, option].max())


def epsilon_table(measured: pd.DataFrame, rule: EpsilonRule) -> pd.DataFrame:
    """What `choose_epsilon` chooses, and from what.

    Args:
        measured: columns epsilon, misclassified, seed_std, n; the share of inputs, its spread over seeds, and how many.
        rule: with the share that is asked for.

    Returns:
        The same, ascending, with the columns share, chosen (a row is True) and warning (words, in that row).

    Raises:
        SettingsError: no radius will do.
    """
    table = measured.sort_values("epsilon", ignore_index=True).assign(share=rule.share)
    chosen = choose_epsilon(table, rule.share)
    below = chosen == min(rule.grid)
    return _marked(table, "epsilon", chosen, "the smallest of the grid: a smaller one may do" if below else "")


def match_table(measured: pd.DataFrame, rule: MatchRule, target: float) -> pd.DataFrame:
    """What `choose_value` chooses, and from what.

    Args:
        measured: columns `rule.option`, accuracy, seed_std: on validation data, the mean and its spread over seeds.
        rule: of a method.
        target: the accuracy of the method to match.

    Returns:
        The same, ascending, with the columns match, target, chosen (a row is True) and warning (words, in that row).
    """
    table = measured.sort_values(rule.option, ignore_index=True).assign(match=rule.match, target=target)
    chosen = choose_value(table, rule.option, target)
    words = [end for end, edge in (("smallest", min), ("largest", max)) if chosen == edge(rule.grid)]
    warning = f"the {' and '.join(words)} of the grid: one beyond it may match better" if words else ""
    return _marked(table, rule.option, chosen, warning)


def read_choice(path: str, column: str) -> float:
    """The value in `column` of the row that is marked as chosen, in a csv of `epsilon_table` or `match_table`.

    Raises:
        FileNotFoundError: it is not there yet.
        FileError: not such a table.
    """
    with Path(path).open(encoding="utf-8", newline="") as file:
        chosen = [row for row in csv.DictReader(file) if row.get("chosen") == "True"]
    if len(chosen) != 1 or not chosen[0].get(column):
        raise FileError(f"{path}: not a table of a choice; delete it and run again")
    return float(chosen[0][column])


def comparison(choices: Iterable[tuple[Choice, str]], taken: Iterable[Taken] = ()) -> str:
    """For each choice, given with the path of its table, a line: what the rule chooses, and what the file has.

    Then a line for each number that is taken: whose it is.
    """
    lines = [_compare(choice, path) for choice, path in choices]
    return "".join([*lines, *(f"{number.key}: that of {number.of}\n" for number in taken)])


def _compare(choice: Choice, path: str) -> str:
    value = read_choice(path, choice.column)
    if choice.number is None:
        verdict = "which is used"
    elif math.isclose(choice.number, value, rel_tol=1e-9):
        verdict = "as the experiment file has it"
    else:
        verdict = f"but the experiment file has {choice.number:g}"
    return f"{choice.key}: the rule chooses {value:g}, {verdict} ({path})\n"


def _marked(table: pd.DataFrame, column: str, chosen: float, warning: str) -> pd.DataFrame:
    is_chosen = table[column] == chosen
    return table.assign(chosen=is_chosen, warning=[warning if row else "" for row in is_chosen])

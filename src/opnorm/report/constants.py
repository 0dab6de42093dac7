"""What a report says of the constants that decide a comparison: the radius, and the weights of regularisers."""

from __future__ import annotations

from collections.abc import Iterator

from opnorm.report.contents import Constant
from opnorm.report.tables import written
from opnorm.selection import EpsilonRule, MatchRule
from opnorm.settings import Experiment, Method

WEIGHT = "weight"
"""The option by which regularisers are matched (Sec. 5.1)."""


def constants(experiment: Experiment) -> tuple[Constant, ...]:
    """The radius and, method by method, what a rule chooses, a radius of its own, and the weight of its regulariser.

    Args:
        experiment: with numbers for what its rules choose.
    """
    return (_radius(experiment), *(found for method in experiment.methods for found in _of_method(method, experiment)))


def _radius(experiment: Experiment) -> Constant:
    value, rule = experiment.threat.epsilon, experiment.selection.epsilon
    name = f"Radius ε, l{experiment.threat.norm:g}"
    if rule is None:
        return Constant(name, value)
    return Constant(name, value, _epsilon_words(rule, experiment), rule.grid, rule.chosen is not None, "epsilon")


def _of_method(method: Method, experiment: Experiment) -> Iterator[Constant]:
    ball, rule = experiment.threat, experiment.selection.matches.get(method.name)
    if (method.threat.norm, method.threat.epsilon) != (ball.norm, ball.epsilon):
        yield Constant(f"{method.label}: radius ε, l{method.threat.norm:g}", method.threat.epsilon)
    if rule is not None:
        words = _match_words(rule, experiment)
        name, value = f"{method.label}: {rule.option.replace('_', ' ')}", method.options[rule.option]
        yield Constant(name, value, words, rule.grid, rule.chosen is not None, method.name)
    if WEIGHT in method.options and (rule is None or rule.option != WEIGHT):
        yield _weight(method, experiment)


def _weight(method: Method, experiment: Experiment) -> Constant:
    """A weight that no rule of the method's own chooses: given, or that of another method whose rule does."""
    name, value, selection = f"{method.label}: {WEIGHT}", method.options[WEIGHT], experiment.selection
    for taken in selection.taken:
        rule = selection.matches.get(taken.of)
        if (taken.method, taken.option) == (method.name, WEIGHT) and rule is not None and rule.option == WEIGHT:
            words = f"that of {experiment.method(taken.of).label}"
            return Constant(name, value, words, rule.grid, rule.chosen is not None, taken.of)
    return Constant(name, value)


def _epsilon_words(rule: EpsilonRule, experiment: Experiment) -> str:
    steps = "" if rule.relative_step is None else f", in steps of {written(rule.relative_step)} times the radius"
    label = experiment.method(rule.standard).label
    return (
        f"smallest radius at which {written(100 * rule.share)} % of the test inputs to {label} are misclassified{steps}"
    )


def _match_words(rule: MatchRule, experiment: Experiment) -> str:
    held_out = written(100 * experiment.selection.validation)
    label = experiment.method(rule.match).label
    return f"clean accuracy closest to that of {label}, on {held_out} % of the training data, held out"

"""Rules in an experiment file, in the place of numbers: `epsilon: select`, `weight: {match: ..., grid: [...]}`.

And `weight: {of: ...}`, which takes another method's number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opnorm import objectives, options
from opnorm.errors import SettingsError
from opnorm.selection import EPSILON_KEY, EPSILONS, EpsilonRule, MatchRule, Selection, Taken, option_key

Values = dict[str, Any]

STANDARD = "standard"
"""The objective on whose networks a radius is chosen, and which has no use for one."""

RULE_KEYS = ("match", "grid", "chosen", "of")
"""Of a rule in the place of an option."""


def read_selection(values: Values) -> Selection:
    """The rules in an experiment file whose structure has been checked.

    Raises:
        SettingsError: names the key, what is wrong with it, and what is known.
    """
    methods = values["methods"]
    rules = {name: _match_rule(name, methods) for name in methods}
    matches = {name: rule for name, rule in rules.items() if rule is not None}
    given = values.get("selection", {})
    return Selection(
        epsilon=_epsilon_rule(values),
        matches=matches,
        taken=_all_taken(methods, matches),
        seeds=tuple(int(seed) for seed in given.get("seeds", values["seeds"])),
        **{key: value for key, value in given.items() if key != "seeds"},
    )


def with_numbers(values: Values, selection: Selection, choices: Mapping[str, float]) -> Values:
    """The experiment file with a number for each rule: of `choices`, else the file's, else a stand-in from the grid."""
    threat, methods = dict(values["threat"]), {name: dict(given) for name, given in values["methods"].items()}
    if selection.epsilon is not None:
        threat["epsilon"] = _number(EPSILON_KEY, selection.epsilon, choices)
    for method, rule in selection.matches.items():
        methods[method][rule.option] = _number(option_key(method, rule.option), rule, choices)
    for taken in selection.taken:
        methods[taken.method][taken.option] = methods[taken.of][taken.option]
    return {**values, "threat": threat, "methods": methods}


def _number(key: str, rule: EpsilonRule | MatchRule, choices: Mapping[str, float]) -> float:
    given = choices.get(key, rule.chosen)
    return rule.grid[0] if given is None else given


def _epsilon_rule(values: Values) -> EpsilonRule | None:
    given, norm = values["threat"]["epsilon"], values["threat"]["norm"]
    if given == "select":
        given = {"select": None}
    if not isinstance(given, Mapping) or norm not in EPSILONS:
        return None
    standard = [name for name, method in values["methods"].items() if method["objective"] == STANDARD]
    if not standard:
        raise SettingsError(f"{EPSILON_KEY}: select looks at the standard model: add a method of objective standard")
    grid = tuple(sorted(float(epsilon) for epsilon in given["select"] or EPSILONS[norm]))
    rest = {key: value for key, value in given.items() if key != "select"}
    return EpsilonRule(standard[0], grid, **rest)


def _match_rule(method: str, methods: Mapping[str, Values]) -> MatchRule | None:
    found = [option for option, given in methods[method].items() if _is_rule(option, given)]
    if not found:
        return None
    option, where = found[0], option_key(method, found[0])
    given = methods[method][option]
    if len(found) > 1:
        raise SettingsError(f"{where}: only one option of a method can be matched, not {', '.join(found)} at once")
    for key in given:
        if key not in RULE_KEYS:
            raise SettingsError(f"{where}.{key}: unknown key{options.suggest(key, RULE_KEYS)}")
    for key in ("match", "grid"):
        if key not in given:
            raise SettingsError(f"{where}.{key}: missing")
    if method == "epsilon":
        raise SettingsError(f"{where}: the table of radii has the name of this method; give the method another")
    _check_match(f"{where}.match", given["match"], method, methods)
    grid = _check_grid(f"{where}.grid", given["grid"], methods[method]["objective"], option)
    return MatchRule(option, given["match"], grid, given.get("chosen"))


def _is_rule(option: str, given: object) -> bool:
    return option != "threat" and isinstance(given, Mapping) and "of" not in given


def _is_taken(option: str, given: object) -> bool:
    return option != "threat" and isinstance(given, Mapping) and "of" in given


def _all_taken(methods: Mapping[str, Values], matches: Mapping[str, MatchRule]) -> tuple[Taken, ...]:
    found = [
        Taken(method, option, _source(option, (method,), methods))
        for method, options_given in methods.items()
        for option, given in options_given.items()
        if _is_taken(option, given)
    ]
    for taken in found:
        rule = matches.get(taken.of)
        if rule is not None and rule.option == taken.option:
            _check_taken(taken, rule, methods[taken.method]["objective"], matches)
    return tuple(found)


def _source(option: str, chain: tuple[str, ...], methods: Mapping[str, Values]) -> str:
    """The method at the end of a chain of methods, each of which takes its number of an option from the next."""
    place, given = option_key(chain[-1], option), methods[chain[-1]][option]
    if not _is_taken(option, given):
        return chain[-1]
    for key in given:
        if key != "of":
            raise SettingsError(f"{place}.{key}: not beside `of`, which takes a number as it is")
    other, where = given["of"], f"{place}.of"
    if other not in list(methods):
        raise SettingsError(f"{where}: unknown name {other!r}{options.suggest(str(other), methods)}")
    if other in chain:
        raise SettingsError(f"{where}: the chain {' -> '.join((*chain, other))} ends in no number")
    if option not in methods[other]:
        raise SettingsError(f"{where}: {other} has no {option} in this file")
    end = methods[other][option]
    if not isinstance(end, int | float | Mapping) or isinstance(end, bool):
        raise SettingsError(f"{where}: {other} has no number there, but {end!r}")
    return _source(option, (*chain, other), methods)


def _check_taken(taken: Taken, rule: MatchRule, objective: str, matches: Mapping[str, MatchRule]) -> None:
    """Refuse what a rule may choose and the taking method cannot have, and what it would have to choose first."""
    _check_grid(taken.key, rule.grid, objective, taken.option)
    if taken.method in matches or taken.method in [other.match for other in matches.values()]:
        raise SettingsError(
            f"{taken.key}: {taken.method} is compared before the rule of {taken.source} has chosen; give it a number"
        )


def _check_match(where: str, match: object, method: str, methods: Mapping[str, Values]) -> None:
    others = [name for name in methods if name != method]
    if match not in others:
        raise SettingsError(f"{where}: unknown name {match!r}{options.suggest(str(match), others)}")
    if any(_is_rule(option, given) for option, given in methods[str(match)].items()):
        raise SettingsError(f"{where}: {match} is itself matched with another method; match that one")


def _check_grid(where: str, grid: object, objective: str, option: str) -> tuple[float, ...]:
    values = dict.fromkeys(options.check_value(grid, options.Grid, where))
    entry = objectives.REGISTRY.get(objective)
    known = options.options_of(entry) if entry is not None else {}
    if option in known:
        for value in values:
            options.check_value(value, known[option].annotation, where)
    return tuple(values)

"""Options of methods, models and data sets: the keyword arguments of their constructors, checked before anything runs.

A constructor's keyword-only parameters, annotated with the types below, are all there is to declare: an experiment
file is checked against them from the source text, so that neither torch nor the module has to be imported.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from opnorm.errors import SettingsError

Norm = Annotated[float, "norm"]
Positive = Annotated[float, "positive"]
NonNegative = Annotated[float, "non-negative"]
Fraction = Annotated[float, "fraction"]
Count = Annotated[int, "count"]
Size = Annotated[int, "size"]
Grid = Annotated[tuple[float, ...], "grid"]
Counts = Annotated[tuple[int, ...], "counts"]

_RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "norm": (lambda x: x in (1.0, 2.0, math.inf), "1, 2 or inf"),
    "positive": (lambda x: 0.0 < x < math.inf, "a number above 0"),
    "non-negative": (lambda x: 0.0 <= x < math.inf, "a number of at least 0"),
    "fraction": (lambda x: 0.0 <= x <= 1.0, "a number between 0 and 1"),
    "count": (lambda x: x >= 1, "a whole number of at least 1"),
    "size": (lambda x: x >= 0, "a whole number of at least 0"),
}


@dataclass(frozen=True)
class Option:
    """One keyword argument: its type, whether it has to be given, and what it is otherwise."""

    name: str
    annotation: Any
    required: bool
    default: Any = None


def number(value: object) -> object:
    """YAML reads `inf` and `1e-3` as text; this reads them as numbers. Anything else is returned as it is."""
    if not isinstance(value, str):
        return value
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def check_value(value: object, annotation: Any, where: str) -> Any:
    """`value` as `annotation` asks for it.

    Raises:
        SettingsError: it is of another type, out of range, or not among the choices; names `where`.
    """
    if get_origin(annotation) is Literal:
        choices = get_args(annotation)
        if value not in choices:
            raise SettingsError(f"{where}: {value!r} is not one of {', '.join(map(str, choices))}")
        return value
    if get_origin(annotation) is Annotated:
        kind, name = get_args(annotation)
        if name == "grid":
            return _check_grid(value, where)
        if name == "counts":
            return _check_counts(value, where)
        fits, words = _RANGES[name]
        value = number(value)
        if kind is int and isinstance(value, float) and value.is_integer():
            value = int(value)
        if not _is_a(value, kind) or not fits(value):
            raise SettingsError(f"{where}: {value!r} is not {words}")
        return kind(value)
    if not _is_a(number(value) if annotation is float else value, annotation):
        raise SettingsError(f"{where}: {value!r} is not of type {annotation.__name__}")
    return annotation(value)


def check_options(values: Mapping[str, object], entry: str, where: str) -> dict[str, Any]:
    """`values` as the keyword arguments of the constructor at `entry` ("package.module:Name").

    Raises:
        SettingsError: unknown, missing or unusable option; names `where` and the option.
    """
    options = options_of(entry)
    for name in values:
        if name not in options and name in {argument.arg for argument in _constructor(entry).args.kwonlyargs}:
            raise SettingsError(f"{where}.{name}: its annotation in {entry} is not the plain name of a type of options")
        if name not in options:
            raise SettingsError(f"{where}.{name}: unknown key{suggest(name, options)}")
    for option in options.values():
        if option.required and option.name not in values:
            raise SettingsError(f"{where}.{option.name}: missing")
    # In order of their names, so that the order in the file makes no difference to what is remembered of it.
    return {name: _check_option(values[name], options[name], f"{where}.{name}") for name in sorted(values)}


def with_defaults(values: Mapping[str, Any], entry: str) -> dict[str, Any]:
    """`values`, as `check_options` returns them, and what all other options of the constructor at `entry` are then."""
    return {option.name: values.get(option.name, option.default) for option in options_of(entry).values()}


def suggest(name: str, known: Any) -> str:
    """'; did you mean X?' or '; known: ...', to follow the complaint about an unknown `name`."""
    names = sorted(map(str, known))
    close = difflib.get_close_matches(str(name), names, n=1)
    return f"; did you mean {close[0]}?" if close else f"; known: {', '.join(names) or 'none'}"


@cache
def options_of(entry: str) -> dict[str, Option]:
    """The options that the constructor at `entry` takes from an experiment file, by name.

    They are its annotated keyword-only parameters, read from the source without importing it; parameters whose
    annotation is not an option type are for the caller to fill in.
    """
    found: dict[str, Option] = {}
    arguments = _constructor(entry).args
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        annotation = _option_type(argument.annotation)
        if annotation is not None:
            found[argument.arg] = Option(
                argument.arg, annotation, default is None, default and ast.literal_eval(default)
            )
    return found


def resolve(registry: Mapping[str, str], kind: str, name: str) -> Any:
    """The object that `registry` lists as `name`, imported now.

    Raises:
        SettingsError: no such name.
    """
    if name not in registry:
        raise SettingsError(f"unknown {kind} {name!r}{suggest(name, registry)}")
    module, attribute = registry[name].split(":")
    return getattr(importlib.import_module(module), attribute)


def _constructor(entry: str) -> ast.FunctionDef:
    """The function at `entry`, or the `__init__` of the class there; one without arguments where it has none."""
    module, name = entry.split(":")
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise SettingsError(f"REGISTRY: {entry!r}: there is no module {module}")
    body = ast.parse(Path(spec.origin).read_text(encoding="utf-8"), filename=spec.origin).body
    nodes = {n.name: n for n in body if isinstance(n, ast.ClassDef | ast.FunctionDef)}
    if name not in nodes:
        raise SettingsError(f"REGISTRY: {entry!r}: {spec.origin} defines no {name}{suggest(name, nodes)}")
    node = nodes[name]
    if isinstance(node, ast.FunctionDef):
        return node
    methods = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
    return methods[0] if methods else ast.parse("def __init__(self): ...").body[0]  # type: ignore[return-value]


def _check_option(value: object, option: Option, where: str) -> Any:
    # An empty list where that is what the constructor takes by itself.
    if isinstance(value, list | tuple) and not value and option.default == ():
        return ()
    return check_value(value, option.annotation, where)


def _check_grid(value: object, where: str) -> tuple[float, ...]:
    values = [number(x) for x in value] if isinstance(value, list | tuple) else []
    if not values or not all(_is_a(x, float) and 0.0 <= x < math.inf for x in values):  # type: ignore[operator]
        raise SettingsError(f"{where}: {value!r} is not a list of one or more numbers of at least 0")
    return tuple(sorted(float(x) for x in values))  # type: ignore[arg-type]


def _check_counts(value: object, where: str) -> tuple[int, ...]:
    values = [number(x) for x in value] if isinstance(value, list | tuple) else []
    if not values or not all(_is_a(x, int) and x >= 1 for x in values):  # type: ignore[operator]
        raise SettingsError(f"{where}: {value!r} is not a list of one or more whole numbers of at least 1")
    return tuple(sorted(set(values)))  # type: ignore[arg-type]


def _is_a(value: object, kind: type) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)


_TYPES: dict[str, Any] = {
    "Norm": Norm, "Positive": Positive, "NonNegative": NonNegative, "Fraction": Fraction, "Count": Count,
    "Size": Size, "Grid": Grid, "Counts": Counts, "bool": bool, "str": str,
}  # fmt: skip


def _option_type(annotation: ast.expr | None) -> Any:
    if isinstance(annotation, ast.Name):
        return _TYPES.get(annotation.id)
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Literal":
        choices = ast.literal_eval(annotation.slice)
        return Literal[choices]
    return None

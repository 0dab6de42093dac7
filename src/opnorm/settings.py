"""The experiment file as frozen values, checked once; nothing further down reads a configuration."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from opnorm import analysis, datasets, figures, models, objectives, options
from opnorm.errors import SettingsError
from opnorm.selection import Selection
from opnorm.selection_settings import read_selection, with_numbers
from opnorm.threat_model import ThreatModel

if TYPE_CHECKING:
    import jsonschema

Values = dict[str, Any]

# Of a training that has no use for an adversary; its radius may be chosen on the networks that come of it.
_NO_ADVERSARY = ThreatModel(norm=2.0, epsilon=0.0, iterations=1)

# What is text, though it may look like a number.
_TEXTS = ("label", "data_root")

# A method's keys in experiment files that are no options of its objective.
_OF_METHODS = ("label", "objective", "threat", "group", "seeds")

Optimizer = Literal["adam", "adamw", "sgd"]
Schedule = Literal["one_cycle", "cosine", "constant"]
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Optimization:
    """How the one training loop runs.

    Attributes:
        epochs: passes over the training split.
        batch_size: images per step.
        optimizer: "adam", "adamw" or "sgd" (with Nesterov momentum).
        learning_rate: the highest of the schedule.
        schedule: "one_cycle" (linear rise, then linear fall to zero), "cosine" or "constant".
        warmup: fraction of the steps in which "one_cycle" and "cosine" rise.
        momentum: of "sgd".
        weight_decay: of the optimiser.
        crop_padding: pixels of zero padding before a random crop; 0 for none.
        horizontal_flip: mirror half of the images.
        precision: of the convolutions; weights, norms, losses and every evaluation are in float32.

    Raises:
        SettingsError: an optimizer, schedule or precision of another name.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    optimizer: Optimizer = "adam"
    schedule: Schedule = "one_cycle"
    warmup: float = 0.2
    momentum: float = 0.9
    weight_decay: float = 0.0
    crop_padding: int = 0
    horizontal_flip: bool = False
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        for name, known in (("optimizer", Optimizer), ("schedule", Schedule), ("precision", Precision)):
            _known(f"training.{name}", getattr(self, name), get_args(known))


@dataclass(frozen=True)
class Method:
    """A training method of the experiment: an objective, its options, and the adversary it has in mind.

    Attributes:
        name: its key in the experiment file.
        label: what legends call it; no part of what decides a trained network.
        objective: a name in the registry of objectives.
        options: of the objective.
        threat: the adversary of its training.
        group: which figures draw it; no part of what decides a trained network.
        seeds: one training each; which others there are is no part of what decides a trained network.
    """

    name: str
    label: str = field(compare=False)
    objective: str
    options: Values
    threat: ThreatModel
    group: str = field(default=figures.MAIN, compare=False)
    seeds: tuple[int, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class TrainingSettings:
    """All that decides a trained network, but for its seed, the data and the code."""

    dataset: str
    model: Values
    method: Method
    optimization: Optimization

    def to_dict(self) -> Values:
        """Plain values, for Snakemake's params and for files."""
        values = asdict(self)
        for of_figures in ("label", "group", "seeds"):
            del values["method"][of_figures]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainingSettings:
        """The inverse of `to_dict`, with a method's name as its label."""
        method = {"label": values["method"]["name"], **values["method"]}
        method["threat"] = threat_from_dict(method["threat"])
        return cls(values["dataset"], values["model"], Method(**method), Optimization(**values["optimization"]))


@dataclass(frozen=True)
class Experiment:
    """A whole experiment file.

    Where a rule chooses a constant and the file has no number for it, a candidate stands in; `with_choices` gives the
    experiment with what was chosen.
    """

    name: str
    dataset: str
    data_root: str
    model: Values
    seeds: tuple[int, ...]
    threat: ThreatModel
    optimization: Optimization
    methods: tuple[Method, ...]
    samples: int
    analyses: dict[str, Values]
    selection: Selection
    config: Values = field(repr=False, compare=False)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], schema: Mapping[str, Any] | None, source: str) -> Experiment:
        """Check an experiment file and turn it into values.

        Args:
            config: what the file says.
            schema: the JSON schema of experiment files; None where jsonschema is not installed: then only names and
                options are checked.
            source: the file's name, for messages.

        Raises:
            SettingsError: names the file, the key, what is wrong and what is known.
        """
        try:
            if schema is not None:
                check_schema(config, schema)
            return _experiment(_numbers_read(config), {})
        except SettingsError as error:
            raise SettingsError(f"{source}: {error}") from None

    def with_choices(self, choices: Mapping[str, float]) -> Experiment:
        """The same with numbers for what its rules choose, by their keys (`opnorm.selection.Choice`)."""
        return _experiment(self.config, choices)

    def training(self, name: str, value: float | None = None) -> TrainingSettings:
        """What the rule that trains a method is given.

        Args:
            name: of the method.
            value: of the option that a rule chooses, for a candidate.
        """
        method = self.method(name)
        if value is not None:
            chosen = {**method.options, self.selection.matches[name].option: value}
            entry = objectives.REGISTRY[method.objective]
            # A grid is of floats, whatever its option is of.
            method = replace(method, options=options.check_options(chosen, entry, f"methods.{name}"))
        used = objectives.USED_OF_THREAT.get(method.objective)
        if used is not None:
            kept = {name: getattr(method.threat, name) for name in used}
            method = replace(method, threat=replace(_NO_ADVERSARY, **kept))
        return TrainingSettings(self.dataset, self.model, method, self.optimization)

    def method(self, name: str) -> Method:
        """The method called `name`."""
        return next(method for method in self.methods if method.name == name)

    def methods_of(self, *groups: str) -> tuple[Method, ...]:
        """The methods of some groups, those of the main one first, so that they look alike in all figures."""
        chosen = [method for method in self.methods if method.group in groups]
        return tuple(sorted(chosen, key=lambda method: method.group != figures.MAIN))

    def runs(self, *groups: str) -> list[tuple[str, int]]:
        """Method and seed of each training of some groups."""
        return [(method.name, seed) for method in self.methods_of(*groups) for seed in method.seeds]

    def figures(self) -> list[str]:
        """The figures for which there is something to draw: their analysis, and a method of each of their groups."""
        drawn = {method.group for method in self.methods}
        entries = figures.REGISTRY.items()
        return [name for name, entry in entries if entry.analysis in self.analyses and drawn.issuperset(entry.groups)]


def threat_from_dict(values: Mapping[str, Any]) -> ThreatModel:
    """A threat model from plain values, as `dataclasses.asdict` gives them."""
    bounds = values.get("bounds", (0.0, 1.0))
    return ThreatModel(**{**values, "bounds": None if bounds is None else tuple(bounds)})


def check_schema(config: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """Structure, names and ranges, by the JSON schema.

    Raises:
        SettingsError: every violation, one a line, each with its key.
    """
    import jsonschema

    validator = jsonschema.Draft202012Validator(_numbers_read(schema))
    errors = sorted(validator.iter_errors(_numbers_read(config)), key=lambda error: list(map(str, error.path)))
    if errors:
        raise SettingsError("\n".join(_describe(error) for error in errors))


def _numbers_read(value: Any) -> Any:
    """The same with plain containers, and with YAML's `1e-3` and `inf` as the numbers that they are meant to be."""
    if isinstance(value, Mapping):
        return {key: item if key in _TEXTS else _numbers_read(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_numbers_read(item) for item in value]
    value = options.number(value)
    # NaN passes every comparison with a limit; as a word it is refused as not being a number.
    return str(value) if isinstance(value, float) and math.isnan(value) else value


def _describe(error: jsonschema.ValidationError) -> str:
    where = ".".join(map(str, error.absolute_path))
    rule: Any = error.schema
    if error.validator == "additionalProperties":
        known = rule.get("properties", {})
        unknown = [key for key in cast(Values, error.instance) if key not in known]
        dot = "." if where else ""
        return "\n".join(f"{where}{dot}{key}: unknown key{options.suggest(key, known)}" for key in unknown)
    if error.validator == "required":
        return f"{where or 'top level'}: {error.message.replace(' is a required property', ' is missing')}"
    words = rule.get("description", "")
    return f"{where}: {error.instance!r} is not allowed here" + (f"; it is {words}" if words else "")


def _experiment(config: Values, choices: Mapping[str, float]) -> Experiment:
    selection = read_selection(config)
    values = with_numbers(config, selection, choices)
    return Experiment(
        name=values["experiment"],
        dataset=_known("dataset", values["dataset"], datasets.REGISTRY),
        data_root=values.get("data_root", "data"),
        model=_named("model", values["model"], models.REGISTRY),
        seeds=_seeds(values["seeds"]),
        threat=_threat(values["threat"], "threat"),
        optimization=_optimization(values["training"]),
        methods=tuple(_method(name, given, values) for name, given in values["methods"].items()),
        samples=int(values["samples"]),
        analyses={name: _analysis(name, given or {}) for name, given in values["analyses"].items()},
        selection=selection,
        config=config,
    )


def _optimization(values: Values) -> Optimization:
    integers = {"epochs", "batch_size", "crop_padding"}
    typed: Values = {key: int(value) if key in integers else value for key, value in values.items()}
    return Optimization(**typed)


def _method(name: str, given: Values, experiment: Values) -> Method:
    where = f"methods.{name}"
    chosen = {key: value for key, value in given.items() if key not in _OF_METHODS}
    objective = _known(f"{where}.objective", given["objective"], objectives.REGISTRY)
    group = _known(f"{where}.group", given.get("group", figures.MAIN), figures.groups())
    threat = _threat({**experiment["threat"], **given.get("threat", {})}, f"{where}.threat")
    _check_that_they_fit(where, objective, group, threat)
    return Method(
        name=name,
        label=given.get("label", name),
        objective=objective,
        options=options.check_options(chosen, objectives.REGISTRY[objective], where),
        threat=threat,
        group=group,
        seeds=_seeds({**experiment, **given}["seeds"]),
    )


def _check_that_they_fit(where: str, objective: str, group: str, threat: ThreatModel) -> None:
    """What figures and claims say of a group holds of its methods, and a mixture's two parts have one ball."""
    if group == figures.MIXED and objective != "mixture":
        raise SettingsError(f"{where}.group: {group} is for methods of the objective mixture, not of {objective}")
    if group == figures.LINF and threat.norm != math.inf:
        raise SettingsError(f"{where}.group: {group} is for methods trained in an l-infinity ball; set {where}.threat")
    if objective == "mixture" and threat.norm != 2.0:
        raise SettingsError(f"{where}.threat.norm: a mixture's regulariser is of l2, as its radius has to be")


def _seeds(values: Sequence[Any]) -> tuple[int, ...]:
    return tuple(int(seed) for seed in values)


def _analysis(name: str, given: Values) -> Values:
    _known("analyses", name, analysis.REGISTRY)
    return options.check_options(given, analysis.REGISTRY[name], f"analyses.{name}")


def _named(where: str, given: Values, registry: Mapping[str, str]) -> Values:
    name = _known(f"{where}.name", given["name"], registry)
    chosen = {key: value for key, value in given.items() if key != "name"}
    return {"name": name, **options.check_options(chosen, registry[name], where)}


def _known(where: str, name: str, registry: Collection[str]) -> str:
    if name not in registry:
        raise SettingsError(f"{where}: unknown name {name!r}{options.suggest(name, registry)}")
    return name


def _threat(values: Values, where: str) -> ThreatModel:
    try:
        return threat_from_dict({**values, "iterations": int(values["iterations"])})
    except SettingsError as error:
        raise SettingsError(f"{where}.{error}") from None

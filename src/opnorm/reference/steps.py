"""An experiment as steps, each one call of the library function that the workflow's script of that name calls."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from opnorm import figures, plan
from opnorm.analysis import ON_TEST_SPLIT
from opnorm.claims.methods import Context, describe
from opnorm.figures.context import figure_context
from opnorm.job import device
from opnorm.selection import EpsilonRule
from opnorm.settings import Experiment, TrainingSettings

# What the rules of the experiment choose comes before all for which it is needed, in this order.
_RADIUS, _HELD_OUT, _CANDIDATES, _VALUES, _FIRST_SEED = range(5)
# Of the last steps, those that look at all seeds.
_AFTER_ALL = 1_000_000
_SELECT_EPSILON, _SELECT_VALUES = "select epsilon", "select values"
_STAGES = ("data", "train", "selection", "attack", "analyze", "figures", "claims")


@dataclass(frozen=True)
class Step:
    """One call, the files that it makes, and all that decides what is in them.

    Attributes:
        stage: "data", "train", "selection", "attack", "analyze", "figures" or "claims".
        name: no two steps of an experiment have the same.
        outputs: what it makes.
        needs: the steps whose files it reads.
        made_by: settings and code digest, in plain values and dataclasses.
        make: the call.
        turn: of the steps that are to be made, those with the smallest number come first, stage by stage.
        checkpoints: a folder that it goes on from where it was stopped; "" if it starts again.
        chooses: whether it chooses numbers on which other steps depend.
        awaits: the names of steps that choose numbers for it.
    """

    stage: str
    name: str
    outputs: tuple[str, ...]
    needs: tuple[Step, ...]
    made_by: Any
    make: Callable[[], None] = field(repr=False)
    turn: int = 0
    checkpoints: str = ""
    chooses: bool = False
    awaits: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """Of all that decides the result: settings and code, those of the steps before it included."""
        content = [self.name, self.made_by, [need.digest for need in self.needs]]
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=asdict).encode()).hexdigest()[:32]


def is_ready(step: Step, left: Collection[str]) -> bool:
    """Whether neither `step` nor what it is made of waits for one of the steps that are `left`, by their names."""
    waits = any(need.name in left for need in step.needs) or any(name in left for name in step.awaits)
    return not waits and all(is_ready(need, left) for need in step.needs)


def pending(steps: Sequence[Step], is_made: Callable[[Step], bool]) -> list[Step]:
    """What has to be made for `steps`, in order. What is made asks for nothing that comes before it."""
    found: dict[str, Step] = {}

    def ask_for(step: Step) -> None:
        if step.name not in found and not is_made(step):
            for need in step.needs:
                ask_for(need)
            found[step.name] = step

    for step in steps:
        ask_for(step)
    return sorted(found.values(), key=lambda step: (step.turn, _STAGES.index(step.stage)))


@dataclass(frozen=True)
class Steps:
    """The steps of an experiment.

    All that is done for one seed comes before the next seed's, so that the first results are there early. What rules
    choose comes before that.

    Attributes:
        experiment: what to run.
        files: where the results go.
        device: a torch device, or "auto" for the GPU where there is one.
        threads: of the CPU.
    """

    experiment: Experiment
    files: plan.Files
    device: str = "auto"
    threads: int = 1

    def results(self) -> list[Step]:
        """The steps for what the workflow's target `all` asks for, but for the report.

        They have the numbers that rules have chosen by now. Candidates stand in for the others: what is made of those
        has to be asked for again after each step that `chooses`.
        """
        return self.decided()._results()

    def decided(self) -> Steps:
        """The same with the numbers that rules have chosen by now."""
        waiting = self.experiment.selection.awaited(*(method.name for method in self.experiment.methods))
        made = [choice for choice in waiting if Path(self.files.choice(choice.table)).is_file()]
        return replace(self, experiment=self.experiment.with_choices(plan.chosen_numbers(self.files, made)))

    def _results(self) -> list[Step]:
        runs = self.experiment.runs(figures.MAIN)
        tables = [self.analyze(name, *run) for name in self.experiment.analyses for run in runs]
        drawn = [self.figure(name) for name in self.experiment.figures()]
        choices = [*self.choices(), self.selection_figure()] if self.experiment.selection.is_open else []
        return [*choices, *tables, *drawn, self.claims()]

    def data(self) -> Step:
        """Prepare the splits."""
        outputs = {split: self.files.split(split) for split in ("train", "test")}

        def make() -> None:
            from opnorm.data import prepare

            prepare(self.experiment.dataset, self.experiment.data_root, dict(outputs))

        made_by = [self.experiment.dataset, plan.data_code(self.experiment)]
        return Step("data", "data", tuple(outputs.values()), (), made_by, make)

    def train(self, method: str, seed: int) -> Step:
        """Train a run."""
        step = self._training(
            self.experiment.training(method),
            seed,
            self.data(),
            checkpoints=self.files.checkpoints(method),
            models=[self.files.model(method, seed)],
            histories=[self.files.history(method, seed)],
        )
        rules = self.experiment.selection
        first = rules.is_open and rules.epsilon is not None and rules.epsilon.standard == method
        return replace(step, turn=_RADIUS if first else self._turn(seed), awaits=self._awaits(method))

    def candidate(self, method: str, value: float | None, seed: int) -> Step:
        """Train what a rule compares, on what is not held out; without a value a method that others match."""
        step = self._training(
            self.experiment.training(method, value),
            seed,
            self.held_out(),
            checkpoints=self.files.candidate_checkpoints(method, value),
            models=[self.files.candidate_model(method, value, seed)],
            histories=[self.files.candidate_history(method, value, seed)],
        )
        name = f"candidate {method} {plan.ITSELF if value is None else value} {seed}"
        return replace(step, stage="selection", name=name, turn=_CANDIDATES, awaits=self._awaits())

    def _training(self, settings: TrainingSettings, seed: int, data: Step, **paths: Any) -> Step:
        from opnorm.launch_job import Runs, train_here

        runs = Runs(
            settings=settings.to_dict(),
            data_paths=dict(zip(("train", "test"), data.outputs, strict=True)),
            seeds=[seed],
            device=self.device,
            threads=self.threads,
            code=plan.training_code(self.experiment, settings.method.name),
            **paths,
        )
        return Step(
            "train",
            f"train {settings.method.name} {seed}",
            (*runs.models, *runs.histories),
            (data,),
            [runs.settings, seed, runs.code],
            lambda: train_here(runs),
            checkpoints=str(runs.folder(seed)),
        )

    def choices(self) -> list[Step]:
        """Let all rules choose."""
        rules = self.experiment.selection
        return [
            *([self.select_epsilon(rules.epsilon)] if rules.epsilon is not None else []),
            *([self.select_values()] if rules.matches else []),
        ]

    def select_epsilon(self, rule: EpsilonRule) -> Step:
        """Choose the radius on the standard model."""
        seeds = self.experiment.method(rule.standard).seeds
        trainings, data = [self.train(rule.standard, seed) for seed in seeds], self.data()
        settings: dict[str, Any] = {
            "dataset": self.experiment.dataset,
            "seeds": seeds,
            "threat": plan.without_radius(self.experiment),
            "rule": plan.as_rule(rule),
            "architecture": self.experiment.model,
        }
        output = self.files.choice("epsilon")

        def make() -> None:
            from opnorm.selection_run import select_epsilon

            models = [training.outputs[0] for training in trainings]
            select_epsilon(models, output, test=data.outputs[1], **settings, **self._where())

        made_by = [settings, plan.epsilon_code(self.experiment)]
        return Step("selection", _SELECT_EPSILON, (output,), (*trainings, data), made_by, make, _RADIUS, chooses=True)

    def held_out(self) -> Step:
        """Hold a part of the training split out, to compare candidates on."""
        data, outputs = self.data(), {split: self.files.held_out(split) for split in ("train", "validation")}
        settings = (self.experiment.dataset, self.experiment.selection.validation)

        def make() -> None:
            from opnorm.validation import hold_out

            hold_out(data.outputs[0], *settings, train=outputs["train"], validation=outputs["validation"])

        made_by = [settings, plan.hold_out_code()]
        return Step("selection", "hold out", tuple(outputs.values()), (data,), made_by, make, _HELD_OUT)

    def select_values(self) -> Step:
        """Choose the options by which methods match others."""
        selection = self.experiment.selection
        runs, rules = selection.candidates(), {name: plan.as_rule(rule) for name, rule in selection.matches.items()}
        trainings = tuple(self.candidate(*run) for run in runs)
        outputs = tuple(self.files.choice(method) for method in rules)

        def make() -> None:
            from opnorm.selection_run import select_values

            histories = [(*run, training.outputs[1]) for run, training in zip(runs, trainings, strict=True)]
            select_values(histories, outputs, rules=rules)

        made_by = [runs, rules, plan.match_code()]
        return Step("selection", _SELECT_VALUES, outputs, trainings, made_by, make, _VALUES, chooses=True)

    def selection_figure(self) -> Step:
        """Draw what constants were chosen from, and what was chosen."""
        panels, tables = plan.selection_panels(self.experiment), plan.open_tables(self.experiment, self.files)
        outputs = {suffix: self.files.figure("selection", suffix) for suffix in ("pdf", "png", "csv")}

        def make() -> None:
            from opnorm.figures.selection import render_selection

            render_selection(panels, tables, **outputs)

        made_by = [panels, plan.selection_figure_code()]
        return Step(
            "figures", "draw selection", tuple(outputs.values()), tuple(self.choices()), made_by, make, _AFTER_ALL
        )

    def attack(self, method: str, seed: int) -> Step:
        """Attack the analysed samples on a run's network."""
        train, data = self.train(method, seed), self.data()
        settings = {"samples": self.experiment.samples, **self._measured(seed)}
        output = self.files.adversarial(method, seed)

        def make() -> None:
            from opnorm.analysis.run import attack_runs

            attack_runs(train.outputs[:1], [output], test=data.outputs[1], **settings, **self._where())

        made_by = [settings, plan.attack_code(self.experiment)]
        name, turn = f"attack {method} {seed}", self._turn(seed)
        return Step("attack", name, (output,), (train, data), made_by, make, turn, awaits=self._awaits())

    def analyze(self, analysis: str, method: str, seed: int) -> Step:
        """Take a measurement on a run's network."""
        train, data = self.train(method, seed), self.data()
        attack = () if analysis in ON_TEST_SPLIT else (self.attack(method, seed),)
        settings = {"options": self.experiment.analyses[analysis], **self._measured(seed)}
        output = self.files.table(analysis, method, seed)

        def make() -> None:
            from opnorm.analysis.run import measure_runs

            measure_runs(
                analysis,
                [output],
                models=train.outputs[:1],
                adversarial=[path for step in attack for path in step.outputs],
                test=data.outputs[1],
                **settings,
                **self._where(),
            )

        made_by = [settings, plan.analysis_code(self.experiment, analysis)]
        name = f"analyze {analysis} {method} {seed}"
        needs, turn = (train, *attack, data), self._turn(seed)
        return Step("analyze", name, (output,), needs, made_by, make, turn, awaits=self._awaits())

    def figure(self, name: str) -> Step:
        """Draw a figure of all runs of its methods."""
        entry = figures.REGISTRY[name]
        runs = self.experiment.runs(*entry.groups)
        context = figure_context(self.experiment, *entry.groups)
        tables = tuple(self.analyze(entry.analysis, *run) for run in runs)
        outputs = {suffix: self.files.figure(name, suffix) for suffix in ("pdf", "png", "csv")}

        def make() -> None:
            from opnorm.figures.render import render

            render(
                name, [(*run, table.outputs[0]) for run, table in zip(runs, tables, strict=True)], context, **outputs
            )

        made_by = [runs, context, plan.figure_code(name)]
        return Step("figures", f"draw {name}", tuple(outputs.values()), tables, made_by, make, _AFTER_ALL)

    def claims(self) -> Step:
        """Judge the paper's claims by all runs that they are about."""
        runs, context = plan.claimed_runs(self.experiment), describe(self.experiment)
        tables = tuple(self.analyze(*run) for run in runs)

        def make() -> None:
            from opnorm.claims.run import write_claims

            cases = [(*run, table.outputs[0]) for run, table in zip(runs, tables, strict=True)]
            write_claims(cases, Context.from_dict(context), self.files.claims)

        made_by = [runs, context, plan.claims_code()]
        return Step("claims", "claims", (self.files.claims,), tables, made_by, make, _AFTER_ALL)

    def _awaits(self, *methods: str) -> tuple[str, ...]:
        """The steps that choose numbers for trainings of `methods`; without any, for candidates and measurements."""
        tables = [choice.table for choice in self.experiment.selection.awaited(*methods)]
        return tuple(dict.fromkeys(_SELECT_EPSILON if table == "epsilon" else _SELECT_VALUES for table in tables))

    def _measured(self, seed: int) -> dict[str, Any]:
        """What attacks and measurements are told of the experiment."""
        experiment = self.experiment
        return {
            "dataset": experiment.dataset,
            "seeds": [seed],
            "threat": experiment.threat,
            "architecture": experiment.model,
        }

    def _where(self) -> dict[str, Any]:
        return {"device": device(self.device), "threads": self.threads}

    def _turn(self, seed: int) -> int:
        seeds = dict.fromkeys(seed for method in self.experiment.methods for seed in method.seeds)
        return _FIRST_SEED + list(seeds).index(seed)

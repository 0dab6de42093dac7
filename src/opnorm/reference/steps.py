"""An experiment as steps, each one call of the library function that the workflow's script of that name calls."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from opnorm import figures, plan
from opnorm.claims.methods import Context, describe
from opnorm.figures.context import figure_context
from opnorm.job import device
from opnorm.settings import Experiment

# Of the last steps, those that look at all seeds.
_AFTER_ALL = 1_000_000
_STAGES = ("data", "train", "attack", "analyze", "figures", "claims")


@dataclass(frozen=True)
class Step:
    """One call, the files that it makes, and all that decides what is in them.

    Attributes:
        stage: "data", "train", "attack", "analyze", "figures" or "claims".
        name: no two steps of an experiment have the same.
        outputs: what it makes.
        needs: the steps whose files it reads.
        made_by: settings and code digest, in plain values and dataclasses.
        make: the call.
        turn: of the steps that are to be made, those with the smallest number come first, stage by stage.
        checkpoints: a folder that it goes on from where it was stopped; "" if it starts again.
    """

    stage: str
    name: str
    outputs: tuple[str, ...]
    needs: tuple[Step, ...]
    made_by: Any
    make: Callable[[], None] = field(repr=False)
    turn: int = 0
    checkpoints: str = ""

    @cached_property
    def digest(self) -> str:
        """Of all that decides the result: settings and code, those of the steps before it included."""
        content = [self.name, self.made_by, [need.digest for need in self.needs]]
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=asdict).encode()).hexdigest()[:32]


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

    All that is done for one seed comes before the next seed's, so that the first results are there early.

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
        """The steps for what the workflow's target `all` asks for."""
        runs = self.experiment.runs(figures.MAIN)
        tables = [self.analyze(name, *run) for name in self.experiment.analyses for run in runs]
        return [*tables, *(self.figure(name) for name in self.experiment.figures()), self.claims()]

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
        from opnorm.launch_job import Runs, train_here

        data = self.data()
        runs = Runs(
            settings=self.experiment.training(method).to_dict(),
            data_paths=dict(zip(("train", "test"), data.outputs, strict=True)),
            seeds=[seed],
            checkpoints=self.files.checkpoints(method),
            models=[self.files.model(method, seed)],
            histories=[self.files.history(method, seed)],
            device=self.device,
            threads=self.threads,
            code=plan.training_code(self.experiment, method),
        )
        return Step(
            "train",
            f"train {method} {seed}",
            (*runs.models, *runs.histories),
            (data,),
            [runs.settings, seed, runs.code],
            lambda: train_here(runs),
            self._turn(seed),
            str(runs.folder(seed)),
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
        return Step("attack", f"attack {method} {seed}", (output,), (train, data), made_by, make, self._turn(seed))

    def analyze(self, analysis: str, method: str, seed: int) -> Step:
        """Take a measurement on a run's network."""
        train, attack, data = self.train(method, seed), self.attack(method, seed), self.data()
        settings = {"options": self.experiment.analyses[analysis], **self._measured(seed)}
        output = self.files.table(analysis, method, seed)

        def make() -> None:
            from opnorm.analysis.run import measure_runs

            measure_runs(
                analysis,
                [output],
                models=train.outputs[:1],
                adversarial=attack.outputs,
                test=data.outputs[1],
                **settings,
                **self._where(),
            )

        made_by = [settings, plan.analysis_code(self.experiment, analysis)]
        name = f"analyze {analysis} {method} {seed}"
        return Step("analyze", name, (output,), (train, attack, data), made_by, make, self._turn(seed))

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
        return 1 + list(seeds).index(seed)

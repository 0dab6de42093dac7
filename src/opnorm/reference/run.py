"""Makes what is not made yet, as far as the time goes."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opnorm import plan, provenance
from opnorm.errors import FileError, OpnormError
from opnorm.reference.ledger import Ledger, Turn
from opnorm.reference.steps import Step, Steps, pending
from opnorm.reference.time_slice import TimeSlice

CAPTIONS = Path(__file__).parents[3] / "workflow/report"


def run(steps: Steps, config: Mapping[str, Any], time_slice: TimeSlice) -> list[Step]:
    """Make the results of an experiment until the slice is over.

    What rules choose comes first; the rest goes on with the numbers, and report.html is written when all is made.
    A training is stopped at the end and goes on the next time. Another step is not begun where steps like it took
    longer than what is left; one that is stopped starts again the next time, as the first.

    Args:
        steps: of the experiment.
        config: the experiment as it is written, for provenance.json.
        time_slice: what runs is stopped at its end.

    Returns:
        What is left to be made; where rules still have to choose, a candidate stands in for the number.

    Raises:
        OpnormError: a step failed, or had the whole slice and needs longer.
    """
    ledger = Ledger(Path(steps.files.folder))
    todo = pending(steps.results(), ledger.is_made)
    machine = provenance.machine().removeprefix("machine: ")
    print(f"{steps.experiment.name}: {len(todo)} steps to make on {machine}", flush=True)
    planned, begun = bool(todo), False
    try:
        while todo and (not begun or ledger.seconds(todo[0]) <= time_slice.left):
            step = todo[0]
            if not _make(step, ledger, time_slice, machine):
                _refuse_endless(step, time_slice, first=not begun)
                break
            begun = True
            todo = pending(steps.results(), ledger.is_made) if step.chooses else todo[1:]
    finally:
        if planned:
            _record(steps, config, ledger)
    if not todo and (planned or not Path(steps.files.report).is_file()):
        _report(steps)
    return todo


def provenance_of(steps: Steps) -> dict[str, Any]:
    """What `run` recorded of how the results were made, where all are made.

    Where they were made outside version control, the commit is that of the code at hand, which is the same code.

    Raises:
        FileError: results are missing, or were made by other settings or other code.
    """
    folder = Path(steps.files.folder)
    left = pending(steps.results(), Ledger(folder).is_made)
    if left:
        raise FileError(
            f"{folder}: {len(left)} steps are not made, or not with these settings and this code, "
            f"the first of them: {left[0].name}; run again"
        )
    found: dict[str, Any] = json.loads(Path(steps.files.provenance).read_text(encoding="utf-8"))
    return {**found, "commit": found["commit"] or provenance.commit()}


def _make(step: Step, ledger: Ledger, time_slice: TimeSlice, machine: str) -> bool:
    """Whether `step` was made before it was stopped."""
    print(f"{step.name} ...", flush=True)
    start, finished = time.monotonic(), False
    with time_slice.limit():
        step.make()
        finished = True
    seconds = time.monotonic() - start
    ledger.note(Turn(step.stage, step.name, round(seconds, 3), finished, machine))
    if finished:
        ledger.made(step)
        if step.checkpoints:
            shutil.rmtree(step.checkpoints, ignore_errors=True)
    print(f"{step.name}: {'made' if finished else 'stopped'} after {seconds:.1f} s", flush=True)
    return finished


def _refuse_endless(step: Step, time_slice: TimeSlice, *, first: bool) -> None:
    if first and not step.checkpoints and time_slice.left <= 0.0:
        raise OpnormError(f"{step.name}: not done in a whole slice; give it more minutes")


def _report(steps: Steps) -> None:
    """Write everything on one page, with what `_record` found."""
    from opnorm.report.constants import constants
    from opnorm.report.contents import Contents, ReportFigure
    from opnorm.report.page import write_report

    experiment, files = steps.decided().experiment, steps.files
    contents = Contents(
        experiment=experiment.name,
        context=plan.report_context(experiment),
        figures=tuple(
            ReportFigure(**figure, png=files.figure(figure["name"], "png"), csv=files.figure(figure["name"], "csv"))
            for figure in plan.report_figures(experiment, CAPTIONS)
        ),
        provenance=json.loads(Path(files.provenance).read_text(encoding="utf-8")),
        claims=files.claims,
        constants=constants(experiment),
        selection=tuple(plan.open_tables(experiment, files)),
    )
    write_report(contents, files.report)


def _record(steps: Steps, config: Mapping[str, Any], ledger: Ledger) -> None:
    data = {Path(path).stem: path for path in steps.data().outputs if Path(path).is_file()}
    found = provenance.record(config, data=data)
    found |= {"machines": ledger.machines(), "stages": ledger.stages()}
    provenance.write(found, steps.files.provenance)

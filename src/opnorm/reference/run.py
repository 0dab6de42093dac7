"""Makes what is not made yet, as far as the time goes."""

from __future__ import annotations

import json
import math
import shutil
import time
import traceback
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from opnorm import plan, provenance
from opnorm.errors import FileError, OpnormError
from opnorm.reference.ledger import Ledger, Turn
from opnorm.reference.steps import Step, Steps, is_ready, pending
from opnorm.reference.time_slice import TimeSlice

CAPTIONS = Path(__file__).parents[3] / "workflow/report"


def run(steps: Steps, config: Mapping[str, Any], time_slice: TimeSlice) -> list[Step]:
    """Make the results of an experiment until the slice is over.

    What rules choose comes first; the rest goes on with the numbers, and report.html is written when all is made.
    A training is stopped at the end and goes on the next time. Of the others, those are not begun of whose kind one
    took longer than what is left; one that is stopped starts again the next time. What fails does not keep from being
    made what does not need it; the next time it comes last.

    Args:
        steps: of the experiment.
        config: the experiment as it is written, for provenance.json.
        time_slice: what runs is stopped at its end.

    Returns:
        What is left to be made; where rules still have to choose, a candidate stands in for the number.

    Raises:
        FileError: the folder has results of the workflow.
        OpnormError: nothing is left but steps that failed, named with their errors, and what needs them; or a step had
            a whole slice and needs longer.
    """
    ledger, failed = Ledger(Path(steps.files.folder)), dict[str, str]()
    left = pending(steps.results(), ledger.is_made)
    _refuse_others(left, ledger, steps.files.folder)
    machine = provenance.machine().removeprefix("machine: ")
    print(f"{steps.experiment.name}: {len(left)} steps to make on {machine}", flush=True)
    planned, begun = bool(left), False
    try:
        while step := next_step(left, failed, ledger, time_slice.left, begun=begun):
            fits = ledger.seconds(step) <= time_slice.left
            try:
                made = _make(step, ledger, time_slice, machine)
            except Exception as error:
                failed[step.name] = _words(step, error)
                ledger.failed(step)
                continue
            if not made:
                _refuse_endless(step, time_slice, forced=not fits)
                break
            begun = True
            left = pending(steps.results(), ledger.is_made) if step.chooses else [s for s in left if s is not step]
    finally:
        if planned:
            _record(steps, config, ledger)
    if failed and not time_slice.is_over and not next_step(left, failed, ledger, math.inf, begun=begun):
        raise OpnormError("\n".join([f"{len(left)} steps are left; of these failed", *failed.values()]))
    if not left and (planned or not Path(steps.files.report).is_file()):
        _report(steps)
    return left


def next_step(
    left: Sequence[Step], failed: Collection[str], ledger: Ledger, seconds: float, *, begun: bool
) -> Step | None:
    """The first of the steps that are `left` and need nothing that is left, for which `seconds` are enough.

    Those that failed in an earlier slice come last, those of this one, by name in `failed`, do not come again. Without
    a fitting one it is the first of all as long as none was begun in this slice.
    """
    names = {step.name for step in left}
    ready = [step for step in left if step.name not in failed and is_ready(step, names)]
    ready.sort(key=ledger.has_failed)
    fitting = (step for step in ready if ledger.seconds(step) <= seconds)
    return next(fitting, None if begun else next(iter(ready), None))


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


def _refuse_others(left: Sequence[Step], ledger: Ledger, folder: str) -> None:
    """Results that no ledger knows are Snakemake's, which would take what is made here for its own."""
    # Prepared data may be left of a first slice that was killed.
    paths = [path for step in left if step.stage != "data" for path in step.outputs]
    found = next((path for path in paths if Path(path).exists()), None) if ledger.is_blank else None
    if found:
        raise FileError(f"{found}: made by Snakemake, not by this command; choose another --out, or remove {folder}")


def _make(step: Step, ledger: Ledger, time_slice: TimeSlice, machine: str) -> bool:
    """Whether `step` was made before it was stopped."""
    print(f"{step.name} ...", flush=True)
    start, finished = time.monotonic(), False
    try:
        with time_slice.limit():
            step.make()
            finished = True
    finally:
        seconds = time.monotonic() - start
        ledger.note(Turn(step.stage, step.name, round(seconds, 3), finished, machine))
    if finished:
        ledger.made(step)
        if step.checkpoints:
            shutil.rmtree(step.checkpoints, ignore_errors=True)
    print(f"{step.name}: {'made' if finished else 'stopped'} after {seconds:.1f} s", flush=True)
    return finished


def _words(step: Step, error: Exception) -> str:
    """What failed and why; with a traceback now where it is not an error that was foreseen."""
    if not isinstance(error, OpnormError):
        traceback.print_exception(error)
    words = f"{step.name}: {error if isinstance(error, OpnormError) else repr(error)}"
    print(f"failed: {words}", flush=True)
    return words


def _refuse_endless(step: Step, time_slice: TimeSlice, *, forced: bool) -> None:
    if forced and not step.checkpoints and time_slice.left <= 0.0:
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
        not_judged=plan.not_judged(experiment),
        constants=constants(experiment),
        selection=tuple(plan.open_tables(experiment, files)),
    )
    write_report(contents, files.report)


def _record(steps: Steps, config: Mapping[str, Any], ledger: Ledger) -> None:
    data = {Path(path).stem: path for path in steps.data().outputs if Path(path).is_file()}
    found = provenance.record(config, data=data)
    found |= {"machines": ledger.machines(), "stages": ledger.stages()}
    provenance.write(found, steps.files.provenance)

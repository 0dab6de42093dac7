"""Run an experiment with the library alone, collect its results for git, or write the README's table of them."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from opnorm.errors import OpnormError

UNFINISHED = 75
"""Exit status that asks to be run again, as sysexits.h has it."""

INTERRUPTED = 130
"""Exit status after an interrupt, as shells have it: whoever asked for the end does not want another slice."""

# Seconds that are kept back of a slice, or a tenth of it, for a training's last step and checkpoint.
_RESERVE = 10.0


def main(arguments: list[str] | None = None) -> int:
    """Run a command.

    Returns:
        The exit status: 0 where all is made, `UNFINISHED` where running it again goes on, `INTERRUPTED` where that is
        so and the process was asked to end, 1 after an error.
    """
    chosen = _parser().parse_args(arguments)
    try:
        return _COMMANDS[chosen.command](chosen)
    except OpnormError as error:
        print(f"Error: {error}", file=sys.stderr)
    except ModuleNotFoundError as error:
        print(f"Error: the package {error.name} is missing; pip install {_package(error.name)}", file=sys.stderr)
    return 1


def _package(module: str | None) -> str:
    from opnorm.reference.packages import ALWAYS

    return ALWAYS.get(module or "", module or "it")


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("file", type=Path, help="the experiment file")
    shared.add_argument("--config", nargs="+", default=[], metavar="KEY=VALUE", help="keys that differ from the file")
    shared.add_argument("--out", default="results", metavar="DIR", help="folder of all results (default: results)")
    parser = argparse.ArgumentParser(prog="python -m opnorm.reference", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", parents=[shared], help="make what is not made yet")
    run.add_argument("--minutes", type=float, default=math.inf, help="stop before so much time is over")
    run.add_argument("--device", default="auto", help="a torch device (default: the GPU where there is one)")
    run.add_argument("--threads", type=_positive, default=1, help="of the CPU (default: 1)")
    commands.add_parser("collect", parents=[shared], help="gather tables, figures and provenance in DIR/reference")
    written = commands.add_parser("table", help="write the table of claims in README.md from results/reference")
    written.add_argument("--readme", type=Path, default=Path("README.md"), help="another text")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not at least 1")
    return number


def _run(chosen: argparse.Namespace) -> int:
    from opnorm.reference.packages import refuse_missing

    refuse_missing()
    from opnorm.plan import Files
    from opnorm.reference.configuration import read_experiment
    from opnorm.reference.run import run
    from opnorm.reference.steps import Steps
    from opnorm.reference.time_slice import TimeSlice

    seconds = 60.0 * chosen.minutes
    time_slice = TimeSlice(seconds - min(_RESERVE, 0.1 * seconds))
    experiment, config = read_experiment(chosen.file, chosen.config)
    refuse_missing(experiment)
    steps = Steps(experiment, Files(f"{chosen.out}/{experiment.name}"), chosen.device, chosen.threads)
    left = run(steps, config, time_slice)
    print(f"{len(left)} steps are left: run again" if left else "all is made", flush=True)
    if left and time_slice.interrupted:
        return INTERRUPTED
    return UNFINISHED if left else 0


def _collect(chosen: argparse.Namespace) -> int:
    from opnorm import plan
    from opnorm.reference.collect import collect
    from opnorm.reference.configuration import read_experiment
    from opnorm.reference.run import CAPTIONS, provenance_of
    from opnorm.reference.steps import Steps

    experiment, _ = read_experiment(chosen.file, chosen.config)
    files = plan.Files(f"{chosen.out}/{experiment.name}")
    destination = Path(chosen.out) / "reference" / experiment.name
    steps = Steps(experiment, files)
    made_by = provenance_of(steps)
    collect(steps.decided().experiment, files, destination, made_by, captions=plan.captions(experiment, CAPTIONS))
    print(f"collected in {destination}")
    return 0


def _table(chosen: argparse.Namespace) -> int:
    from opnorm.reference.table import write_table

    write_table(chosen.readme, Path("results/reference"))
    return 0


_COMMANDS = {"run": _run, "collect": _collect, "table": _table}


if __name__ == "__main__":
    sys.exit(main())

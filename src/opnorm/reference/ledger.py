"""What has been made, of what, and how long it took; beside the results, so that it travels with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from opnorm.errors import FileError
from opnorm.reference.steps import Step
from opnorm.tables import write_csv, write_text

# In place of the digest of what was made there is one of what failed, under this and the step's name.
_FAILED = "failed: "
# A step that was stopped would have taken longer, at least by this factor.
_LONGER = 1.2


@dataclass(frozen=True)
class Turn:
    """A row of times.csv: a step, or a part of one that was stopped.

    Attributes:
        stage: of the step.
        step: its name.
        seconds: of wall time.
        finished: whether the step was made; if not, it was stopped.
        machine: what it ran on.
    """

    stage: str
    step: str
    seconds: float
    finished: bool
    machine: str


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, TypeError) as error:
        raise FileError(f"{path}: cannot be read ({error}); delete it, and run again") from error


class Ledger:
    """Digests of the steps that are made, and the times of all.

    Args:
        folder: of the results; there `made.json` has the digests by step, and `times.csv` a row per turn.

    Raises:
        FileError: one of these files cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._digests_path, self._times_path = folder / "made.json", folder / "times.csv"
        self._digests: dict[str, str] = {}
        self._turns: list[Turn] = []
        with _readable(self._digests_path):
            if self._digests_path.is_file():
                self._digests = json.loads(self._digests_path.read_text(encoding="utf-8"))
        with _readable(self._times_path):
            if self._times_path.is_file():
                self._turns = [Turn(*row) for row in pd.read_csv(self._times_path).itertuples(index=False)]

    @property
    def is_blank(self) -> bool:
        """Whether no step has ever had a turn."""
        return not self._digests and not self._turns

    def is_made(self, step: Step) -> bool:
        """Whether the files of `step` are there and were made by the same settings and code."""
        return self._digests.get(step.name) == step.digest and all(Path(path).is_file() for path in step.outputs)

    def seconds(self, step: Step) -> float:
        """How long `step` will take at least, by what steps like it took; 0 where nothing is known.

        A step that goes on from checkpoints takes as long as it is given.
        """
        if step.checkpoints:
            return 0.0
        kind = step.name.split()[:2]
        turns = [turn for turn in self._turns if turn.step.split()[:2] == kind]
        return max((turn.seconds if turn.finished else _LONGER * turn.seconds for turn in turns), default=0.0)

    def note(self, turn: Turn) -> None:
        """Write down how long something took."""
        self._turns.append(turn)
        write_csv(pd.DataFrame([asdict(turn) for turn in self._turns]), self._times_path)

    def made(self, step: Step) -> None:
        """Write down that `step` is made."""
        self._digests[step.name] = step.digest
        self._digests.pop(_FAILED + step.name, None)
        self._write_digests()

    def failed(self, step: Step) -> None:
        """Write down that `step` failed."""
        self._digests[_FAILED + step.name] = step.digest
        self._write_digests()

    def has_failed(self, step: Step) -> bool:
        """Whether `step` failed the last time, with the same settings and code."""
        return self._digests.get(_FAILED + step.name) == step.digest

    def _write_digests(self) -> None:
        write_text(json.dumps(self._digests, indent=1, sort_keys=True), self._digests_path)

    def machines(self) -> list[str]:
        """What the steps ran on, each machine once."""
        return sorted({turn.machine for turn in self._turns})

    def stages(self) -> list[dict[str, Any]]:
        """Where the time went: for each stage, and in it each analysis and each training, `jobs` and `seconds`.

        Steps that were made again, and parts of those that were stopped, count as well.
        """
        found: dict[str, dict[str, Any]] = {}
        for turn in self._turns:
            words = turn.step.split()
            stage = " ".join(words[:2]) if turn.stage in ("analyze", "train") else turn.stage
            total = found.setdefault(stage, {"stage": stage, "jobs": 0, "seconds": 0.0})
            total["jobs"] += turn.finished
            total["seconds"] = round(total["seconds"] + turn.seconds, 3)
        return list(found.values())

"""When a launcher has to end: signals, and the end of the Snakemake that started it."""

from __future__ import annotations

import re
import signal
import time
from types import FrameType
from typing import Any

import psutil

_SHELLS = ("sh", "bash", "dash", "zsh", "ksh")


class Interrupted(BaseException):
    """The user wants it to end: what it started is cancelled."""


class LeftAlone(BaseException):
    """Whoever wanted the results is gone: what it started goes on."""


class Interruptions:
    """Inside the `with`, `pause` notices signals and the end of the parent; nothing is interrupted in between.

    SIGINT and SIGTERM are the user's wish; SIGHUP is a lost login session, which the jobs survive.
    """

    def __enter__(self) -> Interruptions:
        self._asked: type[BaseException] | None = None
        self._parents = _parents()
        reactions = {signal.SIGINT: Interrupted, signal.SIGTERM: Interrupted, signal.SIGHUP: LeftAlone}
        self._previous = {number: signal.signal(number, self._note(kind)) for number, kind in reactions.items()}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def pause(self, seconds: float) -> None:
        """Sleep. Raises Interrupted or LeftAlone, as the case may be."""
        end = time.monotonic() + seconds
        while True:
            if not all(_is_alive(process) for process in self._parents):
                raise LeftAlone
            if self._asked:
                raise self._asked
            if (left := end - time.monotonic()) <= 0:
                return
            time.sleep(min(left, 0.25))

    def _note(self, kind: type[BaseException]) -> Any:
        def note(number: int, frame: FrameType | None) -> None:
            self._asked = kind

        return note


def _parents() -> list[psutil.Process]:
    """Snakemake's process, and those of shells between it and this one."""
    found = []
    for process in psutil.Process().parents():
        found.append(process)
        if process.name() not in _SHELLS:
            break
    return found


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def stop_launchers_on_termination(local: bool) -> None:
    """Let a SIGTERM to this Snakemake alone reach the trainings that it launched, and act like Ctrl-C.

    Snakemake itself answers SIGTERM by waiting for its running jobs, without telling them. Where all jobs run on
    this machine (`local`), those that are no training still end in peace.
    """
    previous = signal.getsignal(signal.SIGTERM)

    def terminate(number: int, frame: FrameType | None) -> None:
        for child in psutil.Process().children(recursive=True):
            try:
                if re.search(r"\.train\.py$", " ".join(child.cmdline()[1:2])):
                    child.terminate()
            except psutil.Error:
                continue
        if not local:
            signal.raise_signal(signal.SIGINT)
        elif callable(previous):
            previous(number, frame)

    signal.signal(signal.SIGTERM, terminate)

"""A slice of time, at whose end what runs is stopped in a state to go on from."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opnorm.errors import InterruptedTrainingError


class Stopped(BaseException):
    """The time is over, or this process was asked to end."""


class TimeSlice:
    """The time until `seconds` from now.

    Attributes:
        is_over: whether something was stopped.
        interrupted: whether that was because this process was asked to end, and not because of the time.
    """

    def __init__(self, seconds: float = math.inf) -> None:
        self._end = time.monotonic() + seconds
        self.is_over = self.interrupted = self._rang = False

    @property
    def left(self) -> float:
        """Seconds until the end."""
        return self._end - time.monotonic()

    @contextmanager
    def limit(self) -> Iterator[None]:
        """Stops what runs inside when the time is over, or when SIGINT or SIGTERM comes; then `is_over`.

        The training loop has handlers of its own for these signals: it ends at its next step, with a checkpoint.
        Anything else ends at once; what it was about to write is not there.
        """
        handlers = {signal.SIGALRM: self._ring, signal.SIGTERM: _stop, signal.SIGINT: _stop}
        previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            if math.isfinite(self.left):
                signal.setitimer(signal.ITIMER_REAL, max(self.left, 1e-3))
            yield
        except (Stopped, InterruptedTrainingError):
            self.is_over, self.interrupted = True, not self._rang
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _ring(self, *_: Any) -> None:
        self._rang = True
        signal.raise_signal(signal.SIGTERM)


def _stop(*_: Any) -> None:
    raise Stopped

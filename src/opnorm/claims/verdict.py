"""From an interval to a verdict. Equality is something to be shown, not the absence of a difference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

Verdict = Literal["supported", "refuted", "inconclusive"]
SUPPORTED: Verdict = "supported"
REFUTED: Verdict = "refuted"
INCONCLUSIVE: Verdict = "inconclusive"


class Rule(Protocol):
    """Where a statistic has to be."""

    def decide(self, low: float, high: float) -> Verdict:
        """The verdict on an interval from `low` to `high`."""

    def criterion(self) -> str:
        """The rule in words."""


@dataclass(frozen=True)
class Above:
    """Supported where the whole interval is above the threshold, refuted where it is below."""

    threshold: float

    def decide(self, low: float, high: float) -> Verdict:
        if low > self.threshold:
            return SUPPORTED
        return REFUTED if high < self.threshold else INCONCLUSIVE

    def criterion(self) -> str:
        return f"above {self.threshold:g}"


@dataclass(frozen=True)
class Below:
    """Supported where the whole interval is below the threshold, refuted where it is above."""

    threshold: float

    def decide(self, low: float, high: float) -> Verdict:
        if high < self.threshold:
            return SUPPORTED
        return REFUTED if low > self.threshold else INCONCLUSIVE

    def criterion(self) -> str:
        return f"below {self.threshold:g}"


@dataclass(frozen=True)
class AtMost:
    """Supported where the whole interval is at or below the threshold, refuted where it is above."""

    threshold: float

    def decide(self, low: float, high: float) -> Verdict:
        if high <= self.threshold:
            return SUPPORTED
        return REFUTED if low > self.threshold else INCONCLUSIVE

    def criterion(self) -> str:
        return f"at most {self.threshold:g}"


@dataclass(frozen=True)
class Within:
    """Equivalence, by two one-sided tests: supported where the whole interval is between the limits, refuted where it
    is beyond one of them."""

    lower: float
    upper: float

    def decide(self, low: float, high: float) -> Verdict:
        if self.lower < low and high < self.upper:
            return SUPPORTED
        return REFUTED if high < self.lower or low > self.upper else INCONCLUSIVE

    def criterion(self) -> str:
        return f"between {self.lower:g} and {self.upper:g}"

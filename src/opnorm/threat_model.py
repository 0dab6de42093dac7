"""The threat model of an attack: which norm, how far, how many steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real

from opnorm.errors import SettingsError


@dataclass(frozen=True)
class ThreatModel:
    """An lp-bounded adversary that runs projected gradient ascent (Eq. 15).

    Attributes:
        norm: p of the ball; 1, 2 or inf.
        epsilon: radius of the ball around an example, in units of images in [0, 1].
        iterations: steps of gradient ascent.
        step_size: alpha of Eq. 15 in the same units; None is 2 epsilon / iterations; inf is the power-method limit.
        bounds: smallest and largest valid pixel value; None where inputs are not images.

    Raises:
        SettingsError: a value outside these ranges.
    """

    norm: float
    epsilon: float
    iterations: int
    step_size: float | None = None
    bounds: tuple[float, float] | None = (0.0, 1.0)

    def __post_init__(self) -> None:
        if not (_is_number(self.norm) and self.norm in (1.0, 2.0, math.inf)):
            raise SettingsError(f"norm: {self.norm!r} is not 1, 2 or inf")
        if not (_is_number(self.epsilon) and 0.0 <= self.epsilon < math.inf):
            raise SettingsError(f"epsilon: {self.epsilon!r} is not a number of at least 0")
        if not (_is_number(self.iterations) and isinstance(self.iterations, Integral) and self.iterations >= 0):
            raise SettingsError(f"iterations: {self.iterations!r} is not a whole number of at least 0")
        if self.step_size is not None and not (_is_number(self.step_size) and self.step_size > 0.0):
            raise SettingsError(f"step_size: {self.step_size!r} is not a number above 0")
        if self.bounds is not None and not _is_increasing_pair(self.bounds):
            raise SettingsError(f"bounds: {self.bounds!r} is not a pair of increasing numbers")
        # What is named after them is not to depend on how they are spelt.
        object.__setattr__(self, "norm", float(self.norm))
        object.__setattr__(self, "epsilon", float(self.epsilon))
        object.__setattr__(self, "iterations", int(self.iterations))
        if self.step_size is not None:
            object.__setattr__(self, "step_size", float(self.step_size))
        if self.bounds is not None:
            object.__setattr__(self, "bounds", (float(self.bounds[0]), float(self.bounds[1])))

    @property
    def step(self) -> float:
        """Alpha of Eq. 15."""
        if self.step_size is None:
            return 2.0 * self.epsilon / max(self.iterations, 1)
        return self.step_size


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and not math.isnan(value)


def _is_increasing_pair(values: Sequence[object]) -> bool:
    return len(values) == 2 and all(map(_is_number, values)) and values[0] < values[1]  # type: ignore[operator]

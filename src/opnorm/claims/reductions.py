"""What is read off a curve, and how the numbers of several curves become one statistic.

A reduction takes means (..., K) at K increasing places (K,) and returns (...); a combination takes several (...).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from opnorm.claims.bootstrap import divided
from opnorm.claims.claim import Floats, Reduction

# A radius may have been through float32 on its way into a table.
_ROUNDING = 1e-6


class NotMeasuredError(Exception):
    """A curve has no point where a claim looks at it."""


def whole(means: Floats, axis: Floats) -> Floats:
    """The mean of the curve."""
    return _mean(means, np.ones(len(axis), dtype=bool))


def at(place: float) -> Reduction:
    """The curve at `place`, on a straight line between the points beside it, as figures draw it."""

    def reduction(means: Floats, axis: Floats) -> Floats:
        right = int(np.searchsorted(axis, place - _ROUNDING * abs(place)))
        if right == len(axis) or (right == 0 and axis[0] > place + _ROUNDING * abs(place)):
            raise NotMeasuredError(f"nothing was measured at {place:g}")
        if np.isclose(axis[right], place, rtol=_ROUNDING, atol=0.0):
            found: Floats = means[..., right]
            return found
        share = (place - axis[right - 1]) / (axis[right] - axis[right - 1])
        between: Floats = (1.0 - share) * means[..., right - 1] + share * means[..., right]
        return between

    return reduction


def up_to(limit: float) -> Reduction:
    """The mean over the points above 0 and up to `limit`."""
    return lambda means, axis: _mean(means, (axis > 0.0) & (axis <= limit * (1.0 + _ROUNDING)))


def before(limit: float) -> Reduction:
    """The last point below `limit`, above 0."""

    def reduction(means: Floats, axis: Floats) -> Floats:
        inside = (axis > 0.0) & (axis < limit * (1.0 - _ROUNDING))
        return _mean(means, inside & (axis == np.max(axis, where=inside, initial=-np.inf)))

    return reduction


def reach(level: float) -> Reduction:
    """Up to where the curve is at least `level` before it first falls below, between two points on a line over the
    logarithm of the place; the last place where it never does. Where it begins below, it is nearer than the first
    place, which is returned with a minus."""

    def reduction(means: Floats, axis: Floats) -> Floats:
        below = means < level
        right = np.where(below.any(-1), below.argmax(-1), len(axis) - 1)
        left = np.maximum(right - 1, 0)
        before, after = (np.take_along_axis(means, at[..., None], -1)[..., 0] for at in (left, right))
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.clip((before - level) / (before - after), 0.0, 1.0)
            crossing = axis[left] ** (1.0 - share) * axis[right] ** share
        found: Floats = np.where(below.any(-1), np.where(below[..., 0], -axis[0], crossing), axis[-1])
        return found

    return reduction


def first(means: Floats, axis: Floats) -> Floats:
    """The point furthest in."""
    found: Floats = means[..., 0]
    return found


def last(means: Floats, axis: Floats) -> Floats:
    """The point furthest out."""
    found: Floats = means[..., -1]
    return found


def beyond(limit: float) -> Reduction:
    """The point furthest out, which has to be beyond `limit`."""

    def reduction(means: Floats, axis: Floats) -> Floats:
        _check_beyond(limit, axis)
        return last(means, axis)

    return reduction


def outer_half(means: Floats, axis: Floats) -> Floats:
    """The mean over the points in the outer half of the axis."""
    return _mean(means, axis > 0.5 * axis[-1])


def drop(means: Floats, axis: Floats) -> Floats:
    """By how much the first point exceeds the outer half."""
    return first(means, axis) - outer_half(means, axis)


def contrast(means: Floats, axis: Floats) -> Floats:
    """How many times the outer half the first point is."""
    return divided(first(means, axis), outer_half(means, axis))


def growth(limit: float) -> Reduction:
    """The mean over the points up to `limit` over the value at 0."""
    return lambda means, axis: divided(up_to(limit)(means, axis), at(0.0)(means, axis))


def bend(limit: float) -> Reduction:
    """The mean slope from `limit` to twice as far over the mean slope up to it, whatever was measured beyond."""

    def reduction(means: Floats, axis: Floats) -> Floats:
        start, middle, end = (at(place)(means, axis) for place in (0.0, limit, 2.0 * limit))
        return divided(end - middle, middle - start)

    return reduction


def trend(means: Floats, axis: Floats) -> Floats:
    """Slope of the least-squares line per doubling of the place, over the points above 0."""
    positive = axis > 0.0
    if positive.sum() < 2:
        raise NotMeasuredError("a trend needs two points above 0")
    x = np.log2(axis[positive])
    x = x - x.mean()
    slope: Floats = (means[..., positive] @ x) / float(x @ x)
    return slope


def value(numbers: Sequence[Floats]) -> Floats:
    """The only number."""
    (number,) = numbers
    return number


def average(numbers: Sequence[Floats]) -> Floats:
    """Their mean."""
    found: Floats = np.stack(numbers).mean(0)
    return found


def ratio(numbers: Sequence[Floats]) -> Floats:
    """The first over the second."""
    above, below = numbers
    return divided(above, below)


def over_geometric_mean(limit: float) -> Callable[[Sequence[Floats]], Floats]:
    """a / exp(b), where b is a mean of logarithms of what a cannot be less than: at least 1.

    Of a negative a it is known that it is less than its size: NaN, unless that alone says that the ratio is at most
    `limit`.
    """

    def combination(numbers: Sequence[Floats]) -> Floats:
        a, b = numbers
        # What two seeds could have been may go far beyond what a number can hold.
        found = np.maximum(np.abs(a) * np.exp(np.clip(-b, -500.0, 500.0)), 1.0)
        known: Floats = np.where((a < 0.0) & (found > limit), np.nan, found)
        return known

    return combination


def gain(numbers: Sequence[Floats]) -> Floats:
    """The first minus the second, both shares of samples, without rounding's last digits."""
    found: Floats = np.round(difference(numbers), 9)
    return found


def difference(numbers: Sequence[Floats]) -> Floats:
    """The first minus the second."""
    left, right = numbers
    return left - right


def difference_in_phases(numbers: Sequence[Floats]) -> Floats:
    """a - b + c, or a - b + c - d + e, of one method minus that of another: of a on all samples, b the same on some, c
    another on these, d the same on fewer, e a third on these."""
    one, other = np.split(np.stack(numbers), 2)
    found: Floats = one[::2].sum(0) - one[1::2].sum(0) - (other[::2].sum(0) - other[1::2].sum(0))
    return found


def ratio_of_ratios(numbers: Sequence[Floats]) -> Floats:
    """(a / c) / (b / d) of a, b of one method and c, d of another."""
    a, b, c, d = numbers
    return divided(divided(a, c), divided(b, d))


def correlation(numbers: Sequence[Floats]) -> Floats:
    """Pearson's, between a and b, of a, b of each method in turn."""
    if len(numbers) < 2 * 3:
        raise NotMeasuredError("a correlation needs three methods")
    pairs = np.stack(numbers).reshape(-1, 2, *numbers[0].shape)
    x, y = (pairs[:, i] - pairs[:, i].mean(0) for i in (0, 1))
    return divided((x * y).sum(0), np.sqrt((x * x).sum(0) * (y * y).sum(0)))


def _check_beyond(limit: float, axis: Floats) -> None:
    if axis[-1] <= limit * (1.0 + _ROUNDING):
        raise NotMeasuredError(f"nothing was measured beyond {limit:g}")


def _mean(means: Floats, chosen: NDArray[np.bool_]) -> Floats:
    if not np.any(chosen):
        raise NotMeasuredError("nothing was measured in the range that is looked at")
    found: Floats = means[..., chosen].mean(-1)
    return found

"""From where on a difference is one. docs/claims.md justifies each number, and says what was known."""

from __future__ import annotations

from opnorm.attack_names import BLACK_BOX_ALONE, GAIN
from opnorm.claims.verdict import Above, AtMost, Below, Within

ACCURACY = 0.05
"""A difference between accuracies: smaller ones count as none."""

RELATIVE = 0.10
"""A relative difference between singular values, deviations or numbers of changed ReLUs: smaller ones count as none."""

STRONG = 2.0
"""How many times another a value is that is to be far above it."""

MUCH_LARGER = 10.0
"""How many times another a region is that is to be much larger."""

STRONGLY_NEGATIVE = -0.5
"""The largest correlation that ties one number to the other."""

FLAT = 0.05
"""A difference between cosines along a curve that is to be flat."""

ALMOST_ALL = 0.01
"""The accuracy that is left where almost all inputs are misclassified."""

APPROXIMATION = 0.5
"""The largest error of a good approximation, relative to the change that it predicts."""

AGREEMENT = 0.9
"""The smallest cosine between directions that are approximately the same."""

ROUNDING = 1e-6
"""The largest difference between float64 iterates, in units of the ball's radius, that is rounding."""

ALL = 0.99
"""The smallest share where it should be all: of iterates that agree to rounding, of checks that are passed."""

SAME_ACCURACY = Within(-ACCURACY, ACCURACY)
MORE_ACCURATE = Above(ACCURACY)
LESS_ACCURATE = Below(-ACCURACY)
NOT_MORE_ACCURATE = Below(ACCURACY)
ALL_PASSED = Above(ALL)
LITTLE_GAINED = AtMost(GAIN)
NOTHING_ALONE = AtMost(BLACK_BOX_ALONE)
SAME_SIZE = Within(1.0 - RELATIVE, 1.0 + RELATIVE)
SMALLER = Below(1.0 - RELATIVE)
LARGER = Above(1.0 + RELATIVE)
NOT_LARGER = Below(1.0 + RELATIVE)

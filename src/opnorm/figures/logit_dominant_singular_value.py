"""The largest singular value of the logits' Jacobian, by distance."""

from __future__ import annotations

from opnorm.figures import dominant_singular_value
from opnorm.figures.dominant_singular_value import KEYS, summarise
from opnorm.figures.panels import relabelled

__all__ = ["KEYS", "draw", "summarise"]

draw = relabelled(dominant_singular_value.draw, "dominant singular value $\\sigma_1$ of $J_f$\n(logits per pixel unit)")

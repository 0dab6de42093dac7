"""The singular values of the logits' Jacobian, by rank."""

from __future__ import annotations

from opnorm.figures import spectrum
from opnorm.figures.panels import relabelled
from opnorm.figures.spectrum import KEYS, summarise

__all__ = ["KEYS", "draw", "summarise"]

draw = relabelled(spectrum.draw, "singular value $\\sigma_r$ of $J_f$\n(logits per pixel unit)")

"""How far adversarial perturbations lie along the singular vectors of the logits' Jacobian, by rank."""

from __future__ import annotations

from opnorm.figures import alignment
from opnorm.figures.alignment import KEYS, summarise
from opnorm.figures.panels import relabelled

__all__ = ["KEYS", "draw", "summarise"]

draw = relabelled(alignment.draw, r"cosine $|\langle z, v_r \rangle| / \|z\|_2$, $v_r$ of $J_f$")

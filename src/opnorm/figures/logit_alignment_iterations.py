"""How far what k iterations find lies along the dominant singular vector of the logits' Jacobian."""

from __future__ import annotations

from opnorm.figures import alignment_iterations
from opnorm.figures.alignment_iterations import KEYS, summarise
from opnorm.figures.panels import relabelled

__all__ = ["KEYS", "draw", "summarise"]

draw = relabelled(alignment_iterations.draw, r"cosine $|\langle z, v_1 \rangle| / \|z\|_2$, $v_1$ of $J_f$")

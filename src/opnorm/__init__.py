"""Operator norms of network Jacobians, adversarial training, and the experiments that compare them."""

__version__ = "0.1.0"

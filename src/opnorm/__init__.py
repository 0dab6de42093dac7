"""Operator norms of network Jacobians, adversarial training, and the experiments that compare them."""

from __future__ import annotations

import importlib
from types import ModuleType

__version__ = "0.1.0"

_MODULES = (
    "analysis", "attacks", "autoattack", "claims", "data", "datasets", "errors", "evaluation", "figures", "folding",
    "jacobian", "lanczos", "lp", "models", "modes", "objectives", "operator_norm", "options", "provenance", "sanity",
    "settings", "tables", "threat_model", "training", "weights",
)  # fmt: skip


def __getattr__(name: str) -> ModuleType:
    """`opnorm.attacks` after `import opnorm`, which imports nothing itself: waiting for a job needs no torch."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})

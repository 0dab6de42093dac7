"""Measurements on trained networks, one file each: a subject -> a table, one row per sample and x."""

from __future__ import annotations

from typing import Any

from opnorm.options import resolve

REGISTRY = {
    "spectrum": "opnorm.analysis._spectrum:spectrum",
    "alignment": "opnorm.analysis._alignment:alignment",
    "logit_spectrum": "opnorm.analysis._spectrum:logit_spectrum",
    "logit_alignment": "opnorm.analysis._alignment:logit_alignment",
    "logit_dominant_singular_value": "opnorm.analysis._dominant_singular_value:logit_dominant_singular_value",
    "logit_direction": "opnorm.analysis._logit_direction:logit_direction",
    "robustness": "opnorm.analysis._robustness:robustness",
    "linearity": "opnorm.analysis._linearity:linearity",
    "dominant_singular_value": "opnorm.analysis._dominant_singular_value:dominant_singular_value",
    "activations": "opnorm.analysis._activations:activations",
    "alignment_distance": "opnorm.analysis._alignment_distance:alignment_distance",
    "alignment_iterations": "opnorm.analysis._alignment_iterations:alignment_iterations",
    "logit_alignment_iterations": "opnorm.analysis._alignment_iterations:logit_alignment_iterations",
    "attack_iterations": "opnorm.analysis._attack_iterations:attack_iterations",
    "operator_norms": "opnorm.analysis._operator_norms:operator_norms",
    "theorem": "opnorm.analysis._theorem:theorem",
    "theorem_distance": "opnorm.analysis._theorem:theorem_distance",
    "evaluation": "opnorm.analysis._evaluation:evaluation",
    "sanity": "opnorm.analysis._sanity:sanity",
}

ON_TEST_SPLIT = frozenset({"robustness", "evaluation", "sanity"})
"""Those that attack samples of the test split themselves, and know nothing of the analysed samples."""


def __getattr__(name: str) -> Any:
    """`opnorm.analysis.<measurement>`, imported when it is asked for."""
    if name in REGISTRY:
        return resolve(REGISTRY, "analysis", name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""The four attacks of AutoAttack (Croce & Hein 2020, arXiv 2003.01690), by its authors' package pyautoattack."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from opnorm.errors import SettingsError
from opnorm.evaluation import returned_to_ball
from opnorm.folding import folded
from opnorm.modes import evaluation
from opnorm.options import suggest
from opnorm.threat_model import ThreatModel

BLACK_BOX = "square"
"""The one attack that sees outputs alone."""

_NAMES = {"apgd_ce": "apgd-ce", "apgd_t": "apgd-t", "fab_t": "fab-t", BLACK_BOX: "square"}
_NORMS = {1.0: "L1", 2.0: "L2", math.inf: "Linf"}

# The targeted loss compares the four largest logits; the standard version takes nine targets.
_LEAST_CLASSES, _MOST_TARGETS = 4, 9


def attacks(classes: int) -> tuple[str, ...]:
    """Names of the standard version's attacks on a network of so many classes: "apgd_ce", "apgd_t", "fab_t", "square".

    "apgd_t", whose loss needs four logits, is left out where there are fewer.
    """
    return tuple(name for name in _NAMES if name != "apgd_t" or classes >= _LEAST_CLASSES)


def autoattack(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    threat: ThreatModel,
    *,
    attack: str,
    seed: int,
    batch_size: int = 500,
    queries: int = 5000,
) -> Tensor:
    """Perturbed inputs of one attack, with the parameters of AutoAttack's standard version.

    The package knows one domain, [0, 1]: where the threat model's bounds are wider its attacks stay in [0, 1], where
    they are narrower its points are clamped to them. No global random state and no trace function is left changed.

    Args:
        model: inputs (B, C, H, W) -> logits (B, d), in float32.
        x: clean inputs in [0, 1] (B, C, H, W), float32.
        y: true labels (B,).
        threat: the ball; its iterations and step are the attack's own.
        attack: a name of `attacks`.
        seed: of all that the attack draws.
        batch_size: samples attacked at once.
        queries: forward passes of "square".

    Returns:
        Tensor like `x`, inside ball and bounds; clean where the attack has failed.

    Raises:
        SettingsError: no such attack; inputs outside [0, 1]; pyautoattack is not installed.
    """
    if attack not in _NAMES:
        raise SettingsError(f"unknown attack {attack!r}{suggest(attack, _NAMES)}")
    if not len(x):
        return x
    lowest, highest = torch.stack(x.detach().aminmax()).tolist()
    if not 0.0 <= lowest <= highest <= 1.0:
        raise SettingsError(
            f"x: has values from {lowest:g} to {highest:g}, where AutoAttack knows images in [0, 1] alone; make the "
            "normalisation the model's first layer"
        )
    # The package seeds every GPU.
    devices = range(torch.cuda.device_count())
    without_gradient = torch.inference_mode(attack == BLACK_BOX)
    with evaluation(model), torch.random.fork_rng(devices=devices), _trace_function_kept(), without_gradient:
        suite = _suite(folded(model), x, threat, seed, queries)
        suite.attacks_to_run = [_NAMES[attack]]
        perturbed, _ = suite.run_standard_evaluation(x, y.long(), batch_size=batch_size)
    return returned_to_ball(x, perturbed, threat)


def _suite(model: nn.Module, x: Tensor, threat: ThreatModel, seed: int, queries: int) -> Any:
    try:
        from pyautoattack import AutoAttack
    except ImportError as error:
        raise SettingsError(
            "AutoAttack is not installed: pip install pyautoattack, or set autoattack: false in the experiment"
        ) from error
    norm, device = _NORMS[threat.norm], str(x.device)
    suite = AutoAttack(model, norm=norm, eps=threat.epsilon, seed=seed, device=device, version="standard")
    with torch.no_grad():
        classes = model(x[:1]).shape[1]
    suite.fab.n_target_classes = min(_MOST_TARGETS, classes - 1)
    suite.apgd_targeted.n_target_classes = min(suite.apgd_targeted.n_target_classes, classes - 1)
    suite.square.n_queries = queries
    # It draws the same few windows thousands of times.
    suite.square.eta_rectangles = cache(suite.square.eta_rectangles)
    return suite


@contextmanager
def _trace_function_kept() -> Iterator[None]:
    """The package's look for defences that differentiate at test time ends all tracing, a debugger's too."""
    kept = sys.gettrace()
    try:
        yield
    finally:
        sys.settrace(kept)

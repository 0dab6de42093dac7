"""How adversarial perturbations of growing size align with the dominant singular vector at the sample."""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from opnorm import lp
from opnorm.analysis.subject import SAMPLES_AT_ONCE, Function, Subject, features
from opnorm.analysis.tidy import tidy
from opnorm.attacks import projected_gradient_ascent
from opnorm.errors import SettingsError
from opnorm.jacobian import InputJacobian
from opnorm.lanczos import dominant_singular_value
from opnorm.options import Grid
from opnorm.seeding import generator
from opnorm.threat_model import ThreatModel

# Of the largest singular value, relative to it; the vector's angle is then about the root of this over the relative gap
# to the next.
_TOLERANCE = 1e-8


def alignment_distance(subject: Subject, *, epsilons: Grid) -> pd.DataFrame:
    """|cos| between l2 perturbations of x and the right singular vector v_1 of J_{phi^{L-1}}(x) (Sec. 5.2).

    The attack is that of the analysed samples (Eq. 15): cross-entropy of the predicted label, the experiment's
    iterations and bounds, and the same draws, scaled, at every epsilon. At the training epsilon, where that is in l2,
    the cosines are those of `alignment` at rank 1.

    Args:
        subject: what to measure on.
        epsilons: radii of the l2 balls, in units of images in [0, 1]; 0 is left out, which has no direction.

    Returns:
        Columns sample, epsilon, cosine in [0, 1].

    Raises:
        SettingsError: no epsilon is above 0.
    """
    radii = above_zero(epsilons, "alignment_distance.epsilons")
    v = dominant_singular_vectors(subject, features(subject.model))
    cosine = [cosines(perturbation(subject, _l2_ball(subject.threat, epsilon)), v) for epsilon in radii]
    return tidy("cosine", torch.stack(cosine, 1), {"sample": subject.samples.index, "epsilon": radii})


def _l2_ball(threat: ThreatModel, epsilon: float) -> ThreatModel:
    """The experiment's attack in an l2 ball of another radius; a finite step is the same part of the radius."""
    step = threat.step_size
    if step is not None and threat.epsilon > 0.0:
        step *= epsilon / threat.epsilon
    return ThreatModel(2.0, epsilon, threat.iterations, step, threat.bounds)


def dominant_singular_vectors(subject: Subject, function: Function) -> Tensor:
    """v_1 (B, n) of the function's Jacobian at the clean samples, few samples at a time, by Lanczos."""
    parts = subject.samples.split(SAMPLES_AT_ONCE)
    found = [
        dominant_singular_value(InputJacobian(function, part.images), start=part.random_direction, tolerance=_TOLERANCE)
        for part in parts
    ]
    error = torch.cat([part.error for part in found])
    if missed := int((error > _TOLERANCE).sum()):
        many = f"{missed} of {len(error)} samples"
        tqdm.write(f"warning: seed {subject.seed}: v_1 of {many} has not converged: {float(error.max()):.1e}")
    return torch.cat([part.right for part in found])


def cosines(a: Tensor, b: Tensor) -> Tensor:
    """|<a, b>| / (|a|_2 |b|_2) of each example (B,), of (B, ...); 0 where one of them is 0."""
    a, b = (lp.dual_vector(z.flatten(1), 2.0) for z in (a, b))
    return (a * b).sum(1).abs().clamp(max=1.0)


def above_zero(grid: Grid, where: str) -> tuple[float, ...]:
    """The radii that a perturbation can have.

    Raises:
        SettingsError: there is none; names `where`.
    """
    radii = tuple(radius for radius in grid if radius > 0.0)
    if not radii:
        raise SettingsError(f"{where}: {list(grid)} has no number above 0")
    return radii


def perturbation(subject: Subject, threat: ThreatModel) -> Tensor:
    """x* - x (B, C, H, W) of the analysed samples' attack in another ball, from the same start; all samples at once."""
    x = subject.samples.images
    with torch.no_grad():
        predicted = subject.model(x).argmax(1)
    # The stage of the analysed samples' attack, whose start this then is.
    random = generator(subject.seed, "attacked samples", device=x.device)
    return projected_gradient_ascent(subject.model, x, predicted, threat, generator=random) - x

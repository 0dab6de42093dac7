"""Linear classifiers of grey images, whose robust radii are known."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import reference
from opnorm import data
from opnorm.analysis.subject import Samples, Subject
from opnorm.models.classifier import Classifier, Normalise
from opnorm.threat_model import ThreatModel


def grey_images(count: int, seed: int = 0) -> Tensor:
    """Images uint8 (count, 1, 8, 8) so far from black and white that small balls do not reach the bounds."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(100, 156, (count, 1, 8, 8), generator=generator, dtype=torch.uint8)


def linear_network(classes: int, seed: int = 0) -> Classifier:
    """A network whose logits are linear in the pixels; float32, in evaluation mode."""
    layer = nn.Linear(64, classes)
    weight = torch.randn(classes, 64, generator=torch.Generator().manual_seed(seed))
    layer.weight.data.copy_(weight)
    # Nothing is classified by the constant part of the images.
    layer.bias.data.copy_(-0.5 * weight.sum(1))
    return Classifier(Normalise((0.0,), (1.0,)), nn.Flatten(), layer).eval()


def radii(model: Classifier, x: Tensor, y: Tensor, norm: float) -> Tensor:
    """Distance (B,) of `x` from the nearest other class of a linear network; below 0 where it is wrong already."""
    W, z = model.linear.weight.detach().double(), model(x).detach().double()
    found = torch.full((len(x), len(W)), torch.inf, dtype=torch.float64)
    for i, label in enumerate(y.tolist()):
        for other in set(range(len(W))) - {label}:
            length = reference.norm(W[label] - W[other], reference.dual_exponent(norm))
            found[i, other] = (z[i, label] - z[i, other]) / length
    return found.amin(1)


def linear_subject(model: Classifier, threat: ThreatModel, count: int = 24, wrong: int = 3) -> Subject:
    """`count` grey images, labelled as `model` classifies them but for the first `wrong`."""
    images = grey_images(count)
    x = data.to_unit(images)
    labels = model(x).argmax(1).detach()
    labels[:wrong] = (labels[:wrong] + 1) % model.linear.out_features
    samples = Samples(torch.arange(1), x[:1], x[:1], x[:1], x[:1])
    return Subject(model, model, samples, data.Split(images, labels), threat, seed=0)

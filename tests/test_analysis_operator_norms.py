"""The nine norms of Table 1 on data, against brute force on finite-difference Jacobians."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import reference
from opnorm import analysis, data
from opnorm.analysis.subject import Samples, Subject
from opnorm.models.classifier import Classifier, Normalise
from opnorm.threat_model import ThreatModel

# Central differences with steps of 1e-6 round by 1e-10 relative to outputs of order one, summed over six pixels.
DIFFERENCE = 1e-8


def gaussian(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def small_network(classes: int) -> Classifier:
    """6 pixels, 9 hidden units; float64."""
    body, linear = nn.Sequential(nn.Flatten(), nn.Linear(6, 9), nn.ReLU()), nn.Linear(9, classes)
    model = Classifier(Normalise((0.3,), (0.5,)), body, linear).double().eval()
    for seed, parameter in enumerate(model.parameters()):
        parameter.data.copy_(gaussian(seed, *parameter.shape))
    return model


def subject_of(model: Classifier, x: Tensor) -> Subject:
    samples = Samples(torch.arange(10, 10 + len(x)), x, x + 0.1, x, x)
    split = data.Split(torch.zeros(1, 1, 2, 3, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64))
    return Subject(model, model, samples, split, ThreatModel(2.0, 0.3, 3), seed=0)


@pytest.fixture
def subject() -> Subject:
    return subject_of(small_network(4), gaussian(20, 5, 1, 2, 3).sigmoid())


def test_norms_are_those_of_the_finite_difference_jacobian(subject: Subject) -> None:
    table = analysis.operator_norms(subject)
    J = reference.jacobian(subject.model, subject.samples.images)
    assert len(table) == 9 * 5
    assert table["exact"].all()
    for row in table.itertuples():
        expected = reference.operator_norm(J[row.sample - 10], row.p, row.q)
        assert row.norm == pytest.approx(expected, rel=DIFFERENCE)
        assert row.upper == row.norm
    # Norms of the clean samples' Jacobians: at other points of the network they are others.
    assert table[(table["p"] == 2.0) & (table["q"] == 2.0)]["norm"].nunique() > 1


def test_the_estimate_is_enclosed(cnn5: Classifier, images: Tensor) -> None:
    """64 pixels and 10 logits: only (inf, 2) is neither closed nor enumerated."""
    table = analysis.operator_norms(subject_of(cnn5, images))
    estimated = table[~table["exact"]]
    assert {*zip(estimated["p"], estimated["q"], strict=True)} == {(math.inf, 2.0)}
    assert (table["upper"] >= table["norm"]).all()
    assert (estimated["upper"] <= math.sqrt(math.pi / 2.0) * 1.01 * estimated["norm"]).all()
    J = reference.jacobian(cnn5, images)
    signs = torch.where(gaussian(0, 2000, 64) < 0.0, -1.0, 1.0).double()
    for row in estimated.itertuples():
        tried = torch.linalg.vector_norm(signs @ J[row.sample - 10].T, dim=1).max().item()
        assert tried <= row.upper
        assert row.norm >= tried


def test_no_more_samples_than_asked_for(subject: Subject) -> None:
    whole, part = analysis.operator_norms(subject), analysis.operator_norms(subject, samples=2)
    assert set(part["sample"]) == {10, 11}
    kept = whole[whole["sample"] < 12].reset_index(drop=True)
    assert kept.equals(part.reset_index(drop=True))
    assert set(analysis.operator_norms(subject, samples=100)["sample"]) == set(range(10, 15))


def test_it_is_the_logits_jacobian(subject: Subject) -> None:
    doubled = small_network(4)
    doubled.linear.weight.data *= 2.0
    table, twice = (analysis.operator_norms(s) for s in (subject, replace(subject, model=doubled)))
    assert twice["norm"].to_numpy() == pytest.approx(2.0 * table["norm"].to_numpy(), rel=1e-12)

"""The alignment of growing perturbations with v_1: on a linear network, by loops, and where it meets `alignment`."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import reference
from attacked import attacked, attacked_subject
from opnorm import analysis, data
from opnorm.analysis._alignment_distance import above_zero, cosines
from opnorm.analysis.subject import Subject
from opnorm.errors import SettingsError
from opnorm.models.classifier import Classifier, Normalise
from opnorm.threat_model import ThreatModel

EPSILONS = (0.1, 0.3, 1.0)


@pytest.fixture
def subject(cnn5: Classifier, images: Tensor, digits: dict[str, data.Split]) -> Subject:
    return attacked_subject(cnn5, images, digits["test"])


def test_at_the_training_epsilon_it_is_the_alignment_at_rank_1(subject: Subject) -> None:
    table = analysis.alignment_distance(subject, epsilons=EPSILONS)
    found = table[table["epsilon"] == 0.3].set_index("sample")["cosine"]
    alignment = analysis.alignment(subject)
    alignment = alignment[(alignment["network"] == "trained") & (alignment["rank"] == 1)]
    expected = alignment.set_index("sample")["cosine"]
    # float64: a perturbation of length 0.3, from a difference of images in [0, 1].
    assert found.to_numpy() == pytest.approx(expected[found.index].to_numpy(), abs=1e-12)


def test_a_step_is_the_same_part_of_every_radius(subject: Subject) -> None:
    # A sixth of the training radius, 0.3; not the default.
    threat = replace(subject.threat, step_size=0.05)
    stepped = analysis.alignment_distance(replace(subject, threat=threat), epsilons=EPSILONS)
    default = analysis.alignment_distance(subject, epsilons=EPSILONS)
    assert (stepped["cosine"] - default["cosine"]).abs().max() > 1e-3
    for epsilon in EPSILONS:
        ball = ThreatModel(2.0, epsilon, threat.iterations, epsilon / 6.0, threat.bounds)
        alone = analysis.alignment_distance(replace(subject, threat=ball), epsilons=(epsilon,))
        found = stepped[stepped["epsilon"] == epsilon].set_index("sample")["cosine"]
        expected = alone.set_index("sample")["cosine"]
        assert found.to_numpy() == pytest.approx(expected[found.index].to_numpy(), abs=1e-9)


def test_cosines_are_those_of_a_loop(subject: Subject) -> None:
    table = analysis.alignment_distance(subject, epsilons=(0.0, *EPSILONS))
    assert list(table.columns) == ["sample", "epsilon", "cosine"]
    assert set(table["epsilon"]) == set(EPSILONS)
    assert len(table) == 3 * 8
    x, model = subject.samples.images, subject.model
    _, _, Vh = torch.linalg.svd(reference.jacobian(model.features, x), full_matrices=False)
    rows = table.set_index(["sample", "epsilon"])["cosine"]
    for epsilon in EPSILONS:
        z = (attacked(model, x, ThreatModel(2.0, epsilon, 3), 2) - x).flatten(1)
        for i, index in enumerate(subject.samples.index.tolist()):
            expected = abs(float(z[i] @ Vh[i, 0])) / reference.norm(z[i], 2.0)
            # v_1 of the finite difference: 1e-10 over the relative gap of the singular values.
            assert rows[index, epsilon] == pytest.approx(expected, abs=1e-6)
    assert table["cosine"].between(0.0, 1.0).all()
    assert table["cosine"].nunique() == 24


def test_a_linear_network_is_attacked_along_v_1_at_every_distance(subject: Subject) -> None:
    """One feature: every gradient is a multiple of its only singular vector."""
    w = torch.randn(1, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    body, linear = nn.Sequential(nn.Flatten(), nn.Linear(64, 1, bias=False)), nn.Linear(1, 2)
    body[1].weight.data = w
    model = Classifier(Normalise((0.0,), (1.0,)), body.double(), linear.double()).eval()
    threat = ThreatModel(2.0, 0.3, 40, bounds=None)
    flat = analysis.alignment_distance(replace(subject, model=model, threat=threat), epsilons=EPSILONS)
    # Forty steps of epsilon / 20 leave a part of the random start, the same at every radius.
    assert (flat["cosine"] > 0.9).all()
    assert (flat.groupby("sample")["cosine"].agg(lambda c: c.max() - c.min()) < 1e-12).all()
    clipped = analysis.alignment_distance(
        replace(subject, model=model, threat=replace(threat, bounds=(0.0, 1.0))), epsilons=EPSILONS
    )
    # Pixels at zero cannot sink: the experiment's bounds are kept.
    assert (clipped["cosine"] < flat["cosine"].to_numpy()).all()
    assert clipped["cosine"].mean() < flat["cosine"].mean() - 0.05


def test_the_attack_has_the_experiment_s_iterations_in_l2(subject: Subject) -> None:
    one, three = (
        analysis.alignment_distance(replace(subject, threat=ThreatModel(math.inf, 0.1, k)), epsilons=EPSILONS)
        for k in (1, 3)
    )
    assert three.equals(analysis.alignment_distance(subject, epsilons=EPSILONS))
    assert not one.equals(three)


def test_parts_of_any_size_give_the_same_cosines(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = analysis.alignment_distance(subject, epsilons=EPSILONS)
    monkeypatch.setattr("opnorm.analysis._alignment_distance.SAMPLES_AT_ONCE", 3)
    parts = analysis.alignment_distance(subject, epsilons=EPSILONS)
    assert parts["cosine"].to_numpy() == pytest.approx(whole["cosine"].to_numpy(), abs=1e-9)


def test_cosine_of_nothing_is_nothing() -> None:
    a, b = torch.tensor([[0.0, 0.0], [3.0, -4.0]]), torch.tensor([[1.0, 1.0], [-6.0, 8.0]])
    assert cosines(a, b).tolist() == pytest.approx([0.0, 1.0])


def test_without_a_radius_there_is_nothing_to_measure(subject: Subject) -> None:
    with pytest.raises(SettingsError, match=r"alignment_distance\.epsilons: \[0\.0\]"):
        analysis.alignment_distance(subject, epsilons=(0.0,))
    assert above_zero((0.0, 0.5), "here") == (0.5,)

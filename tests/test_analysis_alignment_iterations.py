"""What few and many iterations find of v_1: by loops, where it meets `alignment`, and on a linear network."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from pandas.testing import assert_frame_equal
from torch import Tensor, nn

import reference
from attacked import attacked, attacked_subject
from opnorm import analysis, data
from opnorm.analysis.subject import Subject
from opnorm.models.classifier import Classifier, Normalise
from opnorm.threat_model import ThreatModel

COUNTS = (1, 3, 7)


@pytest.fixture
def subject(cnn5: Classifier, images: Tensor, digits: dict[str, data.Split]) -> Subject:
    return attacked_subject(cnn5, images, digits["test"])


def cosine(a: Tensor, b: Tensor) -> float:
    return abs(float(a.flatten() @ b.flatten())) / (reference.norm(a.flatten(), 2.0) * reference.norm(b.flatten(), 2.0))


def test_cosines_are_those_of_a_loop(subject: Subject) -> None:
    table = analysis.alignment_iterations(subject, iterations=COUNTS)
    assert list(table.columns) == ["sample", "process", "iterations", "cosine"]
    assert len(table) == 8 * (1 + 2 * len(COUNTS))
    assert table["cosine"].between(0.0, 1.0).all()
    found = table.set_index(["process", "iterations", "sample"])["cosine"]
    x, model = subject.samples.images, subject.model
    J = reference.jacobian(model.features, x)
    for i, index in enumerate(subject.samples.index.tolist()):
        v_1 = torch.linalg.svd(J[i]).Vh[0]
        leaf = x[i : i + 1].clone().requires_grad_()
        z = model(leaf)
        loss = nn.functional.cross_entropy(z, z.argmax(1))
        (gradient,) = torch.autograd.grad(loss, leaf)
        # v_1 of the finite difference: 1e-10 over the relative gap of the singular values.
        assert found["input_gradient", 1, index] == pytest.approx(cosine(gradient, v_1), abs=1e-6)
        v = subject.samples.random_direction[i].flatten()
        for k in range(1, max(COUNTS) + 1):
            v = J[i].T @ (J[i] @ v)
            v = v / v.norm()
            if k in COUNTS:
                assert found["power_method", k, index] == pytest.approx(cosine(v, v_1), abs=1e-6)
    for k in COUNTS:
        z = attacked(model, x, replace(subject.threat, iterations=k), 2) - x
        for i, index in enumerate(subject.samples.index.tolist()):
            v_1 = torch.linalg.svd(J[i]).Vh[0]
            assert found["attack", k, index] == pytest.approx(cosine(z[i], v_1), abs=1e-6)


def test_after_the_attacks_own_iterations_it_is_the_alignment_at_rank_1(subject: Subject) -> None:
    table = analysis.alignment_iterations(subject, iterations=COUNTS)
    own = table[(table["process"] == "attack") & (table["iterations"] == subject.threat.iterations)]
    alignment = analysis.alignment(subject)
    alignment = alignment[(alignment["network"] == "trained") & (alignment["rank"] == 1)]
    expected = alignment.set_index("sample")["cosine"][own["sample"]]
    # float64: a perturbation of length 0.3, from a difference of images in [0, 1].
    assert own["cosine"].to_numpy() == pytest.approx(expected.to_numpy(), abs=1e-12)


def test_with_one_feature_every_process_finds_v_1_at_once(subject: Subject) -> None:
    w = torch.randn(1, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    body, linear = nn.Sequential(nn.Flatten(), nn.Linear(64, 1, bias=False)), nn.Linear(1, 2)
    body[1].weight.data = w
    model = Classifier(Normalise((0.0,), (1.0,)), body.double(), linear.double()).eval()
    # The step covers the ball from wherever the attack starts.
    threat = ThreatModel(2.0, 0.3, 1, step_size=1e6, bounds=None)
    table = analysis.alignment_iterations(replace(subject, model=model, threat=threat), iterations=COUNTS)
    assert (table["cosine"] > 1.0 - 1e-6).all()


def test_few_samples_at_a_time_give_the_same(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = analysis.alignment_iterations(subject, iterations=COUNTS)
    monkeypatch.setattr("opnorm.analysis._alignment_iterations.SAMPLES_AT_ONCE", 3)
    parts = analysis.alignment_iterations(subject, iterations=COUNTS)
    assert parts["cosine"].to_numpy() == pytest.approx(whole["cosine"].to_numpy(), abs=1e-9)


def test_of_logits_it_is_that_of_features_of_a_network_that_ends_there(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = analysis.logit_alignment_iterations(subject, iterations=COUNTS)
    of_features = analysis.alignment_iterations(subject, iterations=COUNTS)
    assert (found["cosine"] - of_features["cosine"]).abs().max() > 0.01

    def ends_there(model: Classifier, x: Tensor) -> Tensor:
        return model.linear(model.body(model.normalise(x)))  # type: ignore[no-any-return]

    monkeypatch.setattr(Classifier, "features", ends_there)
    monkeypatch.setattr(Classifier, "forward", ends_there)
    assert_frame_equal(found, analysis.alignment_iterations(subject, iterations=COUNTS), rtol=1e-9, atol=1e-9)

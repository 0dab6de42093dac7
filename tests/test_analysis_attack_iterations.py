"""Where longer attacks end: three quantities against loops over samples, and against the other analyses."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

import reference
from attacked import attacked, attacked_subject
from opnorm import analysis, data
from opnorm.analysis.subject import ADVERSARIAL, Subject
from opnorm.models.classifier import Classifier

COUNTS = (1, 3, 6)
# Of shares of some hundred ReLUs in float32, and of sums of as many terms in float64.
ROUNDING = 1e-6


@pytest.fixture
def subject(cnn5: Classifier, images: Tensor, digits: dict[str, data.Split]) -> Subject:
    return attacked_subject(cnn5, images, digits["test"])


def test_quantities_are_those_of_a_loop(subject: Subject) -> None:
    table = analysis.attack_iterations(subject, iterations=COUNTS, tolerance=1e-12)
    assert list(table.columns) == ["sample", "iterations", "singular_value", "deviation", "shared"]
    assert len(table) == 8 * len(COUNTS)
    found = table.set_index(["iterations", "sample"])
    x, model = subject.samples.images, subject.model
    J = reference.jacobian(model.features, x)
    for k in COUNTS:
        end = attacked(model, x, replace(subject.threat, iterations=k), 2)
        there = reference.jacobian(model.features, end)
        for i, index in enumerate(subject.samples.index.tolist()):
            row = found.loc[k, index]
            # Of a finite difference.
            assert row["singular_value"] == pytest.approx(float(torch.linalg.svdvals(there[i])[0]), rel=1e-6)
            with torch.no_grad():
                change = model.features(end[i : i + 1]) - model.features(x[i : i + 1])
            deviation = reference.norm(change[0] - J[i] @ (end[i] - x[i]).flatten(), 2.0)
            assert row["deviation"] == pytest.approx(deviation, abs=1e-6)
            assert 0.0 < row["shared"] <= 1.0
    assert found["deviation"].nunique() == len(found)


def test_after_the_attacks_own_iterations_it_is_what_other_analyses_find(subject: Subject) -> None:
    own = analysis.attack_iterations(subject, iterations=(subject.threat.iterations,), tolerance=1e-12)
    own = own.set_index("sample")
    spectrum = analysis.spectrum(subject)
    at_attacked = spectrum[(spectrum["inputs"] == ADVERSARIAL) & (spectrum["rank"] == 1)].set_index("sample")
    index = own.index
    assert own["singular_value"].to_numpy() == pytest.approx(at_attacked["singular_value"][index].to_numpy(), rel=1e-8)
    # All perturbations of one length: the distance that the other two analyses go in their direction.
    length = torch.linalg.vector_norm(subject.samples.perturbation.flatten(1), dim=1)
    for place, distance in enumerate(length.tolist()):
        for name, column in (("linearity", "deviation"), ("activations", "shared")):
            table = getattr(analysis, name)(subject, distances=(distance,))
            table = table[table["direction"] == ADVERSARIAL].set_index("sample")
            sample = int(subject.samples.index[place])
            assert own[column][sample] == pytest.approx(float(table[column][sample]), abs=ROUNDING)


def test_few_samples_at_a_time_give_the_same(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = analysis.attack_iterations(subject, iterations=COUNTS, tolerance=1e-12)
    monkeypatch.setattr("opnorm.analysis._attack_iterations.SAMPLES_AT_ONCE", 3)
    parts = analysis.attack_iterations(subject, iterations=COUNTS, tolerance=1e-12)
    for column in ("singular_value", "deviation", "shared"):
        assert parts[column].to_numpy() == pytest.approx(whole[column].to_numpy(), rel=1e-8)

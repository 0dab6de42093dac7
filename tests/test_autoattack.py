"""AutoAttack's parts against the closed form of a linear network, and what they leave behind: nothing."""

from __future__ import annotations

import math
import sys
from types import FrameType
from typing import Any

import pytest
import torch
from torch import Tensor

import reference
from linear import grey_images, linear_network, radii
from opnorm import data
from opnorm.autoattack import attacks, autoattack
from opnorm.errors import SettingsError
from opnorm.evaluation import correct
from opnorm.models.classifier import Classifier
from opnorm.threat_model import ThreatModel

QUERIES = 200


def samples(model: Classifier, count: int = 10) -> tuple[Tensor, Tensor]:
    x = data.to_unit(grey_images(count))
    return x, model(x).argmax(1)


@pytest.mark.parametrize(("norm", "attack"), [
    (2.0, "apgd_ce"), (2.0, "apgd_t"), (2.0, "fab_t"), (2.0, "square"),
    (math.inf, "apgd_ce"), (math.inf, "apgd_t"), (math.inf, "fab_t"), (math.inf, "square"), (1.0, "apgd_ce"),
])  # fmt: skip
def test_it_is_about_as_strong_as_the_closed_form_and_never_stronger(norm: float, attack: str) -> None:
    model = linear_network(5)
    x, y = samples(model)
    r = radii(model, x, y, norm)
    epsilon = float(r.median())
    threat = ThreatModel(norm, epsilon, 1)
    perturbed = autoattack(model, x, y, threat, attack=attack, seed=3, queries=QUERIES)
    for delta in (perturbed - x).flatten(1):
        assert reference.norm(delta.double(), norm) <= epsilon * (1.0 + 1e-5)
    assert perturbed.min() >= 0.0
    assert perturbed.max() <= 1.0
    answers = correct(model, perturbed, y)
    # Float32 logits of order one round by 1e-6.
    assert answers[r > (1.0 + 1e-3) * epsilon].all()
    assert (r > (1.0 + 1e-3) * epsilon).sum() >= 4
    if attack != "square":
        assert not answers[r < 0.95 * epsilon].any()
    assert not answers.all()
    assert torch.equal(perturbed[answers], x[answers])


def test_the_same_seed_gives_the_same_points_and_no_state_leaks() -> None:
    model = linear_network(5)
    x, y = samples(model)
    threat = ThreatModel(2.0, float(radii(model, x, y, 2.0).max()), 1)
    state = torch.get_rng_state()

    def tracer(frame: FrameType, event: str, argument: Any) -> None:
        return None

    sys.settrace(tracer)
    try:
        first = autoattack(model, x, y, threat, attack="square", seed=3, queries=20)
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(None)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(5)
    again, other = (autoattack(model, x, y, threat, attack="square", seed=s, queries=20) for s in (3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())


def test_windows_drawn_once_are_those_drawn_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    model = linear_network(5)
    x, y = samples(model)
    threat = ThreatModel(2.0, float(radii(model, x, y, 2.0).max()), 1)
    once = autoattack(model, x, y, threat, attack="square", seed=3, queries=QUERIES)
    monkeypatch.setattr("opnorm.autoattack.cache", lambda function: function)
    each_time = autoattack(model, x, y, threat, attack="square", seed=3, queries=QUERIES)
    assert torch.equal(once, each_time)
    assert not torch.equal(once, x)


def test_its_points_are_clamped_to_narrower_bounds() -> None:
    model = linear_network(5)
    x, y = samples(model)
    threat = ThreatModel(math.inf, 0.3, 1, bounds=(0.35, 0.65))
    perturbed = autoattack(model, x, y, threat, attack="apgd_ce", seed=0)
    assert not torch.equal(perturbed, x)
    assert perturbed.min() >= 0.35
    assert perturbed.max() <= 0.65


@pytest.mark.parametrize(("classes", "expected"), [
    (2, ("apgd_ce", "fab_t", "square")), (3, ("apgd_ce", "fab_t", "square")),
    (4, ("apgd_ce", "apgd_t", "fab_t", "square")), (100, ("apgd_ce", "apgd_t", "fab_t", "square")),
])  # fmt: skip
def test_attacks_that_fit_the_classes(classes: int, expected: tuple[str, ...]) -> None:
    assert attacks(classes) == expected


@pytest.mark.parametrize("classes", [2, 4, 12])
def test_any_number_of_classes(classes: int) -> None:
    model = linear_network(classes)
    x, y = samples(model, 2)
    for attack in attacks(classes):
        perturbed = autoattack(model, x, y, ThreatModel(2.0, 1.0, 1), attack=attack, seed=0, queries=5)
        assert perturbed.shape == x.shape


def test_no_samples() -> None:
    model = linear_network(5)
    x, y = samples(model)
    assert len(autoattack(model, x[:0], y[:0], ThreatModel(2.0, 1.0, 1), attack="square", seed=0)) == 0


def test_without_the_package_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyautoattack", None)
    model = linear_network(5)
    with pytest.raises(SettingsError, match="pip install"):
        autoattack(model, *samples(model), ThreatModel(2.0, 1.0, 1), attack="square", seed=0)


@pytest.mark.parametrize(("value", "words"), [(-0.1, "from -0.1 to"), (1.2, "to 1.2"), (math.nan, "from nan to nan")])
def test_inputs_outside_its_domain_are_refused(value: float, words: str) -> None:
    model = linear_network(5)
    x, y = samples(model, 2)
    x[1, 0, 0, 0] = value
    with pytest.raises(SettingsError, match=rf"^x: has values .*{words}.*\[0, 1\]"):
        autoattack(model, x, y, ThreatModel(2.0, 1.0, 1, bounds=None), attack="apgd_ce", seed=0)


def test_a_misspelt_attack_is_named_with_the_right_one() -> None:
    model = linear_network(5)
    with pytest.raises(SettingsError, match="unknown attack 'apgd-ce'; did you mean apgd_ce"):
        autoattack(model, *samples(model), ThreatModel(2.0, 1.0, 1), attack="apgd-ce", seed=0)


def test_labels_may_be_of_any_whole_type() -> None:
    model = linear_network(5)
    x, y = samples(model, 4)
    threat = ThreatModel(2.0, float(radii(model, x, y, 2.0).median()), 1)
    found, expected = (autoattack(model, x, labels, threat, attack="apgd_ce", seed=0) for labels in (y.int(), y))
    assert torch.equal(found, expected)

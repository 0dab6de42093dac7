"""What stays correct under projected gradient ascent, and when a perturbed point is believed."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import reference
from linear import grey_images, linear_network, radii
from opnorm import data
from opnorm.attacks import CrossEntropy
from opnorm.errors import SettingsError
from opnorm.evaluation import FarthestOverTheBorder, correct, correct_under_ascent, returned_to_ball
from opnorm.threat_model import ThreatModel


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("norm", [1.0, 2.0, math.inf])
@pytest.mark.parametrize("bounds", [(0.0, 1.0), (0.2, 0.7), None])
def test_points_outside_are_returned(norm: float, bounds: tuple[float, float] | None) -> None:
    x = torch.rand(20, 1, 4, 4, generator=random(), dtype=torch.float64) * 0.5 + 0.2
    far = x + torch.randn(20, 1, 4, 4, generator=random(1), dtype=torch.float64)
    point = returned_to_ball(x, far, ThreatModel(norm, 0.3, 1, bounds=bounds))
    for delta in (point - x).flatten(1):
        assert reference.norm(delta, norm) <= 0.3 * (1.0 + 1e-12)
    if bounds is not None:
        assert bounds[0] <= point.min()
        assert point.max() <= bounds[1]


def test_points_inside_stay_and_what_is_not_finite_is_clean() -> None:
    x = torch.full((3, 1, 2, 2), 0.5, dtype=torch.float64)
    perturbed = x.clone()
    perturbed[0] += 0.01
    perturbed[1, 0, 0, 0] = math.nan
    perturbed[2, 0, 1, 1] = math.inf
    point = returned_to_ball(x, perturbed, ThreatModel(2.0, 0.1, 1))
    assert torch.equal(point[0], perturbed[0])
    assert torch.equal(point[1:], x[1:])


def test_equal_logits_are_not_correct() -> None:
    z, y = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [math.nan, 1.0]]), torch.tensor([0, 0, 0, 0])
    assert correct(nn.Identity(), z, y).tolist() == [True, False, False, False]


def test_it_is_scored_in_evaluation_mode_and_the_network_left_as_it_was() -> None:
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4), nn.Dropout(0.9)).eval()
    model[1].running_mean.uniform_(generator=random(2))
    x, y = torch.rand(8, 1, 2, 2, generator=random()), torch.arange(8) % 4
    threat = ThreatModel(2.0, 0.1, 2)
    expected = correct(model, x, y)
    under_ascent = correct_under_ascent(model, x, y, threat, generator=random(1))
    model.train()
    before = copy.deepcopy(model.state_dict())
    assert torch.equal(correct(model, x, y), expected)
    assert torch.equal(correct_under_ascent(model, x, y, threat, generator=random(1)), under_ascent)
    assert all(module.training for module in model.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert 0 < expected.sum() < 8


def test_labels_may_be_of_any_whole_type_and_are_of_the_models_classes() -> None:
    z, y = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0])
    for dtype in (torch.uint8, torch.int32):
        assert correct(nn.Identity(), z, y.to(dtype)).tolist() == [True, False]
    with pytest.raises(SettingsError, match="labels are whole numbers"):
        correct(nn.Identity(), z, y.float())
    with pytest.raises(SettingsError, match="the label 2, where the model has classes 0 to 1"):
        correct(nn.Identity(), z, y + 2)
    with pytest.raises(SettingsError, match=r"outputs of shape \(2, 1, 2\) are not \(2, d\)"):
        correct(nn.Identity(), z[:, None], y)
    assert correct(nn.Identity(), z[:0], y[:0]).shape == (0,)


def test_the_point_over_the_border_is_kept_and_not_that_of_highest_cross_entropy() -> None:
    still_correct = torch.tensor([[1.0, 0.9, 0.9, 0.9]])
    wrong = torch.tensor([[0.0, 0.1, -50.0, -50.0]])
    y = torch.tensor([0])
    cross_entropy, ours = (loss(y, torch.empty(0)) for loss in (CrossEntropy, FarthestOverTheBorder))
    assert cross_entropy.value(still_correct) > cross_entropy.value(wrong)
    assert ours.value(still_correct) < 0.0 < ours.value(wrong)
    assert torch.equal(ours.direction(wrong), cross_entropy.direction(wrong))


@pytest.mark.parametrize("norm", [2.0, math.inf])
def test_a_linear_network_is_broken_where_it_can_be(norm: float) -> None:
    model, x = linear_network(10), data.to_unit(grey_images(60))
    y = model(x).argmax(1)
    r = radii(model, x, y, norm)
    epsilon = float(r.median())
    threat = ThreatModel(norm, epsilon, 50)
    answers = correct_under_ascent(model, x, y, threat, starts=3, generator=random())[0].all(0)
    # Float32 logits of order one round by 1e-6; the nearest class is not always the attack's.
    assert answers[r > (1.0 + 1e-3) * epsilon].all()
    assert not answers[r < 0.9 * epsilon].any()
    assert 10 < (r < 0.9 * epsilon).sum() < 50


def test_all_starts_of_a_sample_are_in_one_batch() -> None:
    sizes: list[int] = []
    model, x = linear_network(4), data.to_unit(grey_images(10))
    model.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    y = torch.zeros(10, dtype=torch.int64)
    answers = correct_under_ascent(model, x, y, ThreatModel(2.0, 0.1, 2), starts=4, batch_size=12, generator=random())
    assert answers.shape == (1, 4, 10)
    # Three samples with four starts each fit into twelve.
    assert set(sizes) == {12, 4}


@pytest.mark.parametrize("norm", [2.0, math.inf])
def test_a_look_on_the_way_is_what_a_run_of_that_length_finds(norm: float) -> None:
    model, x = linear_network(10), data.to_unit(grey_images(60))
    y = model(x).argmax(1)
    threat = ThreatModel(norm, float(radii(model, x, y, norm).median()), 12)
    looks = (1, 3, 12)
    found = correct_under_ascent(model, x, y, threat, looks=looks, starts=3, batch_size=45, generator=random())
    for n, answers in zip(looks, found, strict=True):
        alone = correct_under_ascent(
            model, x, y, replace(threat, iterations=n), starts=3, batch_size=45, generator=random()
        )
        assert torch.equal(answers, alone[0])
    # The longer one goes on from the shorter one's end, and never gives back what it has found.
    assert found[0].sum() > found[2].sum() > 0
    assert (found[1:] <= found[:-1]).all()


def test_starts_do_not_depend_on_the_size_of_batches() -> None:
    model, x = linear_network(10), data.to_unit(grey_images(60))
    y = model(x).argmax(1)
    threat = ThreatModel(2.0, float(radii(model, x, y, 2.0).median()), 2)
    whole, parts = (
        correct_under_ascent(model, x, y, threat, starts=3, batch_size=size, generator=random()) for size in (500, 21)
    )
    assert torch.equal(whole, parts)
    assert 0 < whole.sum() < whole.numel()


def test_what_is_over_the_border_is_not_followed_further() -> None:
    sizes: list[int] = []
    model, x = linear_network(10), data.to_unit(grey_images(60))
    y = model(x).argmax(1)
    r = radii(model, x, y, 2.0)
    threat = ThreatModel(2.0, float(r.median()), 20)
    model.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    found = correct_under_ascent(model, x, y, threat, looks=(10, 20), generator=random())
    assert {*sizes} == {60, int(found[0].sum())}
    assert 20 <= int(found[0].sum()) <= 40


def test_no_samples_and_less_room_than_starts() -> None:
    model, x = linear_network(4), data.to_unit(grey_images(2))
    y, threat = torch.zeros(2, dtype=torch.int64), ThreatModel(2.0, 0.1, 2)
    assert correct_under_ascent(model, x[:0], y[:0], threat, starts=3, generator=random()).shape == (1, 3, 0)
    assert correct_under_ascent(model, x, y, threat, starts=3, batch_size=2, generator=random()).shape == (1, 3, 2)


def test_starts_differ_and_are_repeatable() -> None:
    """On a network without gradients the end is the start."""

    class Stairs(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            moved = (x.flatten(1).sum(1, keepdim=True) > 32.0).float()
            return torch.cat([moved, 1.0 - moved], 1)

    x, y = torch.full((40, 1, 8, 8), 0.5), torch.ones(40, dtype=torch.int64)
    threat = ThreatModel(2.0, 0.5, 2)
    first, again, other = (
        correct_under_ascent(Stairs(), x, y, threat, starts=2, generator=random(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first[0, 0], first[0, 1])

"""Each reason to doubt is found where it was built in, and not where it was not."""

from __future__ import annotations

import math

import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from linear import grey_images, linear_network
from opnorm import data, sanity
from opnorm.sanity import Check


class Rounded(nn.Module):
    """A network behind quantised inputs: its gradients are zero, whatever it computes."""

    def __init__(self, network: nn.Module, levels: float = 16.0) -> None:
        super().__init__()
        self.network, self.levels = network, levels

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.network((x * self.levels).round() / self.levels)
        return z


class Noisy(nn.Module):
    """A network that adds noise to its inputs."""

    def __init__(self, network: nn.Module, deviation: float) -> None:
        super().__init__()
        self.network, self.deviation = network, deviation

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.network(x + self.deviation * torch.randn_like(x))
        return z


class Detached(nn.Module):
    """A network that autograd cannot see through."""

    def forward(self, x: Tensor) -> Tensor:
        return x.detach().flatten(1)[:, :5]


@pytest.fixture
def x() -> Tensor:
    return data.to_unit(grey_images(12))


@pytest.fixture
def y(x: Tensor) -> Tensor:
    return linear_network(5)(x).argmax(1)


def test_an_honest_network_passes(x: Tensor, y: Tensor) -> None:
    checks = sanity.model_checks(linear_network(5), x, y)
    assert [check.check for check in checks] == ["zero_gradients", "randomness", "probabilities"]
    assert [check.value for check in checks] == [0.0, 0.0, 0.0]
    assert not sanity.failed(checks)


def test_masked_gradients_are_seen(x: Tensor, y: Tensor) -> None:
    for masked in (Rounded(linear_network(5)), Detached()):
        check = sanity.zero_gradients(masked, x, y)
        assert check.value == 1.0
        assert not check.passed


def test_a_few_masked_gradients_are_counted(x: Tensor, y: Tensor) -> None:
    class Partly(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            z: Tensor = linear_network(5)(torch.cat([x[:3].detach(), x[3:]]))
            return z

    check = sanity.zero_gradients(Partly(), x, y)
    assert check.value == 3 / 12
    assert not check.passed


def test_a_certain_network_s_gradients_are_not_zero(x: Tensor, y: Tensor) -> None:
    """Where cross-entropy itself has underflowed the attack still has a direction."""
    certain = linear_network(5)
    certain.linear.weight.data *= 1e4
    certain.linear.bias.data *= 1e4
    assert (nn.functional.cross_entropy(certain(x), y, reduction="none") == 0.0).any()
    assert sanity.zero_gradients(certain, x, y).passed


@pytest.mark.parametrize("deviation", [1e-3, 1.0])
def test_a_network_that_answers_differently_twice_is_seen(deviation: float, x: Tensor) -> None:
    check = sanity.randomness(Noisy(linear_network(5), deviation), x)
    assert check.value > 1e-4
    assert not check.passed


def test_dropout_is_looked_at_as_it_is_attacked_in_evaluation_mode(x: Tensor) -> None:
    network = nn.Sequential(nn.Dropout(0.5), linear_network(5)).train()
    assert not torch.equal(network(x), network(x))
    assert sanity.randomness(network, x).value == 0.0
    assert network.training


def test_outputs_that_are_not_numbers_do_not_pass(x: Tensor) -> None:
    broken = linear_network(5)
    broken.linear.bias.data[0] = math.nan
    assert Check("randomness", math.nan, 1.0).passed is False
    assert not sanity.randomness(broken, x).passed


def test_checks_of_the_network_do_not_depend_on_how_many_inputs_are_looked_at_at_once(x: Tensor) -> None:
    network, y = linear_network(5), torch.arange(12) % 5
    at_once = sanity.model_checks(network, x, y)
    assert [check.value for check in sanity.model_checks(network, x, y, batch_size=5)] == pytest.approx(
        [check.value for check in at_once], abs=1e-6
    )
    sizes: list[int] = []
    network.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    sanity.model_checks(network, x, y, batch_size=5)
    assert max(sizes) == 5


def test_softmaxed_outputs_are_seen(x: Tensor) -> None:
    softmaxed = nn.Sequential(linear_network(5), nn.Softmax(1))
    check = sanity.probabilities(softmaxed, x)
    assert check.value == 1.0
    assert not check.passed
    assert sanity.probabilities(nn.Sequential(linear_network(5), nn.LogSoftmax(1)), x).passed


def answers(**attacks: list[bool]) -> pd.DataFrame:
    """A table of `evaluation` for one ball."""
    return pd.concat(
        pd.DataFrame({"sample": range(len(correct)), "norm": 2.0, "epsilon": 0.5, "attack": name, "correct": correct})
        for name, correct in attacks.items()
    )


def test_iterations_that_still_gain_are_seen() -> None:
    """Of 100 samples ten iterations leave 60 correct, fifty 58, and two hundred 55."""
    table = answers(
        **{f"pga_{n}": [True] * kept + [False] * (100 - kept) for n, kept in ((200, 55), (10, 60), (50, 58))}
    )
    first, second = sanity.more_iterations(table)
    assert (first.check, first.value, first.passed) == ("more_iterations_50", 0.02, True)
    assert (second.check, second.value, second.passed) == ("more_iterations_200", 0.03, False)
    assert (first.norm, first.epsilon) == (2.0, 0.5)


def test_restarts_are_not_compared_as_iterations() -> None:
    table = answers(pga_10=[True] * 4, pga_200=[True] * 4, pga_200x5=[False] * 4)
    assert [check.value for check in sanity.more_iterations(table)] == [0.0]


def test_each_ball_is_checked_on_its_own() -> None:
    table = answers(pga_10=[True] * 4, pga_50=[True] * 4, square=[True] * 4)
    broken = answers(pga_10=[True] * 4, pga_50=[False] * 4, square=[True] * 4).assign(norm=math.inf)
    found = sanity.more_iterations(pd.concat([broken, table]))
    assert [(check.norm, check.value) for check in found] == [(2.0, 0.0), (math.inf, 1.0)]
    assert len(sanity.black_box_alone(pd.concat([broken, table]))) == 2


def test_what_the_black_box_attack_alone_breaks_is_counted() -> None:
    """The first is broken by both, the second by white-box attacks, the third by the black-box attack alone."""
    table = answers(
        clean=[True, True, True, True],
        pga_10=[True, False, True, True],
        apgd_ce=[False, True, True, True],
        square=[False, True, False, True],
        autoattack=[False, True, False, True],
        worst_case=[False, False, False, True],
    )
    (check,) = sanity.black_box_alone(table)
    assert (check.check, check.value, check.passed) == ("black_box", 0.25, False)
    (check,) = sanity.black_box_alone(table[table["sample"] != 2])
    assert (check.value, check.passed) == (0.0, True)
    assert sanity.black_box_alone(table[table["attack"] != "square"]) == []


def test_what_an_independent_attack_adds_to_the_project_s_own_is_counted() -> None:
    """The first is broken by the longest ascent, the second by the independent attack too, the third by it alone."""
    table = answers(
        clean=[True] * 4,
        pga_10=[True] * 4,
        pga_200x5=[False, False, True, True],
        autoattack=[True, False, False, True],
        worst_case=[False, False, False, True],
    )
    (check,) = sanity.independent_attack(table)
    assert (check.check, check.value, check.passed) == ("independent_attack", 0.25, False)
    (check,) = sanity.independent_attack(table[table["sample"] != 2])
    assert (check.value, check.passed) == (0.0, True)
    assert sanity.independent_attack(table[table["attack"] != "autoattack"]) == []


def test_attacks_of_some_samples_are_compared_on_these() -> None:
    """Of ten samples the longer ascent breaks two; of the three that AutoAttack was given it breaks one more."""
    partial = answers(
        clean=[True] * 10, pga_10=[True] * 10, pga_50=[False, *[True] * 8, False],
        pga_50x5=[False, True, True], fab_t=[True] * 3, square=[True, True, False], autoattack=[True, True, False],
    )  # fmt: skip
    assert [check.value for check in sanity.more_iterations(partial)] == [0.2]
    assert [check.value for check in sanity.independent_attack(partial)] == [pytest.approx(1.0 / 3.0)]
    assert [check.value for check in sanity.black_box_alone(partial)] == [pytest.approx(1.0 / 3.0)]


def curve(*accuracies: float) -> pd.DataFrame:
    """Fifty samples, so many of them correct at radii 1, 2, ..., in no particular order of rows."""
    rows = [
        {"sample": i, "norm": math.inf, "epsilon": float(radius), "correct": i < 50 * accuracy}
        for radius, accuracy in enumerate(accuracies, 1)
        for i in range(50)
    ]
    return pd.DataFrame(rows).sample(frac=1.0, random_state=0)


def test_an_accuracy_that_rises_with_the_radius_is_seen() -> None:
    (check,) = sanity.monotone(curve(0.9, 0.6, 0.7, 0.2))
    assert (check.check, check.norm, check.epsilon, check.passed) == ("monotone", math.inf, 3.0, False)
    assert check.value == pytest.approx(0.1)
    (check,) = sanity.monotone(curve(0.9, 0.6, 0.6, 0.2))
    assert (check.value, check.passed) == (0.0, True)


def test_an_accuracy_above_chance_in_the_largest_ball_is_seen() -> None:
    (check,) = sanity.large_epsilon(curve(0.9, 0.5, 0.12), 10)
    assert (check.check, check.value, check.threshold, check.epsilon) == ("large_epsilon", 0.12, 0.1, 3.0)
    assert not check.passed
    (check,) = sanity.large_epsilon(curve(0.9, 0.5, 0.1), 10)
    assert check.passed


def test_a_check_says_what_it_is_about() -> None:
    assert str(Check("black_box", 0.25, 0.002, math.inf, 0.03)) == (
        "black_box (linf, epsilon 0.03): 0.25, at most 0.002 expected"
    )
    assert str(Check("randomness", 1.0, 1e-4)) == "randomness: 1, at most 0.0001 expected"

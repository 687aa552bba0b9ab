"""Optimisers get their arguments, learning rates follow their schedule."""

import dataclasses
import math

import pytest
import torch

from ganhub import UserError
from training.clock import Clock
from training.growing import grown, level
from training.optimizers import OPTIMIZERS, lr_factor, make_optimizer
from training.recipe import Recipe

RESTARTED = {"lr_schedule": "linear", "lr_kimg": 100.0, "later_kimg": 100.0}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("player", ["g", "d"])
def test_every_optimizer_gets_its_own_rate_and_moves(name, player):
    recipe = Recipe(**{f"{player}_optimizer": name, f"{player}_lr": 0.125})
    network = torch.nn.Linear(2, 1)
    optimizer = make_optimizer(recipe, network, player)
    assert type(optimizer) is OPTIMIZERS[name] and optimizer.param_groups[0]["lr"] == 0.125
    before = network.weight.clone()
    network(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    assert not torch.equal(before, network.weight)


def test_further_arguments_and_betas():
    def group(**changes):
        return make_optimizer(dataclasses.replace(Recipe(), **changes), torch.nn.Linear(1, 1), "d").param_groups[0]

    assert group(betas=(0.0, 0.9))["betas"] == (0.0, 0.9)
    sgd = group(d_optimizer="sgd", d_optimizer_args={"momentum": 0.9, "nesterov": True})
    assert sgd["momentum"] == 0.9 and sgd["nesterov"]
    keras = group(d_optimizer="rmsprop", d_optimizer_args={"alpha": 0.9, "eps": 1e-7})
    assert keras["alpha"] == 0.9 and keras["eps"] == 1e-7
    with pytest.raises(UserError, match="d_optimizer_args: .*momentum"):
        group(d_optimizer_args={"momentum": 0.9})


@pytest.mark.parametrize(
    "changes, clock, factor",
    [
        ({}, Clock(images=10**6), 1.0),
        ({"lr_schedule": "linear", "lr_kimg": 100.0}, Clock(images=25_000), 0.75),
        ({"lr_schedule": "linear", "lr_kimg": 100.0}, Clock(images=200_000), 0.0),
        ({"lr_schedule": "cosine", "lr_kimg": 100.0}, Clock(images=50_000), 0.5),
        ({"lr_schedule": "cosine", "lr_kimg": 100.0}, Clock(images=25_000), (1 + math.cos(math.pi / 4)) / 2),
        ({"lr_schedule": "keras", "lr_decay": 0.1}, Clock(steps=10), 0.5),
        (RESTARTED, Clock(images=99_000), 0.01),
        (RESTARTED, Clock(images=100_000), 1.0),
        (RESTARTED, Clock(images=125_000), 0.75),
        (RESTARTED, Clock(images=200_000), 0.0),
        ({**RESTARTED, "lr_schedule": "cosine"}, Clock(images=150_000), 0.5),
        ({**RESTARTED, "later": {"lr_kimg": 50.0}}, Clock(images=75_000), 0.25),
        ({**RESTARTED, "later": {"lr_kimg": 50.0}}, Clock(images=125_000), 0.5),
        ({**RESTARTED, "later": {"later_kimg": 200.0, "later": {"lr_kimg": 40.0}}}, Clock(images=150_000), 0.5),
        ({**RESTARTED, "later": {"later_kimg": 200.0, "later": {"lr_kimg": 40.0}}}, Clock(images=210_000), 0.75),
        ({"lr_schedule": "keras", "lr_decay": 0.1, "later_kimg": 1.0}, Clock(images=2000, steps=10), 0.5),
    ],
)
def test_learning_rates_follow_the_clock(changes, clock, factor):
    assert lr_factor(Recipe(**changes).phase(clock.kimg), clock) == pytest.approx(factor)


@pytest.mark.parametrize(
    "kimg, expected", [(0, 0), (9, 0), (10, 0), (12.5, 0.5), (15, 1), (19, 1), (22.5, 1.5), (25, 2), (99, 2)]
)
def test_a_stage_fades_in_and_then_trains(kimg, expected):
    recipe = Recipe(resolution=32, grow_from=8, grow_kimg=10.0)
    assert level(recipe, kimg) == pytest.approx(expected)
    assert grown(recipe, kimg) == (expected == 2)
    assert grown(Recipe(), 0)

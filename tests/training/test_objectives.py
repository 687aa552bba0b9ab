"""Losses and penalties against values worked out by hand."""

import math

import pytest
import torch

from training.objectives import OBJECTIVES
from training.penalties import PENALTIES, pulling_away

REAL, FAKE = torch.tensor([1.0, -2.0]), torch.tensor([0.5, -1.0])


def softplus(x):
    return math.log1p(math.exp(x))


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def mean(*values):
    return sum(values) / len(values)


CROSS_ENTROPY = mean(softplus(-1.0), softplus(2.0)) + mean(softplus(0.5), softplus(-1.0))
CAPSULE = mean((0.9 - sigmoid(1.0)) ** 2, (0.9 - sigmoid(-2.0)) ** 2)
CAPSULE += 0.5 * mean((sigmoid(0.5) - 0.1) ** 2, (sigmoid(-1.0) - 0.1) ** 2)
EXPECTED = {  # name -> (d_loss, g_loss)
    "non_saturating": (CROSS_ENTROPY, mean(softplus(-0.5), softplus(1.0))),
    "minimax": (CROSS_ENTROPY, -mean(softplus(0.5), softplus(-1.0))),
    "hinge": (mean(0.0, 3.0) + mean(1.5, 0.0), mean(-0.5, 1.0)),
    "least_squares": (mean(0.0, 9.0) / 2 + mean(0.25, 1.0) / 2, mean(0.25, 4.0) / 2),
    "wasserstein": (mean(0.5, -1.0) - mean(1.0, -2.0), mean(-0.5, 1.0)),
    "margin": (CAPSULE, mean(softplus(-0.5), softplus(1.0))),
    "ebgan": (mean(-1.0, 2.0) + mean(1.5, 0.0), mean(-0.5, 1.0)),  # errors -1 and 2, -0.5 and 1; margin 1
    "began": (mean(-1.0, 2.0) - 0.5 * mean(-0.5, 1.0), mean(-0.5, 1.0)),  # k = 0.5
    "relativistic": (mean(softplus(-0.5), softplus(1.0)), mean(softplus(0.5), softplus(-1.0))),
}
MEMORY = {"began": {"k": 0.5}}


def arguments(name):
    return {**OBJECTIVES[name].arguments, **MEMORY.get(name, {})}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_losses(name):
    d_loss, g_loss = EXPECTED[name]
    objective = OBJECTIVES[name]
    assert objective.d_loss(REAL, FAKE, **arguments(name)).item() == pytest.approx(d_loss, abs=1e-6)
    real = REAL if objective.relativistic else None
    assert objective.g_loss(FAKE, real, **arguments(name)).item() == pytest.approx(g_loss, abs=1e-6)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_losses_pull_apart(name):
    """D is pushed to raise real and lower fake logits; G to raise fake ones."""
    objective = OBJECTIVES[name]
    at = objective.boundary or 0.0
    real, fake = (torch.full((3,), at, requires_grad=True) for _ in range(2))
    objective.d_loss(real, fake, **arguments(name)).backward()
    assert (real.grad < 0).all() and (fake.grad > 0).all()
    fake = torch.zeros(3, requires_grad=True)
    objective.g_loss(fake, torch.zeros(3), **arguments(name)).backward()
    assert (fake.grad < 0).all()


@pytest.mark.parametrize("name", [name for name, entry in OBJECTIVES.items() if entry.loss])
def test_swapped_labels_swap_the_roles(name):
    objective, given = OBJECTIVES[name], arguments(name)
    swapped = objective.loss(REAL, torch.zeros(2), **given).mean() + objective.loss(FAKE, torch.ones(2), **given).mean()
    assert swapped.item() == pytest.approx(objective.d_loss(FAKE, REAL, **given).item())


@pytest.mark.parametrize("name", ["non_saturating", "minimax", "least_squares", "hinge"])
def test_at_the_boundary_both_verdicts_cost_the_same(name):
    objective = OBJECTIVES[name]
    logits = torch.full((1,), objective.boundary)
    wrong, right = (
        torch.autograd.functional.jacobian(lambda x, y=y: objective.loss(x, y, **arguments(name)), logits)
        for y in (torch.ones(1), torch.zeros(1))
    )
    assert wrong.item() == pytest.approx(-right.item()) and right.item() > 0


def test_smoothed_cross_entropy_is_least_at_the_label():
    logits = torch.tensor([math.log(9.0)], requires_grad=True)  # sigmoid 0.9
    OBJECTIVES["non_saturating"].loss(logits, torch.tensor([0.9])).sum().backward()
    assert logits.grad.item() == pytest.approx(0.0, abs=1e-6)


def test_noisy_labels_do_not_reward_ever_larger_logits():
    for name in ("non_saturating", "hinge"):
        logits = torch.tensor([-1000.0, 1000.0], requires_grad=True)
        OBJECTIVES[name].loss(logits, torch.tensor([-0.05, 1.05])).sum().backward()
        assert logits.grad.tolist() == [0.0, 0.0]
    logits = torch.tensor([0.0], requires_grad=True)
    OBJECTIVES["non_saturating"].loss(logits, torch.tensor([1.05])).sum().backward()
    assert logits.grad.item() == pytest.approx(0.5 - 1.05)


def test_began_balances_by_its_equation_and_measures_convergence():
    k, real, fake = torch.tensor(0.2), torch.tensor(-0.4), torch.tensor(-0.1)  # errors 0.4 and 0.1
    kept, shown = OBJECTIVES["began"].remember(real, fake, k=k, gamma=0.5, k_rate=0.1)
    assert kept["k"].item() == pytest.approx(0.2 + 0.1 * (0.5 * 0.4 - 0.1))
    assert shown["convergence"].item() == pytest.approx(0.4 + abs(0.5 * 0.4 - 0.1))
    kept, _ = OBJECTIVES["began"].remember(real, torch.tensor(-9.0), k=k, gamma=0.5, k_rate=0.1)
    assert kept["k"].item() == 0.0


def test_ebgan_leaves_errors_beyond_the_margin_alone():
    fake = torch.tensor([-0.5, -2.0], requires_grad=True)
    OBJECTIVES["ebgan"].d_loss(torch.zeros(2), fake, margin=1.0).backward()
    assert fake.grad.tolist() == [0.5, 0.0]


def linear(images):
    return images.flatten(1) @ torch.arange(1.0, 49.0)  # its gradient is (1, ..., 48) everywhere


SQUARED = sum(i * i for i in range(1, 49))
OF_LINEAR = {
    "r1": SQUARED / 2,
    "r2": SQUARED / 2,
    "wgan_gp": (SQUARED**0.5 - 1) ** 2,
    "dragan": (SQUARED**0.5 - 1) ** 2,
}


@pytest.mark.parametrize("name", PENALTIES)
def test_the_penalty_of_a_linear_critic(name):
    images = torch.randn(5, 3, 4, 4)
    assert PENALTIES[name](linear, images, -images).item() == pytest.approx(OF_LINEAR[name], rel=1e-5)


def quadratic(images):
    return images.square().sum((1, 2, 3)) / 2  # its gradient is the image itself


def test_r1_looks_at_real_images_and_r2_at_fake_ones():
    real, fake = torch.ones(2, 1, 2, 2), torch.full((2, 1, 2, 2), 3.0)
    assert PENALTIES["r1"](quadratic, real, fake).item() == pytest.approx(2.0)
    assert PENALTIES["r2"](quadratic, real, fake).item() == pytest.approx(18.0)


def seen_by(name, real, fake):
    seen = []

    def critic(images):
        seen.append(images)
        return quadratic(images)

    PENALTIES[name](critic, real, fake)
    return seen[0].detach()


def test_wgan_gp_looks_between_the_images_and_dragan_just_above_the_real_ones():
    real, fake = torch.zeros(2000, 1, 1, 2), torch.ones(2000, 1, 1, 2)
    between = seen_by("wgan_gp", real, fake)
    assert torch.equal(between[..., 0], between[..., 1])  # one share an image
    assert between.min() >= 0 and between.max() <= 1 and between.mean().item() == pytest.approx(0.5, abs=0.03)
    real = torch.tensor([1.0, -1.0]).repeat(1000)[:, None, None, None]
    noise = seen_by("dragan", real, fake) - real
    half = 0.5 * real.std().item()
    assert noise.min() >= 0 and noise.max() <= half and noise.mean().item() == pytest.approx(half / 4, abs=0.02)


@pytest.mark.parametrize("name", PENALTIES)
def test_penalties_can_be_trained_through(name):
    weight = torch.tensor(3.0, requires_grad=True)
    images = torch.randn(4, 1, 2, 2)
    PENALTIES[name](lambda x: weight * x.flatten(1)[:, 0], images, -images).backward()
    assert weight.grad.item() == pytest.approx(3.0 if name in ("r1", "r2") else 2 * (3 - 1))  # of w^2/2 and (w - 1)^2


def test_pulling_away_of_parallel_and_of_square_codes():
    assert pulling_away(torch.tensor([[1.0, 0.0], [5.0, 0.0]])).item() == pytest.approx(1.0)
    assert pulling_away(torch.eye(3)).item() == pytest.approx(0.0)
    assert pulling_away(torch.tensor([[1.0, 0.0], [1.0, 1.0]])).item() == pytest.approx(0.5)

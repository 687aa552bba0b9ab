"""Losses and penalties against values worked out by hand."""

import math

import pytest
import torch

from training.objectives import OBJECTIVES
from training.penalties import PENALTIES

REAL, FAKE = torch.tensor([1.0, -2.0]), torch.tensor([0.5, -1.0])


def softplus(x):
    return math.log1p(math.exp(x))


def mean(*values):
    return sum(values) / len(values)


CROSS_ENTROPY = mean(softplus(-1.0), softplus(2.0)) + mean(softplus(0.5), softplus(-1.0))
EXPECTED = {  # name -> (d_loss, g_loss)
    "non_saturating": (CROSS_ENTROPY, mean(softplus(-0.5), softplus(1.0))),
    "minimax": (CROSS_ENTROPY, -mean(softplus(0.5), softplus(-1.0))),
    "hinge": (mean(0.0, 3.0) + mean(1.5, 0.0), mean(-0.5, 1.0)),
    "least_squares": (mean(0.0, 9.0) / 2 + mean(0.25, 1.0) / 2, mean(0.25, 4.0) / 2),
    "relativistic": (mean(softplus(-0.5), softplus(1.0)), mean(softplus(0.5), softplus(-1.0))),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_losses(name):
    d_loss, g_loss = EXPECTED[name]
    objective = OBJECTIVES[name]
    assert objective.d_loss(REAL, FAKE).item() == pytest.approx(d_loss, abs=1e-6)
    assert objective.g_loss(FAKE, REAL if objective.relativistic else None).item() == pytest.approx(g_loss, abs=1e-6)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_losses_pull_apart(name):
    """D is pushed to raise real and lower fake logits; G to raise fake ones."""
    objective = OBJECTIVES[name]
    real, fake = torch.zeros(3, requires_grad=True), torch.zeros(3, requires_grad=True)
    objective.d_loss(real, fake).backward()
    assert ((real.grad < 0).all() and (fake.grad > 0).all()) or (name == "least_squares" and (real.grad < 0).all())
    fake = torch.zeros(3, requires_grad=True)
    objective.g_loss(fake, torch.zeros(3)).backward()
    assert (fake.grad < 0).all()


def linear(images):
    return images.flatten(1) @ torch.arange(1.0, 49.0)  # its gradient is (1, ..., 48) everywhere


@pytest.mark.parametrize("name", PENALTIES)
def test_the_penalty_of_a_linear_critic(name):
    images = torch.randn(5, 3, 4, 4)
    value = sum(i * i for i in range(1, 49)) / 2
    assert PENALTIES[name](linear, images, -images).item() == pytest.approx(value, rel=1e-5)


def test_r1_looks_at_real_images_and_r2_at_fake_ones():
    def quadratic(images):
        return images.square().sum((1, 2, 3)) / 2  # its gradient is the image itself

    real, fake = torch.ones(2, 1, 2, 2), torch.full((2, 1, 2, 2), 3.0)
    assert PENALTIES["r1"](quadratic, real, fake).item() == pytest.approx(2.0)
    assert PENALTIES["r2"](quadratic, real, fake).item() == pytest.approx(18.0)


def test_penalties_can_be_trained_through():
    weight = torch.tensor(3.0, requires_grad=True)
    penalty = PENALTIES["r1"](lambda x: weight * x.flatten(1)[:, 0], torch.randn(4, 1, 2, 2), torch.randn(4, 1, 2, 2))
    penalty.backward()
    assert weight.grad.item() == pytest.approx(3.0)

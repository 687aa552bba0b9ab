"""The way from one latent to another."""

import pytest
import torch

from ganhub.latents import sample, slerp

SHARES = torch.tensor([0.0, 0.25, 0.5, 1.0])


@pytest.mark.parametrize("dim", [1, 2, 16, 128])
def test_the_way_has_its_ends_and_lengths_between_theirs(dim: int) -> None:
    for seed in range(20):
        start, end = sample([seed, seed + 100], dim)
        way = slerp(start, end, SHARES)
        torch.testing.assert_close(way[[0, -1]], torch.stack([start, end]), atol=1e-4, rtol=1e-4)
        assert way.shape == (4, dim)
        assert way.norm(dim=1).max() <= 1.01 * max(start.norm(), end.norm())


def test_halfway_is_as_long_as_the_mean_of_the_ends() -> None:
    start, end = sample([3, 8], 128)
    (middle,) = slerp(start, end, torch.tensor([0.5]))
    torch.testing.assert_close(middle.norm(), (start.norm() + end.norm()) / 2)
    torch.testing.assert_close(middle @ start / start.norm(), middle @ end / end.norm())


def test_equals_and_opposites_have_a_way_too() -> None:
    (start,) = sample([3], 16)
    torch.testing.assert_close(slerp(start, start, SHARES), start.expand(4, -1), atol=1e-3, rtol=1e-3)
    assert slerp(start, -2 * start, SHARES).norm(dim=1).max() <= 2.01 * start.norm()

"""Augmentations keep shape and gradient, differ between samples, and do what their name says."""

import pytest
import torch

from training.augment import AUGMENTATIONS, augmenter, cutout, translation


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_sample_is_changed_in_its_own_way_and_stays_differentiable(name, channels):
    torch.manual_seed(0)
    images = torch.rand(1, channels, 16, 16).expand(32, -1, -1, -1).clone().requires_grad_(True)
    seen = AUGMENTATIONS[name](images)
    assert seen.shape == images.shape
    assert len({tuple(sample.flatten().tolist()) for sample in seen.detach()}) > 16
    seen.sum().backward()
    assert images.grad.abs().sum() > 0


def test_translation_moves_by_an_eighth_at_most_and_brings_in_zeros():
    torch.manual_seed(0)
    images = torch.zeros(500, 1, 16, 16)
    images[:, :, 8, 8] = 1.0
    moved = translation(images)
    assert torch.equal(moved.sum((1, 2, 3)), torch.ones(500))
    _, _, rows, columns = torch.nonzero(moved, as_tuple=True)
    assert set(rows.tolist()) == set(columns.tolist()) == {6, 7, 8, 9, 10}


def test_cutout_blanks_one_square_of_half_the_side():
    torch.manual_seed(0)
    holes = (cutout(torch.ones(500, 1, 16, 16)) == 0).sum((1, 2, 3))
    assert holes.max() == 64 and holes.min() >= 16  # whole inside, a quarter at a corner


def test_nothing_named_changes_nothing():
    images = torch.rand(2, 3, 8, 8)
    assert augmenter(())(images) is images

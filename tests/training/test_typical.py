"""Learning from the most typical pictures: which they are, and that a run sees no other."""

import pytest
import torch

from ganhub import UserError
from training.data import ImageData
from training.recipe import Recipe
from training.typical import SIDE, most_typical, unlikeliness


def pictures(count, level, seed=0, noise=8):
    generator = torch.Generator().manual_seed(seed)
    return (level + noise * torch.randn(count, 3, 32, 32, generator=generator)).clamp(0, 255).to(torch.uint8)


def test_odd_pictures_go_first_and_the_others_keep_their_order():
    images = pictures(3000, 128)
    odd = [3, 40, 77]
    images[odd, :, :16] += 90  # a bright half
    data = ImageData(images, torch.arange(3000), (), "digest")
    chosen = most_typical(data, 0.999, by_class=False)
    expected = [i for i in range(3000) if i not in odd]
    assert chosen.labels.tolist() == expected and torch.equal(chosen.images, images[expected])
    assert chosen.digest == "digest"  # of the whole set: what is measured against, and what a card names
    assert most_typical(data, 1.0, by_class=False) is data


def test_each_class_keeps_its_share():
    dark, light = pictures(90, 60), pictures(30, 200, seed=1)
    data = ImageData(torch.cat([dark, light]), torch.tensor([0] * 90 + [1] * 30), ("dark", "light"), "")
    assert most_typical(data, 0.8, by_class=True).labels.bincount().tolist() == [72, 24]
    together = most_typical(data, 0.8, by_class=False)
    assert len(together) == 96 and together.labels.bincount().tolist() != [72, 24]
    assert len(most_typical(data, 0.001, by_class=True)) == 2  # one of each is left


def test_it_is_the_gaussian_where_no_component_is_left_out():
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(2000, 4, generator=generator, dtype=torch.float64) @ torch.diag(
        torch.tensor([4.0, 2.0, 1.0, 0.5], dtype=torch.float64)
    )
    centred = codes - codes.mean(0)
    exact = torch.einsum("ni,ij,nj->n", centred, torch.linalg.inv(centred.T @ centred / 2000), centred)
    assert torch.allclose(unlikeliness(codes), exact, rtol=1e-6)


@pytest.mark.parametrize("side", [8, 20, 28])
def test_any_size_and_pixels_that_never_change(side):
    images = torch.zeros(500, 1, side, side, dtype=torch.uint8)
    images[:, :, side // 2] = pictures(500, 128)[:, :1, 0, :side]
    images[7] = 255
    kept = most_typical(ImageData(images, None, (), ""), 0.998, by_class=False)
    assert len(kept) == 499 and kept.images.float().mean((1, 2, 3)).max() < 255 and side != SIDE


def test_bad_shares_are_refused():
    for share in (0.0, -0.5, 1.5):
        with pytest.raises(UserError, match="typical must be"):
            Recipe(typical=share).check()
    with pytest.raises(UserError, match="typical are for pictures"):
        Recipe(arch="mlp", channels=2, resolution=1, typical=0.5).check()

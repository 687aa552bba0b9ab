"""Which pictures are the most typical."""

from typing import get_args, get_type_hints

import pytest
import torch

from ganhub import UserError
from ganhub.card.trained import LIKENESS
from training import typical
from training.data import ImageData
from training.recipe import Recipe
from training.toys import check as check_toy
from training.typical import DESCRIPTIONS, choose, edges, most_typical, shrink, unlikeliness


def pictures(count, level, seed=0, noise=8, channels=3, side=16):
    generator = torch.Generator().manual_seed(seed)
    noisy = level + noise * torch.randn(count, channels, side, side, generator=generator)
    return noisy.clamp(0, 255).to(torch.uint8)


@pytest.mark.parametrize("odd", [[700], [3, 40, 77]])
def test_odd_pictures_go_first_and_the_others_keep_their_order(odd):
    images = pictures(3000, 128)
    images[odd, :, :8] += 90  # a bright half
    data = ImageData(images, torch.arange(3000), (), "digest")
    for by in DESCRIPTIONS:
        chosen = most_typical(data, 1 - len(odd) / 3000, by, by_class=False)
        assert chosen.tolist() == [i for i in range(3000) if i not in odd]
        assert most_typical(data, 1.0, by, by_class=False).tolist() == list(range(3000))


def test_each_class_keeps_its_share(monkeypatch):
    monkeypatch.setattr(typical, "FEWEST", 30)
    dark, light = pictures(90, 60), pictures(30, 200, seed=1)
    data = ImageData(torch.cat([dark, light]), torch.tensor([0] * 90 + [1] * 30), ("dark", "light"), "")
    assert data.labels[most_typical(data, 0.8, "pixels", by_class=True)].bincount().tolist() == [72, 24]
    together = most_typical(data, 0.8, "pixels", by_class=False)
    assert len(together) == 96 and data.labels[together].bincount().tolist() != [72, 24]
    assert len(most_typical(data, 0.001, "pixels", by_class=True)) == 2  # one of each is left


def test_too_few_pictures_are_refused():
    few = ImageData(pictures(1010, 128), torch.tensor([0] * 1000 + [1] * 10), ("many", "few"), "")
    assert len(most_typical(few, 0.5, "pixels", by_class=False)) == 505
    with pytest.raises(UserError, match=r"typical 0.5: 10 pictures of few are .* needs 1,000; typical 1 takes all$"):
        most_typical(few, 0.5, "pixels", by_class=True)


@pytest.mark.parametrize("components", [2, 4])
def test_it_is_the_likelihood_of_probabilistic_pca(components, monkeypatch):
    """With one covariance matrix for all, but for what a picture of 20,000 changes in it."""
    monkeypatch.setattr(typical, "COMPONENTS", components)
    spread = torch.tensor([4.0, 2.0, 1.0, 0.5, 0.25])
    codes = torch.randn(20_000, 5, generator=torch.Generator().manual_seed(0)) * spread
    centred = (codes - codes.mean(0)).double()
    variances, axes = torch.linalg.eigh(centred.T @ centred / len(codes))
    variances[:-components] = variances[:-components].mean()
    precision = axes @ torch.diag(1 / variances) @ axes.T
    exact = torch.einsum("ni,ij,nj->n", centred, precision, centred)
    assert torch.allclose(unlikeliness(codes), exact, rtol=2e-3)


def test_an_odd_picture_does_not_explain_itself():
    """It has a component of its own, along which it is as far out as the fit allows; the noise elsewhere is less."""
    images = pictures(100, 128)
    images[7, :, :8] = 255
    scores = unlikeliness(shrink(images))
    assert scores.argmax() == 7 and scores[7] > 2 * scores.median()


@pytest.mark.parametrize(("side", "features"), [(8, 64), (16, 256), (20, 256), (28, 256)])
def test_any_size_and_pixels_that_never_change(side, features):
    images = torch.zeros(1000, 1, side, side, dtype=torch.uint8)
    images[:, :, side // 2] = pictures(1000, 128, channels=1, side=side)[:, :, 0]
    images[7] = 255
    assert shrink(images).shape == (1000, features)
    assert torch.isfinite(unlikeliness(shrink(images))).all()
    assert edges(images).shape == (1000, 576) and torch.isfinite(unlikeliness(edges(images))).all()
    assert 7 not in most_typical(ImageData(images, None, (), ""), 0.999, "pixels", by_class=False)


def gratings(angles, side=32, period=8.0, low=60, high=200):
    """Waves (N, 3, side, side) that rise along these directions, in degrees from the x axis."""
    angles = torch.tensor(angles).deg2rad()[:, None, None]
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    waves = torch.sin((x * angles.cos() + y * angles.sin()) * (2 * torch.pi / period))
    return (low + (high - low) * (waves + 1) / 2).round().to(torch.uint8)[:, None].expand(-1, 3, -1, -1)


@pytest.mark.parametrize("angle, direction", [(0, 0), (20, 1), (40, 2), (90, None), (160, 8), (180, 0), (340, 8)])
def test_edges_are_counted_by_their_direction(angle, direction):
    """Nine directions, 20 degrees apart; between two of them both get their share."""
    strength = edges(gratings([float(angle)])).unflatten(1, (9, 8, 8))[0].mean((1, 2))
    if direction is None:
        assert torch.isclose(strength[4], strength[5], rtol=0.05) and strength[[4, 5]].sum() > 0.8 * strength.sum()
    else:
        assert strength.argmax() == direction and strength[direction] > 0.8 * strength.sum()


def test_light_and_contrast_do_not_change_edges():
    strong, weak = edges(gratings([30.0, 75.0])), edges(gratings([30.0, 75.0], low=20, high=100))
    assert torch.allclose(strong, weak, atol=0.1) and strong.max() > 0.5
    assert edges(torch.full((1, 1, 28, 28), 200, dtype=torch.uint8)).abs().max() == 0


def test_a_recipe_chooses_for_each_part_of_its_run(monkeypatch):
    monkeypatch.setattr(typical, "FEWEST", 30)
    data = ImageData(pictures(100, 128, side=32), None, (), "")
    third = {"typical": 1.0, "later_kimg": 7.0, "later": {"g_lr": 1e-4, "later_kimg": 9.0, "later": {"typical": 0.1}}}
    recipe = Recipe(
        kimg=9.0, later_kimg=3.0, later={"typical": 0.6, "typical_by": "edges", "later_kimg": 6.0, "later": third}
    )
    chosen = choose(recipe, data)
    assert [(begun, len(numbers)) for begun, numbers in chosen] == [(0.0, 100), (3.0, 60), (6.0, 100)]  # it ends at 9
    assert torch.equal(chosen[1][1], most_typical(data, 0.6, "edges", by_class=False))
    assert not torch.equal(chosen[1][1], most_typical(data, 0.6, "pixels", by_class=False))


def test_every_way_to_choose_has_its_words_in_the_card():
    assert set(DESCRIPTIONS) == set(LIKENESS) == set(get_args(get_type_hints(Recipe)["typical_by"]))


def test_bad_shares_are_refused():
    for share in (0.0, -0.5, 1.5, float("nan")):
        with pytest.raises(UserError, match="typical must be above 0 and at most 1, got"):
            Recipe(typical=share).check()
    with pytest.raises(UserError, match="typical are for pictures"):
        Recipe(arch="mlp", channels=2, resolution=1, typical=0.5).check()
    with pytest.raises(UserError, match="typical"):
        check_toy(Recipe(data="toy:ring", arch="mlp", channels=2, resolution=1, typical=0.5))

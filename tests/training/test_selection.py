"""Which pictures are the sharpest and the most typical."""

from typing import get_args, get_type_hints

import pytest
import torch
import torch.nn.functional as F

from ganhub import UserError
from ganhub.card.trained import LIKENESS
from training import selection
from training.data import ImageData
from training.recipe import Phase, Recipe, Selection
from training.selection import DESCRIPTIONS, choose, edges, laplacian_variance, narrowed, select, shrink, unlikeliness
from training.toys import check as check_toy


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
        chosen = select(data, Selection(1.0, 1 - len(odd) / 3000, by), by_class=False)
        assert chosen.tolist() == [i for i in range(3000) if i not in odd]
        assert select(data, Selection(1.0, 1.0, by), by_class=False).tolist() == list(range(3000))


def soften(images, times=2):
    """Every pixel becomes the mean of the 3x3 pixels around it, so many times."""
    for _ in range(times):
        images = F.avg_pool2d(F.pad(images.float(), (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return images.round().to(torch.uint8)


@pytest.mark.parametrize("side", [4, 16, 28, 64])
def test_blurred_dim_and_blank_pictures_have_less_laplacian_variance(side):
    sharp = pictures(5, 128, noise=40, side=side)
    images = torch.cat([sharp, soften(sharp), sharp // 3, sharp * 0 + 90])
    sharp, blurred, dim, blank = laplacian_variance(images).chunk(4)
    assert (blurred < 0.5 * sharp).all() and (dim < 0.2 * sharp).all() and (dim > 0).all()
    assert blank.tolist() == [0.0] * 5 and torch.isfinite(sharp).all()


def test_detail_is_the_variance_of_the_laplacian_in_the_middle():
    images = pictures(3, 128, noise=40, side=32)
    grey = images[:, :, 4:28, 4:28].double().mean(1, keepdim=True) / 255
    kernel = torch.tensor([[0.0, -1, 0], [-1, 4, -1], [0, -1, 0]], dtype=torch.float64)[None, None]
    assert torch.allclose(laplacian_variance(images).double(), F.conv2d(grey, kernel).var((1, 2, 3)), rtol=1e-4)
    around = images.clone()
    around[:, :, :4] = 0  # what is outside doesn't count
    assert torch.equal(laplacian_variance(around), laplacian_variance(images))


def test_the_sharpest_are_kept_of_each_class_and_the_typical_are_chosen_of_these(monkeypatch):
    monkeypatch.setattr(selection, "FEWEST", 30)
    images = pictures(120, 128, noise=40)
    blurred = list(range(0, 120, 10))
    images[blurred] = soften(images[blurred])
    images[5, :, :8] += 90  # as sharp as the others, but odd
    data = ImageData(images, torch.tensor([0] * 80 + [1] * 40), ("many", "few"), "")
    sharp = select(data, Selection(0.9, 1.0, ""), by_class=True).tolist()
    assert sharp == [i for i in range(120) if i not in blurred]
    both = select(data, Selection(0.9, 0.98, "pixels"), by_class=True)
    assert set(both.tolist()) < set(sharp) and 5 not in both
    assert data.labels[both].bincount().tolist() == [71, 35]
    assert len(select(data, Selection(0.001, 1.0, ""), by_class=False)) == 1  # one is left


def test_each_class_keeps_its_share(monkeypatch):
    monkeypatch.setattr(selection, "FEWEST", 30)
    dark, light = pictures(90, 60), pictures(30, 200, seed=1)
    data = ImageData(torch.cat([dark, light]), torch.tensor([0] * 90 + [1] * 30), ("dark", "light"), "")
    assert data.labels[select(data, Selection(1.0, 0.8, "pixels"), by_class=True)].bincount().tolist() == [72, 24]
    together = select(data, Selection(1.0, 0.8, "pixels"), by_class=False)
    assert len(together) == 96 and data.labels[together].bincount().tolist() != [72, 24]
    assert len(select(data, Selection(1.0, 0.001, "pixels"), by_class=True)) == 2  # one of each is left


def test_too_few_pictures_are_refused():
    few = ImageData(pictures(1010, 128), torch.tensor([0] * 1000 + [1] * 10), ("many", "few"), "")
    assert len(select(few, Selection(0.9, 0.5, "pixels"), by_class=False)) == 454
    with pytest.raises(UserError, match=r"typical 0.5: 10 pictures of few are .* needs 800; --typical 1 takes all$"):
        select(few, Selection(1.0, 0.5, "pixels"), by_class=True)
    with pytest.raises(UserError, match=r"500 pictures of many, the sharpest 0.5 of all, .* of these, and a .* more$"):
        select(few, Selection(0.5, 0.5, "pixels"), by_class=True)


@pytest.mark.parametrize("components", [2, 4])
def test_it_is_the_likelihood_of_probabilistic_pca(components, monkeypatch):
    """With one covariance matrix for all, but for what a picture of 20,000 changes in it."""
    monkeypatch.setattr(selection, "COMPONENTS", components)
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
    assert 7 not in select(ImageData(images, None, (), ""), Selection(1.0, 0.999, "pixels"), by_class=False)


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
    monkeypatch.setattr(selection, "FEWEST", 30)
    data = ImageData(pictures(100, 128, side=32), None, (), "")
    third = {"typical": 1.0, "later_kimg": 7.0, "later": {"g_lr": 1e-4, "later_kimg": 9.0, "later": {"typical": 0.1}}}
    recipe = Recipe(
        kimg=9.0, later_kimg=3.0, later={"typical": 0.6, "typical_by": "edges", "later_kimg": 6.0, "later": third}
    )
    chosen = choose(recipe, data)
    assert [(begun, len(numbers)) for begun, numbers in chosen] == [(0.0, 100), (3.0, 60), (6.0, 100)]  # it ends at 9
    assert torch.equal(chosen[1][1], select(data, Selection(1.0, 0.6, "edges"), by_class=False))
    assert not torch.equal(chosen[1][1], select(data, Selection(1.0, 0.6, "pixels"), by_class=False))
    monkeypatch.setattr(selection, "FEWEST", 101)
    with pytest.raises(
        UserError, match=r"^from 3 .*: typical 0.6: 100 .*; stop there with --kimg 3, or begin anew with --later-kimg"
    ):
        choose(recipe, data)
    with pytest.raises(UserError, match=r"^typical 0.6: 100 pictures are too few"):
        choose(Recipe(typical=0.6), data)


@pytest.mark.parametrize(
    "begun, changes, said",
    [
        (0.0, {"typical": 0.5}, "the 9 most typical of 20 pictures; --typical 1 takes all"),
        (0.0, {"sharpest": 0.5}, "the 9 sharpest of 20 pictures; --sharpest 1 takes all"),
        (
            0.0,
            {"sharpest": 0.5, "typical": 0.9},
            "the 9 sharpest and most typical of 20 pictures; --sharpest 1 --typical 1 takes all",
        ),
        (
            5.0,
            {"sharpest": 0.5, "typical": 0.9},
            "the 9 sharpest and most typical of 20 pictures from 5 kimg on; sharpest=1 typical=1 in later takes all",
        ),
    ],
)
def test_a_choice_is_said_with_the_way_out(begun, changes, said):
    assert narrowed(Phase(begun, Recipe(**changes)), 9, 20) == said


def test_every_way_to_choose_has_its_words_in_the_card():
    assert set(DESCRIPTIONS) == set(LIKENESS) == set(get_args(get_type_hints(Recipe)["typical_by"]))


def test_bad_shares_are_refused():
    for field in ("sharpest", "typical"):
        for share in (0.0, -0.5, 1.5, float("nan")):
            with pytest.raises(UserError, match=f"{field} must be above 0 and at most 1, got"):
                Recipe(**{field: share}).check()
        with pytest.raises(UserError, match="sharpest and typical are for pictures"):
            Recipe(arch="mlp", channels=2, resolution=1, **{field: 0.5}).check()
        with pytest.raises(UserError, match=field):
            check_toy(Recipe(data="toy:ring", arch="mlp", channels=2, resolution=1, **{field: 0.5}))

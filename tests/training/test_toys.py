"""Toy data: the shapes that the papers describe, Stacked MNIST's labels, and every wrong use."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from ganhub import UserError
from tests.conftest import write_pictures
from training import toys
from training.data import ImageData, load_images
from training.recipe import Recipe
from training.references import split_names

POINTS = Recipe(arch="mlp", resolution=1, channels=2)


def recipe_for(data, **changes):
    return dataclasses.replace(POINTS, data=data, **changes)


@pytest.mark.parametrize("name, modes", [("ring", 8), ("grid", 25)])
def test_points_lie_around_their_modes(name, modes):
    data = load_images(recipe_for(f"toy:{name}"))
    assert data.images.shape == (50_000, 2, 1, 1) and data.images.dtype == torch.float32
    assert data.images.abs().max() < 1
    assert data.labels.bincount().tolist() == [50_000 // modes] * modes
    assert data.class_names == tuple(map(str, range(modes)))
    gaussians = toys.MIXTURES[name]
    away = data.images[:, :, 0, 0] - gaussians.centres[data.labels]
    assert away.std().item() == pytest.approx(gaussians.std, rel=0.02)
    assert away.mean(0).abs().max() < gaussians.std / 20


def test_the_ring_and_the_grid_have_the_papers_proportions():
    ring, grid = toys.MIXTURES["ring"], toys.MIXTURES["grid"]
    assert ring.centres.norm(dim=1).tolist() == pytest.approx([100 * ring.std] * 8)  # radius 2, deviation 0.02
    beside = (ring.centres - ring.centres.roll(1, 0)).norm(dim=1)
    assert beside.tolist() == pytest.approx([200 * ring.std * math.sin(math.pi / 8)] * 8)
    nearest = torch.cdist(grid.centres, grid.centres).fill_diagonal_(9).min(1).values
    assert nearest.tolist() == pytest.approx([40 * grid.std] * 25)  # spacing 2, deviation 0.05


def test_points_are_the_same_every_time_and_others_in_the_test_split():
    first, again = (load_images(recipe_for("toy:ring")) for _ in range(2))
    assert torch.equal(first.images, again.images) and first.digest == again.digest
    other = load_images(recipe_for("toy:ring"), "test")
    assert not torch.equal(first.images, other.images) and first.digest != other.digest


@pytest.mark.parametrize(
    "recipe, words",
    [
        (recipe_for("toy:spiral"), "toy:spiral: no such toy data set; known: toy:ring, toy:grid, and stacked:DATA"),
        (Recipe(data="toy:ring"), "add --arch mlp --resolution 1 --channels 2"),
        (recipe_for("toy:ring", channels=1), "got --resolution 1 --channels 1; add --arch mlp"),
        (
            recipe_for("some/pictures", channels=3),
            "is for points .toy:ring and toy:grid.; pictures have 1 or 3 channels",
        ),
        (recipe_for("toy:ring", flip=True), "--flip has no sense here; leave it at its default, False"),
        (recipe_for("toy:grid", pixel_range=(0.0, 1.0)), "--pixel-range has no sense here"),
        (recipe_for("toy:grid", classes=("0",)), "--classes has no sense here"),
        (recipe_for("toy:grid", image_column="x"), "--image-column has no sense here"),
        (recipe_for("toy:grid", label_column="mode"), "--label-column has no sense here; leave it at its default, ''"),
        (recipe_for("toy:grid", split="dev"), "no split 'dev'; it has train and test"),
        (Recipe(data="stacked:some/digits", channels=1), "got --channels 1; use 3"),
        (Recipe(data="stacked:some/digits", classes=("1",)), "--classes has no sense here"),
        (Recipe(data="stacked:/no/such"), "/no/such: no such folder"),
    ],
)
def test_what_does_not_fit_is_one_line(recipe, words):
    with pytest.raises(UserError, match=words) as caught:
        load_images(recipe)
    assert "\n" not in str(caught.value)


def grey_digits(names=toys.DIGITS, each=3):
    """Pictures whose pixels are 20 times the digit, plus which of its pictures it is."""
    labels = torch.arange(10).repeat_interleave(each)
    digit = torch.tensor([int(name) for name in names])[labels]
    levels = 20 * digit + torch.arange(10 * each) % each
    images = levels.to(torch.uint8)[:, None, None, None].expand(-1, 1, 4, 4).clone()
    return ImageData(images, labels, tuple(names), "digest", skipped=("a.png",))


@pytest.mark.parametrize("names", [toys.DIGITS, toys.DIGITS[::-1]])
def test_a_stack_is_labelled_by_the_digits_of_its_channels(names):
    data = toys.stack(grey_digits(names), count=3000)
    assert data.images.shape == (3000, 3, 4, 4) and data.images.dtype == torch.uint8
    digits = data.images[:, :, 0, 0].long() // 20  # (3000, 3)
    assert torch.equal(digits @ torch.tensor([100, 10, 1]), data.labels)
    assert data.labels.bincount().tolist() == [3] * 1000
    assert data.class_names[7] == "007" and len(data.class_names) == 1000 and data.skipped == ("a.png",)
    assert (data.images[:, :, 0, 0] % 20).unique().tolist() == [0, 1, 2]  # each picture of a digit is used


def test_stacks_follow_their_seed_and_their_digits():
    first, again = (toys.stack(grey_digits(), count=100) for _ in range(2))
    assert torch.equal(first.images, again.images) and first.digest == again.digest
    other = toys.stack(grey_digits(), count=100, seed=1)
    assert not torch.equal(first.images, other.images) and first.digest != other.digest
    assert toys.stack(dataclasses.replace(grey_digits(), digest="other"), count=100).digest != first.digest


def test_pictures_without_a_digit_are_left_out_or_refused():
    digits = grey_digits()
    digits.labels[0] = -1
    assert 0 not in toys.stack(digits, count=1000).images.unique()
    digits.labels[:3] = -1
    with pytest.raises(UserError, match="has no picture of a 0"):
        toys.stack(digits)
    with pytest.raises(UserError, match="classes 0 to 9, has no classes"):
        toys.stack(dataclasses.replace(digits, labels=None, class_names=()))
    with pytest.raises(UserError, match="classes 0 to 9, has dark, light"):
        toys.stack(dataclasses.replace(digits, class_names=("dark", "light")))


def test_stacks_have_the_splits_of_what_they_stack(tmp_path):
    write_pictures(tmp_path / "train", ("0", "1"), count=2)
    write_pictures(tmp_path / "test", ("0", "1"), count=2)
    assert split_names(f"stacked:{tmp_path}") == split_names(str(tmp_path)) == ["train", "test"]


def test_a_folder_of_digits_is_stacked(tmp_path):
    folder = write_pictures(tmp_path / "digits", toys.DIGITS, count=2, size=8)
    recipe = Recipe(data=f"stacked:{folder}", resolution=8, conditional=True)
    data = load_images(recipe)
    assert data.images.shape == (60_000, 3, 8, 8) and len(data.class_names) == 1000
    dark, light = data.images[0].float().mean(), data.images[999].float().mean()  # 000 and 999
    assert dark < 80 and light > 180
    assert data.digest == load_images(recipe).digest


def test_a_scatter_shows_points_where_they_are_and_modes_where_there_are_none():
    points = torch.tensor([[0.5, 0.75]]).expand(50, 2)
    pixels = np.asarray(toys.scatter(points, 200).convert("L"))
    assert pixels.shape == (200, 200)
    row, column = np.unravel_index(pixels.argmin(), pixels.shape)
    assert abs(column - 150) <= 1 and abs(row - 25) <= 1  # right of the middle, near the top
    assert (pixels < 255).sum() < 50
    marked = np.asarray(toys.scatter(points, 200, toys.MIXTURES["ring"]).convert("L"))
    assert (marked[95:105, 170:190] < 255).any() and (pixels[95:105, 170:190] == 255).all()  # the mode at (0.8, 0)

"""Crops are geometry, resizes are known exactly, and the recipe's choice reaches the data."""

import dataclasses
import hashlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from tests.conftest import write_pictures
from training.crops import CROPS, RESIZES, area, around, take
from training.data import load_images
from training.recipe import Recipe


def noise(width, height, channels=3):
    shape = (height, width, channels) if channels == 3 else (height, width)
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))


@pytest.mark.parametrize(
    "name, size, box",
    [
        ("square", (30, 10), (10, 0, 20, 10)),
        ("square", (10, 15), (0, 2.5, 10, 12.5)),
        ("celeba", (178, 218), (20, 30, 158, 188)),
        ("celeba", (64, 64), (0, 0, 64, 64)),
        ("celeba", (218, 178), (20, 0, 198, 178)),
        ("whole", (30, 10), (0, 0, 30, 10)),
    ],
)
def test_what_a_crop_takes(name, size, box):
    assert CROPS[name](size) == box


@pytest.mark.parametrize(
    "found, margin, box",
    [
        ((40, 20, 60, 40), 0, (40, 20, 60, 40)),
        ((40, 20, 60, 40), 0.5, (30, 10, 70, 50)),
        ((45, 20, 55, 40), 0, (40, 20, 60, 40)),  # as wide as it is high
        ((0, 30, 20, 50), 0.5, (0, 20, 40, 60)),  # moved inside
        ((90, 50, 100, 60), 0.5, (80, 40, 100, 60)),
        ((40, 20, 60, 40), 3, (20, 0, 80, 60)),  # no larger than the picture
    ],
)
def test_the_square_around_a_find(found, margin, box):
    assert around(found, margin, (100, 60)) == box


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("crop", CROPS)
def test_every_crop_and_resize_gives_the_resolution(crop, resize, channels):
    for size in ((178, 218), (31, 20), (5, 9)):
        picture = noise(*size, channels)
        taken = take(picture, 16, CROPS[crop](size), resize)
        assert taken.size == (16, 16) and taken.mode == picture.mode
    flat = Image.new("RGB", (178, 218), (7, 77, 177))
    assert take(flat, 16, CROPS[crop](flat.size), resize).getcolors() == [(256, (7, 77, 177))]


def test_area_is_the_mean_of_what_a_pixel_covers():
    row = Image.fromarray(np.array([[0, 90, 180]] * 3, np.uint8))
    assert np.asarray(area(row, 2, (0, 0, 3, 3))).tolist() == [[30, 150]] * 2
    assert np.asarray(area(row, 1, (1, 1, 3, 3))).tolist() == [[135]]
    assert np.asarray(area(row.rotate(90), 2, (0, 0, 3, 3))).tolist() == [[150] * 2, [30] * 2]


def test_area_is_the_tutorials_filter():
    import cv2

    picture = noise(178, 218)
    theirs = cv2.resize(np.asarray(picture)[30:188, 20:158], (64, 64), interpolation=cv2.INTER_AREA)
    ours = np.asarray(take(picture, 64, CROPS["celeba"](picture.size), "area"))
    assert np.abs(ours.astype(int) - theirs).max() <= 1


@pytest.mark.parametrize("size", [(31, 20), (20, 33), (20, 20)])
def test_the_default_gives_the_pixels_that_shipped_models_learnt_from(size):
    picture = noise(*size)
    fitted = ImageOps.fit(picture, (16, 16), Image.Resampling.LANCZOS)
    assert take(picture, 16, CROPS["square"](size), "lanczos").tobytes() == fitted.tobytes()


def test_the_recipe_chooses_and_the_cache_follows(tmp_path):
    (tmp_path / "all").mkdir()
    noise(40, 20).save(tmp_path / "all" / "a.png")
    recipe = Recipe(data=str(tmp_path / "all"), resolution=10)
    found = {}
    for crop in ("square", "whole"):
        for resize in ("lanczos", "area"):
            found[crop, resize] = load_images(dataclasses.replace(recipe, crop=crop, resize=resize))
    assert len({data.digest for data in found.values()}) == 4
    whole = np.asarray(noise(40, 20), dtype=float).reshape(10, 2, 10, 4, 3).mean((1, 3)).transpose(2, 0, 1)
    assert (found["whole", "area"].images[0] - torch.from_numpy(whole)).abs().max() <= 0.5
    assert not torch.equal(found["square", "lanczos"].images, found["whole", "lanczos"].images)


def test_the_digest_of_a_default_recipe_is_that_of_older_versions(tmp_path):
    folder = write_pictures(tmp_path / "some", count=2)
    expected = hashlib.sha256(b"1 16 3")
    for file in sorted(folder.rglob("*.png")):
        expected.update(hashlib.sha256(file.read_bytes()).digest())
    expected.update(np.array([0, 0, 1, 1]).tobytes())
    assert load_images(Recipe(data=str(folder), resolution=16)).digest == expected.hexdigest()[:32]

"""Tiny runs: seconds on two cores, and every part of the real loop."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from training.presets import PRESETS
from training.recipe import Recipe

ROOT = Path(__file__).parents[2]  # of the repository, for processes of their own
SMALL = {
    "dcgan": {"generator": {"width": 4}, "discriminator": {"width": 4}, "resolution": 16},
    "mlp": {"generator": {"hidden": [16, 16]}, "discriminator": {"hidden": [16, 8]}, "resolution": 16},
    "frog": {"generator": {"width": 4}, "discriminator": {"width": 4}, "resolution": 32},
    "resnet": {"generator": {"width": 4}, "discriminator": {"width": 4}, "resolution": 16},
    "autoencoder": {"generator": {"width": 4}, "discriminator": {"width": 4}, "resolution": 16},
    "capsule": {"generator": {"width": 4}, "discriminator": {"width": 4}, "resolution": 16},
}


def shrink(recipe: Recipe, data: str, **changes) -> Recipe:
    """The recipe with small networks, small batches and 10 steps, on another data set."""
    small = SMALL[recipe.arch]
    networks = {part: {**getattr(recipe, part), **small[part]} for part in ("generator", "discriminator")}
    networks = {part: values | ({"attention": 8} if "attention" in values else {}) for part, values in networks.items()}
    if recipe.grow_from:
        networks |= {"grow_from": 8, "grow_kimg": 0.012}
    values = {"data": str(data), "classes": (), "resolution": small["resolution"], "latent_dim": 8, "batch_size": 4}
    values |= {"typical": 1.0}  # the folders of these tests have few pictures
    if recipe.data.startswith("toy:"):
        values |= {"data": recipe.data, "resolution": 1}
    length = 0.04 * recipe.d_steps / len(list(recipe.phases()))
    if recipe.later_kimg:
        values |= later_from(vars(recipe), length, length) | ({"lr_kimg": length} if recipe.lr_kimg else {})
    steps = {"kimg": 0.04 * recipe.d_steps, "log_kimg": 0.008, "sample_kimg": 0.02, "save_kimg": 0.02}
    return dataclasses.replace(recipe, **{**networks, **values, **steps, **changes})


def later_from(settings: dict[str, Any], begun: float, length: float) -> dict[str, Any]:
    """What these set for later, with equally long parts of the run, the next of them from `begun` kimg on."""
    if not settings.get("later_kimg"):
        return {}
    later = {name: {"typical": 1.0, "lr_kimg": length}.get(name, value) for name, value in settings["later"].items()}
    return {"later_kimg": begun, "later": later | later_from(later, begun + length, length)}


@pytest.fixture
def recipe(picture_folder) -> Recipe:
    """A conditional DCGAN with flips, every augmentation and lazy penalties, so that all draws take part."""
    return shrink(
        PRESETS["frogs-small"],
        picture_folder,
        conditional=True,
        discriminator={"width": 4, "norm": "none"},
        penalties={"r1": 0.1, "r2": 0.1},
        penalty_every=2,
        augment=("color", "translation", "cutout"),
    )

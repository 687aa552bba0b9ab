"""Recipes reload exactly, and refuse what can't be trained."""

import dataclasses

import pytest

from ganhub import UserError
from training.presets import PRESETS
from training.recipe import Recipe


@pytest.mark.parametrize("name", PRESETS)
def test_presets_build_check_and_reload_exactly(name, tmp_path):
    recipe = PRESETS[name]
    assert recipe.name == name and recipe.source
    generator, discriminator = recipe.check().build(num_classes=10)
    assert generator.config.num_classes == discriminator.config.num_classes == (10 if recipe.conditional else 0)
    assert generator.config.resolution == recipe.resolution
    recipe.save(tmp_path / "recipe.json")
    assert Recipe.load(tmp_path / "recipe.json") == recipe


def test_digits_are_never_mirrored():
    assert not any(recipe.flip for name, recipe in PRESETS.items() if name == "digits" or "mnist" in name)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"arch": "vae"}, "arch has no 'vae'; known: dcgan, mlp"),
        ({"objective": "wgan"}, "objective has no 'wgan'"),
        ({"penalties": {"r3": 1.0}}, "penalties has no 'r3'; known: r1, r2"),
        ({"augment": ("blur",)}, "augment has no 'blur'"),
        ({"kimg": 0}, "kimg must be above 0"),
        ({"g_lr": float("nan")}, "g_lr must be above 0"),
        ({"kimg": float("inf")}, "kimg must be above 0 and finite"),
        ({"penalties": {"r1": "x"}}, "a penalty's weight must be a number"),
        ({"penalties": {"r1": -1.0}}, "a penalty's weight must be a number"),
        ({"betas": (1.5, 0.9)}, "betas must lie in"),
        ({"ema_kimg": -1.0}, "ema_kimg must be 0 or more"),
        ({"seed": -1}, "seed must be from 0"),
        ({"batch_size": 1}, "batch_size must be at least 2"),
        ({"penalties": {"r1": 1.0}, "discriminator": {"norm": "batch"}}, "use --discriminator norm=none"),
        ({"penalties": {"r1": 1.0}, "discriminator": {}}, "use --discriminator norm=none"),
    ],
)
def test_what_cannot_be_trained_is_refused_by_name(changes, words):
    with pytest.raises(UserError, match=words):
        dataclasses.replace(PRESETS["digits"], **changes).check()


def test_arguments_that_do_not_fit_the_architecture():
    with pytest.raises(UserError, match="recipe digits: .*depth"):
        dataclasses.replace(PRESETS["digits"], generator={"depth": 3}).build()


def test_a_changed_recipe_is_told_from_a_longer_one():
    old = PRESETS["frogs"]
    assert dataclasses.replace(old, kimg=9.0, data="elsewhere").changes_from(old) == []
    assert dataclasses.replace(old, batch_size=99).changes_from(old) == [f"batch_size: {old.batch_size} -> 99"]


@pytest.mark.parametrize("text", ["{", "[]", '{"name": "x", "depth": 3}'])
def test_a_file_that_is_no_recipe_is_one_line(text, tmp_path):
    (tmp_path / "recipe.json").write_text(text)
    with pytest.raises(UserError, match=r"recipe\.json"):
        Recipe.load(tmp_path / "recipe.json")

"""Recipes reload exactly, and refuse what can't be trained."""

import dataclasses
import re
import shlex
from pathlib import Path

import pytest
import tyro

from ganhub import UserError
from training.__main__ import Train, parse
from training.about import of_preset
from training.augment import AUGMENTATIONS
from training.objectives import OBJECTIVES
from training.penalties import PENALTIES
from training.presets import PRESETS
from training.recipe import Recipe

ROOT = Path(__file__).parents[2]


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
    assert not any(recipe.flip for name, recipe in PRESETS.items() if "digits" in name or "mnist" in name)


def test_arguments_that_do_not_fit_the_architecture():
    with pytest.raises(UserError, match="recipe digits: .*depth"):
        dataclasses.replace(PRESETS["digits"], generator={"depth": 3}).build()


def test_a_changed_recipe_is_told_from_a_longer_one():
    old = PRESETS["frogs"]
    assert dataclasses.replace(old, kimg=9.0, data="elsewhere", source="said anew").changes_from(old) == []
    lists, tuples = (dataclasses.replace(old, discriminator={"hidden": kind([128, 64])}) for kind in (list, tuple))
    assert tuples.changes_from(lists) == lists.changes_from(tuples) == []
    assert dataclasses.replace(old, batch_size=99).changes_from(old) == [f"batch_size: {old.batch_size} -> 99"]


@pytest.mark.parametrize("text", ["{", "[]", '{"name": "x", "depth": 3}'])
def test_a_file_that_is_no_recipe_is_one_line(text, tmp_path):
    (tmp_path / "recipe.json").write_text(text)
    with pytest.raises(UserError, match=r"recipe\.json"):
        Recipe.load(tmp_path / "recipe.json")


NO_TRICKS = "name source data split image_column label_column classes resolution channels crop resize arch latent_dim "
NO_TRICKS += "objective batch_size kimg seed betas log_kimg sample_kimg save_kimg keep_checkpoints snapshot_kimg"


def test_the_page_of_tricks_names_every_switch():
    words = set(re.findall(r"[\w-]+", (ROOT / "docs" / "tricks.md").read_text()))
    switches = {item.name for item in dataclasses.fields(Recipe)} - set(NO_TRICKS.split())
    assert [name for name in switches if f"--{name.removesuffix('_args').replace('_', '-')}" not in words] == []
    assert [name for name in (*OBJECTIVES, *PENALTIES, *AUGMENTATIONS) if name not in words] == []


def documented():
    """The commands of the documents that train something, each in one line."""
    for file in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        text = file.read_text().replace("\\\n", " ")
        for block in re.findall(r"```bash\n(.*?)```", text, re.S):
            yield from re.findall(r"python -m training train ([^#&\n]+)", block)


@pytest.mark.parametrize("command", documented())
def test_the_documents_commands_can_be_typed(command):
    name, *words = shlex.split(command.replace("...", ""))
    words += [] if "--run-dir" in words else ["--run-dir", "runs/x"]
    parse(Train, "train", words, default=Train(PRESETS[name], tyro.MISSING)).recipe.check()


@pytest.mark.parametrize("name", PRESETS)
def test_a_run_at_another_resolution_is_not_called_as_large_as_its_preset(name):
    preset = PRESETS[name]
    usual, other = (of_preset(dataclasses.replace(preset, resolution=side)) for side in (preset.resolution, 48))
    size = f"{preset.resolution}x{preset.resolution}"
    sizes = re.findall(r"\d+x\d+", usual.summary.removesuffix(f"{preset.source}."))
    assert sizes == [size] * len(sizes) and (sizes or preset.resolution == 1 or name == "stacked-mnist")
    assert usual.summary.replace(size, "48x48") == other.summary


@pytest.mark.parametrize(
    ("name", "data"), [("digits", "mnist"), ("frogs", "cifar10"), ("simpsons", "simpsons"), ("faces", "celeba")]
)
def test_a_small_preset_says_of_its_data_what_the_zoo_s_says(name, data):
    small, large = (of_preset(PRESETS[preset]) for preset in (f"{name}-small", name))
    assert small and data in small.data_names and small == large

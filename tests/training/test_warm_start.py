"""A run that begins from a model draws what that model draws; what doesn't fit starts fresh or is refused."""

import dataclasses
import shutil

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from ganhub import UserError
from ganhub.pipeline import GANPipeline
from tests.training.game import BARE, IMAGES
from training import checkpoint
from training.data import ImageData
from training.export import Export, command, run
from training.recipe import Recipe
from training.trainer import start_state, train
from training.warm_start import take


def begin(**changes):
    recipe = dataclasses.replace(BARE, **changes)
    return start_state(recipe, ImageData(IMAGES, None, ("a", "b", "c"), "random"), Accelerator())


@pytest.fixture
def learnt(tmp_path):
    """A model folder, and the networks in it."""
    state = begin(seed=8)
    GANPipeline(state.generator, state.discriminator).save_pretrained(tmp_path / "learnt")
    return tmp_path / "learnt", state


def test_both_networks_and_the_average_begin_there(learnt):
    folder, theirs = learnt
    fresh, mine = begin(), begin(init=str(folder))
    for name, network in mine.networks().items():
        values, expected = network.state_dict(), theirs.networks()[name].state_dict()
        assert all(torch.equal(values[key], expected[key]) for key in expected)
        assert any(not torch.equal(fresh.networks()[name].state_dict()[key], expected[key]) for key in expected)


def test_classes_start_fresh_and_the_rest_is_taken(tmp_path, caplog):
    residual = {"arch": "resnet", "discriminator": {"width": 4}}
    theirs = begin(**residual, seed=8)
    GANPipeline(theirs.generator, theirs.discriminator).save_pretrained(tmp_path / "learnt")
    mine = begin(**residual, init=str(tmp_path / "learnt"), conditional=True)
    assert torch.equal(mine.generator.stem.weight, theirs.generator.stem.weight)
    assert mine.discriminator.embed.weight.shape[0] == len(mine.generator.blocks[0].norms[0].scale) == 3
    shares = [record.args[1] for record in caplog.records if "--init" in record.msg]
    assert len(shares) == 2 and all(50 < share < 100 for share in shares)


@pytest.mark.parametrize(("names", "said"), [(["a", "b", "c"], False), (["b", "a", "c"], True)])
def test_classes_of_other_names_are_taken_by_their_places_and_that_is_said(names, said, tmp_path, caplog):
    state = begin(conditional=True, seed=8)
    GANPipeline(state.generator, state.discriminator, class_names=names).save_pretrained(tmp_path / "learnt")
    begin(conditional=True, init=str(tmp_path / "learnt"))
    assert ("its classes are b, a, c, and a, b, c begin as these in their places" in caplog.text) == said


@pytest.mark.parametrize(
    "mine, theirs, words", [(2, 0, "has no mapping network; leave"), (0, 2, "has a mapping network; give --generator")]
)
def test_styles_and_latents_are_not_taken_for_each_other(mine, theirs, words, tmp_path):
    residual = {"arch": "resnet", "discriminator": {"width": 4}}
    state = begin(**residual, generator={"width": 4, "mapping": theirs})
    GANPipeline(state.generator, state.discriminator).save_pretrained(tmp_path / "learnt")
    with pytest.raises(UserError, match=words):
        begin(**residual, generator={"width": 4, "mapping": mine}, init=str(tmp_path / "learnt"))


@pytest.mark.parametrize("mine, theirs, words", [(8, 0, "--grow-from 0 --grow-kimg 0"), (0, 8, "8"), (4, 8, "8")])
def test_exits_of_other_resolutions_are_not_taken_for_each_other(mine, theirs, words, tmp_path):
    residual = {"arch": "resnet", "discriminator": {"width": 4}, "grow_kimg": 1.0}
    state = begin(**residual, grow_from=theirs)
    GANPipeline(state.generator, state.discriminator).save_pretrained(tmp_path / "learnt")
    begin(**residual, grow_from=theirs, init=str(tmp_path / "learnt"))
    with pytest.raises(UserError, match=f"learnt: its grow_from is {theirs}, here it is {mine}, .*{words}$"):
        begin(**residual, grow_from=mine, init=str(tmp_path / "learnt"))


def test_the_share_is_counted():
    small, large = torch.nn.Linear(2, 3), torch.nn.Linear(2, 3)
    assert take(small, large) == 1 and torch.equal(small.weight, large.weight)
    assert take(torch.nn.Linear(3, 3), large) == 3 / 12  # the bias alone


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"generator": {"width": 8}}, "--init .*: .* of its generator fits this one; use the same --arch"),
        ({"discriminator": {"width": 8, "norm": "none"}}, "of its discriminator fits"),
        ({"init": "nowhere/at-all/x"}, "no such model"),
        ({"init": "alice/nothing@v1"}, "alice/nothing"),
    ],
)
def test_what_does_not_fit_is_refused(learnt, changes, message):
    with pytest.raises(UserError, match=message):
        begin(**{"init": str(learnt[0]), **changes})


def test_a_run_goes_on_without_what_it_began_from(learnt, picture_folder, tmp_path):
    steps = {"kimg": 0.016, "log_kimg": 0.004, "channels": 1, "data": str(picture_folder)}
    recipe = dataclasses.replace(BARE, init=str(learnt[0]), **steps)
    train(recipe, tmp_path / "whole")
    train(dataclasses.replace(recipe, kimg=0.008), tmp_path / "halves")
    shutil.rmtree(learnt[0])
    train(dataclasses.replace(recipe, init=""), tmp_path / "halves", resume=True)
    assert Recipe.load(tmp_path / "halves" / "recipe.json") == recipe
    whole, halves = (load_file(checkpoint.find(tmp_path / run) / "ema.safetensors") for run in ("whole", "halves"))
    assert all(torch.equal(whole[key], halves[key]) for key in whole)


def test_a_run_says_what_it_began_from_and_names_no_path(learnt, picture_folder, tmp_path):
    steps = {"kimg": 0.008, "log_kimg": 0.004, "channels": 1, "data": str(picture_folder)}
    train(dataclasses.replace(BARE, init=str(learnt[0]), **steps), tmp_path / "run")
    out = run(Export(tmp_path / "run", tmp_path / "model"))
    text = (out / "README.md").read_text()
    assert "--init learnt" in text and str(tmp_path) not in text + (out / "recipe.json").read_text()
    assert "--init" not in command(dataclasses.replace(BARE, data="x"))

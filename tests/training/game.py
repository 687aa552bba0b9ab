"""A game of tiny networks, for tests that look at single steps."""

import dataclasses

import torch
from accelerate import Accelerator

from training.data import Batches, ImageData
from training.recipe import Recipe
from training.steps import Game
from training.trainer import start_state

BARE = Recipe(
    resolution=16,
    channels=1,
    latent_dim=8,
    generator={"width": 4},
    discriminator={"width": 4, "norm": "none"},
    batch_size=4,
    seed=3,
)
IMAGES = torch.randint(256, (16, 1, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def play(**changes) -> Game:
    recipe = dataclasses.replace(BARE, **changes)
    data = ImageData(IMAGES, None, ("a", "b", "c"), "random")
    return Game(recipe, start_state(recipe, data, Accelerator()), Accelerator())


def batches(game):
    recipe = game.recipe
    return Batches(
        ImageData(IMAGES, None, (), "random"), recipe.batch_size, 0, recipe.flip, recipe.shuffle, recipe.pixel_range
    )


def real_images(game):
    return batches(game).at(0)[0]


def weights(network):
    return torch.cat([p.detach().flatten().clone() for p in network.parameters()])


def watch(game):
    """The batches that D is shown, and how often each optimiser steps."""
    shown, counts = [], {"generator": 0, "discriminator": 0}
    hidden = game.state.discriminator.hidden
    game.state.discriminator.hidden = lambda x, labels: shown.append(x.detach().clone()) or hidden(x, labels)
    for name, optimizer in (("generator", game.state.g_optimizer), ("discriminator", game.state.d_optimizer)):
        optimizer.register_step_post_hook(lambda *_, name=name: counts.__setitem__(name, counts[name] + 1))
    return shown, counts

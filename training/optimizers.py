"""Optimisers, learning rates and clipping."""

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from ganhub.errors import UserError
from training.clock import Clock
from training.recipe import Phase, Recipe

Player = Literal["g", "d"]

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "adam": Adam,  # Kingma and Ba 2015, https://arxiv.org/abs/1412.6980
    "adamw": AdamW,  # Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101
    "rmsprop": RMSprop,  # Hinton's lecture 6; Keras's defaults are alpha=0.9 eps=1e-7
    "sgd": SGD,  # with momentum=0.9 nesterov=true: Nesterov's, as in Keras
}


def make_optimizer(recipe: Recipe, network: nn.Module, player: Player) -> Optimizer:
    """The generator's ("g") or the discriminator's ("d") optimiser.

    Raises:
        UserError: an argument that it doesn't take, or out of its range.
    """
    name = getattr(recipe, f"{player}_optimizer")
    arguments: dict[str, Any] = dict(getattr(recipe, f"{player}_optimizer_args"))
    if name in ("adam", "adamw"):
        arguments.setdefault("betas", recipe.betas)
    try:
        return OPTIMIZERS[name](network.parameters(), lr=getattr(recipe, f"{player}_lr"), **arguments)
    except (TypeError, ValueError) as error:
        raise UserError(f"recipe {recipe.name}: {player}_optimizer_args: {error}") from error


def lr_factor(phase: Phase, clock: Clock) -> float:
    """What both learning rates are multiplied by; a function of the clock alone, so that resuming is exact.

    Args:
        phase: the part of the run that the clock is in.
    """
    recipe = phase.recipe
    done = min((clock.kimg - phase.begun) / recipe.lr_kimg, 1.0) if recipe.lr_kimg else 0.0
    factors = {
        "constant": 1.0,
        "linear": 1 - done,
        "cosine": (1 + math.cos(math.pi * done)) / 2,  # Loshchilov and Hutter 2017, https://arxiv.org/abs/1608.03983
        "keras": 1 / (1 + recipe.lr_decay * clock.steps),
    }
    return factors[recipe.lr_schedule]


def set_lr(optimizer: Optimizer, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr


def clip_gradients(recipe: Recipe, network: nn.Module) -> None:
    """By value, then by norm, where the recipe asks for it."""
    if recipe.clip_value:
        nn.utils.clip_grad_value_(network.parameters(), recipe.clip_value)
    if recipe.clip_norm:
        nn.utils.clip_grad_norm_(network.parameters(), recipe.clip_norm)


@torch.no_grad()
def clip_weights(network: nn.Module, limit: float) -> None:
    """Every parameter to [-limit, limit]."""
    parameters: list[Tensor] = list(network.parameters())
    torch._foreach_clamp_min_(parameters, -limit)
    torch._foreach_clamp_max_(parameters, limit)

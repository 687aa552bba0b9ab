"""Progressive growing: which resolution the networks work at, from the clock alone.

Karras et al. 2018, https://arxiv.org/abs/1710.10196. A stage lasts `grow_kimg`; in its first half the new resolution
fades in, in the second it trains alone. The first stage has nothing to fade.
"""

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ganhub.errors import UserError
from training.recipe import Recipe


def level(recipe: Recipe, kimg: float) -> float:
    """0.0 at `grow_from`, 1.0 at twice that, and so on; a fraction is how far the next resolution has faded in."""
    stage, part = divmod(kimg / recipe.grow_kimg, 1)
    top = (recipe.resolution // recipe.grow_from).bit_length() - 1
    return min(stage - 1 + min(2 * part, 1.0), float(top)) if stage else 0.0


def grown(recipe: Recipe, kimg: float) -> bool:
    """Are the networks what they will be, so that they can be kept as a model?"""
    return not recipe.grow_from or recipe.grow_from * 2 ** level(recipe, kimg) >= recipe.resolution


def check_grown(recipe: Recipe, kimg: float, folder: Path) -> None:
    """Refuse a checkpoint whose networks are still on the way.

    Raises:
        UserError: they are.
    """
    if not grown(recipe, kimg):
        raise UserError(f"{folder}: its networks are still growing at {kimg:g} kimg; train on with --resume")


def grow(recipe: Recipe, kimg: float, *networks: nn.Module) -> None:
    """Set the level of all networks, where the recipe grows any."""
    if recipe.grow_from:
        network: Any
        for network in networks:
            network.grow_to(level(recipe, kimg))


def blend(recipe: Recipe, discriminator: nn.Module, real: Tensor) -> Tensor:
    """Real images, whose detail fades in with the networks' while they grow; others as they are."""
    network: Any = discriminator
    return network.blend(real) if recipe.grow_from else real

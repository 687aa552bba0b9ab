"""Begin from weights that a model has learnt already: transfer learning, as in Wang et al. 2018 (arXiv:1805.01677).

What fits by name and shape is taken, for both networks; what doesn't (another number of classes, say) starts fresh.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from ganhub.errors import UserError
from ganhub.models.base import Discriminator, Generator

log = logging.getLogger(__name__)

LEAST = 0.5  # of a network's numbers must fit, or it is another network


def warm_start(source: str, generator: Generator, discriminator: Discriminator, class_names: Sequence[str]) -> None:
    """Fill both networks, in place, from a model: a zoo name, a folder, a Hub id, or user/repo@revision.

    Args:
        class_names: of the pictures. Classes are taken over by their places, which is said where names differ.

    Raises:
        UserError: there is no such model, it has no discriminator, it fits these networks too little, only one of the
            generators has a mapping network (what follows it means another thing then), or the networks grow from
            another resolution (exits and entrances of one number are then for other resolutions).
    """
    from ganhub.pipeline import GANPipeline

    name, _, revision = (source, "", "") if Path(source).expanduser().exists() else source.partition("@")
    pipe = GANPipeline.from_pretrained(name, revision=revision or None, discriminator=True)
    mapped, was = (getattr(network, "mapping_network", None) is not None for network in (generator, pipe.generator))
    if mapped and not was:
        raise UserError(f"--init {source}: it has no mapping network; leave mapping out of --generator, too")
    if was and not mapped:
        raise UserError(f"--init {source}: it has a mapping network; give --generator as its recipe.json has it")
    grows, grew = (network.config.get("grow_from", 0) for network in (generator, pipe.generator))
    if grows != grew:
        raise UserError(
            f"--init {source}: its grow_from is {grew}, here it is {grows}, so that other resolutions have an exit and "
            f"an entrance; use --grow-from {grew}{'' if grew else ' --grow-kimg 0'}"
        )
    theirs = tuple(pipe.class_names)
    if len(theirs) == len(class_names) and theirs != tuple(class_names):
        log.warning(
            "--init %s: its classes are %s, and %s begin as these in their places",
            source, ", ".join(theirs), ", ".join(class_names),
        )  # fmt: skip
    for part, network, learnt in (
        ("generator", generator, pipe.generator),
        ("discriminator", discriminator, pipe.discriminator),
    ):
        share = take(network, learnt)
        if share < LEAST:
            raise UserError(
                f"--init {source}: {share:.0%} of its {part} fits this one; use the same --arch, resolution and widths "
                f"(its recipe.json has them)"
            )
        if share < 1:
            log.warning("--init %s: %.1f %% of the %s's numbers fit, the rest starts fresh", source, 100 * share, part)


@torch.no_grad()
def take(network: nn.Module, learnt: nn.Module) -> float:
    """Copy what has the same name and shape; the share of the network's numbers that was filled."""
    theirs = learnt.state_dict()
    mine = network.state_dict()
    fitting = {name: value for name, value in theirs.items() if name in mine and mine[name].shape == value.shape}
    for name, value in fitting.items():
        mine[name].copy_(value)
    return sum(value.numel() for value in fitting.values()) / sum(value.numel() for value in mine.values())

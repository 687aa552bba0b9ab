"""The model card: README.md of a model folder, made of the other files in it and of nothing else.

    recipe.json        the exact recipe
    card.json          what no file can tell: summary, licence, terms of the data, limits, hardware (see `Facts`)
    metrics.json       written by `python -m training evaluate`; without it the card says that nothing was measured
    samples.png, curves.png, memorisation.png      shown where they are there

The same files give the same bytes. `unfilled` lists what a card must still be given before it is published.
"""

from ganhub.card.check import unfilled
from ganhub.card.facts import METRICS, UNSAID, Facts, read_facts, save_facts, what_is_drawn
from ganhub.card.text import is_ours, rename, render, write_card

__all__ = [
    "METRICS",
    "UNSAID",
    "Facts",
    "is_ours",
    "read_facts",
    "rename",
    "render",
    "save_facts",
    "unfilled",
    "what_is_drawn",
    "write_card",
]

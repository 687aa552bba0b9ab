"""The card's section on a screen: what it turns down, and from whose marks it learnt that."""

from pathlib import Path
from typing import Any

from ganhub.card.measured import cell, percent
from ganhub.files import read_if_there
from ganhub.latents import MAX_DRAWS
from ganhub.layout import SCREEN_FILE


def section(folder: Path, generator: dict[str, Any]) -> list[str]:
    """Nothing for a generator without a screen.

    Args:
        generator: its config.

    Raises:
        KeyError, TypeError, ValueError: screen.json is not what ganhub writes.
    """
    if not generator.get("screen"):
        return []
    found = read_if_there(folder / SCREEN_FILE)
    label = ", [label]" if generator["num_classes"] else ""
    text = (
        "The generator has a screen: a linear function of its own early maps that says of a latent whether its picture "
        f"will be broken. Then the seed draws another, up to {MAX_DRAWS} in all. It looks at latents before "
        "truncation, so a seed keeps its latent at every truncation: "
        f"`ganhub.latents.latents_for(pipe.generator, [seed]{label})`. `pipe(..., screen=False)` takes every seed's "
        "first latent, `pipe(latents=...)` what it is given."
    )
    return ["## Screen", text, *([_marks(found)] if found else [])]


def _marks(found: dict[str, Any]) -> str:
    first, count = found["first"], found["count"]
    marked = f"{len(found['broken'])} broken, {len(found['flawed'])} flawed"
    options = {"keep": found["keep"], "decorrelate": found["decorrelate"] or None, "depth": found["depth"]}
    words = " ".join(f"--{name} {value:g}" for name, value in options.items() if value is not None)
    return (
        f"It turns down {percent(1 - found['keep'])} of the latents. It learnt from {count:,} samples, seeds {first} "
        f"to {first + count - 1}, which {cell(found['by']) or 'somebody'} sorted by eye: {marked} (`screen.json` lists "
        f"them). Of all {found['broken_before']:.1%} are broken, and by cross-validation {found['broken_after']:.1%} "
        "of those that it keeps: an estimate, and a hopeful one, for it chose the strength of the fit too. The "
        f"command: `python -m training screen FOLDER --marks FOLDER/screen.json {words}`."
    )

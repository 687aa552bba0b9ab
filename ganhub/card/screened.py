"""The card's section on a screen: what it turns down, and from whose marks it learnt that."""

from pathlib import Path
from typing import Any

from ganhub.card.measured import cell, percent
from ganhub.files import read_if_there
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
        "Some latents it draws again before there is a picture: those of which a linear function of the generator's "
        "own maps expects a broken one, at any truncation. A seed's latent is that of "
        f"`ganhub.latents.latents_for(pipe.generator, [seed]{label})`. `pipe(..., screen=False)` takes every seed's "
        "first latent; `pipe(latents=...)`, `generator.onnx` and snapshots of the training take latents as they come."
    )
    return ["## Screen", text, *([_marks(found)] if found else [])]


def _marks(found: dict[str, Any]) -> str:
    first, count = found["first"], found["count"]
    by = f" by {cell(found['by'])}" if found["by"] else ""
    marked = f"{len(found['broken'])} broken, {len(found['flawed'])} flawed"
    options = {"keep": found["keep"], "decorrelate": found["decorrelate"] or None, "depth": found["depth"]}
    words = " ".join(f"--{name} {value:g}" for name, value in options.items() if value is not None)
    broken = f"{percent(found['broken_after'])} of those that pass are broken, of all {percent(found['broken_before'])}"
    return (
        f"Turned down are {percent(1 - found['keep'])} of the latents. It was fitted to {count:,} samples, seeds "
        f"{first} to {first + count - 1}, marked by eye{by}: {marked}; `screen.json` lists them. Cross-validated on "
        f"these, {broken}. The command: `python -m training screen FOLDER --marks screen.json {words}`."
    )

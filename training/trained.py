"""What was trained, by one name: the newest checkpoint of a run, a model folder, a zoo name or a Hub id."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganhub.errors import UserError, first_line
from ganhub.files import write_text
from ganhub.latents import MAX_SEED
from ganhub.layout import RECIPE_FILE
from ganhub.models.base import Discriminator, Generator
from training.recipe import Recipe


@dataclass(frozen=True)
class Trained:
    """Networks in eval mode on the CPU, and how they were trained."""

    generator: Generator
    """The averaged one."""
    discriminator: Discriminator | None
    recipe: Recipe | None
    """None where the model comes without one."""


def check_seed(seed: int) -> None:
    """
    Raises:
        UserError: no generator of random numbers takes it.
    """
    if not 0 <= seed <= MAX_SEED:
        raise UserError(f"--seed must be from 0 to {MAX_SEED}, got {seed}")


def save_json(found: dict[str, Any], file: Path) -> None:
    """
    Raises:
        UserError: the file can't be written.
    """
    try:
        write_text(file, json.dumps(found, indent=2) + "\n")
    except OSError as error:
        raise UserError(f"{file}: can't be written ({first_line(error)})") from error


def open_trained(name: str, discriminator: bool = False) -> Trained:
    """
    Args:
        name: the folder of a run or of a model, a zoo name, or a Hub id.
        discriminator: load it too.

    Raises:
        UserError: there is none such, or its files are missing, damaged or don't fit each other.
    """
    from ganhub import hub
    from ganhub.pipeline import GANPipeline
    from training import checkpoint
    from training.growing import check_grown

    run = Path(name).expanduser()
    if (run / "checkpoints").is_dir():
        recipe, folder = Recipe.load(run / RECIPE_FILE), checkpoint.find(run)
        record = checkpoint.read_record(folder)
        check_grown(recipe, record["clock"]["images"] / 1000, folder)
        networks = checkpoint.load_networks(folder, recipe, len(record["class_names"]))
        return Trained(*networks, recipe)
    found = hub.resolve(name, discriminator=discriminator)
    pipe = GANPipeline.from_pretrained(found, discriminator=discriminator)
    file = found / RECIPE_FILE
    return Trained(pipe.generator, pipe.discriminator, Recipe.load(file) if file.exists() else None)

"""What a run keeps of its own history: model folders of both networks, and an animation of its sample sheets."""

import copy
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro
from accelerate import Accelerator
from PIL import Image

from ganhub.errors import UserError
from ganhub.files import write_aside
from ganhub.layout import MAX_SHEETS, evenly, snapshot_folder
from training.checkpoint import TrainState
from training.growing import grown
from training.recipe import Recipe

SHEETS = "samples"
MAX_FRAMES = 120
FRAME_MS = 120


def save_snapshot(recipe: Recipe, run_dir: Path, state: TrainState, accelerator: Accelerator) -> None:
    """snapshots/NNNNNNNNN (real images shown so far): the averaged generator and the discriminator, fp16, loadable.

    While the networks are still growing there is no model to keep, and nothing is written.
    """
    from ganhub.pipeline import GANPipeline

    final = run_dir / snapshot_folder(state.clock.images)
    if not accelerator.is_main_process or final.exists() or not grown(recipe, state.clock.kimg):
        return
    names = state.class_names if recipe.conditional else None
    generator, discriminator = (copy.deepcopy(network).half() for network in (state.ema, state.discriminator))
    aside = final.with_name(f".{final.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    GANPipeline(generator, discriminator, names).save_pretrained(aside)
    aside.rename(final)


@dataclass(frozen=True)
class Animate:
    """Write the sample sheets of a run as a GIF; `train` does so when it ends."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run's folder."""
    out: Path | None = None
    """The file to write; samples.gif in the run's folder when left out."""


def animate(run_dir: Path, out: Path | None = None) -> Path:
    """A GIF of the run's sample sheets, oldest first, the last one held; at most 120 of them, evenly chosen.

    Raises:
        UserError: there are no sheets, or the file can't be written.
    """
    out = out or run_dir / "samples.gif"
    sheets = sorted((run_dir / SHEETS).glob("*.png"))
    frames = [frame for sheet in evenly(sheets, MAX_FRAMES) if (frame := open_frame(sheet))]
    if not frames:
        raise UserError(f"{run_dir}: no sample sheets here; is it the folder of a run?")
    durations = [FRAME_MS] * (len(frames) - 1) + [10 * FRAME_MS]
    first, *rest = frames
    save = partial(first.save, format="GIF", save_all=True, append_images=rest, duration=durations, loop=0)
    try:
        write_aside(out, save)
    except OSError as error:
        raise UserError(f"{out}: can't be written ({error.strerror or error})") from error
    return out


def check_history(count: int) -> None:
    """Refuse a --history that can't be."""
    if not 0 <= count <= MAX_SHEETS:
        raise UserError(f"--history must be 0 to {MAX_SHEETS}, got {count}")


def keep_history(run_dir: Path, out: Path, count: int, images: int) -> None:
    """Copy `count` of the run's sample sheets to OUT/snapshots/NNNNNNNNN.png, those up to so many real images."""
    sheets = [
        sheet
        for sheet in sorted((run_dir / SHEETS).glob("*.png"))
        if sheet.stem.isdecimal() and int(sheet.stem) <= images
    ]
    for sheet in evenly(sheets, count):
        kept = out / f"{snapshot_folder(int(sheet.stem))}.png"
        kept.parent.mkdir(exist_ok=True)
        shutil.copyfile(sheet, kept)


def open_frame(sheet: Path) -> Image.Image | None:
    """With a palette of its own; None where somebody put another file in the sheet's place."""
    try:
        return Image.open(sheet).convert("P", palette=Image.Palette.ADAPTIVE)
    except OSError:
        return None

"""`python -m training screen FOLDER --marks FILE`: let a model draw again what a person calls broken.

    {"first": 10000, "count": 512, "broken": [10003, 10017], "flawed": [10008]}

is a file of marks: the seeds that were looked at, 10000 to 10511, and whose pictures are broken, or flawed but good
enough. They are the pictures of `ganhub generate FOLDER --num 512 --seed 10000 --no-screen`: classes in turn, each
seed's first latent. All are of one call, for classes are counted from its first seed.

A ridge regression on the generator's maps (ganhub.models.screen) learns how broken a picture will be; a flawed one
counts as a quarter. The limit is set so that `--keep` of all latents stay below it. The networks stay as they are.

What is turned down is not like the rest: profiles break more often than frontal faces, so there are fewer of them then.
`--decorrelate` bounds that, by a penalty on the covariance of the doubts with small pictures of the same latents.
"""

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from safetensors import SafetensorError

from ganhub.errors import UserError, first_line
from ganhub.files import read_object, write_aside, write_text
from ganhub.layout import (
    CONFIG_FILE,
    FACTS_FILE,
    GENERATOR,
    METRICS_FILE,
    SAMPLES_FILE,
    SCREEN_FILE,
    STRIP_FILE,
)
from training.marks import SETTINGS, Marks

if TYPE_CHECKING:
    from torch import Tensor

    from ganhub.pipeline import GANPipeline

LEAST = 16  # broken pictures, and as many others: of fewer nothing can be learnt
LEAST_KEPT = 0.25  # of the latents of each class: of fewer more than one seed in a hundred finds none in its MAX_DRAWS


@dataclass(frozen=True)
class Screen:
    """Learn from marked samples which latents a model shall draw again; writes into its folder."""

    folder: Annotated[Path, tyro.conf.Positional]
    """A model folder, as `python -m training export` writes it."""
    marks: Path
    """JSON with first and count of the seeds that were looked at, and which are broken, and flawed."""
    keep: float = 0.7
    """Share of the latents that are kept, from 0.25; the others are drawn again."""
    decorrelate: float = 0.0
    """How much to spare what pictures look like from afar (at 4x4 pixels), 0 for not at all: at 10 or 30 fewer colours,
    lights and poses are lost, and fewer broken pictures are found."""
    depth: int = 2
    """The generator's block whose maps are looked at; 1 is the first, at 8x8 pixels."""
    by: str = ""
    """Who marked them, for the card: "two people", say."""


def run(options: Screen) -> dict[str, Any]:
    """Fit, then write the screen, screen.json, samples.png and the card. Returns what screen.json holds.

    metrics.json and its picture go: they are of samples that nobody gets any more.

    Raises:
        UserError: the model, the marks or an option won't do, nothing can be learnt from the marks, or the folder can't
            be written.
    """
    from ganhub.card import write_card
    from ganhub.pipeline import GANPipeline
    from training.doubts import learn
    from training.runlog import sample_sheet

    if not options.folder.is_dir():
        raise UserError(f"{options.folder}: no such folder; a zoo model or a Hub id must be copied to one first")
    pipe = GANPipeline.from_pretrained(options.folder)
    marks = Marks.read(options.marks)
    check(options, pipe, marks)
    weight, offset, measured = learn(pipe, marks, options)
    found = {
        **asdict(marks),
        **{name: getattr(options, name) for name in SETTINGS},
        **{name: round(value, 4) for name, value in measured.items()},
    }
    try:
        write(options.folder, pipe.generator.config.latent_dim, options.depth, weight, offset)
        write_text(options.folder / SCREEN_FILE, json.dumps(found) + "\n")
        for name in (METRICS_FILE, STRIP_FILE):
            (options.folder / name).unlink(missing_ok=True)
        sheet = sample_sheet(GANPipeline.from_pretrained(options.folder).generator)
        write_aside(options.folder / SAMPLES_FILE, lambda aside: sheet.save(aside, format="PNG"))
        if (options.folder / FACTS_FILE).is_file():
            write_card(options.folder)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{options.folder}: can't be written ({first_line(error)})") from error
    return found


def check(options: Screen, pipe: "GANPipeline", marks: Marks) -> None:
    """Refuse what nothing can be learnt from.

    Raises:
        UserError: names the option and what it may be.
    """
    if not hasattr(pipe.generator, "screening"):
        raise UserError(
            f"{options.folder}: a generator of the family {pipe.generator.arch} can't be screened, only resnet"
        )
    if not LEAST_KEPT <= options.keep < 1:
        raise UserError(f"--keep must be from {LEAST_KEPT} to below 1, got {options.keep:g}")
    if not 0 <= options.decorrelate < float("inf"):
        raise UserError(f"--decorrelate must be a number from 0 up, got {options.decorrelate:g}")
    if not 1 <= options.depth <= len(pipe.generator.blocks):
        raise UserError(f"--depth must be from 1 to {len(pipe.generator.blocks)}, got {options.depth}")
    broken = len(marks.broken)
    if min(broken, marks.count - broken) < LEAST:
        raise UserError(
            f"{options.marks}: {broken} of {marks.count} are broken; at least {LEAST} broken ones are needed, and "
            f"{LEAST} others"
        )
    if marks.count < LEAST * pipe.num_classes:
        raise UserError(
            f"{options.marks}: {marks.count} pictures of {pipe.num_classes} classes; {LEAST} of each are needed"
        )


def write(folder: Path, latent_dim: int, depth: int, weight: "Tensor", offset: "Tensor") -> None:
    """Put a screen into a generator's files, all variants of its weights among them: all are written before any is
    replaced. Directions, which a screen doesn't change, go on belonging to the weights.

    Raises:
        OSError, SafetensorError: they can't be written.
        UserError: a file of the folder can't be read.
    """
    from safetensors.torch import load_file, save_file

    from ganhub import standalone
    from ganhub.card.check import weights_sha256
    from ganhub.directions import read_directions, read_effects, save_directions, weights_of

    of_these = weights_of(folder) == weights_sha256(folder)
    config = read_object(folder / GENERATOR / CONFIG_FILE) | {"screen": depth}
    screen = {"screening.weight": weight.contiguous(), "screening.offset": offset.contiguous()}
    with tempfile.TemporaryDirectory(prefix=".screen-", dir=folder) as aside:
        for file in sorted((folder / GENERATOR).glob("diffusion_pytorch_model*.safetensors")):
            save_file(load_file(file) | screen, Path(aside, file.name), metadata={"format": "pt"})
        Path(aside, CONFIG_FILE).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        for written in sorted(Path(aside).iterdir()):
            written.chmod(0o644)
            os.replace(written, folder / GENERATOR / written.name)
    if of_these:
        save_directions(folder, read_directions(folder, latent_dim), read_effects(folder), weights_sha256(folder))
    if (folder / standalone.PIPELINE_FILE).is_file():
        standalone.write(folder)

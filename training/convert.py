"""Foreign generator weights become a model folder, which loads, draws, is measured and published like any other."""

import dataclasses
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

import ganhub
from ganhub.card import UNSAID, Facts, save_facts, write_card
from ganhub.errors import UserError
from ganhub.files import sha256
from ganhub.layout import RECIPE_FILE, SAMPLES_FILE
from ganhub.models.dcgan import Discriminator, Generator
from training.command_line import words
from training.folders import appearing, check_free
from training.recipe import Recipe
from training.said import Said, with_said

SOURCE = "an unknown one: trained elsewhere; only the networks' fields are known, all others are defaults never used"
SHARED = ("resolution", "channels", "latent_dim", "latent", "latent_scale")  # a network's, and a recipe's by the name
SEEN = ("key", "discriminator_key", "latent", "latent_scale", "dtype")  # in what is written; files are without folders
ASSUMED = (
    "Activations, paddings and the noise can't be seen in weights and are assumed to be the DCGAN paper's; samples are "
    "drawn with batch norm's running statistics, where many scripts use those of the batch. Compare them with the "
    "original's."
)


@dataclass(frozen=True)
class Convert(Said):
    """Write foreign DCGAN weights (netG.pth of PyTorch's own tutorial, HugGAN's, state dicts, safetensors) as a model
    folder. No code in the file is run."""

    file: Annotated[Path, tyro.conf.Positional]
    """The generator's weights."""
    out: Path
    """The model folder to write; must not exist yet."""
    arch: Literal["dcgan"] = "dcgan"
    """Architecture family of the weights."""
    discriminator: Path | None = None
    """The discriminator's weights; may be FILE itself. None are needed."""
    key: str = ""
    """Where in a checkpoint the generator's weights are, such as netG; found by itself when there is one network."""
    discriminator_key: str = ""
    """The same for the discriminator."""
    latent: Literal["normal", "uniform"] = "normal"
    """Noise that the generator learnt from, N(0, 1) or U(-1, 1); the weights don't show it."""
    latent_scale: float = 1.0
    """What that noise was multiplied by."""
    dtype: Literal["fp16", "fp32"] = "fp32"
    """Precision of the stored weights."""
    force: bool = False
    """Replace a model folder that is already there."""
    name: str = ""
    """What the card tells people to load; the folder's name when left out."""


def run(options: Convert) -> Path:
    """Convert the weights; returns the model folder. Nothing appears there until everything is written.

    Raises:
        UserError: the file isn't one of plain weights, they are no DCGAN's, or the folder is taken or can't be written.
    """
    from training.dcgan_layout import discriminator_of, generator_of
    from training.foreign import read_weights

    check_free(options.out, options.force)
    weights = read_weights(options.file, options.key)
    generator = generator_of(str(options.file), weights, options.latent, options.latent_scale)
    discriminator = None
    if options.discriminator:
        weights = read_weights(options.discriminator, options.discriminator_key)
        discriminator = discriminator_of(str(options.discriminator), weights)
        check_pair(generator, discriminator, options)
    with appearing(options.out, options.force) as aside:
        write(generator, discriminator, options, aside)
    return options.out


def check_pair(generator: Generator, discriminator: Discriminator, options: Convert) -> None:
    for name in ("resolution", "channels"):
        drawn, judged = generator.config[name], discriminator.config[name]
        if drawn != judged:
            raise UserError(f"{options.discriminator}: has {name} {judged}, the generator {drawn}; not a pair")


def write(generator: Generator, discriminator: Discriminator | None, options: Convert, out: Path) -> None:
    from ganhub.pipeline import GANPipeline
    from training.runlog import sample_sheet

    if options.dtype == "fp16":
        generator.half()
        _ = discriminator and discriminator.half()
    GANPipeline(generator, discriminator).save_pretrained(out)
    recipe_of(generator, discriminator).save(out / RECIPE_FILE)
    sample_sheet(GANPipeline.from_pretrained(out).generator).save(out / SAMPLES_FILE)
    save_facts(facts(generator, options), out)
    write_card(out)


def recipe_of(generator: Generator, discriminator: Discriminator | None) -> Recipe:
    """What is known of how it was made: the networks."""
    ours, theirs = (
        {key: value for key, value in dict(network.config if network else {}).items() if not key.startswith("_")}
        for network in (generator, discriminator)
    )
    shared = {key: ours[key] for key in SHARED}
    return Recipe(
        name="converted",
        source=SOURCE,
        arch="dcgan",
        **shared,
        generator={key: value for key, value in ours.items() if key not in (*SHARED, "num_classes")},
        discriminator={key: value for key, value in theirs.items() if key not in (*SHARED, "num_classes")},
    )


def facts(generator: Generator, options: Convert) -> Facts:
    side = generator.config["resolution"]
    origin = (
        "Trained elsewhere, by a recipe that isn't known here, and converted from "
        f"`{options.file.name}` (sha256 `{sha256(options.file)}`) with ganhub {ganhub.__version__}; the weights are as "
        f"they were there, and no training curves came with them. {ASSUMED} Converted by:"
    )
    known = Facts(
        name=options.name or options.out.resolve().name,
        summary=f"A DCGAN that draws {side}x{side} pixels, converted from {options.file.name}.",
        license="",
        data=UNSAID,
        data_terms=UNSAID,
        limits=UNSAID,
        command=command(options),
        kimg=0.0,
        minutes=0.0,
        hardware="unknown",
        versions="unknown",
        origin=origin,
    )
    return with_said(known, options)


def command(options: Convert) -> str:
    """What converts the file again; without the paths of this machine and what only the card says."""
    start = ["python", "-m", "training", "convert", options.file.name, "--out", options.out.resolve().name]
    judge = ["--discriminator", options.discriminator.name] if options.discriminator else []
    other = [item.name for item in dataclasses.fields(Convert) if item.name not in SEEN]
    return shlex.join([*start, *judge, *words(options, Convert, leave_out=other)])

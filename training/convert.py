"""Foreign generator weights become a model folder, which loads, draws, is measured and published like any other."""

import dataclasses
import hashlib
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from safetensors import SafetensorError

import ganhub
from ganhub.card import SAMPLES_FILE, UNSAID, Facts, save_facts, write_card
from ganhub.errors import UserError, first_line
from ganhub.models.dcgan import Discriminator, Generator
from training.recipe import Recipe

SOURCE = "an unknown one: trained elsewhere; only the networks' fields are known, all others are defaults never used"
LIMITS = (
    "Converted weights: activations, paddings and the noise can't be seen in them and are assumed to be the DCGAN "
    "paper's; samples are drawn with batch norm's running statistics, where many scripts use those of the batch. "
    "Compare them with the original's."
)


@dataclass(frozen=True)
class Convert:
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
    summary: str = ""
    """One sentence for the card."""
    license: str = ""
    """Licence of the weights, as the Hub spells it: mit, cc-by-4.0, other, ..."""
    license_name: str = ""
    """What to call the licence where that is "other"."""
    license_link: str = ""
    """Where the licence can be read where it is "other"."""
    data_citation: str = ""
    """Name and citation of the data set."""
    data_terms: str = ""
    """Under which terms the data may be used."""
    limits: str = ""
    """What the model can't do."""
    bias: str = ""
    """Whom or what the data shows too often, too seldom or unfairly."""


def run(options: Convert) -> Path:
    """Convert the weights; returns the model folder. Nothing appears there until everything is written.

    Raises:
        UserError: the file isn't one of plain weights, they are no DCGAN's, or the folder is taken or can't be written.
    """
    from training.dcgan_layout import discriminator_of, generator_of
    from training.foreign import read_weights

    if options.out.exists() and not (options.force and (options.out / "model_index.json").exists()):
        raise UserError(f"{options.out}: is already there; give another --out, or --force to replace a model folder")
    weights = read_weights(options.file, options.key)
    generator = generator_of(str(options.file), weights, options.latent, options.latent_scale)
    discriminator = None
    if options.discriminator:
        weights = read_weights(options.discriminator, options.discriminator_key)
        discriminator = discriminator_of(str(options.discriminator), weights)
        check_pair(generator, discriminator, options)
    try:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=options.out.parent, prefix=".convert-") as parent:
            aside = Path(parent, "model")
            write(generator, discriminator, options, aside)
            if options.out.exists():
                options.out.rename(Path(parent, "old"))  # goes with the temporary folder
            aside.rename(options.out)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{options.out}: can't be written ({first_line(error)}); mend that and try again") from error
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
    recipe_of(generator, discriminator).save(out / "recipe.json")
    sample_sheet(GANPipeline.from_pretrained(out).generator).save(out / SAMPLES_FILE)
    save_facts(facts(generator, options), out)
    write_card(out)
    for file in out.rglob("*.safetensors"):
        file.chmod(0o644)  # safetensors makes them private, which a shared folder or a Space can't serve


def recipe_of(generator: Generator, discriminator: Discriminator | None) -> Recipe:
    """What is known of how it was made: the networks."""
    known = {field.name for field in dataclasses.fields(Recipe)}
    config = {key: value for key, value in generator.config.items() if not key.startswith("_")}
    shared = {key: value for key, value in config.items() if key in known}
    judge: dict[str, Any] = dict(discriminator.config) if discriminator else {}
    fixed = {*known, "num_classes"}
    return Recipe(
        name="converted",
        source=SOURCE,
        arch="dcgan",
        **shared,
        generator={key: value for key, value in config.items() if key not in fixed},
        discriminator={key: value for key, value in judge.items() if key not in fixed and not key.startswith("_")},
    )


def facts(generator: Generator, options: Convert) -> Facts:
    side = generator.config["resolution"]
    with options.file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    origin = (
        f"Trained elsewhere, by a recipe that isn't known here, and converted from `{options.file.name}` (sha256 "
        f"`{digest}`) with ganhub {ganhub.__version__}; the weights are as they were there, and no training curves "
        "came with them. Converted by:"
    )
    return Facts(
        name=options.name or options.out.resolve().name,
        summary=options.summary or f"A DCGAN that draws {side}x{side} pixels, converted from {options.file.name}.",
        license=options.license,
        license_name=options.license_name,
        license_link=options.license_link,
        data=options.data_citation or UNSAID,
        data_terms=options.data_terms or UNSAID,
        limits=f"{options.limits} {LIMITS}" if options.limits else UNSAID,
        bias=options.bias or UNSAID,
        command=command(options),
        kimg=0.0,
        minutes=0.0,
        hardware="unknown",
        versions="unknown",
        origin=origin,
    )


def command(options: Convert) -> str:
    """What converts the file again; without the paths of this machine and what only the card says."""
    words = ["python", "-m", "training", "convert", options.file.name, "--out", options.out.resolve().name]
    if options.discriminator:
        words += ["--discriminator", options.discriminator.name]
    for name in ("key", "discriminator_key", "latent", "latent_scale", "dtype"):
        if getattr(options, name) != getattr(Convert, name):
            words += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    return shlex.join(words)

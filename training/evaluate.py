"""`python -m training evaluate FOLDER`: measure a model folder against real pictures and write metrics.json into it.

Every number stands beside its protocol: which extractor, how many samples, against which pictures of which split, and
whether training saw those.
"""

import contextlib
import dataclasses
import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ganhub.errors import UserError, first_line
from ganhub.files import read_if_there, write_aside, write_text
from ganhub.layout import FACTS_FILE, RECIPE_FILE

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from ganhub.pipeline import GANPipeline
    from training.data import ImageData
    from training.lens import Lens
    from training.measures import Pictures
    from training.recipe import Recipe

MIN_IMAGES = 20
OTHER_PICTURES = (
    "--data holds other pictures than the model was trained on (another copy or another set); what is said here of "
    "training pictures speaks of those in --data"
)
ROOM = 2**16  # bytes; metrics.json and the card need less


@dataclass(frozen=True)
class Evaluate:
    """Measure a model folder against real pictures; writes metrics.json into it."""

    folder: Annotated[Path, tyro.conf.Positional]
    """A model folder, as `python -m training export` writes it."""
    data: str
    """The data set that the model was trained on: a folder or a Hub id."""
    reference: str = ""
    """Other real pictures to compare with, that training never saw; by default a split of --data."""
    split: str = ""
    """Split to compare with; by default "test" where there is one, else the one that was trained on."""
    extractor: str = ""
    """What makes features: a name or folder, inception:FILE, or none; by default the digit classifier, for digits."""
    samples: int = 10_000
    """Pictures to generate; of a conditional model's classes about as often as the reference has them, or equally
    often where it doesn't say."""
    seed: int = 0
    """Sample i is drawn from seed + i; also the seed of every random choice of the metrics."""
    compare: tuple[Path, ...] = ()
    """Model folders measured under the same protocol, whose KID the card shows beside this one's."""
    truncation: float = 1.0
    """0 to 2; anything but 1 measures another generator."""
    screen: bool = True
    """--no-screen takes the first latent of every seed, where the model has a screen (training.screen)."""
    device: str = "cpu"
    """Where networks run: cpu, cuda, mps."""
    show_training: bool = False
    """Put training pictures beside samples into the card, even where the data's terms aren't known to allow it."""


def run(options: Evaluate) -> dict[str, Any]:
    """Measure, write FOLDER/metrics.json and its card, print a table. Returns what metrics.json holds.

    Raises:
        UserError: the model, the data, the extractor or the device can't be used, or the folder can't be written.
    """
    from ganhub.card.check import weights_sha256
    from ganhub.pipeline import GANPipeline
    from training.compared import named, read_kid
    from training.featurenet import check_device
    from training.lens import open_lens
    from training.measures import measure
    from training.strip import draw

    if options.samples < MIN_IMAGES:
        raise UserError(f"--samples must be at least {MIN_IMAGES}, got {options.samples}")
    if not options.folder.is_dir():
        raise UserError(f"{options.folder}: no such model folder; `python -m training export` writes one")
    check_writable(options.folder)
    others = named(options.compare)
    check_device(options.device)
    pipe = GANPipeline.from_pretrained(options.folder)
    if pipe.generator.config.channels == 2:
        raise UserError(f"{options.folder}: draws points, not pictures; count them with `python -m training modes`")
    pipe(1, seed=options.seed, truncation=options.truncation)  # refuses these now, not after the data is read
    recipe = dataclasses.replace(as_trained(options.folder), data=options.data)
    train, real, split = read(options, recipe)
    names = real.class_names or tuple(pipe.class_names)
    lens = open_lens(options.extractor, recipe.channels, names, options.device)
    pictures = gather(pipe, train, real, options, recipe.flip)
    used = protocol(options, pictures, lens, split)
    if pipe.num_classes:
        used["class_mix"] = "as in the reference" if labelled_alike(pipe, real) else "equal"
    if pipe.generator.config.get("screen") and not options.screen:
        used["screen"] = False
    compared = {name: read_kid(folder, used) for name, folder in others.items()}
    measured, nearest = measure(pictures, pipe.class_names, lens, options.seed, options.device)
    if trained_digest(options.folder) not in ("", train.digest):
        measured["notes"].append(OTHER_PICTURES)
    weights = {"generator_sha256": weights_sha256(options.folder)}
    metrics = {"protocol": used, **weights, **measured, **({"compared": compared} if compared else {})}
    print(table(metrics))  # first, so that a disk that filled up meanwhile doesn't take the numbers
    shown = "memorisation" in metrics and (options.show_training or may_show(options.folder, train.digest))
    save(metrics, options.folder, draw(pictures, nearest) if shown else None)
    return metrics


def check_writable(folder: Path) -> None:
    """Measuring may take an hour: refuse now what can't be written then."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".") as probe:
            probe.write(bytes(ROOM))
    except OSError as error:
        raise UserError(f"{folder}: can't be written ({first_line(error)}); nothing was measured") from error


def as_trained(folder: Path) -> "Recipe":
    """The recipe of the model, which ends where its weights were taken from the run.

    Raises:
        UserError: it is missing, or damaged.
    """
    from ganhub.values import is_number
    from training.checks import malformed
    from training.recipe import Recipe

    recipe = Recipe.load(folder / RECIPE_FILE)
    if problem := next(malformed(recipe), ""):
        raise UserError(f"{folder / RECIPE_FILE}: {problem}")
    reached = read_if_there(folder / FACTS_FILE).get("kimg", recipe.kimg)
    if not is_number(reached):
        raise UserError(f"{folder / FACTS_FILE}: kimg must be a number, got {reached!r}")
    return dataclasses.replace(recipe, kimg=min(reached, recipe.kimg))


def trained_digest(folder: Path) -> str:
    """Digest of the pictures that the model was trained on, "" where its card doesn't have it."""
    return read_if_there(folder / FACTS_FILE).get("data_digest", "")


def may_show(folder: Path, digest: str) -> bool:
    """The card may show some of the pictures of that digest: the model learnt from them, and their terms allow it."""
    from ganhub.card import read_facts

    try:
        facts = read_facts(folder)
    except FileNotFoundError:
        return False
    return facts.show_data and facts.data_digest == digest


@contextlib.contextmanager
def advising(way_out: str) -> Iterator[None]:
    """What is refused within has this way out, in place of an option of `train`."""
    try:
        yield
    except UserError as error:
        said = str(error).split("; ")
        while len(said) > 1 and re.search(r"(^|[ `])--[a-z]", said[-1]):
            said.pop()
        raise UserError("; ".join([*said, way_out])) from error


def read(options: Evaluate, recipe: "Recipe") -> "tuple[ImageData, ImageData, str]":
    """What the model was trained on, what to compare with, and the split that the latter is.

    Both are shuffled: neighbours in a data set are often of one class, and some metrics take the first so many.
    """
    import torch

    from training.data import load_images
    from training.references import reading, split_names
    from training.selection import choose

    source = options.reference or options.data
    names = split_names(source)
    split = options.split or ("test" if "test" in names else recipe.split)
    with advising("give as --data the pictures that the model was trained on"):
        everything = load_images(recipe)
        learnt = torch.cat([numbers for _, numbers in choose(recipe, everything)]).unique()
    if source == options.data and split == recipe.split:
        real = everything
    else:
        other = reading(recipe, source, split)
        with advising("give another --reference or --split"):
            real = load_images(other, split)
    train = everything if len(learnt) == len(everything) else everything.pick(learnt)
    for pictures, what in ((real, f"{source}, split {split}"), (train, f"{options.data}, what the recipe learns from")):
        if len(pictures) < MIN_IMAGES:
            raise UserError(f"{what}: {len(pictures)} pictures, too few to compare with; need {MIN_IMAGES}")
    real, train = (
        data.pick(torch.randperm(len(data), generator=torch.Generator().manual_seed(options.seed)))
        for data in (real, train)
    )
    return train, real, split


def gather(pipe: "GANPipeline", train: "ImageData", real: "ImageData", options: Evaluate, flip: bool) -> "Pictures":
    from training.measures import Pictures

    pipe.generator.to(options.device)
    generated, labels = generate(pipe, options, asked_classes(pipe, real))
    if generated.shape[1:] != real.images.shape[1:]:
        sizes = f"{tuple(generated.shape[1:])}, its recipe says {tuple(real.images.shape[1:])}"
        raise UserError(f"{options.folder}: the generator draws {sizes}; export the run again")
    share = round(share_seen(real.images, train.images), 4)
    return Pictures(generated, labels, real.images, train.images, share_trained_on=share, mirrored=flip)


def asked_classes(pipe: "GANPipeline", real: "ImageData") -> list[int]:
    """What to ask a conditional model for, over and over: the classes of the real pictures, or each of its own once.

    Other proportions of classes than the reference's would count as other pictures, whatever is drawn.
    """
    if labelled_alike(pipe, real):
        assert real.labels is not None
        return [pipe.class_names.index(real.class_names[label]) for label in real.labels.tolist()]
    return list(range(pipe.num_classes))


def labelled_alike(pipe: "GANPipeline", real: "ImageData") -> bool:
    """The real pictures have labels, of just the classes that the model knows."""
    return real.labels is not None and bool(pipe.num_classes) and {*pipe.class_names} == {*real.class_names}


def generate(
    pipe: "GANPipeline", options: Evaluate, asked: list[int], chunk: int = 2048
) -> "tuple[Tensor, Tensor | None]":
    """uint8 samples (N, C, R, R) and the class of each, None when unconditional."""
    import torch
    from tqdm import tqdm

    images, labels = [], []
    for start in tqdm(range(0, options.samples, chunk), "generating", leave=False):
        numbers = range(start, min(start + chunk, options.samples))
        classes = [asked[i % len(asked)] for i in numbers] if asked else None
        seeds = [options.seed + i for i in numbers]
        out = pipe(labels=classes, seed=seeds, truncation=options.truncation, output_type="pt", screen=options.screen)
        assert isinstance(out.images, torch.Tensor)
        images.append(out.images.mul(255).round().to(torch.uint8))
        labels += classes or []
    return torch.cat(images), torch.tensor(labels) if labels else None


def share_seen(real: "Tensor", train: "Tensor") -> float:
    """Share of the pictures that are, pixel for pixel, among the training pictures."""
    known = {picture.numpy().tobytes() for picture in train}
    return sum(picture.numpy().tobytes() in known for picture in real) / len(real)


def protocol(options: Evaluate, pictures: "Pictures", lens: "Lens | None", split: str) -> dict[str, Any]:
    from training.references import versions
    from training.sources import data_name

    return {
        "extractor": lens.name if lens else "none (measures on pixels only)",
        "extractor_sha256": lens.sha256 if lens else None,
        "samples": len(pictures.generated),
        "reference": {
            "data": data_name(options.reference or options.data),
            "split": split,
            "count": len(pictures.real),
            "trained_on": pictures.trained_on,
            "share_trained_on": pictures.share_trained_on,
            **({} if options.reference in ("", options.data) else {"other_data": True}),
        },
        "seed": options.seed,
        "truncation": options.truncation,
        "versions": versions(),
    }


def save(metrics: dict[str, Any], folder: Path, strip: "Image | None" = None) -> None:
    """metrics.json, the memorisation strip, whose older one goes, and the card where the folder has facts for one."""
    from ganhub.card import write_card
    from ganhub.layout import FACTS_FILE, METRICS_FILE, STRIP_FILE

    try:
        write_text(folder / METRICS_FILE, json.dumps(metrics, indent=2, ensure_ascii=False) + "\n")
        if strip:
            write_aside(folder / STRIP_FILE, partial(strip.save, format="PNG", optimize=True))
        else:
            (folder / STRIP_FILE).unlink(missing_ok=True)
        if (folder / FACTS_FILE).exists():
            write_card(folder)
    except OSError as error:
        raise UserError(f"{folder}: can't be written ({first_line(error)}); the numbers are above") from error


def table(metrics: dict[str, Any]) -> str:
    """The numbers for people, with the protocol above them."""
    from ganhub.card import METRICS
    from ganhub.card.measured import percent

    used, reference = metrics["protocol"], metrics["protocol"]["reference"]
    share = reference["share_trained_on"]
    seen = f"{percent(share)} of them trained on" if share else "never trained on"
    lines = [
        f"{used['samples']:,} samples (seed {used['seed']}, truncation {used['truncation']:g}) against "
        f"{reference['count']:,} of {reference['data']}, split {reference['split']}, {seen}",
        *(["without the model's screen"] if "screen" in used else []),
        *([f"mix of classes asked for: {used['class_mix']}"] if "class_mix" in used else []),
        f"features: {used['extractor']}",
    ]
    for name, (label, form, better) in METRICS.items():
        if name in metrics:
            lines.append(f"  {label:32} {metrics[name]:>10{form}}   {better}")
    if "memorisation" in metrics:
        lines.append(f"  {'Memorisation (distance ratio)':32} {metrics['memorisation']['ratio']:>10.2f}   about 1")
    if counts := metrics.get("class_counts"):
        lines.append("  Recognised as: " + ", ".join(f"{name} {count:,}" for name, count in counts.items()))
    return "\n".join(lines + [f"  {note}" for note in metrics["notes"]])

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

from ganhub.errors import UserError, first_line, shorten
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
from ganhub.values import is_int

if TYPE_CHECKING:
    from torch import Tensor

    from ganhub.pipeline import GANPipeline

RECORDED = ("by", "keep", "decorrelate", "depth", "auc", "broken_before", "broken_after")  # beside the marks
MOST = 100_000  # marked pictures
FLAWED = 0.25  # where broken is 1
LEAST = 16  # broken pictures, and as many others: of fewer nothing can be learnt
RIDGES = (0.01, 0.03, 0.1, 0.3, 1.0)  # per marked picture
FOLDS = 8
OTHERS = 8192  # latents, none of them marked, that say where the limit is
OTHER_SEEDS = 2**40  # from here on
LEAST_KEPT = 0.25  # of the latents of each class: of fewer more than one seed in a hundred finds none in its MAX_DRAWS
LEAST_AUC = 0.6  # 0.5 is chance
CONSTANT = 1e-6  # deviation of a feature below which it is rounding that varies
CHUNK = 64
COARSE = 4  # pixels on a side


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


@dataclass(frozen=True)
class Marks:
    """Seeds from `first` on, `count` of them, and those among them whose pictures are broken, or flawed."""

    first: int
    count: int
    broken: tuple[int, ...]
    flawed: tuple[int, ...] = ()

    @classmethod
    def read(cls, file: Path) -> "Marks":
        """Those of a JSON file, which may hold more.

        Raises:
            UserError: it can't be read, or holds something else.
        """
        from ganhub.latents import MAX_SEED

        try:
            found = read_object(file)
        except FileNotFoundError as error:
            raise UserError(f"{file}: no such file; --marks takes a JSON file of seeds") from error
        if unknown := found.keys() - {"first", "count", "broken", "flawed", *RECORDED}:
            raise UserError(f"{file}: has no use for {min(unknown)}; it takes first, count, broken and flawed")
        first, count = found.get("first"), found.get("count")
        if not (is_int(first) and is_int(count) and 0 < count <= MOST and 0 <= first <= MAX_SEED - count):
            raise UserError(
                f"{file}: needs first, a seed from 0 up, and count, from 1 to {MOST:,}; has {first!r}, {count!r}"
            )
        lists = [found.get(name, []) for name in ("broken", "flawed")]
        for seeds in lists:
            if not isinstance(seeds, list):
                raise UserError(f"{file}: broken and flawed are lists of seeds, got {shorten(repr(seeds), 50)}")
            for seed in seeds:
                if not is_int(seed) or not 0 <= seed - first < count:
                    raise UserError(f"{file}: {seed!r} is no seed from {first} to {first + count - 1}")
        broken, flawed = map(set, lists)
        if least := broken & flawed:
            raise UserError(f"{file}: seed {min(least)} is both broken and flawed; it is one of them")
        return cls(first, count, tuple(sorted(broken)), tuple(sorted(flawed)))

    def wrong(self) -> "Tensor":
        """How broken each picture is, (count,) float64 from 0 to 1."""
        import torch

        wrong = torch.zeros(self.count, dtype=torch.float64)
        for seeds, value in ((self.broken, 1.0), (self.flawed, FLAWED)):
            wrong[[seed - self.first for seed in seeds]] = value
        return wrong


def run(options: Screen) -> dict[str, Any]:
    """Fit, then write the screen, screen.json, samples.png and the card. Returns what screen.json holds.

    metrics.json and its picture go: they are of samples that nobody gets any more.

    Raises:
        UserError: the model, the marks or an option won't do, nothing can be learnt from the marks, or the folder can't
            be written.
    """
    from ganhub.card import write_card
    from ganhub.pipeline import GANPipeline
    from training.runlog import sample_sheet

    if not options.folder.is_dir():
        raise UserError(f"{options.folder}: no such folder; a zoo model or a Hub id must be copied to one first")
    pipe = GANPipeline.from_pretrained(options.folder)
    marks = Marks.read(options.marks)
    check(options, pipe, marks)
    weight, offset, measured = learn(pipe, marks, options)
    found = {
        **asdict(marks),
        **{name: getattr(options, name) for name in ("by", "keep", "decorrelate", "depth")},
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


def learn(pipe: "GANPipeline", marks: Marks, options: Screen) -> "tuple[Tensor, Tensor, dict[str, float]]":
    """A screen's weight (F,) and offset (classes,), and how well it does, cross-validated on the marked pictures.

    Measured: `auc`, the chance that it doubts a broken picture more than another; `broken_before` and `broken_after`,
    the broken share of all and of those that it keeps.

    Raises:
        UserError: it can't tell broken pictures, or would turn down nearly all of a class.
    """
    import torch

    classes = max(pipe.num_classes, 1)
    seen = look(pipe, range(marks.first, marks.first + marks.count), options.depth)
    others = look(pipe, range(OTHER_SEEDS, OTHER_SEEDS + OTHERS), options.depth, coarse=options.decorrelate > 0)
    shared = options.decorrelate * shared_with_pictures(others, classes) if options.decorrelate else 0.0
    wrong = marks.wrong()
    broken = wrong == 1
    fold = torch.arange(marks.count) * FOLDS // marks.count

    def cross_validated(ridge: float) -> "Tensor":
        doubts = torch.empty(marks.count, dtype=torch.float64)
        for i in range(FOLDS):
            weight, offset = fit(seen.rows(fold != i), wrong[fold != i], classes, ridge, shared)
            doubts[fold == i] = seen.features[fold == i] @ weight + offset[seen.labels[fold == i]]
        return doubts

    tried = {ridge: cross_validated(ridge) for ridge in RIDGES}
    ridge = max(tried, key=lambda ridge: auc(tried[ridge], broken))
    if (found := auc(tried[ridge], broken)) < LEAST_AUC:
        raise UserError(
            f"{options.marks}: what is broken can't be told from these marks (AUC {found:.2f}); are they of this "
            "model's pictures, drawn without a screen? If so, mark more"
        )
    weight, offset = fit(seen, wrong, classes, ridge, shared)
    doubts = others.features @ weight + offset[others.labels]
    limit = doubts.quantile(options.keep)
    for label in range(classes):
        if (share := (doubts[others.labels == label] <= limit).double().mean().item()) < LEAST_KEPT:
            raise UserError(
                f"--keep {options.keep:g}: of class {pipe.class_names[label]} {share:.0%} would pass, so much of it is "
                "broken; keep more, or mark less strictly"
            )
    offset -= limit
    kept = tried[ridge] <= tried[ridge].quantile(options.keep)
    left = {"broken_before": broken.double().mean().item(), "broken_after": broken[kept].double().mean().item()}
    return weight.float(), offset.float(), {"auc": found, **left}


@dataclass(frozen=True)
class Seen:
    """Latents as a screen sees them."""

    features: "Tensor"
    """(N, F) float64."""
    labels: "Tensor"
    """(N,), zeros without classes."""
    coarse: "Tensor | None" = None
    """Their pictures at COARSE x COARSE, (N, P) float64."""

    def rows(self, chosen: "Tensor") -> "Seen":
        """Those for which `chosen` (N,) is True."""
        return Seen(self.features[chosen], self.labels[chosen])


def look(pipe: "GANPipeline", seeds: range, depth: int, coarse: bool = False) -> Seen:
    """At the first latents of these seeds, with the classes in turn."""
    import torch
    import torch.nn.functional as F
    from tqdm import tqdm

    from ganhub.latents import sample
    from ganhub.models.screen import pooled

    generator: Any = pipe.generator
    labels = torch.arange(len(seeds)) % max(pipe.num_classes, 1)
    features, pictures = [], []
    with torch.inference_mode():
        for part in tqdm(torch.arange(len(seeds)).split(CHUNK), "looking", leave=False):
            z = sample([seeds[i] for i in part.tolist()], generator.config.latent_dim)
            asked = labels[part] if pipe.num_classes else None
            features.append(pooled(generator.maps(*generator.read(z, asked), depth)))
            if coarse:
                pictures.append(F.adaptive_avg_pool2d(generator(z, asked), COARSE).flatten(1))
    return Seen(torch.cat(features).double(), labels, torch.cat(pictures).double() if coarse else None)


def shared_with_pictures(seen: Seen, classes: int) -> "Tensor":
    """(F, F): for weights w of standard features, w @ it @ w is how much the doubts covary with the coarse pictures."""
    assert seen.coarse is not None
    features, pictures = (within(values, seen.labels, classes)[0] for values in (seen.features, seen.coarse))
    features, pictures = (values / values.std(0).clamp(min=CONSTANT) for values in (features, pictures))
    covariance = features.T @ pictures / len(features)
    return covariance @ covariance.T


def fit(seen: Seen, wrong: "Tensor", classes: int, ridge: float, shared: "Tensor | float") -> "tuple[Tensor, Tensor]":
    """Penalised least squares of `wrong` (N,) within classes: weight (F,), and offset (classes,)."""
    import torch

    x, means = within(seen.features, seen.labels, classes)
    y, levels = within(wrong[:, None], seen.labels, classes)
    scale = 1 / x.std(0).clamp(min=CONSTANT)
    x = x * scale
    inner = x.T @ x + len(x) * (ridge * torch.eye(x.shape[1], dtype=x.dtype) + shared)
    weight = scale * torch.linalg.solve(inner, x.T @ y)[:, 0]
    return weight, levels[:, 0] - means @ weight


def within(values: "Tensor", labels: "Tensor", classes: int) -> "tuple[Tensor, Tensor]":
    """Values (N, F) less the mean of their class, and these means (classes, F); 0 for a class without any."""
    import torch.nn.functional as F

    members = F.one_hot(labels, classes).double()
    means = members.T @ values / members.sum(0).clamp(min=1)[:, None]
    return values - means[labels], means


def auc(doubts: "Tensor", broken: "Tensor") -> float:
    """The chance that a broken picture's doubt (N,) is above another one's: the area under the ROC curve."""
    import torch

    ordered = doubts.sort().values
    ranks = (torch.searchsorted(ordered, doubts) + torch.searchsorted(ordered, doubts, right=True) + 1).double() / 2
    positive = int(broken.sum())
    above = ranks[broken].sum().item() - positive * (positive + 1) / 2
    return above / (positive * (len(doubts) - positive))


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

"""What a model repo may hold that ganhub reads, how large it may be, and which of it a reader wants.

Whatever isn't named here is never fetched: no pickle, no code, no training state, no path out of the folder.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ganhub.errors import UserError
from ganhub.files import MAX_JSON
from ganhub.values import is_int

Item = TypeVar("Item")

INDEX_FILE = "model_index.json"
CONFIG_FILE = "config.json"
RECIPE_FILE = "recipe.json"
FACTS_FILE = "card.json"
METRICS_FILE = "metrics.json"
CARD_FILE = "README.md"
SCREEN_FILE = "screen.json"  # what a screen was learnt from; the screen itself is the generator's
TEXTS = (INDEX_FILE, FACTS_FILE, METRICS_FILE, RECIPE_FILE, SCREEN_FILE, CARD_FILE)
SAMPLES_FILE = "samples.png"
CURVES_FILE = "curves.png"
STRIP_FILE = "memorisation.png"
PICTURES = (SAMPLES_FILE, CURVES_FILE, STRIP_FILE)
LOG_FILE = "training_log.jsonl"
DIRECTIONS_FILE = "directions.safetensors"
ONNX_FILE = "generator.onnx"  # written and published, never read, and fetched with all else alone
GENERATOR, DISCRIMINATOR = "generator", "discriminator"  # folders, each with a config and weights

MAX_TEXT = MAX_JSON
MAX_PICTURE = 2**25
MAX_SHEET = 4_000_000
MAX_SHEETS = 24  # fetched; of more, evenly chosen ones
MAX_WEIGHTS = 2_010_000_000  # bytes: models.base.MAX_PARAMETERS as float32, and the header
MAX_BESIDE = 2**27  # bytes of all that one fetch takes beside weights
VARIANT = re.compile(r"[a-z0-9_]{1,20}", re.ASCII)
WEIGHTS = re.compile(r"diffusion_pytorch_model(?:\.([a-z0-9_]{1,20}))?\.safetensors", re.ASCII)
PICKLES = {".bin", ".ckpt", ".dill", ".joblib", ".npy", ".npz", ".pickle", ".pkl", ".pt", ".pth"}
PART = re.compile(rf"(?:snapshots/\d{{9}}/)?(?:generator|discriminator)/(?:(config\.json)|{WEIGHTS.pattern})", re.ASCII)
SNAPSHOT = re.compile(r"snapshots/(\d{9})/model_index\.json", re.ASCII)
SHEET = re.compile(r"snapshots/(\d{9})\.png", re.ASCII)  # samples.png as it was after so many real images


def parts(discriminator: bool) -> tuple[str, ...]:
    """The folders of the networks that are wanted."""
    return (GENERATOR, DISCRIMINATOR) if discriminator else (GENERATOR,)


def weights_file(variant: str | None = None) -> str:
    """The name of the weights, as diffusers spells it: diffusion_pytorch_model[.VARIANT].safetensors.

    Raises:
        UserError: no variant is called that.
    """
    if variant is None:
        return "diffusion_pytorch_model.safetensors"
    if not isinstance(variant, str) or not VARIANT.fullmatch(variant):
        raise UserError(f"variant must be a short name such as fp16, got {variant!r}")
    return f"diffusion_pytorch_model.{variant}.safetensors"


def other_weights(names: Collection[str]) -> str:
    """What to do where a network's folder, with files of these names, lacks the weights that are asked for."""
    variants = sorted(found[1] or "" for found in map(WEIGHTS.fullmatch, names) if found)
    if variants:
        return " or ".join(f'give variant="{name}"' if name else "leave out the variant" for name in variants[:3])
    return "ganhub reads safetensors only" + ", never a pickle" * any(map(is_pickle, names))


def is_pickle(path: str) -> bool:
    """By its name."""
    return bool(PICKLES.intersection(Path(path.lower()).suffixes))


def limit(path: str) -> int | None:
    """The largest size in bytes that a file of a model repo may have; None for a file that is not read at all."""
    if path in (*TEXTS, DIRECTIONS_FILE) or SNAPSHOT.fullmatch(path):
        return MAX_TEXT
    if SHEET.fullmatch(path):
        return MAX_SHEET
    if path in PICTURES or path == LOG_FILE:
        return MAX_PICTURE
    if path == ONNX_FILE:
        return MAX_WEIGHTS
    part = PART.fullmatch(path)
    return part and (MAX_TEXT if part[1] else MAX_WEIGHTS)


def snapshot_folder(images: int) -> str:
    """Where a model repo keeps the generator as it was after so many real images.

    Raises:
        UserError: it can't be a number of images.
    """
    if not is_int(images) or not 0 <= images < 10**9:
        raise UserError(f"snapshot must be the number of real images shown, such as 120000, got {images!r}")
    return f"snapshots/{images:09d}"


def snapshots_in(files: Collection[str]) -> list[int]:
    """The snapshots among the files of a repo, oldest first."""
    return sorted(int(found[1]) for path in files if (found := SNAPSHOT.fullmatch(path)))


def local_snapshots(folder: Path) -> list[int]:
    """Those of a model folder."""
    return snapshots_in([file.relative_to(folder).as_posix() for file in folder.glob(f"snapshots/*/{INDEX_FILE}")])


def sheets_in(files: Collection[str]) -> list[int]:
    """The sample sheets of the training among the files of a repo, by the real images shown, oldest first."""
    return sorted(int(found[1]) for path in files if (found := SHEET.fullmatch(path)))


def local_sheets(folder: Path) -> dict[int, Path]:
    """The same of a model folder, each with its file."""
    names = [file.relative_to(folder).as_posix() for file in folder.glob("snapshots/*.png")]
    return {images: folder / f"{snapshot_folder(images)}.png" for images in sheets_in(names)}


def evenly(items: list[Item], count: int) -> list[Item]:
    """At most `count` of them, the first and the last among them, in their order; the last where it is one."""
    count = min(count, len(items))
    step = (len(items) - 1) / max(1, count - 1)
    return [items[round(i * step)] for i in range(count)] if count > 1 else items[-1:][:count]


def few_sheets(files: Collection[str]) -> list[str]:
    """The same files, but of the sample sheets of the training at most `MAX_SHEETS`: first, last, evenly between."""
    kept = set(evenly(sheets_in(files), MAX_SHEETS))
    return [path for path in files if not (found := SHEET.fullmatch(path)) or int(found[1]) in kept]


def split_names(names: Any) -> Any:
    """The class names of a model_index.json as a list: standalone files have them one a line, see ganhub.standalone."""
    return names.split("\n") if isinstance(names, str) else names


@dataclass(frozen=True)
class Wanted:
    """What one call needs of a model repo."""

    parts: tuple[str, ...] = (GENERATOR,)
    """Networks whose weights are read."""
    variant: str | None = None
    """Which weights, such as "fp16"; None for the plain ones."""
    snapshot: int | None = None
    """Real images shown; None for the finished model."""
    card: bool = True
    """The card, its pictures, the sheets of its training and what it was made of too."""
    everything: bool = False
    """All that this module knows of, for a copy of the whole repo."""

    def required(self) -> list[str]:
        """The files without which nothing can be loaded."""
        folder = "" if self.snapshot is None else snapshot_folder(self.snapshot) + "/"
        names = [f"{folder}{part}/{name}" for part in self.parts for name in (CONFIG_FILE, weights_file(self.variant))]
        return [folder + INDEX_FILE, *names]

    def choose(self, repo: str, files: Collection[str]) -> list[str]:
        """The wanted ones among the files of a repo.

        Raises:
            UserError: a required one isn't there.
        """
        required = self.required()
        if self.snapshot is not None and self.snapshot not in snapshots_in(files):
            known = ", ".join(map(str, snapshots_in(files))) or "none"
            raise UserError(f"{repo}: has no snapshot {self.snapshot}; its snapshots: {known}")
        for name in required:
            if name not in files:
                raise UserError(f"{repo}: has no {name}{self._hint(name, files)}")
        extra = [name for name in files if self._is_extra(name)]
        chosen = list(files) if self.everything else [*required, *extra]
        return few_sheets(dict.fromkeys(chosen))

    def most(self) -> int:
        """Bytes that one fetch may take: the weights of each wanted network, all else together.

        A whole repo may have two variants of each, and its snapshots are small.
        """
        return MAX_BESIDE + MAX_WEIGHTS * (4 if self.everything else len(self.parts))

    def _is_extra(self, name: str) -> bool:
        if self.snapshot is not None:
            return False
        shown = name in (*TEXTS, *PICTURES) or SHEET.fullmatch(name) is not None
        return name == DIRECTIONS_FILE or (self.card and shown)

    def _hint(self, name: str, files: Collection[str]) -> str:
        folder, _, file = name.rpartition("/")
        if file == CONFIG_FILE and folder.rpartition("/")[2] == DISCRIMINATOR:
            return "; it was published without its discriminator"
        if file in (INDEX_FILE, CONFIG_FILE):
            return "; it is no model folder of ganhub (`python -m training publish` makes one)"
        beside = [path.removeprefix(f"{folder}/") for path in files if path.startswith(f"{folder}/")]
        return f"; {other_weights(beside)}"

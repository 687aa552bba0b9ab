"""Data sets: parquet folder, image folder or Hub id -> uint8 images that live on the device.

`load_images` reads through Hugging Face `datasets`, decodes every picture once and keeps the result in a cache whose
key is the content of the pictures and how they are prepared. An epoch is then a permutation and a gather: no loader, no
worker, and an order that is a pure function of (seed, position), so that a run resumes where it stopped.
"""

import dataclasses
import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from ganhub.errors import UserError
from training.augment import mirror
from training.crops import CROPS, read_picture, take
from training.recipe import Recipe
from training.sources import open_source, pictures

if TYPE_CHECKING:
    from datasets import Dataset

log = logging.getLogger(__name__)

CHUNK = 64  # encoded pictures in memory at a time
PREPARATION = "1"  # part of every digest: raise it when `prepare` gives other pixels, and no run can go on any more
CACHED = ".2.safetensors"  # how a cached set's name ends: raise its number when other pictures can be read


@dataclass(frozen=True)
class ImageData:
    """A decoded data set."""

    images: Tensor
    """(N, C, R, R) uint8; points in the plane are (N, 2, 1, 1) float32."""
    labels: Tensor | None
    """(N,) int64, or None where the set has no classes."""
    class_names: tuple[str, ...]
    digest: str
    """Hash of the pictures, their labels and their preparation."""
    skipped: tuple[str, ...] = ()
    """Names of the pictures that could not be read."""

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device | str) -> Self:
        labels = None if self.labels is None else self.labels.to(device)
        return dataclasses.replace(self, images=self.images.to(device), labels=labels)

    def pick(self, index: Tensor) -> Self:
        """Some of the pictures, by number or by a mask (N,)."""
        labels = None if self.labels is None else self.labels[index]
        return dataclasses.replace(self, images=self.images[index], labels=labels)


def to_float(images: Tensor, pixel_range: tuple[float, float] = (-1.0, 1.0)) -> Tensor:
    """uint8 -> float, black and white becoming the ends of `pixel_range`; points are floats and stay as they are."""
    if images.is_floating_point():
        return images
    low, high = pixel_range
    return images.float().div_(255 / (high - low)).add_(low)


class Batches:
    """Endless batches; what comes at a position depends on the seed, that position and the part of the run alone.

    Args:
        flip: mirror half of the images, at random.
        shuffle: a new order every epoch; without it, the data set's own, over and over.
        pixel_range: what black and white become.
        chosen: from which kimg of the run on which of the pictures (N,) take part, by number; all of them by default.
    """

    def __init__(
        self,
        data: ImageData,
        batch_size: int,
        seed: int,
        flip: bool = False,
        shuffle: bool = True,
        pixel_range: tuple[float, float] = (-1.0, 1.0),
        chosen: Sequence[tuple[float, Tensor]] = (),
    ):
        self.data, self.batch_size, self.seed, self.flip = data, batch_size, seed, flip
        self.shuffle, self.pixel_range = shuffle, pixel_range
        self.chosen = chosen or [(0.0, torch.arange(len(data)))]
        self._ordered, self._order = (-1, -1), torch.empty(0, dtype=torch.long)

    def at(self, position: int, kimg: float = 0.0) -> tuple[Tensor, Tensor | None]:
        """Images (B, C, R, R) in the pixel range and labels (B,) from the `position`-th image of the run on.

        `kimg`, of the run, says which pictures take part. Mirroring draws from torch's global state.
        """
        index = self.indices(position, self.batch_size, kimg)
        images = to_float(self.data.images[index], self.pixel_range)
        if self.flip:
            images = mirror(images)
        return images, None if self.data.labels is None else self.data.labels[index]

    def indices(self, position: int, count: int, kimg: float = 0.0) -> Tensor:
        choice = sum(begun <= kimg for begun, _ in self.chosen) - 1
        parts: list[Tensor] = []
        while count > 0:
            epoch, start = divmod(position, len(self.chosen[choice][1]))
            part = self._epoch(choice, epoch)[start : start + count]
            parts.append(part)
            position, count = position + len(part), count - len(part)
        return torch.cat(parts)

    def _epoch(self, choice: int, epoch: int) -> Tensor:
        if self._ordered != (choice, epoch):
            numbers = self.chosen[choice][1]
            if self.shuffle:
                generator = torch.Generator().manual_seed((self.seed << 20) + epoch)
                numbers = numbers[torch.randperm(len(numbers), generator=generator)]
            self._ordered, self._order = (choice, epoch), numbers.to(self.data.images.device)
        return self._order


def load_images(recipe: Recipe, split: str | None = None) -> ImageData:
    """The recipe's data set, prepared at its resolution, on the CPU.

    Args:
        recipe: its data fields say what to read and how.
        split: another split than the recipe's.

    Raises:
        UserError: there is no such data set, split, column or class, or no picture can be read.
    """
    from training import toys  # which reads digits through here

    toys.check(recipe)
    if toys.is_toy(recipe.data):
        return toys.load(recipe, split or recipe.split)
    if recipe.channels == 2:
        return toys.load_points(recipe, split or recipe.split)
    source = open_source(recipe, split or recipe.split)
    rows, image_column, labels, names = source.rows, source.column, source.labels, source.class_names
    digest = content_digest(rows, image_column, labels, recipe)
    data = cached(digest, names) or decode(rows, image_column, labels, names, digest, recipe)
    if data.skipped:
        shown = ", ".join(data.skipped[:5]) + (", ..." if len(data.skipped) > 5 else "")
        log.warning("skipped %d of %d pictures that can't be read: %s", len(data.skipped), len(rows), shown)
    if labels is not None and data.labels is not None and recipe.conditional:
        lost = np.setdiff1d(labels[labels >= 0], data.labels.numpy())
        if len(lost):
            raise UserError(
                f"{recipe.data}: no picture of class {names[lost[0]]} can be read; mend them, or name the others with "
                "--classes"
            )
    return data


def content_digest(rows: "Dataset", column: str, labels: np.ndarray | None, recipe: Recipe) -> str:
    preparation = f"{PREPARATION} {recipe.resolution} {recipe.channels}"
    if (recipe.crop, recipe.resize) != (Recipe.crop, Recipe.resize):  # the defaults keep the digests of older versions
        preparation += f" {recipe.crop} {recipe.resize}"
    digest = hashlib.sha256(preparation.encode())
    for content, _ in pictures(rows, column):
        digest.update(hashlib.sha256(content).digest())
    if labels is not None:
        digest.update(labels.tobytes())
    return digest.hexdigest()[:32]


def prepare(
    content: bytes, resolution: int, channels: int, crop: str = Recipe.crop, resize: str = Recipe.resize
) -> np.ndarray | None:
    """Encoded bytes -> (C, R, R) uint8, cropped and resized by name. None for what is no picture."""
    picture = read_picture(content, channels)
    if picture is None:
        return None
    pixels = np.asarray(take(picture, resolution, CROPS[crop](picture.size), resize))
    return np.ascontiguousarray(np.atleast_3d(pixels).transpose(2, 0, 1))


def decode(
    rows: "Dataset", column: str, labels: np.ndarray | None, names: tuple[str, ...], digest: str, recipe: Recipe
) -> ImageData:
    """Decode every picture, leave out what can't be read, and keep the rest in the cache."""

    def pixels(item: tuple[bytes, str]) -> np.ndarray | None:
        return prepare(item[0], recipe.resolution, recipe.channels, recipe.crop, recipe.resize)

    images = np.empty((len(rows), recipe.channels, recipe.resolution, recipe.resolution), np.uint8)
    kept: list[int] = []
    skipped: list[str] = []
    found = pictures(rows, column)
    with ThreadPoolExecutor() as pool, tqdm(desc="decoding", total=len(rows), unit=" pictures", leave=False) as bar:
        while chunk := list(islice(found, CHUNK)):
            for (_, name), decoded in zip(chunk, pool.map(pixels, chunk)):
                if decoded is None:
                    skipped.append(name)
                else:
                    images[len(kept)] = decoded
                    kept.append(len(kept) + len(skipped))
                bar.update()
    if not kept:
        raise UserError(f"{recipe.data}: none of its {len(rows)} pictures can be read")
    kept_labels = None if labels is None else torch.from_numpy(labels[kept])
    data = ImageData(torch.from_numpy(images[: len(kept)]), kept_labels, names, digest, tuple(skipped))
    store(data)
    return data


def cache_folder() -> Path:
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ganhub"
    return Path(os.environ.get("GANHUB_CACHE", default))


def cached(digest: str, names: tuple[str, ...]) -> ImageData | None:
    file = cache_folder() / f"{digest}{CACHED}"
    try:
        with safe_open(file, framework="pt") as tensors:
            labels = tensors.get_tensor("labels") if "labels" in tensors.keys() else None  # noqa: SIM118
            skipped = json.loads((tensors.metadata() or {}).get("skipped", "[]"))
            return ImageData(tensors.get_tensor("images"), labels, names, digest, tuple(skipped))
    except FileNotFoundError:
        return None
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        log.warning("ignoring the damaged cache file %s (%s)", file, error)
        return None


def store(data: ImageData) -> None:
    """Best effort: a full disk costs the cache, not the run."""
    tensors = {"images": data.images} | ({} if data.labels is None else {"labels": data.labels})
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache_folder()) as aside:
            save_file(tensors, Path(aside, "data"), metadata={"skipped": json.dumps(data.skipped)})
            os.replace(Path(aside, "data"), cache_folder() / f"{data.digest}{CACHED}")
    except (OSError, SafetensorError) as error:
        log.warning("decoded pictures are not cached (%s)", error)

"""Data sets whose modes are known, to see a GAN lose some and to count which.

    toy:ring       8 Gaussians on a circle of radius 2, standard deviation 0.02 (unrolled GANs, Metz et al. 2017,
                   https://arxiv.org/abs/1611.02163, appendix)
    toy:grid       25 Gaussians on a 5x5 grid of spacing 2, standard deviation 0.05 (PacGAN, Lin et al. 2018,
                   https://arxiv.org/abs/1712.04086, section 4.1; VEEGAN, https://arxiv.org/abs/1705.07761)
    stacked:DATA   Stacked MNIST of the same papers: three grey digits of DATA as red, green and blue, 1000 modes

Points in the plane are images (N, 2, 1, 1), scaled so that the outermost centre lies at 0.8 and all fits into (-1, 1).
A folder or Hub data set with columns x and y, as `push-data` makes of the first two, is read as points too.
Deviations: as many pictures of every mode, so that the target is exactly uniform; a fixed set instead of fresh draws.
"""

import dataclasses
import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from ganhub.errors import UserError, first_line
from training.data import ImageData, load_images
from training.recipe import Recipe
from training.sources import open_dataset, read_labels

TOY, STACKED = "toy:", "stacked:"
VERSION = "1"  # part of every digest: raise it when the same name gives other data
POINTS = 50_000
TRIPLES = 60_000
MODES = 1000  # of Stacked MNIST
DIGITS = tuple("0123456789")
SPLITS = ("train", "test")  # of points; the latter are further draws
OUTERMOST = 0.8
# fields without a sense for points
FOR_PICTURES = (
    *("image_column", "classes", "crop", "resize", "flip", "pixel_range"),
    *("sharpest", "typical", "typical_by", "augment"),
)


@dataclass(frozen=True)
class Mixture:
    """Equally likely round Gaussians in the plane."""

    centres: Tensor
    """(K, 2)."""
    std: float


def scaled(centres: np.ndarray, std: float) -> Mixture:
    unit = OUTERMOST / float(np.abs(centres).max())
    return Mixture(torch.from_numpy(centres * unit).float(), std * unit)


ANGLES = 2 * np.pi * np.arange(8) / 8
SIDE = np.arange(-4.0, 5.0, 2.0)
MIXTURES: dict[str, Mixture] = {
    "ring": scaled(np.stack([2 * np.cos(ANGLES), 2 * np.sin(ANGLES)], axis=1), 0.02),
    "grid": scaled(np.array([(x, y) for x in SIDE for y in SIDE]), 0.05),
}


def is_toy(data: str) -> bool:
    """Whether that name of a data set means one of these."""
    return data.startswith((TOY, STACKED))


def mixture(data: str) -> Mixture | None:
    """The Gaussians of that name; None for data that are no points.

    Raises:
        UserError: "toy:" and a name that there isn't.
    """
    if not data.startswith(TOY):
        return None
    name = data.removeprefix(TOY)
    if name not in MIXTURES:
        known = ", ".join(TOY + known for known in MIXTURES)
        raise UserError(f"{data}: no such toy data set; known: {known}, and {STACKED}DATA for Stacked MNIST")
    return MIXTURES[name]


def check(recipe: Recipe) -> None:
    """Refuse sizes and fields that don't fit the data set; nothing is read.

    Raises:
        UserError: names the field and what to set it to.
    """
    data, sizes = recipe.data, f"--resolution {recipe.resolution} --channels {recipe.channels}"
    points = (recipe.resolution, recipe.channels) == (1, 2)
    if mixture(data) is not None and not points:
        raise UserError(f"{data}: holds points in the plane, got {sizes}; add --arch mlp --resolution 1 --channels 2")
    if data and not points and (recipe.resolution == 1 or recipe.channels == 2):
        known = " and ".join(TOY + name for name in MIXTURES)
        raise UserError(f"{data}: got {sizes}, which is for points ({known}); pictures have 1 or 3 channels")
    if data.startswith(STACKED) and recipe.channels != 3:
        raise UserError(f"{data}: stacks three digits in three channels, got --channels {recipe.channels}; use 3")
    refused = FOR_PICTURES if points and data else ("classes",) if is_toy(data) else ()
    if mixture(data) is not None:  # which have no columns
        refused = (*refused, "label_column")
    for field in dataclasses.fields(Recipe):
        if field.name in refused and getattr(recipe, field.name) != field.default:
            option = f"--{field.name.replace('_', '-')}"
            raise UserError(f"{data}: {option} has no sense here; leave it at its default, {field.default!r}")


def load(recipe: Recipe, split: str) -> ImageData:
    """The data set that the recipe names, once `check` has passed.

    Raises:
        UserError: there is no such split, or DATA of "stacked:DATA" can't be read or holds other than ten digits.
    """
    gaussians = mixture(recipe.data)
    if gaussians is None:
        digits = dataclasses.replace(recipe, data=recipe.data.removeprefix(STACKED), channels=1, conditional=False)
        return stack(load_images(digits, split), recipe.data)
    if split not in SPLITS:
        raise UserError(f"{recipe.data}: no split {split!r}; it has {' and '.join(SPLITS)}")
    points, labels = draw(gaussians, POINTS, seed=SPLITS.index(split))
    digest = hashlib.sha256(f"{recipe.data} {VERSION} ".encode() + points.numpy().tobytes()).hexdigest()[:32]
    names = tuple(map(str, range(len(gaussians.centres))))
    return ImageData(points[:, :, None, None], labels, names, digest)


def load_points(recipe: Recipe, split: str) -> ImageData:
    """Points of a folder or a Hub data set with columns x and y, as `push-data` writes the toys.

    Raises:
        UserError: there is no such data set or split, it holds something else, or points outside of (-1, 1).
    """
    rows = open_dataset(recipe, split)
    if missing := {"x", "y"} - set(rows.column_names):
        raise UserError(f"{recipe.data}: has no column {min(missing)} of points; pictures have 1 or 3 channels")
    try:
        points = torch.from_numpy(np.stack([np.asarray(rows[axis][:], np.float32) for axis in "xy"], axis=1))
    except (TypeError, ValueError) as error:
        raise UserError(f"{recipe.data}: columns x and y hold other than numbers ({first_line(error)})") from error
    if not (points.abs() < 1).all():
        raise UserError(f"{recipe.data}: has points outside of the square from -1 to 1; scale them into it")
    labels, names = read_labels(rows, recipe)
    if recipe.conditional and labels is None:
        raise UserError(f"{recipe.data}: no classes to condition on; add --label-column or --no-conditional")
    numbers = b"" if labels is None else labels.tobytes()
    digest = hashlib.sha256(f"points {VERSION} ".encode() + points.numpy().tobytes() + numbers).hexdigest()[:32]
    return ImageData(points[:, :, None, None], None if labels is None else torch.from_numpy(labels), names, digest)


def draw(gaussians: Mixture, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Points (count, 2) float32 and the mode of each, (count,); the modes take turns."""
    labels = torch.arange(count) % len(gaussians.centres)
    noise = torch.from_numpy(np.random.default_rng(seed).standard_normal((count, 2)))  # the same on every machine
    return (gaussians.centres[labels] + gaussians.std * noise).float(), labels


def stack(digits: ImageData, name: str = STACKED, count: int = TRIPLES, seed: int = 0) -> ImageData:
    """Grey digits (N, 1, R, R) -> (count, 3, R, R): digits a, b and c as red, green and blue, label 100 a + 10 b + c.

    The modes take turns; which picture stands for a digit is drawn from `seed`.

    Raises:
        UserError: the classes are not the ten digits, or one has no picture.
    """
    if digits.labels is None or sorted(digits.class_names) != sorted(DIGITS):
        found = ", ".join(digits.class_names[:12]) or "no classes"
        raise UserError(f"{name}: needs pictures of the ten digits with classes 0 to 9, has {found}")
    value = torch.tensor([int(text) for text in digits.class_names] + [-1])[digits.labels]  # the last serves label -1
    if missing := [digit for digit in DIGITS if not (value == int(digit)).any()]:
        raise UserError(f"{name}: has no picture of a {missing[0]}")
    labels = torch.arange(count) % MODES
    wanted = torch.stack([labels // 100, labels // 10 % 10, labels % 10], dim=1)  # (count, 3)
    chance = torch.from_numpy(np.random.default_rng(seed).random((count, 3)))
    chosen = torch.empty_like(wanted)
    for digit in range(10):
        rows, here = (value == digit).nonzero().squeeze(1), wanted == digit
        chosen[here] = rows[(chance[here] * len(rows)).long()]
    images = digits.images[chosen.flatten()].view(count, 3, *digits.images.shape[2:])
    digest = hashlib.sha256(f"{STACKED} {VERSION} {count} {seed} {digits.digest}".encode()).hexdigest()[:32]
    return ImageData(images, labels, tuple(f"{i:03d}" for i in range(MODES)), digest, digits.skipped)


def scatter(points: Tensor, side: int = 512, gaussians: Mixture | None = None) -> Image.Image:
    """Points (N, 2) as a picture of the square from -1 to 1, y upwards; RGB, `side` pixels.

    Args:
        gaussians: if known, a circle around each centre shows where points belong.
    """
    picture = Image.new("RGB", (side, side), "white")
    if gaussians is not None:
        pen, radius = ImageDraw.Draw(picture), max(3 * gaussians.std, 0.04) * side / 2
        for x, y in ((1 + gaussians.centres * torch.tensor([1, -1])) * side / 2).tolist():
            pen.ellipse([x - radius, y - radius, x + radius, y + radius], outline=(235, 160, 130))
    x, y = points.detach().float().cpu().clamp(-1, 1).numpy().T
    counts = np.histogram2d(-y, x, bins=side, range=[[-1, 1], [-1, 1]])[0]
    ink = 1 - np.exp(-blurred(counts) * max(side / 512, 0.25) ** 2 * 4)  # one point is faint, a heap of them dark
    pixels = np.asarray(picture) * (1 - ink[..., None]) + np.array([40, 40, 140]) * ink[..., None]
    return Image.fromarray(pixels.round().astype(np.uint8))


def blurred(counts: np.ndarray) -> np.ndarray:
    """(H, W) through a 5x5 binomial filter, so that a point is a dot instead of a pixel."""
    weights = np.array([1, 4, 6, 4, 1]) / 16
    for axis in (0, 1):
        counts = sum(w * np.roll(counts, shift, axis) for w, shift in zip(weights, range(-2, 3)))
    return counts

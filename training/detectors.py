"""What finds the subject of a picture, for `python -m training prepare --detector`.

A detector takes a picture of mode L or RGB and returns the box of its best find, or None. `find_detector` makes one by
name; a new one is a function or a class here and one line in DETECTORS. None of them downloads anything.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ganhub.errors import UserError
from training.crops import Box, square

Finder = Callable[[Image.Image], Box | None]
CASCADE = "cascade:"  # begins the name of a detector that is a file of the user's
LONGEST = 640  # pixels; a larger picture is shrunk before a cascade slides over it
MAP_SIDE = 64  # pixels of the longer side of a saliency map, as in its paper
SMOOTH = 2.0  # pixels of the map: standard deviation of its blur
FADE = 6  # pixels of the map over which its edges fade
CENTRED = 2.0  # weight of being in the middle
SCALES = np.linspace(0.3, 1.0, 15)  # side of a subject, as a share of the picture's shorter side
FLAT = 2.0  # levels of 255; a picture that varies less shows nothing


@dataclass(frozen=True)
class Detector:
    find: Finder
    miss: str
    """What the report says of pictures where `find` returns None."""


def find_detector(name: str) -> Detector:
    """By name, or from the OpenCV cascade in the file after "cascade:".

    Raises:
        UserError: no such detector, OpenCV is missing, or the file is no cascade.
    """
    if name.startswith(CASCADE):
        file = Path(name.removeprefix(CASCADE)).expanduser()
        return Detector(Cascade(file), f"nothing found by {CASCADE}{file.name}")  # the report tells no path
    if name not in DETECTORS:
        raise UserError(f"no detector {name!r}; known: none, {', '.join(DETECTORS)}, {CASCADE}FILE.xml")
    return DETECTORS[name]()


class Cascade:
    """A cascade of boosted Haar or LBP features, Viola and Jones 2001, in OpenCV's XML format; finds the largest match.

    OpenCV's cascades are not safe to share, so each thread reads its own.
    """

    def __init__(self, file: Path):
        self.file, self.own = file, threading.local()
        if not file.is_file():
            raise UserError(f"{file}: no such cascade file")
        self.load()

    def __call__(self, picture: Image.Image) -> Box | None:
        if not hasattr(self.own, "cascade"):
            self.own.cascade = self.load()
        grey = picture.convert("L")
        grey.thumbnail((LONGEST, LONGEST), Image.Resampling.BOX)
        boxes = self.own.cascade.detectMultiScale(np.asarray(grey), scaleFactor=1.1, minNeighbors=3)
        if len(boxes) == 0:
            return None
        x, y, width, height = (float(value) for value in max(boxes, key=lambda box: box[2] * box[3]))
        scale = picture.width / grey.width, picture.height / grey.height
        return x * scale[0], y * scale[1], (x + width) * scale[0], (y + height) * scale[1]

    def load(self) -> Any:
        cv2 = opencv()
        try:
            cascade = cv2.CascadeClassifier(str(self.file))
        except (cv2.error, SystemError):  # what it does with XML of another kind
            cascade = None
        if cascade is None or cascade.empty():
            raise UserError(f"{self.file}: not a cascade that OpenCV reads; give a cascade XML file")
        return cascade


def opencv() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise UserError(
            "this detector needs OpenCV; pip install ganhub[prepare], or take --detector saliency"
        ) from error
    if not hasattr(cv2, "CascadeClassifier"):
        raise UserError(f"OpenCV {cv2.__version__} has no cascades any more, OpenCV 4 has; pip install ganhub[prepare]")
    return cv2


def frontal() -> Detector:
    """Photographed faces seen from the front: a cascade that comes with OpenCV.

    It finds 94 % of CelebA's faces at 64x64, and 0.5 % of the Simpsons', which it was not made for.
    """
    return Detector(Cascade(Path(opencv().data.haarcascades, "haarcascade_frontalface_alt.xml")), "no face found")


def salient(picture: Image.Image) -> Box | None:
    """The square that stands out most: no trained model, so it finds a cartoon as well as a photograph.

    Of all squares, the one with the most saliency above the average, less for being away from the middle: a small
    subject gets a small square, one that fills the picture a large one. None for a flat picture alone.
    """
    scale = MAP_SIDE / max(picture.size)
    size = (max(4, round(picture.width * scale)), max(4, round(picture.height * scale)))
    pixels = np.asarray(picture.convert("YCbCr").resize(size, Image.Resampling.LANCZOS), dtype=np.float64)
    if pixels.std((0, 1)).max() < FLAT:
        return None
    pixels = fade_edges(pixels)
    saliency = smooth(np.sum([spectral_residual(pixels[:, :, i]) for i in range(3)], axis=0), SMOOTH)
    x, y, side = densest_square(saliency / saliency.mean() - 1 - CENTRED * remoteness(saliency.shape))
    return x / scale, y / scale, (x + side) / scale, (y + side) / scale


def fade_edges(pixels: np.ndarray) -> np.ndarray:
    """(H, W, C) going over to its mean at the edges, which a Fourier transform would take for a step."""

    def share(length: int) -> np.ndarray:
        inward = np.minimum(np.arange(length), np.arange(length)[::-1]) + 0.5
        return np.sin(np.minimum(inward / FADE, 1) * np.pi / 2) ** 2

    mean = pixels.mean((0, 1))
    return mean + (pixels - mean) * (share(pixels.shape[0])[:, None] * share(pixels.shape[1]))[:, :, None]


def remoteness(shape: tuple[int, ...]) -> np.ndarray:
    """(H, W): the squared distance from the middle, a side being 1, above its average."""
    y, x = ((np.arange(length) + 0.5) / length - 0.5 for length in shape)
    squared = y[:, None] ** 2 + x**2
    return squared - squared.mean()


def spectral_residual(channel: np.ndarray) -> np.ndarray:
    """Saliency (H, W) of one channel: Hou and Zhang, Saliency Detection: A Spectral Residual Approach, CVPR 2007.

    What the log spectrum has beyond its local mean (3x3), transformed back with the picture's own phase and squared.
    """
    spectrum = np.fft.fft2(channel)
    log = np.log1p(np.abs(spectrum))
    mean = np.mean([np.roll(log, (dy, dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)], axis=0)
    return np.abs(np.fft.ifft2(np.exp(log - mean + 1j * np.angle(spectrum)))) ** 2


def smooth(values: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian mean over (H, W), of what there is at the edges."""

    def kernel(length: int) -> np.ndarray:
        distance = np.arange(length)[:, None] - np.arange(length)
        weights = np.exp(-((distance / sigma) ** 2) / 2)
        return weights / weights.sum(1, keepdims=True)

    return kernel(values.shape[0]) @ values @ kernel(values.shape[1]).T


def densest_square(values: np.ndarray) -> tuple[int, int, int]:
    """(x, y, side) of the square with the largest sum of values (H, W), over every place and SCALES."""
    sums = np.pad(values.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    best, found = -np.inf, (0, 0, 0)
    for side in sorted({max(1, round(scale * min(values.shape))) for scale in SCALES}):
        inside = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
        y, x = np.unravel_index(inside.argmax(), inside.shape)
        if inside[y, x] > best:
            best, found = float(inside[y, x]), (int(x), int(y), side)
    return found


def middle(picture: Image.Image) -> Box:
    """Half of the centred square, whatever it shows; the margin says how much comes around it."""
    left, top, right, bottom = square(picture.size)
    quarter = (right - left) / 4
    return left + quarter, top + quarter, right - quarter, bottom - quarter


DETECTORS: dict[str, Callable[[], Detector]] = {
    "frontal": frontal,
    "saliency": lambda: Detector(salient, "nothing stands out"),
    "centre": lambda: Detector(middle, "no middle"),
}

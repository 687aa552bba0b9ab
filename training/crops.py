"""How a picture is read, which part of it is taken, and how that becomes a square of the wanted side.

A crop is pure geometry: the size (width, height) of a picture -> the box that is taken, in pixels and fractions of them
from its upper left corner. A resize then brings that box to the resolution. A new crop is one function and one line.
"""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageOps

Box = tuple[float, float, float, float]  # left, top, right, bottom
Size = tuple[int, int]  # width, height
ALIGNED_CELEBA = (178, 218)


def read_picture(content: bytes, channels: int) -> Image.Image | None:
    """Encoded bytes -> an upright picture of mode L or RGB. None for what is no picture."""
    try:
        with Image.open(io.BytesIO(content)) as file:
            file.load()
            return flatten(upright(file)).convert("L" if channels == 1 else "RGB")
    except Exception:  # a damaged file makes Pillow's readers raise nearly anything
        return None


def upright(picture: Image.Image) -> Image.Image:
    """Turned as its EXIF says; as it is where that is damaged, which says nothing of the pixels."""
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:
        return picture


def flatten(picture: Image.Image) -> Image.Image:
    """8 bits a channel and nothing to see through: 16-bit grey is scaled, transparency becomes white.

    Raises:
        ValueError: it holds floats, which say nothing of what is white.
    """
    if picture.mode == "F":
        raise ValueError("floats")
    if picture.mode.startswith("I"):
        return Image.fromarray((np.asarray(picture, dtype=np.float32) / 257).round().clip(0, 255).astype(np.uint8))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture


def square(size: Size) -> Box:
    """The largest square, in the middle."""
    width, height = size
    side = min(size)
    return (width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2


def celeba(size: Size) -> Box:
    """The Keras tutorial's cut of aligned CelebA, 178x218: 30 rows at the top and bottom, 20 columns left and right.

    The 138x158 that remain are squeezed into a square. A picture of another size is taken as already prepared and gets
    the centred square.
    """
    width, height = size
    return (20, 30, width - 20, height - 30) if size == ALIGNED_CELEBA else square(size)


def whole(size: Size) -> Box:
    """All of it, squeezed."""
    return 0, 0, *size


def around(found: Box, margin: float, size: Size) -> Box:
    """The square around a box that a detector found, with context, moved inside the picture.

    Args:
        found: the box.
        margin: share of its longer side that is added on each side; the picture's shorter side is the limit.
        size: of the picture.
    """
    left, top, right, bottom = found
    side = min(max(right - left, bottom - top) * (1 + 2 * margin), *size)
    x = min(max((left + right - side) / 2, 0), size[0] - side)
    y = min(max((top + bottom - side) / 2, 0), size[1] - side)
    return x, y, x + side, y + side


def lanczos(picture: Image.Image, resolution: int, box: Box) -> Image.Image:
    """Sharp: Pillow's windowed sinc over three lobes."""
    return picture.resize((resolution, resolution), Image.Resampling.LANCZOS, box=box)


def area(picture: Image.Image, resolution: int, box: Box) -> Image.Image:
    """Every pixel is the mean of the area that it covers, parts of pixels included, as OpenCV's INTER_AREA shrinks.

    Pillow's BOX takes whole pixels only: on CelebA at 64x64 up to 25 levels of 255 away from this.
    """
    pixels = np.asarray(picture, dtype=np.float32)  # (H, W) or (H, W, C)
    pixels = np.tensordot(coverage(box[1], box[3], picture.height, resolution), pixels, (1, 0))
    pixels = np.tensordot(coverage(box[0], box[2], picture.width, resolution), pixels, (1, 1)).swapaxes(0, 1)
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))


def coverage(start: float, stop: float, length: int, count: int) -> np.ndarray:
    """(count, length): the share of each of `length` pixels in each of `count` equal parts of [start, stop]."""
    edges = np.linspace(start, stop, count + 1)[:, None]
    pixels = np.arange(length)
    overlap = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
    return (overlap.clip(0) * (count / (stop - start))).astype(np.float32)


def take(picture: Image.Image, resolution: int, box: Box, resize: str) -> Image.Image:
    """The box of a picture of mode L or RGB at (resolution, resolution); a picture that is that size already stays."""
    if box == (0, 0, resolution, resolution) and picture.size == (resolution, resolution):
        return picture
    return RESIZES[resize](picture, resolution, box)


CROPS: dict[str, Callable[[Size], Box]] = {"square": square, "celeba": celeba, "whole": whole}
RESIZES: dict[str, Callable[[Image.Image, int, Box], Image.Image]] = {"lanczos": lanczos, "area": area}

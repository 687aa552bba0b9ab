"""The memorisation strip of a card: samples, and under each the training picture that lies nearest to it."""

import torch
from PIL import Image
from torch import Tensor

from ganhub.images import to_pil
from training.measures import Nearest, Pictures

SHOWN = 10  # samples in a row
MIN_SIDE = 64  # pixels on the screen; smaller pictures are enlarged
GAP = 2
BETWEEN = 12  # between the two pairs of rows


def draw(pictures: Pictures, nearest: Nearest) -> Image.Image:
    """Two pairs of rows: the samples that lie nearest to a training picture, and the first ones, each above its own.

    A training picture is turned round where its mirror image is what lies nearest.
    """
    worst = nearest.distances.argsort(stable=True)[:SHOWN]
    rows = []
    for chosen in (worst, torch.arange(len(worst))):
        train, mirrored = pictures.train[nearest.rows[chosen]], nearest.mirrored[chosen, None, None, None]
        rows += [pictures.generated[chosen], torch.where(mirrored, train.flip(3), train)]
    return stack([row(images) for images in rows])


def row(images: Tensor) -> Image.Image:
    """uint8 images (N, C, R, R) side by side."""
    tiles = to_pil(images.float() / 127.5 - 1)
    side = tiles[0].width * max(1, MIN_SIDE // tiles[0].width)
    out = Image.new(tiles[0].mode, (len(tiles) * (side + GAP) - GAP, side), "white")
    for i, tile in enumerate(tiles):
        out.paste(tile.resize((side, side), Image.Resampling.NEAREST), (i * (side + GAP), 0))
    return out


def stack(rows: list[Image.Image]) -> Image.Image:
    """Pairs of rows, one below the other."""
    tops, y = [], 0
    for i, each in enumerate(rows):
        tops.append(y)
        y += each.height + (BETWEEN if i % 2 else GAP)
    out = Image.new(rows[0].mode, (rows[0].width, tops[-1] + rows[-1].height), "white")
    for top, each in zip(tops, rows):
        out.paste(each, (0, top))
    return out

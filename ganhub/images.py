"""Tensors to pictures."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ganhub.errors import UserError


def to_pil(images: Tensor) -> list[Image.Image]:
    """(B, C, R, R) in [-1, 1] -> B pictures, mode 'L' for one channel and 'RGB' for three."""
    pixels = images.detach().float().clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
    arrays = pixels.permute(0, 2, 3, 1).cpu().numpy()
    return [Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array) for array in arrays]


def to_unit(images: Tensor) -> Tensor:
    """[-1, 1] -> [0, 1] float32 on the CPU, on the same 256 levels as the pictures."""
    return images.detach().float().clamp(-1, 1).add(1).mul(127.5).round().div(255).cpu()


def convert(images: Tensor, output_type: str) -> list[Image.Image] | np.ndarray | Tensor:
    """(B, C, R, R) in [-1, 1] -> "pil" pictures, "pt" (B, C, R, R) or "np" (B, R, R, C), the latter two in [0, 1].

    Raises:
        UserError: the images are points in the plane, and no pictures.
    """
    if output_type == "pil":
        if images.shape[1] == 2:
            raise UserError("this model draws points, not pictures; in Python take output_type='pt' or 'np'")
        return to_pil(images)
    return to_unit(images) if output_type == "pt" else to_unit(images).permute(0, 2, 3, 1).numpy()


def grid(pictures: Sequence[Image.Image], columns: int | None = None, gap: int = 2) -> Image.Image:
    """Pictures of one size side by side, row by row; as square as possible unless `columns` is given."""
    columns = columns or math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    width, height = pictures[0].size
    canvas = Image.new(pictures[0].mode, (columns * (width + gap) - gap, rows * (height + gap) - gap), color="white")
    for i, picture in enumerate(pictures):
        canvas.paste(picture, (i % columns * (width + gap), i // columns * (height + gap)))
    return canvas

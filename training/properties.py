"""Properties of pictures that a formula measures: what `python -m training directions` looks for in latent space.

Each maps images (B, C, R, R) in [-1, 1] to numbers (B,); nobody labels anything. Those of strokes are for bright
strokes on black, as MNIST has them: what is bright counts as ink.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Property = Callable[[Tensor], Tensor]


def luma(images: Tensor) -> Tensor:
    """(B, C, R, R) in [-1, 1] -> (B, R, R) in [0, 1], Rec. 601."""
    unit = (images + 1) / 2
    weights = unit.new_tensor([0.299, 0.587, 0.114] if unit.shape[1] == 3 else [1.0])
    return torch.einsum("bchw,c->bhw", unit, weights)


def moments(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of the ink: variance along x, along y, and covariance, in units of half the side, (B,) each."""
    ink = luma(images)
    axis = torch.linspace(-1, 1, ink.shape[-1])
    mass = ink.sum((1, 2)).clamp(min=1e-6)
    x, y = (ink.sum(dim) for dim in (1, 2))  # (B, R) each: the marginals
    mean_x, mean_y = ((m * axis).sum(1) / mass for m in (x, y))
    dx, dy = axis - mean_x[:, None], axis - mean_y[:, None]  # (B, R)
    var_x, var_y = (x * dx.square()).sum(1) / mass, (y * dy.square()).sum(1) / mass
    return var_x, var_y, torch.einsum("bhw,bh,bw->b", ink, dy, dx) / mass


def slant(images: Tensor) -> Tensor:
    _, var_y, cov = moments(images)
    return -cov / var_y.clamp(min=1e-6)  # y grows downwards


def frame(images: Tensor) -> Tensor:
    """Mean brightness of the outer eighth on every side, (B,)."""
    grey, edge = luma(images), max(images.shape[-1] // 8, 1)
    inner = grey[:, edge:-edge, edge:-edge]
    return (grey.sum((1, 2)) - inner.sum((1, 2))) / (grey[0].numel() - inner[0].numel())


def channel_means(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    red, green, blue = images.mean((2, 3)).unbind(1)
    return red, green, blue


def warmth(images: Tensor) -> Tensor:
    red, _, blue = channel_means(images)
    return red - blue


def green(images: Tensor) -> Tensor:
    red, green, blue = channel_means(images)
    return green - (red + blue) / 2


def side_light(images: Tensor) -> Tensor:
    left, right = luma(images).chunk(2, dim=2)
    return left.mean((1, 2)) - right.mean((1, 2))


STROKES: dict[str, tuple[str, Property]] = {
    "weight": ("how much ink there is", lambda images: luma(images).mean((1, 2))),
    "slant": ("how far it leans to the right", slant),
    "width": ("how wide it is", lambda images: moments(images)[0].sqrt()),
    "height": ("how tall it is", lambda images: moments(images)[1].sqrt()),
}
COLOURS: dict[str, tuple[str, Property]] = {
    "brightness": ("how bright it is", lambda images: luma(images).mean((1, 2))),
    "contrast": ("how far dark and bright are apart", lambda images: luma(images).std((1, 2))),
    "warmth": ("red against blue", warmth),
    "green": ("green against red and blue", green),
    "background": ("how bright its outer eighth is", frame),
    "light": ("left half brighter than the right", side_light),
}
NEED_COLOUR = ("warmth", "green")  # mean nothing where all pictures are grey
PROPERTIES: dict[str, tuple[str, Property]] = {**STROKES, **COLOURS}

"""Learning from the most typical pictures only: a small network draws few kinds well or many kinds badly.

Instance selection (DeVries et al. 2020, https://arxiv.org/abs/2007.15255): fit a Gaussian to what the pictures look
like and leave out the share of them that it finds least likely. Deviation: likeness is that of pixels, of the pictures
shrunk to 16x16, by probabilistic PCA (Tipping and Bishop 1999), where the paper has a network trained on ImageNet. So
it finds what is busy (hats, hands, crowds), prefers what is plain, and lets blank pictures pass.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from ganhub.errors import UserError
from training.data import ImageData, to_float

SIDE = 16  # pixels
COMPONENTS = 60  # beyond them pictures of 16x16 differ by detail and noise
FEWEST = 1000  # pictures: fewer don't say what is typical, for each is a kind of its own
CHUNK = 4096


def most_typical(data: ImageData, share: float, by_class: bool) -> ImageData:
    """The share of the pictures that is most typical, in their old order; all of them for a share of 1.

    Args:
        by_class: each class is judged by itself and keeps that share; otherwise classes don't count.

    Raises:
        UserError: there are too few pictures, of one class or in all, to say which are typical.
    """
    if share == 1:
        return data
    kept = torch.zeros(len(data), dtype=torch.bool)
    for name, members in groups(data, by_class):
        if len(members) < FEWEST:
            raise UserError(
                f"typical {share:g}: {len(members)} pictures{name} are too few to tell which are typical, that needs "
                f"{FEWEST:,}; use --typical 1"
            )
        codes = torch.cat([shrink(data.images[part]) for part in members.split(CHUNK)])
        order = unlikeliness(codes).argsort(stable=True)
        kept[members[order[: max(round(share * len(members)), 1)]]] = True
    return data.pick(kept)


def groups(data: ImageData, by_class: bool) -> Iterator[tuple[str, Tensor]]:
    """What a message calls them, and which pictures they are (N,)."""
    if not by_class or data.labels is None:
        yield "", torch.arange(len(data))
        return
    for label in data.labels.unique():
        yield f" of {data.class_names[label]}", (data.labels == label).nonzero().squeeze(1)


def shrink(images: Tensor) -> Tensor:
    """(N, C, R, R) uint8 -> (N, C*16*16) float32; a smaller picture keeps its size."""
    return F.adaptive_avg_pool2d(to_float(images), min(SIDE, images.shape[-1])).flatten(1)


def unlikeliness(codes: Tensor) -> Tensor:
    """Codes (N, F), F > 1 -> (N,) float64: twice the negative log-likelihood by probabilistic PCA, up to a constant.

    Each picture is judged as if it had not been fitted, or an odd one would have a component to itself.
    """
    mean = codes.mean(0, dtype=torch.float64)
    chunks = codes.split(CHUNK)
    covariance = sum((chunk - mean).T @ (chunk - mean) for chunk in chunks) / len(codes)
    variances, axes = torch.linalg.eigh(covariance)  # from the smallest up
    variances = variances.clamp(min=1e-9)  # a pixel that never changes
    main = min(COMPONENTS, len(axes) - 1)
    rest = variances[:-main].mean()

    def score(chunk: Tensor) -> Tensor:
        squares = ((chunk - mean) @ axes).square()
        distance = (squares[:, -main:] / variances[-main:]).sum(1)
        return distance / (1 - distance / len(codes)).clamp(min=1e-9) + squares[:, :-main].sum(1) / rest

    return torch.cat([score(chunk) for chunk in chunks])

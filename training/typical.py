"""Learning from the most typical pictures only: a small network draws few kinds well or many kinds badly.

Instance selection (DeVries et al. 2020, https://arxiv.org/abs/2007.15255): fit a Gaussian to what the pictures look
like and leave out the share of them that it finds least likely. Deviation: likeness is that of the pictures shrunk to
16x16, by probabilistic PCA (Tipping and Bishop 1999), where the paper has a network trained on ImageNet. Each class is
judged by itself.
"""

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor

from training.data import ImageData, to_float

SIDE = 16  # pixels
COMPONENTS = 60  # beyond them pictures of 16x16 differ by detail and noise
FEWEST = 10  # pictures for each component: a class of few has few components
CHUNK = 4096


def most_typical(data: ImageData, share: float, by_class: bool) -> ImageData:
    """The share of the pictures that is most typical, in their old order; all of them for a share of 1.

    Args:
        by_class: that share of each class; otherwise classes don't count.
    """
    if share == 1:
        return data
    codes = torch.cat([shrink(chunk) for chunk in data.images.split(CHUNK)])
    labels = data.labels if by_class and data.labels is not None else torch.zeros(len(data), dtype=torch.long)
    kept = torch.zeros(len(data), dtype=torch.bool)
    for label in labels.unique():
        members = (labels == label).nonzero().squeeze(1)
        order = unlikeliness(codes[members]).argsort(stable=True)
        kept[members[order[: max(round(share * len(members)), 1)]]] = True
    chosen = None if data.labels is None else data.labels[kept]
    return dataclasses.replace(data, images=data.images[kept], labels=chosen)


def shrink(images: Tensor) -> Tensor:
    """(N, C, R, R) uint8 -> (N, C*16*16) float64; a smaller picture keeps its size."""
    return F.adaptive_avg_pool2d(to_float(images), min(SIDE, images.shape[-1])).flatten(1).double()


def unlikeliness(codes: Tensor) -> Tensor:
    """(N, F) -> (N,): up to constants, twice the negative log-likelihood under the Gaussian of probabilistic PCA."""
    codes = codes - codes.mean(0)
    variances, axes = torch.linalg.eigh(codes.T @ codes / len(codes))  # from the smallest up
    main = min(COMPONENTS, max(len(codes) // FEWEST, 1), len(axes) - 1)
    variances = variances.clamp(min=1e-9)  # a pixel that never changes
    rest = variances[:-main].mean()
    squares = (codes @ axes).square()
    return (squares[:, -main:] / variances[-main:]).sum(1) + squares[:, :-main].sum(1) / rest

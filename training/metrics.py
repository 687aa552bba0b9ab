"""Measures on feature vectors: pure functions, no network, no file.

Features are (N, F) float tensors on one device; rows are pictures. Where two sets are compared, the first is real and
the second generated, and the order matters only where the docstring says so. Distances are Euclidean.
"""

import math
from typing import Any

import torch
from torch import Tensor

from ganhub.errors import UserError

CHUNK = 1024  # rows of a distance matrix that are in memory at once
RARE = 0.01  # quantile of the real distances below which a generated picture counts as too close


def frechet_distance(real: Tensor, generated: Tensor) -> float:
    """FID: the Frechet distance between Gaussians fitted to the two sets (Heusel et al. 2017, arXiv:1706.08500).

    0 and up, lower is better. Biased upwards for few pictures: compare at equal counts only, and not below 2,048.
    """
    (mean_a, cov_a), (mean_b, cov_b) = _moments(real), _moments(generated)
    values, vectors = torch.linalg.eigh(cov_a)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    # tr (A B)^1/2 = tr (A^1/2 B A^1/2)^1/2, and what is under the second root is symmetric
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp(min=0).sqrt().sum()
    distance = (mean_a - mean_b).square().sum() + cov_a.trace() + cov_b.trace() - 2 * cross
    return max(0.0, distance.item())


def _moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (F,) and covariance (F, F) in float64."""
    if len(features) < 2:
        raise UserError(f"a Gaussian needs at least 2 pictures, got {len(features)}")
    x = features.double()
    centred = x - x.mean(0)
    return x.mean(0), centred.T @ centred / (len(x) - 1)


def kernel_distance(real: Tensor, generated: Tensor, subset_size: int = 1000, seed: int = 0) -> tuple[float, float]:
    """KID and its standard error (Binkowski et al. 2018, arXiv:1801.01401): unbiased squared MMD, cubic kernel.

    Around 0 (and then also below it) for the same distribution, lower is better, at any number of pictures.

    The mean over disjoint random subsets, at least 10 of them, of at most `subset_size` pictures each; the paper's
    subsets overlap, which makes their scatter no honest standard error.
    """
    count = min(len(real), len(generated))
    size = min(subset_size, count // 10)
    if size < 2:
        raise UserError(f"KID needs at least 20 pictures of each kind, got {count}")
    draw = torch.Generator().manual_seed(seed)
    parts = [
        features[torch.randperm(len(features), generator=draw)[: count // size * size]].double().split(size)
        for features in (real, generated)
    ]
    values = torch.stack([_squared_mmd(a, b) for a, b in zip(*parts)])
    return values.mean().item(), (values.std() / math.sqrt(len(values))).item()


def _squared_mmd(a: Tensor, b: Tensor) -> Tensor:
    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1) ** 3

    within = sum((k.sum() - k.trace()) / (len(k) * (len(k) - 1)) for k in (kernel(a, a), kernel(b, b)))
    return within - 2 * kernel(a, b).mean()


def precision_recall(real: Tensor, generated: Tensor, k: int = 3) -> tuple[float, float]:
    """Improved precision and recall (Kynkaanniemi et al. 2019, arXiv:1904.06991), each 0 to 1, higher is better.

    Precision: share of generated pictures that lie within the k-th neighbour's distance of some real one (they look
    real). Recall: the same with the roles swapped (the variety of the data is reached). Use equal counts.
    """
    precision = _balls_around(generated, real, _radii(real, k)) > 0
    recall = _balls_around(real, generated, _radii(generated, k)) > 0
    return precision.double().mean().item(), recall.double().mean().item()


def density_coverage(real: Tensor, generated: Tensor, k: int = 5) -> tuple[float, float]:
    """Density and coverage (Naeem et al. 2020, arXiv:2002.09797), higher is better.

    Density, 0 and up, about 1 for the same distribution: how many real neighbourhoods a generated picture lies in,
    over k. Coverage, 0 to 1: share of real neighbourhoods with a generated picture in them. Sturdier against outliers
    than precision and recall.
    """
    radii = _radii(real, k)
    density = _balls_around(generated, real, radii).double().mean() / k
    covered = nearest_distances(real.double(), generated.double())[:, 0] <= radii
    return density.item(), covered.double().mean().item()


def _radii(features: Tensor, k: int) -> Tensor:
    """Distance of every row to its k-th neighbour, a hair wider so that this neighbour is inside: (N,) float64."""
    if len(features) <= k:
        raise UserError(f"{k} neighbours need more than {k} pictures, got {len(features)}")
    x = features.double()
    return nearest_distances(x, x, k, other=True)[:, -1] * (1 + 1e-9) + 1e-12


def _balls_around(points: Tensor, centres: Tensor, radii: Tensor) -> Tensor:
    """In how many balls each point lies, (N,) int64."""
    centres = centres.double()
    squares = _squares(centres)
    parts = [(_distances(part, centres, squares) <= radii).sum(1) for part in points.double().split(CHUNK)]
    return torch.cat(parts)


def _squares(x: Tensor) -> Tensor:
    """The squared length of every row, without a copy of all of it."""
    return torch.einsum("nf,nf->n", x, x)


def _distances(a: Tensor, b: Tensor, squares_of_b: Tensor) -> Tensor:
    return (_squares(a)[:, None] + squares_of_b - 2 * (a @ b.T)).clamp_(min=0).sqrt_()


def nearest_distances(points: Tensor, among: Tensor, k: int = 1, other: bool = False) -> Tensor:
    """Distances of every point (N, F) to its k nearest rows of `among` (M, F), ascending: (N, k).

    Args:
        other: the two are the same set; a row is no neighbour of itself.
    """
    return neighbours(points, among, k, other)[0]


def neighbours(points: Tensor, among: Tensor, k: int = 1, other: bool = False) -> tuple[Tensor, Tensor]:
    """As `nearest_distances`, and which rows they are: (N, k) each."""
    parts, rows_found, squares = [], [], _squares(among)
    for start in range(0, len(points), CHUNK):
        part = points[start : start + CHUNK]
        distances = _distances(part, among, squares)
        if other:
            rows = torch.arange(len(part), device=points.device)
            distances[rows, rows + start] = torch.inf
        index = distances.topk(k, largest=False).indices  # (chunk, k)
        # exact now: the expanded square above loses small distances to rounding
        exact = (part[:, None] - among[index]).square().sum(2).sqrt()
        nearest = exact.sort(1)
        parts.append(nearest.values)
        rows_found.append(index.gather(1, nearest.indices))
    return torch.cat(parts), torch.cat(rows_found)


def near_duplicates(real: Tensor, generated: Tensor) -> float:
    """Share of generated pictures that lie too close to another generated one, 0 to 1, lower is better.

    Too close: nearer than all but 1 % of as many real pictures lie to each other. So a perfect generator has about
    0.01, and one that repeats itself far more.
    """
    count = min(len(real), len(generated))
    if count < 2:
        raise UserError(f"near-duplicates need at least 2 pictures of each kind, got {count}")
    usual, found = (nearest_distances(x[:count], x[:count], other=True)[:, 0] for x in (real, generated))
    return (found <= usual.quantile(RARE)).double().mean().item()


def memorisation(found: Tensor, usual: Tensor) -> dict[str, Any]:
    """How far generated pictures lie from the nearest training picture, beside the same of real ones not trained on.

    `ratio` of the two medians: about 1 when the generator knows the training pictures no better than other pictures of
    the same kind; far below 1 when it copies. `too_close`: share of generated pictures that are nearer to a training
    picture than all but 1 % of the real ones; about 0.01 is as it should be.

    Args:
        found: distance of each generated picture to its nearest training picture (N,).
        usual: the same of real pictures that training never saw, or of training pictures to all others (M,).
    """
    median, real_median = found.median().item(), usual.median().item()
    return {
        "generated_to_train_median": median,
        "held_back_to_train_median": real_median,
        "ratio": median / real_median if real_median > 0 else None,
        "too_close": (found <= usual.quantile(RARE)).double().mean().item(),
    }


def class_counts(predicted: Tensor, num_classes: int) -> list[int]:
    """How many pictures were recognised as each class; (N,) int64 -> num_classes numbers."""
    return torch.bincount(predicted, minlength=num_classes).tolist()


def conditional_accuracy(predicted: Tensor, labels: Tensor, num_classes: int) -> tuple[float, list[float | None]]:
    """Share of pictures recognised as the class that was asked for: over all, and per class (None without pictures)."""
    right = predicted == labels
    per_class = [right[labels == c].double().mean().item() if (labels == c).any() else None for c in range(num_classes)]
    return right.double().mean().item(), per_class

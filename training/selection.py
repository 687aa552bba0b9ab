"""Which of the pictures a run learns from: a small network draws few kinds well or many kinds badly.

Typical: instance selection (DeVries et al. 2020, https://arxiv.org/abs/2007.15255) fits a Gaussian to what the
pictures look like, by probabilistic PCA (Tipping and Bishop 1999), and leaves out the share of them that it finds least
likely. Deviation: where the paper has a network trained on ImageNet, pictures are compared by one of two plain
descriptions. Pixels, of the pictures shrunk to 16x16, find what is busy (hats, hands, crowds), prefer what is plain,
and let blank pictures pass. Edges, histograms of oriented gradients (Dalal and Triggs 2005), find unusual shapes
(poses, hats) whatever their colours.

Sharp: of what is blurred, dim or blank (backs of heads) a likelihood finds only some, but it has little detail: the
variance of the Laplacian (Pech-Pacheco et al. 2000), a common measure of focus, is low.
"""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from ganhub.errors import UserError
from training.contradictions import WITHOUT_LATER
from training.data import ImageData, to_float
from training.recipe import Phase, Recipe, Selection

Choices = list[tuple[float, Tensor]]
"""From which kimg on, and which pictures (N,) by number; the first from 0."""

KINDS = {"sharpest": "sharpest", "typical": "most typical"}  # a field of the recipe and what its share keeps
SIDE = 16  # pixels
CELLS = 8  # per side, each with a histogram
DIRECTIONS = 9  # of a half turn: an edge from dark to light is one from light to dark
FAINT = 0.01  # of black to white: fainter edges are noise, so a cell of them isn't scaled up to full strength
COMPONENTS = 60  # beyond them pictures differ by detail and noise
FEWEST = 800  # pictures: fewer don't say what is typical, for each is a kind of its own
CHUNK = 4096  # codes
DESCRIBED = 256  # pictures at a time


def choose(recipe: Recipe, data: ImageData) -> Choices:
    """What the recipe learns from at first, and after each change of that which its run reaches.

    Raises:
        UserError: as `select`, with the part of the run.
    """
    chosen: Choices = []
    selection: Selection | None = None
    for begun, then in recipe.reached():
        before, selection = selection, then.selection()
        if selection != before:
            try:
                chosen.append((begun, select(data, selection, by_class=recipe.conditional)))
            except UserError as error:
                if not begun:
                    raise
                raise UserError(
                    f"from {begun:g} kimg on, as later says: {error}; stop there with --kimg {begun:.10g}, or begin "
                    f"anew with {WITHOUT_LATER}"
                ) from error
    return chosen


def narrowed(phase: Phase, chosen: int, pictures: int) -> str:
    """How many of them a part of the run learns from, of what kind, and how it would learn from all."""
    kinds = {name: kind for name, kind in KINDS.items() if getattr(phase.recipe, name) < 1}
    which = f"the {chosen} {' and '.join(kinds.values())} of {pictures} pictures"
    if phase.begun:
        return f"{which} from {phase.begun:g} kimg on; {' '.join(f'{name}=1' for name in kinds)} in later takes all"
    return f"{which}; {' '.join(f'--{name} 1' for name in kinds)} takes all"


def select(data: ImageData, selection: Selection, by_class: bool) -> Tensor:
    """The numbers (N,) of the pictures to learn from, from the first up.

    Args:
        by_class: each class is judged by itself and keeps its share; otherwise classes don't count.

    Raises:
        UserError: there are too few pictures, of one class or in all, to say which are typical.
    """
    kept = []
    for name, members in groups(data, by_class):
        members = sharpest(data.images, members, selection.sharpest)
        if selection.typical < 1 and len(members) < FEWEST:
            left = f", the sharpest {selection.sharpest:g} of all," if selection.sharpest < 1 else ""
            rest = " of these, and a larger sharpest leaves more" if left else ""
            raise UserError(
                f"typical {selection.typical:g}: {len(members)} pictures{name}{left} are too few to tell which are "
                f"typical, that needs {FEWEST:,}; --typical 1 takes all{rest}"
            )
        kept.append(most_typical(data.images, members, selection.typical, selection.by))
    return torch.cat(kept).sort().values


def sharpest(images: Tensor, members: Tensor, share: float) -> Tensor:
    """Of images (M, C, R, R) uint8 and the numbers (N,) of some, those with the most detail, from the first up."""
    return members if share == 1 else lowest(members, -described(images, members, laplacian_variance), share)


def most_typical(images: Tensor, members: Tensor, share: float, by: str) -> Tensor:
    """The same for the most typical ones, compared by a key of `DESCRIPTIONS`."""
    if share == 1:
        return members
    return lowest(members, unlikeliness(described(images, members, DESCRIPTIONS[by])), share)


def described(images: Tensor, members: Tensor, description: Callable[[Tensor], Tensor]) -> Tensor:
    """What it gives for each of these pictures (N,) or (N, F), a few at a time."""
    return torch.cat([description(images[part]) for part in members.split(DESCRIBED)])


def lowest(members: Tensor, scores: Tensor, share: float) -> Tensor:
    """The share of them with the lowest scores, at least one."""
    return members[scores.argsort(stable=True)[: max(round(share * len(members)), 1)]].sort().values


def groups(data: ImageData, by_class: bool) -> Iterator[tuple[str, Tensor]]:
    """What a message calls them, and which pictures they are (N,)."""
    if not by_class or data.labels is None:
        yield "", torch.arange(len(data))
        return
    for label in data.labels.unique():
        yield f" of {data.class_names[label]}", (data.labels == label).nonzero().squeeze(1)


def laplacian_variance(images: Tensor) -> Tensor:
    """(N, C, R, R) uint8, R >= 4 -> (N,) float32: the variance of the Laplacian, without the outer eighth.

    What a picture shows is in its middle; what is busy around it doesn't count.
    """
    edge = images.shape[-1] // 8
    inner = slice(edge, images.shape[-1] - edge)
    grey = to_float(images[..., inner, inner], (0.0, 1.0)).mean(1)
    around = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    return (4 * grey[:, 1:-1, 1:-1] - around).flatten(1).var(1)


def shrink(images: Tensor) -> Tensor:
    """(N, C, R, R) uint8 -> (N, C*16*16) float32; a smaller picture keeps its size."""
    return F.adaptive_avg_pool2d(to_float(images), min(SIDE, images.shape[-1])).flatten(1)


def edges(images: Tensor) -> Tensor:
    """(N, C, R, R) uint8, R >= 8 -> (N, 9*8*8) float32: how strong the edges of each direction are in each cell.

    A gradient counts for the two directions that are nearest to its own; a cell is scaled by the strength of the 3x3
    cells around it, so that contrast and light don't count.
    """
    grey = F.pad(to_float(images, (0.0, 1.0)).mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    across = grey[:, :, 1:-1, 2:] - grey[:, :, 1:-1, :-2]
    down = grey[:, :, 2:, 1:-1] - grey[:, :, :-2, 1:-1]
    strength = torch.hypot(across, down)
    direction = torch.atan2(down, across).remainder(torch.pi) * (DIRECTIONS / torch.pi)
    lower = direction.floor()
    upper_share = direction - lower
    lower = lower.long() % DIRECTIONS  # rounding can make it 9, which is 0 again
    votes = strength.new_zeros(len(grey), DIRECTIONS, *strength.shape[2:])
    votes.scatter_add_(1, lower, strength * (1 - upper_share))
    votes.scatter_add_(1, (lower + 1) % DIRECTIONS, strength * upper_share)
    histograms = F.adaptive_avg_pool2d(votes, CELLS)
    energy = histograms.square().sum(1, keepdim=True)
    around = F.avg_pool2d(energy, 3, stride=1, padding=1, count_include_pad=False)
    return (histograms / (around + FAINT**2).sqrt()).flatten(1)


DESCRIPTIONS: dict[str, Callable[[Tensor], Tensor]] = {"pixels": shrink, "edges": edges}


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

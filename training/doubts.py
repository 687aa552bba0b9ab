"""How a screen (ganhub.models.screen) is fitted to marks: penalised least squares on a generator's early maps."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from ganhub.errors import UserError
from ganhub.latents import sample
from ganhub.models.screen import pooled
from ganhub.pipeline import GANPipeline
from training.linear import class_means
from training.marks import Marks
from training.screen import LEAST_KEPT, Screen

RIDGES = (0.01, 0.03, 0.1, 0.3, 1.0)  # per marked picture
FOLDS = 8
OTHERS = 8192  # latents, none of them marked, that say where the limit is
OTHER_SEEDS = 2**40  # from here on
LEAST_AUC = 0.6  # 0.5 is chance
CONSTANT = 1e-6  # deviation of a feature below which it is rounding that varies
CHUNK = 64
COARSE = 4  # pixels on a side


def learn(pipe: GANPipeline, marks: Marks, options: Screen) -> tuple[Tensor, Tensor, dict[str, float]]:
    """A screen's weight (F,) and offset (classes,), and how well it does, cross-validated on the marked pictures.

    Measured: `auc`, the chance that it doubts a broken picture more than another; `broken_before` and `broken_after`,
    the broken share of all and of those that it keeps.

    Raises:
        UserError: it can't tell broken pictures, or would turn down nearly all of a class.
    """
    classes = max(pipe.num_classes, 1)
    seen = look(pipe, range(marks.first, marks.first + marks.count), options.depth)
    others = look(pipe, range(OTHER_SEEDS, OTHER_SEEDS + OTHERS), options.depth, coarse=options.decorrelate > 0)
    shared = options.decorrelate * shared_with_pictures(others, classes) if options.decorrelate else 0.0
    wrong = marks.wrong()
    broken = wrong == 1
    fold = torch.arange(marks.count) * FOLDS // marks.count

    def cross_validated(ridge: float) -> Tensor:
        doubts = torch.empty(marks.count, dtype=torch.float64)
        for i in range(FOLDS):
            weight, offset = fit(seen.rows(fold != i), wrong[fold != i], classes, ridge, shared)
            doubts[fold == i] = seen.features[fold == i] @ weight + offset[seen.labels[fold == i]]
        return doubts

    tried = {ridge: cross_validated(ridge) for ridge in RIDGES}
    ridge = max(tried, key=lambda ridge: auc(tried[ridge], broken))
    if (found := auc(tried[ridge], broken)) < LEAST_AUC:
        raise UserError(
            f"{options.marks}: what is broken can't be told from these marks (AUC {found:.2f}); are they of this "
            "model's pictures, drawn without a screen? If so, mark more"
        )
    weight, offset = fit(seen, wrong, classes, ridge, shared)
    doubts = others.features @ weight + offset[others.labels]
    limit = doubts.quantile(options.keep)
    for label in range(classes):
        if (share := (doubts[others.labels == label] <= limit).double().mean().item()) < LEAST_KEPT:
            raise UserError(
                f"--keep {options.keep:g}: of class {pipe.class_names[label]} {share:.0%} would pass, so much of it is "
                "broken; keep more, or mark less strictly"
            )
    offset -= limit
    kept = tried[ridge] <= tried[ridge].quantile(options.keep)
    left = {"broken_before": broken.double().mean().item(), "broken_after": broken[kept].double().mean().item()}
    return weight.float(), offset.float(), {"auc": found, **left}


@dataclass(frozen=True)
class Seen:
    """Latents as a screen sees them."""

    features: Tensor
    """(N, F) float64."""
    labels: Tensor
    """(N,), zeros without classes."""
    coarse: Tensor | None = None
    """Their pictures at COARSE x COARSE, (N, P) float64."""

    def rows(self, chosen: Tensor) -> "Seen":
        """Those for which `chosen` (N,) is True."""
        return Seen(self.features[chosen], self.labels[chosen])


def look(pipe: GANPipeline, seeds: range, depth: int, coarse: bool = False) -> Seen:
    """At the first latents of these seeds, with the classes in turn."""
    generator: Any = pipe.generator
    labels = torch.arange(len(seeds)) % max(pipe.num_classes, 1)
    features, pictures = [], []
    with torch.inference_mode():
        for part in tqdm(torch.arange(len(seeds)).split(CHUNK), "looking", leave=False):
            z = sample([seeds[i] for i in part.tolist()], generator.config.latent_dim)
            asked = labels[part] if pipe.num_classes else None
            features.append(pooled(generator.maps(*generator.read(z, asked), depth)))
            if coarse:
                pictures.append(F.adaptive_avg_pool2d(generator(z, asked), COARSE).flatten(1))
    return Seen(torch.cat(features).double(), labels, torch.cat(pictures).double() if coarse else None)


def shared_with_pictures(seen: Seen, classes: int) -> Tensor:
    """(F, F): for weights w of standard features, w @ it @ w is how much the doubts covary with the coarse pictures."""
    assert seen.coarse is not None
    features, pictures = (within(values, seen.labels, classes)[0] for values in (seen.features, seen.coarse))
    features, pictures = (values / values.std(0).clamp(min=CONSTANT) for values in (features, pictures))
    covariance = features.T @ pictures / len(features)
    return covariance @ covariance.T


def fit(seen: Seen, wrong: Tensor, classes: int, ridge: float, shared: Tensor | float) -> tuple[Tensor, Tensor]:
    """Penalised least squares of `wrong` (N,) within classes: weight (F,), and offset (classes,)."""
    x, means = within(seen.features, seen.labels, classes)
    y, levels = within(wrong[:, None], seen.labels, classes)
    scale = 1 / x.std(0).clamp(min=CONSTANT)
    x = x * scale
    inner = x.T @ x + len(x) * (ridge * torch.eye(x.shape[1], dtype=x.dtype) + shared)
    weight = scale * torch.linalg.solve(inner, x.T @ y)[:, 0]
    return weight, levels[:, 0] - means @ weight


def within(values: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Values (N, F) less the mean of their class, and these means (classes, F); 0 for a class without any."""
    means = class_means(values, labels, classes)
    return values - means[labels], means


def auc(doubts: Tensor, broken: Tensor) -> float:
    """The chance that a broken picture's doubt (N,) is above another one's: the area under the ROC curve."""
    ordered = doubts.sort().values
    ranks = (torch.searchsorted(ordered, doubts) + torch.searchsorted(ordered, doubts, right=True) + 1).double() / 2
    positive = int(broken.sum())
    above = ranks[broken].sum().item() - positive * (positive + 1) / 2
    return above / (positive * (len(doubts) - positive))

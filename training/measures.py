"""Every measure that applies to a model's samples, as one flat table: what metrics.json holds beside the protocol."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ganhub.card.check import NO_COPIES, NO_PER_CLASS
from training.data import to_float
from training.lens import Lens
from training.metrics import (
    class_counts,
    conditional_accuracy,
    density_coverage,
    frechet_distance,
    kernel_distance,
    memorisation,
    near_duplicates,
    neighbours,
    precision_recall,
)
from training.pixel_measures import sliced_wasserstein, two_sample_accuracy

MAX_SHARED = 0.01  # of the real pictures may be known from training, and they still count as held back
MIN_FID = 2048  # below this a covariance of 2,048 features is singular, and the bias larger than what is measured


@dataclass(frozen=True)
class Pictures:
    """All that the metrics compare."""

    generated: Tensor
    """(N, C, R, R) uint8."""
    labels: Tensor | None
    """(N,) the classes that were asked for."""
    real: Tensor
    """(M, C, R, R) uint8, shuffled."""
    train: Tensor
    """(T, C, R, R) uint8, shuffled."""
    share_trained_on: float
    """Share of the real ones that are among those trained on."""
    mirrored: bool = False
    """Training showed mirror images, too: the copy of one is a copy."""

    @property
    def trained_on(self) -> bool:
        """Too many of the real ones are known for them to count as held back."""
        return self.share_trained_on > MAX_SHARED


class Nearest(NamedTuple):
    """The training picture that lies nearest to each of N others."""

    distances: Tensor
    """(N,)"""
    rows: Tensor
    """(N,) of the training pictures."""
    mirrored: Tensor
    """(N,) is it the mirror image that lies so near?"""


def measure(
    pictures: Pictures, class_names: list[str], lens: Lens | None, seed: int, device: str
) -> tuple[dict[str, Any], Nearest]:
    """All numbers, flat, and under "notes" what was left out and why; and what the samples lie nearest to."""
    found: dict[str, Any] = {"notes": []}
    seen = None
    if lens:
        real, _ = lens.look(pictures.real, device)
        generated, predicted = lens.look(pictures.generated, device)
        seen = real, generated
        found |= compare(real, generated, seed, found["notes"])
        if predicted is not None:
            found |= classes(predicted, pictures.labels, class_names, lens)
    else:
        found["notes"].append("no extractor: FID, KID, precision, recall, density and coverage were not measured")
    if pictures.labels is not None and "conditional_accuracy" not in found:
        found["notes"].append(f"{NO_PER_CLASS}: no extractor here that tells these classes apart")
    levels = sliced_wasserstein(pictures.real, pictures.generated, seed=seed)
    found["swd"] = sum(levels.values()) / len(levels)
    found["swd_per_level"] = {str(side): value for side, value in levels.items()}
    test = two_sample_accuracy(pictures.real, pictures.generated, seed=seed, device=device)
    found["two_sample_accuracy"], found["two_sample_accuracy_stderr"] = test
    look: Callable[[Tensor], Tensor]
    if lens and seen and not pictures.trained_on:
        (real, generated), space, look = seen, "features", lambda images: lens.look(images, device)[0]
    else:  # an extractor may know the training pictures by heart and put them closer together than others
        count = len(pictures.generated) if pictures.trained_on else len(pictures.real)  # more of these nothing reads
        real, generated, space, look = flat(pictures.real[:count]), flat(pictures.generated), "pixels", flat
    train = look(pictures.train)
    find = partial(find_nearest, train=train, look=look if pictures.mirrored else None)
    nearest = find(generated, pictures.generated)
    if pictures.trained_on:
        usual = find(train[: len(generated)], pictures.train[: len(generated)], others=True)
    else:
        usual = find(real, pictures.real)
    found["near_duplicates"] = near_duplicates(real, generated)
    return found | copies(nearest, usual, pictures, space, found["notes"]), nearest


def compare(real: Tensor, generated: Tensor, seed: int, notes: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    count = min(len(real), len(generated))
    if count >= MIN_FID:
        found["fid"] = frechet_distance(real, generated)
    else:
        notes.append(f"FID left out: it means nothing below {MIN_FID:,} pictures, here are {count:,}; see KID")
    found["kid"], found["kid_stderr"] = kernel_distance(real, generated, seed=seed)
    found["precision"], found["recall"] = precision_recall(real[:count], generated[:count])
    found["density"], found["coverage"] = density_coverage(real[:count], generated[:count])
    return found


def classes(predicted: Tensor, labels: Tensor | None, class_names: list[str], lens: Lens) -> dict[str, Any]:
    """How often each class was recognised; and whether it was the one asked for, where the extractor knows them all."""
    found: dict[str, Any] = {
        "class_counts": dict(zip(lens.class_names, class_counts(predicted, len(lens.class_names))))
    }
    if labels is not None and set(class_names) <= set(lens.class_names):
        asked = torch.tensor([lens.class_names.index(name) for name in class_names])[labels]
        found["conditional_accuracy"], per_class = conditional_accuracy(predicted, asked, len(lens.class_names))
        named = zip(lens.class_names, per_class)
        found["conditional_accuracy_per_class"] = {name: value for name, value in named if value is not None}
    return found


def find_nearest(
    features: Tensor, images: Tensor, train: Tensor, look: Callable[[Tensor], Tensor] | None, others: bool = False
) -> Nearest:
    """What each picture lies nearest to among the training pictures; or its mirror image, where that lies nearer.

    Args:
        features: of the pictures (N, F).
        images: the same pictures, (N, C, R, R) uint8.
        train: features of the training pictures (T, F).
        look: makes features of mirror images; None leaves these out.
        others: the pictures are the first N training pictures, each of which is compared with all others.
    """
    found = [neighbours(features, train, other=others)]
    if look:
        found.append(neighbours(look(images.flip(3)), train, other=others))
    distances, rows = (torch.cat(values, 1) for values in zip(*found))  # (N, 1), with mirror images (N, 2)
    nearer = distances.argmin(1, keepdim=True)
    return Nearest(distances.gather(1, nearer)[:, 0], rows.gather(1, nearer)[:, 0], nearer[:, 0] == 1)


def copies(nearest: Nearest, usual: Nearest, pictures: Pictures, space: str, notes: list[str]) -> dict[str, Any]:
    """Whether samples repeat the training set."""
    distances = memorisation(nearest.distances, usual.distances)
    if distances["ratio"] is None:
        notes.append(f"{NO_COPIES}: most real pictures have an exact copy among those trained on")
        return {}
    held_back = (
        "training pictures, each against all others" if pictures.trained_on else "the reference, never trained on"
    )
    about = {"space": space, "held_back": held_back, "train_count": len(pictures.train)}
    return {"memorisation": {**about, **({"mirrored": True} if pictures.mirrored else {}), **distances}}


def flat(images: Tensor) -> Tensor:
    """Pixels as features: (N, C, R, R) uint8 -> (N, C R R) in [-1, 1]."""
    return to_float(images.flatten(1))

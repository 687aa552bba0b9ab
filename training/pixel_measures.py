"""Measures on the pictures themselves, for which no feature network is needed.

Pictures are (N, C, R, R) uint8 tensors.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ganhub.errors import UserError
from training.data import Batches, ImageData, to_float

PATCH = 7
SMALLEST = 14  # side of the coarsest pyramid level: 16 in the paper, whose pictures are powers of two
BINOMIAL = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0])
MAX_IMAGES = 8192
MIN_STEPS = 60  # batch norm's running averages need as many to forget where they started


def sliced_wasserstein(
    real: Tensor, generated: Tensor, patches: int = 16, directions: int = 128, seed: int = 0
) -> dict[int, float]:
    """Sliced Wasserstein distance on Laplacian pyramids (Karras et al. 2018, arXiv:1710.10196, section 5), times 1,000.

    Returns:
        side of a pyramid level -> distance: fine detail at the largest side, composition at the smallest. 0 and up,
        lower is better.

    As in the paper, 7x7 patches are normalised per channel within each set, then projected on random directions;
    smaller than there: at most 8,192 pictures (16,384), 16 patches a picture (128), 128 directions (512).
    """
    count = min(len(real), len(generated), MAX_IMAGES)
    if real.shape[1:] != generated.shape[1:]:
        raise UserError(f"pictures of {tuple(real.shape[1:])} can't be compared with {tuple(generated.shape[1:])}")
    if real.shape[-1] < PATCH:
        raise UserError(f"sliced Wasserstein needs pictures of at least {PATCH} pixels, got {real.shape[-1]}")
    draw = torch.Generator().manual_seed(seed)
    sets = [
        _descriptors(x[:count], patches, torch.Generator().manual_seed(seed + i))
        for i, x in enumerate((real, generated))
    ]
    return {side: 1e3 * sliced_distance(sets[0][side], sets[1][side], directions, draw) for side in sets[0]}


def sliced_distance(a: Tensor, b: Tensor, directions: int, draw: torch.Generator) -> float:
    """Mean over random directions of the 1-D Wasserstein-1 distance between the projections of two (N, D) sets."""
    total = 0.0
    for start in range(0, directions, 32):
        axes = F.normalize(torch.randn(a.shape[1], min(32, directions - start), generator=draw), dim=0)
        gaps = (a @ axes).T.sort(1).values.sub_((b @ axes).T.sort(1).values).abs_()
        total += gaps.mean(1).sum().item()
    return total / directions


def _descriptors(images: Tensor, patches: int, draw: torch.Generator) -> dict[int, Tensor]:
    """Side of a level -> (N * patches, C * 49) normalised patches at random places."""
    found: dict[int, list[Tensor]] = {}
    for part in images.split(512):
        for level in laplacian_pyramid(to_float(part)):
            found.setdefault(level.shape[-1], []).append(_random_patches(level, patches, draw))
    return {side: _normalised(torch.cat(parts)) for side, parts in found.items()}


def laplacian_pyramid(images: Tensor) -> list[Tensor]:
    """[(N, C, R, R), (N, C, R/2, R/2), ...]: what each halving loses, and last what remains."""
    levels = []
    while images.shape[-1] % 2 == 0 and images.shape[-1] // 2 >= SMALLEST:
        smaller = _blur(images)[:, :, ::2, ::2]
        levels.append(images - _enlarge(smaller))
        images = smaller
    return [*levels, images]


def _blur(images: Tensor) -> Tensor:
    channels = images.shape[1]
    kernel = (BINOMIAL[:, None] * BINOMIAL / 256).expand(channels, 1, 5, 5)
    return F.conv2d(F.pad(images, [2] * 4, mode="reflect"), kernel, groups=channels)


def _enlarge(images: Tensor) -> Tensor:
    count, channels, side, _ = images.shape
    spread = images.new_zeros(count, channels, 2 * side, 2 * side)
    spread[:, :, ::2, ::2] = 4 * images  # three of four pixels are empty
    return _blur(spread)


def _random_patches(level: Tensor, patches: int, draw: torch.Generator) -> Tensor:
    """(N, C, R, R) -> (N, patches, C, 49)."""
    count, channels, side, _ = level.shape
    top, left = torch.randint(side - PATCH + 1, (2, count, patches, 1), generator=draw)
    offset = torch.arange(PATCH * PATCH)
    index = (top + offset // PATCH) * side + left + offset % PATCH  # (N, patches, 49)
    flat = level.flatten(2)[:, :, None].expand(-1, -1, patches, -1)
    return flat.gather(3, index[:, None].expand(-1, channels, -1, -1)).transpose(1, 2)


def _normalised(patches: Tensor) -> Tensor:
    """(N, P, C, 49) -> (N P, C 49), each channel with mean 0 and deviation 1 over the set."""
    std, mean = torch.std_mean(patches, (0, 1, 3), keepdim=True)
    return ((patches - mean) / std.clamp(min=1e-8)).flatten(0, 1).flatten(1)


def two_sample_accuracy(
    real: Tensor, generated: Tensor, epochs: int = 5, seed: int = 0, device: str = "cpu"
) -> tuple[float, float]:
    """Classifier two-sample test (Lopez-Paz and Oquab 2017, arXiv:1610.06545): accuracy and its standard error.

    A fresh small network learns to tell real from generated on half of the pictures (equally many of both) and is asked
    about the other half. 0.5 cannot be told apart, which is perfect; 1.0 is told apart at sight. Lower is better.
    """
    from training.featurenet import FeatureNet, batched, fit, seeded

    count = min(len(real), len(generated)) // 2 * 2
    if count < 4:
        raise UserError(f"the two-sample test needs at least 4 pictures of each kind, got {count}")
    halves = [
        x[torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:count]] for x in (real, generated)
    ]
    (train_real, test_real), (train_fake, test_fake) = (half.split(count // 2) for half in halves)
    labels = torch.arange(2).repeat_interleave(count // 2)
    train = ImageData(torch.cat([train_real, train_fake]), labels, ("real", "generated"), "")
    side = math.ceil(real.shape[-1] / 8) * 8
    with seeded(seed):
        network = FeatureNet(side, real.shape[1], 2, width=16, feature_dim=64).to(device)

        def loss(images: Tensor, labels: Tensor | None) -> Tensor:
            assert labels is not None
            return F.cross_entropy(network(images), labels)

        batches = Batches(train.to(device), min(64, count), seed)
        steps = max(MIN_STEPS, epochs * count // batches.batch_size)
        fit(network, loss, batches, steps, lr=2e-3)
    predicted = batched(network, torch.cat([test_real, test_fake]), device).argmax(1)
    accuracy = (predicted == labels).double().mean().item()
    return accuracy, math.sqrt(accuracy * (1 - accuracy) / count)

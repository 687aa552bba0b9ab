"""DiffAugment, Zhao et al. 2020, https://arxiv.org/abs/2006.10738: what D sees of real and fake images alike.

Each augmentation maps images (B, C, R, R) in [-1, 1] to the same shape, is differentiable, and draws one set of
parameters a sample. Strengths are the paper's (appendix A): brightness +-0.5, saturation up to 2, contrast 0.5 to 1.5,
translation by up to 1/8 of the side, a cutout of half the side.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Augmentation = Callable[[Tensor], Tensor]


def _per_sample(images: Tensor) -> Tensor:
    """Uniform in [0, 1), (B, 1, 1, 1)."""
    return torch.rand(len(images), 1, 1, 1, device=images.device, dtype=images.dtype)


def mirror(images: Tensor) -> Tensor:
    """Flip about half of the samples left to right; for real images and views, not one of the policies below."""
    return torch.where(_per_sample(images) < 0.5, images.flip(3), images)


def color(images: Tensor) -> Tensor:
    """Brightness, then saturation, then contrast."""
    images = images + _per_sample(images) - 0.5
    grey = images.mean(1, keepdim=True)
    images = grey.lerp(images, 2 * _per_sample(images))
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean.lerp(images, 0.5 + _per_sample(images))


def translation(images: Tensor, ratio: float = 1 / 8) -> Tensor:
    """Shift by whole pixels, zeros coming in from the side."""
    side = images.shape[-1]
    reach = int(side * ratio + 0.5)
    padded = F.pad(images, [reach] * 4)
    rows, columns = _windows(images, side, 2 * reach + 1)
    batch = torch.arange(len(images), device=images.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[batch, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _windows(images: Tensor, side: int, positions: int) -> tuple[Tensor, Tensor]:
    """Row and column indices (B, side) of a window of that side, starting anywhere in [0, positions)."""
    starts = torch.randint(positions, (2, len(images), 1), device=images.device)
    rows, columns = starts + torch.arange(side, device=images.device)
    return rows, columns


def cutout(images: Tensor, ratio: float = 1 / 2) -> Tensor:
    """Set a square to zero; its centre lies anywhere in the image."""
    side = images.shape[-1]
    size = int(side * ratio + 0.5)
    starts = torch.randint(side + (1 - size % 2), (2, len(images), 1), device=images.device) - size // 2
    position = torch.arange(side, device=images.device)
    rows, columns = (starts <= position) & (position < starts + size)  # (B, side) each
    hole = rows[:, None, :, None] & columns[:, None, None, :]
    return images.masked_fill(hole, 0.0)


AUGMENTATIONS: dict[str, Augmentation] = {
    "color": color,
    "translation": translation,
    "cutout": cutout,
}


def augmenter(names: tuple[str, ...], probability: float | Tensor = 1.0) -> Augmentation:
    """The named augmentations, one after the other, each on every image with this probability (read at every call)."""

    def augment(images: Tensor) -> Tensor:
        for name in names:
            augmented = AUGMENTATIONS[name](images)
            if isinstance(probability, Tensor) or probability < 1:
                augmented = torch.where(_per_sample(images) < probability, augmented, images)
            images = augmented
        return images

    return augment


def adapted(probability: Tensor, mean_sign: Tensor, target: float, share: float) -> Tensor:
    """ADA's controller: Karras et al. 2020, https://arxiv.org/abs/2006.06676, section 3.1.

    Args:
        probability: of an augmentation, now.
        mean_sign: r_t, the mean sign of D's logits on real images: towards 1 while D overfits.
        target: of r_t; 0.6 in the paper.
        share: how far to go, of the whole way from 0 to 1. The paper looks at every fourth batch; here at every one.
    """
    return (probability + share * torch.sign(mean_sign - target)).clamp(0, 1)

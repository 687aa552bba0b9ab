"""The network behind the metrics: a small residual classifier whose pooled activations are the features.

Residual blocks after He et al. 2015 (arXiv:1512.03385), far smaller: three blocks behind a stem that halves the image.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from tqdm import tqdm

from ganhub.errors import UserError, first_line
from ganhub.models.base import GANModule, check_sizes
from training.data import Batches, to_float


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut; stride 2 halves the side."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, bias=False)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        shortcut = F.avg_pool2d(x, self.stride) if self.stride > 1 else x
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(shortcut))


class FeatureNet(GANModule):
    """images (B, C, R, R) in [-1, 1] -> class logits (B, num_classes); the features themselves without classes.

    Args:
        resolution: side that images are resized to; a multiple of 8.
        channels: 1 or 3.
        num_classes: 0 for a network trained by self-supervision.
        width: channels of the first block; the second has twice as many.
        feature_dim: channels of the last block, and so the length of a feature vector.
        class_names: one name a class, where they are known.
    """

    @register_to_config
    def __init__(
        self,
        resolution: int = 32,
        channels: int = 3,
        num_classes: int = 10,
        width: int = 32,
        feature_dim: int = 128,
        class_names: Sequence[str] | None = None,
    ):
        super().__init__()
        check_sizes("FeatureNet", resolution, channels, num_classes, width=width, feature_dim=feature_dim)
        if resolution < 8 or resolution % 8:
            raise ValueError(f"FeatureNet needs a resolution that is a multiple of 8, got {resolution}")
        if class_names is not None and len(class_names) != num_classes:
            raise ValueError(f"FeatureNet needs {num_classes} class_names, got {len(class_names)}")
        self.stem = nn.Conv2d(channels, width, 4, 2, 1, bias=False)  # (B, width, R/2, R/2)
        self.norm = nn.BatchNorm2d(width)
        self.blocks = nn.Sequential(
            Residual(width, width, 1),
            Residual(width, 2 * width, 2),  # (B, 2 width, R/4, R/4)
            Residual(2 * width, feature_dim, 2),  # (B, feature_dim, R/8, R/8)
        )
        self.head: nn.Module = nn.Linear(feature_dim, num_classes) if num_classes else nn.Identity()
        self.resolution, self.channels, self.feature_dim = resolution, channels, feature_dim
        self.class_names = tuple(class_names or ())

    def features(self, images: Tensor) -> Tensor:
        """(B, C, any, any) in [-1, 1] -> (B, feature_dim), never negative."""
        if images.shape[-2:] != (self.resolution, self.resolution):
            images = F.interpolate(images, (self.resolution,) * 2, mode="bilinear", align_corners=False, antialias=True)
        return self.blocks(F.relu(self.norm(self.stem(images)))).mean((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


def distort(images: Tensor, shift: float, degrees: float, zoom: float) -> Tensor:
    """Move, turn and scale every image (B, C, R, R) by an amount of its own.

    Args:
        shift: pixels, at most, in each direction.
        degrees: at most, to either side.
        zoom: 0.1 scales by 0.9 to 1.1.

    What comes in from the side repeats the border.
    """
    count, side = len(images), images.shape[-1]
    uniform = torch.rand(4, count, device=images.device) * 2 - 1
    angle = uniform[0] * degrees * torch.pi / 180
    scale = 1 + uniform[1] * zoom
    cos, sin = angle.cos() * scale, angle.sin() * scale
    move = uniform[2:] * shift * 2 / side
    theta = torch.stack([cos, -sin, move[0], sin, cos, move[1]], 1).view(count, 2, 3)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def nt_xent(a: Tensor, b: Tensor, temperature: float = 0.2) -> Tensor:
    """The contrastive loss of SimCLR (arXiv:2002.05709, eq. 1): find the other view of an image among the batch.

    Args:
        a, b: (B, D) projections of two views of the same images.
    """
    z = F.normalize(torch.cat([a, b]), dim=1)
    similarity = (z @ z.T / temperature).fill_diagonal_(-torch.inf)
    partners = torch.arange(len(z), device=z.device).roll(len(a))
    return F.cross_entropy(similarity, partners)


def fit(
    network: nn.Module, loss: Callable[[Tensor, Tensor | None], Tensor], batches: Batches, steps: int, lr: float
) -> None:
    """AdamW with decay 0.05 under a one-cycle learning rate (arXiv:1708.07120).

    Args:
        network: all that is trained; left in eval mode.
        loss: (images (B, C, R, R) in [-1, 1], labels (B,)) -> scalar.
    """
    network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), lr, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, max(steps + 1, 10), pct_start=0.2)
    for step in (bar := tqdm(range(steps), "training", unit=" steps", leave=False, mininterval=1)):
        value = loss(*batches.at(step * batches.batch_size))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            bar.set_postfix(loss=f"{value.item():.3f}", refresh=False)
    network.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]


@torch.inference_mode()
def batched(function: Callable[[Tensor], Tensor], images: Tensor, device: str = "cpu", batch_size: int = 256) -> Tensor:
    """Apply a network to uint8 images (N, C, R, R) piece by piece; the answers in float32 on the CPU."""
    parts = tqdm(images.split(batch_size), "features", leave=False, mininterval=1)
    return torch.cat([function(to_float(part.to(device))).float().cpu() for part in parts])


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Everything drawn inside follows from `seed`; the caller's random state stays as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def check_device(device: str) -> None:
    """
    Raises:
        UserError: there is no such device here.
    """
    try:
        torch.zeros(1, device=device).item()
    except Exception as error:  # an AssertionError without CUDA, a RuntimeError for a name that torch doesn't know
        raise UserError(f"--device {device}: can't be used here ({first_line(error)}); try cpu") from error

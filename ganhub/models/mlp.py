"""Multi-layer perceptrons: the vanilla GAN and the conditional GAN of the PyTorch tutorial (gordicaleksa/pytorch-GANs).

Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661; Mirza and Osindero 2014, https://arxiv.org/abs/1411.1784. As
in the tutorial, G's hidden layers are linear, 1-d batch norm, LeakyReLU(0.2) and D has no norm; a class enters as a
one-hot vector beside z and beside the flattened image. Deviation: D gives a logit instead of a probability.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from ganhub.models import base


class Generator(base.Generator):
    """Latents to images through fully connected layers.

    Args:
        resolution: side of the image in pixels, from 4 to 256.
        channels: 1 or 3.
        latent_dim: length of z.
        num_classes: 0 for an unconditional model.
        hidden: width of each hidden layer.
    """

    arch = "mlp"

    @register_to_config
    def __init__(
        self,
        resolution: int = 28,
        channels: int = 1,
        latent_dim: int = 100,
        num_classes: int = 0,
        hidden: Sequence[int] = (256, 512, 1024),
    ):
        super().__init__()
        check_layers(resolution, channels, num_classes, hidden)
        base.check_sizes("mlp", resolution, channels, num_classes, latent_dim=latent_dim)
        widths = [latent_dim + num_classes, *hidden]
        self.blocks = nn.Sequential(
            *(nn.Sequential(nn.Linear(a, b), nn.BatchNorm1d(b), nn.LeakyReLU(0.2)) for a, b in zip(widths, hidden))
        )  # (B, 1024)
        self.to_image = nn.Linear(widths[-1], channels * resolution**2)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        pixels = self.to_image(self.blocks(with_one_hot(z, labels, self.config.num_classes))).tanh()
        return pixels.view(len(z), self.config.channels, self.config.resolution, self.config.resolution)


class Discriminator(base.Discriminator):
    """Images to logits through fully connected layers.

    Args:
        resolution, channels, num_classes: as in the generator.
        hidden: width of each hidden layer.
    """

    arch = "mlp"

    @register_to_config
    def __init__(
        self,
        resolution: int = 28,
        channels: int = 1,
        num_classes: int = 0,
        hidden: Sequence[int] = (512, 256),
    ):
        super().__init__()
        check_layers(resolution, channels, num_classes, hidden)
        widths = [channels * resolution**2 + num_classes, *hidden]
        self.blocks = nn.Sequential(
            *(nn.Sequential(nn.Linear(a, b), nn.LeakyReLU(0.2)) for a, b in zip(widths, hidden))
        )  # (B, 256)
        self.to_logit = nn.Linear(widths[-1], 1)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.to_logit(self.blocks(with_one_hot(images.flatten(1), labels, self.config.num_classes))).squeeze(1)


def with_one_hot(x: Tensor, labels: Tensor | None, num_classes: int) -> Tensor:
    """(B, N) -> (B, N + num_classes); as it is without classes."""
    if not num_classes:
        return x
    if labels is None:
        raise ValueError("a conditional model needs labels")
    return torch.cat([x, F.one_hot(labels, num_classes).to(x.dtype)], dim=1)


def check_layers(resolution: int, channels: int, num_classes: int, hidden: Sequence[int]) -> None:
    if not hidden or len(hidden) > 16:
        raise ValueError(f"mlp needs 1 to 16 hidden layers, got {len(hidden)}")
    base.check_sizes("mlp", resolution, channels, num_classes, **{f"hidden[{i}]": w for i, w in enumerate(hidden)})
    if not 4 <= resolution <= 256:
        raise ValueError(f"mlp needs a resolution from 4 to 256, got {resolution}")

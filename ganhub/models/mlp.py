"""Multi-layer perceptrons: the vanilla GAN and the conditional GAN of the tutorial gordicaleksa/pytorch-GANs.

Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661; Mirza and Osindero 2014, https://arxiv.org/abs/1411.1784. As
in the tutorial, G's hidden layers are linear, 1-d batch norm, LeakyReLU(0.2) and D has no norm; a class enters as a
one-hot vector beside z and beside the flattened image. Deviation: D gives a logit instead of a probability.

Besides images it draws points in the plane, (B, 2, 1, 1) in [-1, 1]: channels=2 with resolution=1.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from ganhub.models import base, layers

POINTS = (1, 2)  # resolution and channels of points in the plane


class Generator(base.Generator):
    """Latents to images through fully connected layers.

    Args:
        resolution: side of the image in pixels, from 4 to 256; 1 for points.
        channels: 1 or 3; 2 for points.
        latent_dim: length of z.
        num_classes: 0 for an unconditional model.
        hidden: width of each hidden layer.
        latent, latent_scale: the noise, "normal" or "uniform", and what it is multiplied by; see base.Generator.noise.
        norm: after every hidden layer: "batch", "layer" or "none".
        dropout: share of the numbers set to 0 after each hidden layer, in training.
        init: initial weights; a name in layers.INITS.
        spectral_norm: divide every weight by its largest singular value.
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
        latent: str = "normal",
        latent_scale: float = 1.0,
        norm: str = "batch",
        dropout: float = 0.0,
        init: str = "default",
        spectral_norm: bool = False,
    ):
        super().__init__()
        check(resolution, channels, num_classes, hidden, spectral_norm, latent_dim=latent_dim)
        base.check_latent("mlp", latent, latent_scale)
        widths = [latent_dim + num_classes, *hidden]
        self.blocks = perceptron(widths, norm, dropout)  # (B, 1024)
        self.to_image = nn.Linear(widths[-1], channels * resolution**2)
        layers.prepare_weights(self, init, spectral_norm)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        pixels = self.to_image(self.blocks(with_one_hot(self.noise(z), labels, self.config.num_classes))).tanh()
        return pixels.unflatten(1, (self.config.channels, self.config.resolution, self.config.resolution))


class Discriminator(base.Discriminator):
    """Images to logits through fully connected layers.

    Args:
        resolution, channels, num_classes, hidden, dropout, init, spectral_norm: as in the generator.
        norm: after every hidden layer: "none" (the tutorial), "batch" or "layer".
        minibatch_discrimination: kernels of layers.MinibatchDiscrimination beside the last hidden layer; 0 is off.
        minibatch_stddev: layers.MinibatchStddev beside it too.
    """

    arch = "mlp"

    @register_to_config
    def __init__(
        self,
        resolution: int = 28,
        channels: int = 1,
        num_classes: int = 0,
        hidden: Sequence[int] = (512, 256),
        norm: str = "none",
        dropout: float = 0.0,
        minibatch_discrimination: int = 0,
        minibatch_stddev: bool = False,
        init: str = "default",
        spectral_norm: bool = False,
    ):
        super().__init__()
        check(resolution, channels, num_classes, hidden, spectral_norm)
        base.check_flags("mlp", minibatch_stddev=minibatch_stddev)
        widths = [channels * resolution**2 + num_classes, *hidden]
        self.blocks = perceptron(widths, norm, dropout)  # (B, 256)
        self.gather = nn.Sequential(*layers.minibatch(widths[-1], minibatch_discrimination, minibatch_stddev))
        self.to_logit = nn.Linear(widths[-1] + minibatch_discrimination + minibatch_stddev, 1)
        layers.prepare_weights(self, init, spectral_norm)

    def hidden(self, images: Tensor, labels: Tensor | None = None) -> list[Tensor]:
        """Without its label, an image is seen as one of no class."""
        x, classes = images.flatten(1), self.config.num_classes
        return base.chain(self.blocks, F.pad(x, (0, classes)) if labels is None else with_one_hot(x, labels, classes))

    def judge(self, code: Tensor, images: Tensor, labels: Tensor | None) -> Tensor:
        if self.config.num_classes:
            base.need_labels(labels)
        return self.to_logit(self.gather(code)).squeeze(1)


def perceptron(widths: Sequence[int], norm: str, dropout: float) -> nn.Sequential:
    """The hidden layers, as blocks: (B, widths[0]) -> (B, widths[-1])."""

    def block(a: int, b: int) -> nn.Sequential:
        return nn.Sequential(nn.Linear(a, b), *layers.norm1d(norm, b), nn.LeakyReLU(0.2), *layers.dropout(dropout))

    return nn.Sequential(*(block(a, b) for a, b in zip(widths, widths[1:])))


def with_one_hot(x: Tensor, labels: Tensor | None, num_classes: int) -> Tensor:
    """(B, N) -> (B, N + num_classes); as it is without classes."""
    if not num_classes:
        return x
    return torch.cat([x, F.one_hot(base.need_labels(labels), num_classes).to(x.dtype)], dim=1)


def check(
    resolution: int, channels: int, num_classes: int, hidden: Sequence[int], spectral_norm: bool, **widths: int
) -> None:
    if not hidden or len(hidden) > 16:
        raise ValueError(f"mlp needs 1 to 16 hidden layers, got {len(hidden)}")
    widths |= {f"hidden[{i}]": width for i, width in enumerate(hidden)}
    points = (resolution, channels) == POINTS
    base.check_sizes("mlp", resolution, 3 if points else channels, num_classes, **widths)
    if not points and not 4 <= resolution <= 256:
        raise ValueError(f"mlp needs a resolution from 4 to 256 (or 1 with channels=2: points), got {resolution}")
    base.check_flags("mlp", spectral_norm=spectral_norm)

"""A discriminator that is an auto-encoder, for EBGAN and BEGAN: an image is as real as it is easy to reconstruct.

Zhao, Mathieu and LeCun 2017, https://arxiv.org/abs/1609.03126; the networks are those of Berthelot, Schumm and Metz
2017, https://arxiv.org/abs/1703.10717, without skip connections: 3x3 convolutions and ELUs, nearest upsampling, strided
convolutions down, and a generator with the shape of the decoder. Deviations: the smallest map may be 4x4 to 8x8, so
that there is a 28x28 too, images end in a tanh, a norm is possible, and so are classes, whose embedding stands beside z
in G and beside the code in D.
"""

import torch
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from ganhub.models import base, layers

ERRORS = ("l1", "l2")
MAX_SIDE = 8  # of the smallest map
MAX_DEPTH = 8


class Generator(base.Generator):
    """Latents to images.

    Args:
        resolution: side of the image in pixels, 4 to 8 times a power of two, up to 256.
        channels: 1 or 3.
        latent_dim: length of z; 64 in BEGAN.
        num_classes: 0 for an unconditional model.
        width: channels of every convolution.
        depth: convolutions at each resolution.
        label_dim: length of the label embedding beside z; unused without classes.
        norm: "none" (BEGAN), "batch" (EBGAN), "instance" or "layer".
        init: how weights are drawn, a name in ganhub.models.layers.INITS.
        latent, latent_scale: the noise, "normal" or "uniform", and what it is multiplied by; see base.Generator.noise.
    """

    arch = "autoencoder"

    @register_to_config
    def __init__(
        self,
        resolution: int = 32,
        channels: int = 3,
        latent_dim: int = 64,
        num_classes: int = 0,
        width: int = 64,
        depth: int = 2,
        label_dim: int = 16,
        norm: str = "none",
        init: str = "default",
        latent: str = "normal",
        latent_scale: float = 1.0,
    ):
        super().__init__()
        base.check_latent("autoencoder", latent, latent_scale)
        base.check_sizes("autoencoder", resolution, channels, num_classes, latent_dim=latent_dim)
        sides = check_options(resolution, width, depth, label_dim, norm)
        self.embed = nn.Embedding(num_classes, label_dim) if num_classes else None
        inputs = latent_dim + (label_dim if num_classes else 0)
        self.decoder = decoder(inputs, sides, width, depth, norm, channels)
        layers.init_weights(self, init)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.decoder(with_label(self.noise(z), self.embed, labels))


class Discriminator(base.Discriminator):
    """Images to logits: the negated error of reconstructing them, so at most 0.

    The error is a mean over pixels and channels, whatever the resolution: from 0 to 2 for "l1", from 0 to 4 for "l2".
    EBGAN's margin is on that scale.

    Args:
        resolution, channels, num_classes, label_dim, norm, init: as in the generator.
        width: channels of the decoder and of the encoder at the full resolution, which has twice, three times, ... as
            many at each lower one.
        depth: convolutions at each resolution, in the encoder and in the decoder.
        code_dim: length of the code; 64 in BEGAN.
        error: "l1" (BEGAN: mean absolute) or "l2" (EBGAN: mean squared).
    """

    arch = "autoencoder"
    autoencoder = True

    @register_to_config
    def __init__(
        self,
        resolution: int = 32,
        channels: int = 3,
        num_classes: int = 0,
        width: int = 64,
        depth: int = 2,
        code_dim: int = 64,
        label_dim: int = 16,
        error: str = "l1",
        norm: str = "none",
        init: str = "default",
    ):
        super().__init__()
        base.check_sizes("autoencoder", resolution, channels, num_classes, code_dim=code_dim)
        sides = check_options(resolution, width, depth, label_dim, norm)
        if error not in ERRORS:
            raise ValueError(f"autoencoder needs an error among {', '.join(ERRORS)}, got {error!r}")
        self.encoder = encoder(channels, sides, width, depth, norm, code_dim)
        self.embed = nn.Embedding(num_classes, label_dim) if num_classes else None
        inputs = code_dim + (label_dim if num_classes else 0)
        self.decoder = decoder(inputs, sides, width, depth, norm, channels)
        layers.init_weights(self, init)

    def hidden(self, images: Tensor, labels: Tensor | None = None) -> list[Tensor]:
        return base.chain(self.encoder, images)

    def judge(self, code: Tensor, images: Tensor, labels: Tensor | None) -> Tensor:
        difference = self.reconstruct(code, labels) - images
        error = difference.abs() if self.config.error == "l1" else difference.square()
        return -error.mean((1, 2, 3))

    def reconstruct(self, code: Tensor, labels: Tensor | None = None) -> Tensor:
        """Code (B, code_dim), labels (B,) -> images (B, C, R, R) in [-1, 1]."""
        return self.decoder(with_label(code, self.embed, labels))


def encoder(channels: int, sides: list[int], width: int, depth: int, norm: str, code_dim: int) -> nn.Sequential:
    """Images to the code, one block for each resolution; sides from the smallest to the image's."""
    blocks = [nn.Sequential(*convolution(channels, width, norm), *convolutions(width, depth, norm))]
    for i in range(1, len(sides)):
        halved = convolution(i * width, (i + 1) * width, norm, stride=2)
        blocks.append(nn.Sequential(*halved, *convolutions((i + 1) * width, depth, norm)))
    to_code = nn.Linear(len(sides) * width * sides[0] ** 2, code_dim)
    return nn.Sequential(*blocks, nn.Sequential(nn.Flatten(), to_code))


def decoder(inputs: int, sides: list[int], width: int, depth: int, norm: str, channels: int) -> nn.Sequential:
    """Vectors (B, inputs) to images, one block for each resolution."""
    stem = [nn.Linear(inputs, width * sides[0] ** 2), nn.Unflatten(1, (width, sides[0], sides[0]))]
    blocks = [nn.Sequential(*convolutions(width, depth, norm))]
    for _ in sides[1:]:
        blocks.append(nn.Sequential(nn.Upsample(scale_factor=2), *convolutions(width, depth, norm)))
    to_image = [nn.Conv2d(width, channels, 3, padding=1), nn.Tanh()]
    return nn.Sequential(*stem, *blocks, *to_image)


def convolutions(width: int, depth: int, norm: str) -> list[nn.Module]:
    return [layer for _ in range(depth) for layer in convolution(width, width, norm)]


def convolution(c_in: int, c_out: int, norm: str, stride: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(c_in, c_out, 3, stride, padding=1, bias=norm == "none")
    return [conv, *layers.norm2d(norm, c_out), nn.ELU()]


def with_label(x: Tensor, embed: nn.Embedding | None, labels: Tensor | None) -> Tensor:
    """(B, N) -> (B, N + label_dim); as it is without classes."""
    return x if embed is None else torch.cat([x, embed(base.need_labels(labels)).to(x.dtype)], dim=1)


def check_options(resolution: int, width: int, depth: int, label_dim: int, norm: str) -> list[int]:
    """Refuse what can't be built; returns the sides of all maps, [8, 16, 32] for 32."""
    base.check_sizes("autoencoder", resolution, 3, 0, width=width, depth=depth, label_dim=label_dim)
    layers.check_norm("autoencoder", norm)
    if depth > MAX_DEPTH:
        raise ValueError(f"autoencoder needs depth between 1 and {MAX_DEPTH}, got {depth}")
    sides = [resolution]
    while sides[0] > MAX_SIDE and sides[0] % 2 == 0:
        sides.insert(0, sides[0] // 2)
    if not 4 <= sides[0] <= MAX_SIDE or not 8 <= resolution <= 256:
        raise ValueError(f"autoencoder needs a resolution of 4 to 8 times a power of two, 8 to 256, got {resolution}")
    return sides

"""A discriminator that is an auto-encoder, for EBGAN and BEGAN: an image is as real as it is easy to reconstruct.

Zhao, Mathieu and LeCun 2017, https://arxiv.org/abs/1609.03126; the networks are those of Berthelot, Schumm and Metz
2017, https://arxiv.org/abs/1703.10717, without skip connections: 3x3 convolutions and ELUs, nearest upsampling, strided
convolutions down, and a generator with the shape of the decoder. Deviations: the smallest map may be 4x4 to 8x8, so
that there is a 28x28 too, G ends in a tanh, a norm is possible, and so are classes, whose embedding stands beside z
in G and beside the code in D.
"""

from dataclasses import dataclass

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
        dropout: share of the numbers set to 0 after each block, in training.
        spectral_norm: divide every weight by its spectral norm.
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
        dropout: float = 0.0,
        spectral_norm: bool = False,
        init: str = "default",
        latent: str = "normal",
        latent_scale: float = 1.0,
    ):
        super().__init__()
        base.check_latent("autoencoder", latent, latent_scale)
        base.check_sizes("autoencoder", resolution, channels, num_classes, latent_dim=latent_dim)
        base.check_flags("autoencoder", spectral_norm=spectral_norm)
        sides = check_options(resolution, width, depth, label_dim, norm)
        self.embed = nn.Embedding(num_classes, label_dim) if num_classes else None
        inputs = latent_dim + (label_dim if num_classes else 0)
        self.decoder = decoder(inputs, sides, Blocks(width, depth, norm, dropout), channels)
        layers.prepare_weights(self, init, spectral_norm)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.decoder(base.with_label(self.noise(z), self.embed, labels)).tanh()


class Discriminator(base.Discriminator):
    """Images to logits: the negated error of reconstructing them, so at most 0.

    The error is a mean over pixels and channels, whatever the resolution: from 0 to 2 for "l1", from 0 to 4 for "l2".
    EBGAN's margin is on that scale.

    Args:
        resolution, channels, num_classes, label_dim, norm, dropout, spectral_norm, init: as in the generator.
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
        dropout: float = 0.0,
        spectral_norm: bool = False,
        init: str = "default",
    ):
        super().__init__()
        base.check_sizes("autoencoder", resolution, channels, num_classes, code_dim=code_dim)
        base.check_flags("autoencoder", spectral_norm=spectral_norm)
        sides = check_options(resolution, width, depth, label_dim, norm)
        if error not in ERRORS:
            raise ValueError(f"autoencoder needs an error among {', '.join(ERRORS)}, got {error!r}")
        blocks = Blocks(width, depth, norm, dropout)
        self.encoder = encoder(channels, sides, blocks, code_dim)
        self.embed = nn.Embedding(num_classes, label_dim) if num_classes else None
        inputs = code_dim + (label_dim if num_classes else 0)
        self.decoder = decoder(inputs, sides, blocks, channels)
        layers.prepare_weights(self, init, spectral_norm)

    def hidden(self, images: Tensor, labels: Tensor | None = None) -> list[Tensor]:
        return base.chain(self.encoder, images)

    def judge(self, code: Tensor, images: Tensor, labels: Tensor | None) -> Tensor:
        difference = self.reconstruct(code, labels) - images
        error = difference.abs() if self.config.error == "l1" else difference.square()
        return -error.mean((1, 2, 3))

    def reconstruct(self, code: Tensor, labels: Tensor | None = None) -> Tensor:
        """Code (B, code_dim), labels (B,) -> images (B, C, R, R), not bounded.

        A tanh would hold D back: its gradient dies at black, where D must be able to grow its error on blank images.
        """
        return self.decoder(base.with_label(code, self.embed, labels))


@dataclass(frozen=True)
class Blocks:
    """What the blocks of encoder and decoder have in common."""

    width: int
    depth: int
    norm: str
    dropout: float

    def block(self, *before: nn.Module, times: int = 1) -> nn.Sequential:
        """`depth` convolutions that keep `times` the width."""
        width = times * self.width
        kept = [layer for _ in range(self.depth) for layer in self.convolution(width, width)]
        return nn.Sequential(*before, *kept, *layers.dropout(self.dropout))

    def convolution(self, c_in: int, c_out: int, stride: int = 1) -> list[nn.Module]:
        conv = nn.Conv2d(c_in, c_out, 3, stride, padding=1, bias=layers.has_bias(self.norm))
        return [conv, *layers.norm2d(self.norm, c_out), nn.ELU()]


def encoder(channels: int, sides: list[int], like: Blocks, code_dim: int) -> nn.Sequential:
    """Images to the code, one block for each resolution; sides from the smallest to the image's."""
    width = like.width
    blocks = [like.block(*like.convolution(channels, width))]
    for i in range(1, len(sides)):
        halved = like.convolution(i * width, (i + 1) * width, stride=2)
        blocks.append(like.block(*halved, times=i + 1))
    to_code = nn.Linear(len(sides) * width * sides[0] ** 2, code_dim)
    return nn.Sequential(*blocks, nn.Sequential(nn.Flatten(), to_code))


def decoder(inputs: int, sides: list[int], like: Blocks, channels: int) -> nn.Sequential:
    """Vectors (B, inputs) to images, one block for each resolution; not bounded."""
    width = like.width
    stem = [nn.Linear(inputs, width * sides[0] ** 2), nn.Unflatten(1, (width, sides[0], sides[0]))]
    blocks = [like.block(), *(like.block(nn.Upsample(scale_factor=2)) for _ in sides[1:])]
    return nn.Sequential(*stem, *blocks, nn.Conv2d(width, channels, 3, padding=1))


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

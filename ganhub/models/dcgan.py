"""DCGAN: strided convolutions, batch norm, no pooling.

Radford, Metz and Chintala 2016, https://arxiv.org/abs/1511.06434. Deviations: kernels of 3, 4 or 5, any power-of-two
resolution from 16 to 256, logits instead of a sigmoid output, D's norm can be left out (a gradient penalty is per
sample, batch norm is not), and optional classes: a label embedding beside z in G, a projection head in D (Miyato and
Koyama 2018, https://arxiv.org/abs/1802.05637).
"""

import torch
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from ganhub.models import base

MAX_LEVEL_WIDTH = 512  # channels stop doubling here, as in the paper's discriminator


class Generator(base.Generator):
    """Latents to images through transposed convolutions.

    Args:
        resolution: side of the image in pixels, a power of two from 16 to 256.
        channels: 1 or 3.
        latent_dim: length of z.
        num_classes: 0 for an unconditional model.
        width: channels at half the resolution; they double towards 4x4, up to 512.
        kernel: 3, 4 or 5.
        label_dim: length of the label embedding beside z; unused without classes.
    """

    arch = "dcgan"

    @register_to_config
    def __init__(
        self,
        resolution: int = 64,
        channels: int = 3,
        latent_dim: int = 100,
        num_classes: int = 0,
        width: int = 64,
        kernel: int = 4,
        label_dim: int = 64,
    ):
        super().__init__()
        widths = level_widths("dcgan", resolution, width)[::-1]
        check_kernel(kernel)
        base.check_sizes("dcgan", resolution, channels, num_classes, latent_dim=latent_dim, label_dim=label_dim)
        self.embed = nn.Embedding(num_classes, label_dim) if num_classes else None
        inputs = latent_dim + (label_dim if num_classes else 0)
        self.stem = _norm_relu(nn.ConvTranspose2d(inputs, widths[0], 4, bias=False))  # (B, 512, 4, 4)
        self.blocks = nn.Sequential(
            *(_norm_relu(upsample(a, b, kernel, bias=False)) for a, b in zip(widths, widths[1:]))
        )  # (B, width, R/2, R/2)
        self.to_image = upsample(widths[-1], channels, kernel, bias=True)
        self.apply(init_weights)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        if self.embed is not None:
            z = torch.cat([z, self.embed(labels)], dim=1)
        return self.to_image(self.blocks(self.stem(z[:, :, None, None]))).tanh()


class Discriminator(base.Discriminator):
    """Images to logits through strided convolutions.

    Args:
        resolution, channels, num_classes, kernel: as in the generator.
        width: channels at half the resolution; they double towards 4x4, up to 512.
        norm: "batch" (the paper: everywhere but at the input) or "none" (for gradient penalties).
    """

    arch = "dcgan"

    @register_to_config
    def __init__(
        self,
        resolution: int = 64,
        channels: int = 3,
        num_classes: int = 0,
        width: int = 64,
        kernel: int = 4,
        norm: str = "batch",
    ):
        super().__init__()
        widths = level_widths("dcgan", resolution, width)
        check_kernel(kernel)
        base.check_sizes("dcgan", resolution, channels, num_classes)
        if norm not in ("batch", "none"):
            raise ValueError(f"dcgan needs norm 'batch' or 'none', got {norm!r}")

        def down(c_in: int, c_out: int, normed: bool) -> nn.Sequential:
            conv = nn.Conv2d(c_in, c_out, kernel, 2, (kernel - 1) // 2, bias=not normed)
            return nn.Sequential(conv, *([nn.BatchNorm2d(c_out)] if normed else []), nn.LeakyReLU(0.2))

        self.blocks = nn.Sequential(
            down(channels, widths[0], normed=False),
            *(down(a, b, normed=norm == "batch") for a, b in zip(widths, widths[1:])),
        )  # (B, 512, 4, 4)
        self.to_logit = nn.Conv2d(widths[-1], 1, 4)
        self.embed = nn.Embedding(num_classes, widths[-1]) if num_classes else None
        self.apply(init_weights if norm == "batch" else init_he)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        features = self.blocks(images)
        logits = self.to_logit(features).flatten()
        if self.embed is not None:
            logits = logits + (self.embed(labels) * features.mean((2, 3))).sum(1)  # projection
        return logits


def level_widths(name: str, resolution: int, width: int) -> list[int]:
    """Channels from half the resolution down to 4x4: [64, 128, 256, 512] for width 64 at 64x64."""
    if resolution not in (16, 32, 64, 128, 256):
        raise ValueError(f"{name} needs a power-of-two resolution from 16 to 256, got {resolution}")
    base.check_sizes(name, resolution, channels=3, num_classes=0, width=width)
    levels = resolution.bit_length() - 3
    return [min(width * 2**i, max(width, MAX_LEVEL_WIDTH)) for i in range(levels)]


def check_kernel(kernel: int) -> None:
    if kernel not in (3, 4, 5):
        raise ValueError(f"dcgan needs a kernel of 3, 4 or 5, got {kernel}")


def upsample(c_in: int, c_out: int, kernel: int, bias: bool) -> nn.ConvTranspose2d:
    """A transposed convolution that doubles the side exactly, whatever the kernel."""
    return nn.ConvTranspose2d(c_in, c_out, kernel, 2, (kernel - 1) // 2, output_padding=kernel % 2, bias=bias)


def _norm_relu(conv: nn.ConvTranspose2d) -> nn.Sequential:
    return nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU())


def init_weights(module: nn.Module) -> None:
    """N(0, 0.02) weights, as in section 4 of the paper."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)


def init_he(module: nn.Module) -> None:
    """He et al. 2015, https://arxiv.org/abs/1502.01852: without a norm, N(0, 0.02) would silence the deeper layers."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, a=0.2)

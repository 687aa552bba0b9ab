"""Residual networks: upsampling in the generator, average pooling in the discriminator.

The shape of WGAN-GP (Gulrajani et al. 2017, https://arxiv.org/abs/1704.00028) and SNGAN (Miyato et al. 2018,
https://arxiv.org/abs/1802.05957). With width 64 at 64x64, G's 512, 512, 256, 128 and 64 channels are WGAN-GP's; D's 64,
128, 256 and 512 begin as SNGAN's do for ImageNet, with a block that takes the image (WGAN-GP: a convolution, then 128,
256, 512, 512). At 32x32 SNGAN's G is width=256, max_width=256, and D's widths are width=128, max_width=128. A class
sets the scale and shift of G's norms and is projected on D's code (Miyato and Koyama 2018,
https://arxiv.org/abs/1802.05637); `attention` is SAGAN's (https://arxiv.org/abs/1805.08318), `mapping` after StyleGAN's
(ganhub.models.mapping). Deviations: channels stop doubling at `max_width`; D halves down to 4x4 and only its last block
keeps the size, where SNGAN's at 32x32 keeps 8x8 in the last two; convolutions are drawn with one gain, shortcuts have
no bias.

`grow_from` makes both networks grow (Karras et al. 2018, https://arxiv.org/abs/1710.10196): each resolution from there
up has its own exit from G and its own entrance to D. Their images keep the full resolution at every level, so that
nothing around the networks need know of it: G enlarges what it makes, D shrinks what it is shown. While a level fades
in, the paper blends real images as G blends its own: that is D's `blend`, for whoever shows it real images. Its
`forward` blends none, because G's images, already blended, would lose their detail twice.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from ganhub.models import base, layers
from ganhub.models.mapping import MAX_DEPTH, Mapping, split_length
from ganhub.models.residual import UPSAMPLINGS, DownBlock, SelfAttention, UpBlock, double
from ganhub.models.screen import Screen

OUTPUTS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "clamp": nn.Hardtanh}
MAX_ATTENTION = 64  # its weights are a matrix of all pixels by all pixels


class Residual:
    """What both networks have: attention, and the level they work at, from 0 (`grow_from`) to `levels` (full size).

    A fraction blends two levels. The level isn't saved: a fresh or loaded network works at its full resolution.
    """

    grows = True
    level: float
    levels: int
    self_attention: SelfAttention | None
    config: Any

    def grow_to(self, level: float) -> None:
        """Work at this level from now on.

        Raises:
            ValueError: there is no such level.
        """
        if not 0 <= level <= self.levels:
            raise ValueError(f"resnet has levels from 0 to {self.levels}, got {level}")
        self.level = float(level)

    def split_level(self) -> tuple[int, float]:
        """The level below and how far the next one has faded in."""
        whole = math.floor(self.level)
        return whole, self.level - whole

    def attend(self, x: Tensor) -> Tensor:
        return x if self.self_attention is None or x.shape[2] != self.config.attention else self.self_attention(x)


class Generator(Residual, base.Generator):
    """Latents to images through residual blocks.

    Args:
        resolution: side of the image in pixels, a power of two from 16 to 256.
        channels: 1 or 3.
        latent_dim: length of z.
        num_classes: 0 for an unconditional model.
        width: channels at the full resolution; they double towards 4x4, up to max_width.
        max_width: see width.
        norm: "batch", "instance", "layer" or "none".
        attention: side of the map that gets self-attention, from 8 to half the resolution and at most 64; 0 for none.
        dropout: share of the numbers between a block's convolutions that is dropped.
        spectral_norm: divide the weight of every convolution and of the stem by its spectral norm.
        init: how these weights are drawn, a name in ganhub.models.layers.INITS.
        grow_from: resolution of level 0, a power of two from 4 to half the resolution; 0 for a network that is grown.
        output: what brings pixels to [-1, 1], a name in OUTPUTS: "tanh", or "clamp", which reaches pure black and white
            and loses what is faint beside them; a pixel beyond has no gradient of its own, and comes back only by
            weights that other pixels move.
        mapping: layers of the mapping network, which makes a style of z; the style enters below and scales and shifts
            every block's norms, in place of the class. 0 for none.
        upsampling: a name in UPSAMPLINGS: "nearest", or "bilinear", which leaves less of a grid on even areas
            (StyleGAN, https://arxiv.org/abs/1812.04948, appendix C).
        screen: the block after which a screen looks (ganhub.models.screen), counted from 1; 0 for none.
        latent, latent_scale: the noise, "normal" or "uniform", and what it is multiplied by; see base.Generator.noise.
    """

    arch = "resnet"

    @register_to_config
    def __init__(
        self,
        resolution: int = 32,
        channels: int = 3,
        latent_dim: int = 128,
        num_classes: int = 0,
        width: int = 64,
        max_width: int = 512,
        norm: str = "batch",
        attention: int = 0,
        dropout: float = 0.0,
        spectral_norm: bool = False,
        init: str = "xavier",
        grow_from: int = 0,
        output: str = "tanh",
        mapping: int = 0,
        upsampling: str = "nearest",
        screen: int = 0,
        latent: str = "normal",
        latent_scale: float = 1.0,
    ):
        super().__init__()
        base.check_latent("resnet", latent, latent_scale)
        base.check_sizes(
            "resnet", resolution, channels, num_classes, latent_dim=latent_dim, width=width, max_width=max_width
        )
        base.check_flags("resnet", spectral_norm=spectral_norm)
        check_options(resolution, attention, grow_from, norm)
        base.check_whole("resnet", mapping=mapping, screen=screen)
        if not 0 <= mapping <= MAX_DEPTH:
            raise ValueError(f"resnet needs a mapping network of 0 to {MAX_DEPTH} layers, got {mapping}")
        base.check_choices("resnet", output=(output, tuple(OUTPUTS)), upsampling=(upsampling, tuple(UPSAMPLINGS)))
        times = base.doublings(resolution)
        widths = [base.widen(width, max_width, i) for i in range(times, -1, -1)]  # at 4x4, 8x8, ... RxR
        if not 0 <= screen < len(widths):
            raise ValueError(f"resnet at {resolution}x{resolution} needs a screen of 0 to {times}, got {screen}")
        start = base.doublings(grow_from or resolution)
        self.levels = len(widths) - 1 - start
        self.level = float(self.levels)
        style_dim = latent_dim if mapping else 0
        self.stem = nn.Linear(latent_dim, widths[0] * 4 * 4)
        self.blocks = nn.ModuleList(
            UpBlock(a, b, norm, num_classes, dropout, upsampling, style_dim) for a, b in zip(widths, widths[1:])
        )
        self.self_attention = SelfAttention(widths[base.doublings(attention)]) if attention else None
        self.to_image = nn.ModuleList(
            nn.Sequential(*layers.norm2d(norm, w), nn.ReLU(), nn.Conv2d(w, channels, 3, padding=1), OUTPUTS[output]())
            for w in widths[start:]
        )
        layers.prepare_weights(self, init, spectral_norm)
        self.mapping_network = Mapping(latent_dim, num_classes, mapping) if mapping else None  # draws its own weights
        self.screening = Screen(widths[screen], num_classes) if screen else None

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        low, fade = self.split_level()
        reached = len(self.blocks) - self.levels + low
        code, told = self.read(z, labels)
        x = self.maps(code, told, reached)
        images = self.to_image[low](x)
        if fade:
            x = self.attend(self.blocks[reached](x, told))
            images = torch.lerp(double(images), self.to_image[low + 1](x), fade)
        factor = self.config.resolution // images.shape[2]
        return F.interpolate(images, scale_factor=float(factor)) if factor > 1 else images

    def read(self, z: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """What the stem is given, and what the blocks' norms are told."""
        if self.mapping_network is None:
            return self.noise(z), labels
        direction, length = split_length(z)
        style = self.mapping_network(self.noise(direction), length, labels)
        return style, style

    def maps(self, code: Tensor, told: Tensor | None, depth: int) -> Tensor:
        """The maps (B, C, H, W) after so many blocks, of what `read` gives."""
        x = self.stem(code).unflatten(1, (-1, 4, 4))
        for block in self.blocks[:depth]:
            x = self.attend(block(x, told))
        return x

    def doubt(self, z: Tensor, labels: Tensor | None = None) -> Tensor | None:
        if self.screening is None:
            return None
        return self.screening(self.maps(*self.read(z, labels), self.config.screen), labels)


class Discriminator(Residual, base.Discriminator):
    """Images to logits through residual blocks.

    Args:
        resolution, channels, num_classes, max_width, attention, spectral_norm, init, grow_from: as in the generator.
        width: channels at half the resolution; they double towards 4x4, up to max_width.
        norm: "none", "layer" (WGAN-GP), "instance" or "batch"; never in the block that takes the image.
        pooling: "sum" (SNGAN) or "mean" of the last map.
        dropout: share of the last layer's inputs that is dropped.
        minibatch_discrimination: its number of kernels, on the pooled code; 0 for none.
        minibatch_stddev: append the batch's spread to the pooled code.
    """

    arch = "resnet"

    @register_to_config
    def __init__(
        self,
        resolution: int = 32,
        channels: int = 3,
        num_classes: int = 0,
        width: int = 64,
        max_width: int = 512,
        norm: str = "none",
        pooling: str = "sum",
        attention: int = 0,
        dropout: float = 0.0,
        minibatch_discrimination: int = 0,
        minibatch_stddev: bool = False,
        spectral_norm: bool = False,
        init: str = "xavier",
        grow_from: int = 0,
    ):
        super().__init__()
        base.check_sizes("resnet", resolution, channels, num_classes, width=width, max_width=max_width)
        base.check_flags("resnet", minibatch_stddev=minibatch_stddev, spectral_norm=spectral_norm)
        check_options(resolution, attention, grow_from, norm)
        base.check_choices("resnet", pooling=(pooling, ("sum", "mean")))
        times = base.doublings(resolution)
        widths = [base.widen(width, max_width, i) for i in range(times - 1, -1, -1)]  # at 4x4, 8x8, ... R/2
        start = base.doublings(grow_from or resolution)
        self.levels = len(widths) - start
        self.level = float(self.levels)
        self.from_image = nn.ModuleList(
            DownBlock(channels, widths[max(i - 1, 0)], first=True, pool=i > 0) for i in range(start, len(widths) + 1)
        )  # the one for 4x4 images keeps their size
        self.self_attention = SelfAttention(widths[base.doublings(attention)]) if attention else None
        self.blocks = nn.ModuleList(DownBlock(a, b, norm) for a, b in zip(widths[:0:-1], widths[-2::-1]))
        self.last = nn.Sequential(DownBlock(widths[0], widths[0], norm, pool=False), nn.ReLU())  # (B, 512, 4, 4)
        self.head = head(widths[0], dropout, minibatch_discrimination, minibatch_stddev)
        self.embed = nn.Embedding(num_classes, widths[0]) if num_classes else None
        layers.init_weights(self, init)
        if self.embed is not None:
            nn.init.xavier_uniform_(self.embed.weight)
        if spectral_norm:
            layers.add_spectral_norm(self)

    def hidden(self, images: Tensor, labels: Tensor | None = None) -> list[Tensor]:
        low, fade = self.split_level()
        x = self.enter(images, low)
        skipped = self.levels - low  # blocks that are for larger images
        if fade:
            larger = self.attend(self.enter(images, low + 1))
            x = torch.lerp(x, self.blocks[skipped - 1](larger) if larger.shape[2] > x.shape[2] else larger, fade)
        maps = [x]
        for block in self.blocks[skipped:]:
            maps.append(block(self.attend(maps[-1])))
        maps.append(self.last(maps[-1]))
        pooled = maps[-1].sum((2, 3)) if self.config.pooling == "sum" else maps[-1].mean((2, 3))
        return [*maps, pooled]

    def enter(self, images: Tensor, level: int) -> Tensor:
        """The first map of images (B, C, R, R) at a level: shrunk to its resolution and through its entrance."""
        factor = 2 ** (self.levels - level)
        return self.from_image[level](F.avg_pool2d(images, factor) if factor > 1 else images)

    def blend(self, images: Tensor) -> Tensor:
        """Real images (B, C, R, R) as G would give them at this level: without the detail that it can't draw yet."""
        low, fade = self.split_level()
        coarse, fine = (coarsen(images, 2 ** (self.levels - level)) for level in (low, math.ceil(self.level)))
        return torch.lerp(coarse, fine, fade)

    def judge(self, code: Tensor, images: Tensor, labels: Tensor | None) -> Tensor:
        logits = self.head(code).squeeze(1)
        return base.with_projection(logits, self.embed, code, labels)


def head(features: int, rate: float, kernels: int, stddev: bool) -> nn.Sequential:
    """Code (B, F) -> (B, 1)."""
    compare = layers.minibatch(features, kernels, stddev)
    return nn.Sequential(*compare, *layers.dropout(rate), nn.Linear(features + kernels + stddev, 1))


def coarsen(images: Tensor, factor: int) -> Tensor:
    """Each square of that side becomes its mean."""
    return F.interpolate(F.avg_pool2d(images, factor), scale_factor=float(factor)) if factor > 1 else images


def check_options(resolution: int, attention: int, grow_from: int, norm: str) -> None:
    base.check_whole("resnet", attention=attention, grow_from=grow_from)
    base.check_doublings("resnet", resolution)
    sides = [4 * 2**i for i in range(base.doublings(resolution))]  # 4 to half the resolution
    if attention not in (0, *(side for side in sides[1:] if side <= MAX_ATTENTION)):
        raise ValueError(
            f"resnet needs attention at a power of two from 8 to {min(sides[-1], MAX_ATTENTION)}, got {attention!r}"
        )
    if grow_from not in (0, *sides):
        raise ValueError(
            f"resnet at {resolution} needs grow_from a power of two from 4 to {sides[-1]}, got {grow_from!r}"
        )
    layers.check_norm("resnet", norm)

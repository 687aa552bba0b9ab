"""The blocks of the `resnet` family: residual up and down, norms told by a class or by a style, attention."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganhub.models.base import need_labels
from ganhub.models.layers import dropout, has_bias, norm2d


class ClassNorm(nn.Module):
    """Maps (B, C, H, W) -> the same shape, normalised, then scaled and shifted by channel.

    With classes each has its own scale and shift: conditional batch norm, Dumoulin et al. 2017
    (https://arxiv.org/abs/1610.07629) and section 4 of Miyato and Koyama 2018 (https://arxiv.org/abs/1802.05637), here
    for the other norms too.
    """

    def __init__(self, kind: str, channels: int, num_classes: int):
        super().__init__()
        normed = norm2d(kind, channels)
        if num_classes:
            plain: dict[str, nn.Module] = {
                "batch": nn.BatchNorm2d(channels, affine=False),
                "instance": nn.InstanceNorm2d(channels),
                "layer": nn.GroupNorm(1, channels, affine=False),
            }
            normed = [plain[kind]] if kind in plain else []
            self.scale = nn.Parameter(torch.ones(num_classes, channels))
            self.shift = nn.Parameter(torch.zeros(num_classes, channels))
        self.norm = nn.Sequential(*normed)
        self.num_classes = num_classes

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        x = self.norm(x)
        if not self.num_classes:
            return x
        labels = need_labels(labels)
        # not table[labels]: on several threads its gradient is summed in another order every time
        rows = (F.embedding(labels, table) for table in (self.scale, self.shift))  # (B, C)
        scale, shift = (row[:, :, None, None] for row in rows)  # (B, C, 1, 1)
        return x * scale + shift


class StyleNorm(nn.Module):
    """Maps (B, C, H, W), style (B, S) -> (B, C, H, W), normalised, then scaled and shifted by what the style says.

    Chen et al. 2019 (self-modulation, https://arxiv.org/abs/1810.01365) with a style in place of z. It starts as the
    norm alone: a style says nothing before it has learnt to.
    """

    def __init__(self, kind: str, channels: int, style_dim: int):
        super().__init__()
        self.norm = nn.Sequential(*norm2d(kind, channels))
        self.scale = nn.Parameter(torch.zeros(channels, style_dim))
        self.shift = nn.Parameter(torch.zeros(channels, style_dim))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        scale, shift = (F.linear(style, table)[:, :, None, None] for table in (self.scale, self.shift))  # (B, C, 1, 1)
        return self.norm(x) * (1 + scale) + shift


class UpBlock(nn.Module):
    """Maps (B, c_in, H, W) -> (B, c_out, 2H, 2W): norm, ReLU, upsampling and two convolutions beside a shortcut.

    Args:
        upsampling: a name in UPSAMPLINGS.
        style_dim: length of the style that its norms listen to; 0 where they listen to labels, or to nothing.
    """

    def __init__(
        self, c_in: int, c_out: int, norm: str, num_classes: int, rate: float, upsampling: str, style_dim: int = 0
    ):
        super().__init__()
        bias = has_bias(norm)
        self.upsample = UPSAMPLINGS[upsampling]
        self.norms = nn.ModuleList(
            StyleNorm(norm, c, style_dim) if style_dim else ClassNorm(norm, c, num_classes) for c in (c_in, c_out)
        )
        self.first = nn.Conv2d(c_in, c_out, 3, padding=1, bias=bias)
        self.second = nn.Sequential(*dropout(rate), nn.Conv2d(c_out, c_out, 3, padding=1, bias=bias))
        self.shortcut = nn.Conv2d(c_in, c_out, 1, bias=False)

    def forward(self, x: Tensor, told: Tensor | None) -> Tensor:
        """`told`: the style (B, style_dim), or the labels (B,)."""
        y = self.first(self.upsample(self.norms[0](x, told).relu()))
        y = self.second(self.norms[1](y, told).relu())
        return y + self.upsample(self.shortcut(x))


class DownBlock(nn.Module):
    """Maps (B, c_in, H, W) -> (B, c_out, H/2, W/2): twice norm, ReLU, convolution beside a shortcut, then pooling.

    Args:
        first: it takes images: nothing comes before the first convolution, and there is no norm.
        pool: False keeps the size.
    """

    def __init__(self, c_in: int, c_out: int, norm: str = "none", first: bool = False, pool: bool = True):
        super().__init__()
        hidden = c_out if first else c_in
        bias = has_bias(norm)
        self.residual = nn.Sequential(
            *([] if first else [*norm2d(norm, c_in), nn.ReLU()]),
            nn.Conv2d(c_in, hidden, 3, padding=1, bias=bias),
            *norm2d(norm, hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, c_out, 3, padding=1),
        )
        self.shortcut = nn.Conv2d(c_in, c_out, 1, bias=False) if pool or c_in != c_out else nn.Identity()
        self.pool = nn.AvgPool2d(2) if pool else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(self.residual(x)) + self.shortcut(self.pool(x))


class SelfAttention(nn.Module):
    """Maps (B, C, H, W) -> the same shape: every pixel adds what it finds at all others.

    Zhang et al. 2019, https://arxiv.org/abs/1805.08318, section 3, with their C/8 channels. The gate (their gamma)
    starts at 0, so that the network learns its neighbourhoods first; until the gate has moved, nothing else in here has
    a gradient.
    """

    def __init__(self, channels: int):
        super().__init__()
        inner = max(channels // 8, 1)
        self.query, self.key, self.value = (nn.Conv2d(channels, inner, 1, bias=False) for _ in range(3))
        self.output = nn.Conv2d(inner, channels, 1, bias=False)
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (conv(x).flatten(2) for conv in (self.query, self.key, self.value))  # (B, C/8, HW)
        weights = (query.transpose(1, 2) @ key).softmax(2)  # (B, HW, HW): rows sum to 1
        found = (value @ weights.transpose(1, 2)).unflatten(2, x.shape[2:])  # (B, C/8, H, W)
        return x + self.gate * self.output(found)


def double(x: Tensor) -> Tensor:
    """Maps at twice the side: every pixel becomes four."""
    return F.interpolate(x, scale_factor=2.0)


def double_smoothly(x: Tensor) -> Tensor:
    """Maps at twice the side, bilinearly: every pixel becomes four, then two means of 2x2 weigh [1, 2, 1] each way.

    The same as `F.interpolate(mode="bilinear")`, whose backward pass on CUDA differs from one time to the next.
    """
    means = F.avg_pool2d(double(x), 2, stride=1, padding=1, count_include_pad=False)  # one more each way
    return F.avg_pool2d(means, 2, stride=1)


UPSAMPLINGS: dict[str, Callable[[Tensor], Tensor]] = {"nearest": double, "bilinear": double_smoothly}

"""A mapping network in front of a generator: it turns latents into styles, between which there is a straight way.

After StyleGAN (Karras et al. 2019, https://arxiv.org/abs/1812.04948): latents lie near a sphere of radius sqrt(d),
styles need not, so that what lies between two styles, or between a style and their mean, is still drawn well.

Deviations: as few layers as asked for, at the network's own rate, the last without an activation; and truncation needs
no argument. A latent's length says it: one of 0.7 sqrt(d), which `ganhub.latents.truncate` makes of 0.7, gives a style
at 0.7 of its way from the mean. So it is in training too, where lengths differ from sqrt(d) by a few per cent, and by
more where latents are short.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, distributed, nn

from ganhub.models.base import need_labels

MAX_DEPTH = 8  # StyleGAN's
FORGET = 0.01  # of the running mean of the styles, at every pass in training mode
SLOPE = 0.2


class Mapping(nn.Module):
    """Maps z (B, latent_dim), labels (B,) -> styles (B, latent_dim).

    Its weights are drawn so that styles vary as much as latents (He et al. 2015, https://arxiv.org/abs/1502.01852),
    whatever the rest of a generator does: make it after the others' weights are drawn and normed.

    Args:
        latent_dim: length of z and of a style.
        num_classes: 0 without classes; else each class has a vector of its own beside z, and a mean style of its own.
        depth: number of layers.
    """

    mean: Tensor

    def __init__(self, latent_dim: int, num_classes: int, depth: int):
        super().__init__()
        self.classes = nn.Embedding(num_classes, latent_dim) if num_classes else None
        widths = [latent_dim * (2 if num_classes else 1)] + [latent_dim] * depth
        layers = [nn.Linear(a, b) for a, b in zip(widths, widths[1:])]
        for i, layer in enumerate(layers):
            gain = 2 / (1 + SLOPE**2) if i else 1  # a leaky ReLU comes before
            nn.init.normal_(layer.weight, 0.0, math.sqrt(gain / layer.in_features))
            nn.init.zeros_(layer.bias)
        self.layers = nn.ModuleList(layers)
        self.register_buffer("mean", torch.zeros(max(num_classes, 1), latent_dim))

    def forward(self, z: Tensor, length: Tensor, labels: Tensor | None) -> Tensor:
        """Styles of the directions z, as far from the mean as `length` (B, 1) says: 1 for as far as they are."""
        if self.classes is not None:
            labels = need_labels(labels)
            z = torch.cat([z, self.classes(labels)], dim=1)
        else:
            labels = torch.zeros(len(z), dtype=torch.long, device=z.device)
        styles = self.styles(z)
        if self.training:
            self.update(styles.detach(), labels)
        return torch.lerp(self.mean[labels].to(styles.dtype), styles, length.to(styles.dtype))

    def styles(self, x: Tensor) -> Tensor:
        """All layers, with leaky ReLUs between them."""
        for layer in self.layers[:-1]:
            x = F.leaky_relu(layer(x), SLOPE)
        return self.layers[-1](x)

    @torch.no_grad()
    def update(self, styles: Tensor, labels: Tensor) -> None:
        """Move the mean of every class in the batch, of all processes, towards the mean of its styles."""
        with torch.autocast(styles.device.type, enabled=False):
            members = F.one_hot(labels, len(self.mean)).to(self.mean.dtype)  # (B, classes)
            sums = torch.cat([members.T @ styles.to(self.mean.dtype), members.sum(0)[:, None]], dim=1)
            if distributed.is_available() and distributed.is_initialized():
                distributed.all_reduce(sums)  # or each would train another generator
            sums, counts = sums[:, :-1], sums[:, -1:]
            self.mean.lerp_(torch.where(counts > 0, sums / counts.clamp(min=1), self.mean), FORGET)


def split_length(z: Tensor) -> tuple[Tensor, Tensor]:
    """z (B, d) -> the same directions at length sqrt(d), and how long they were (B, 1), 1 for sqrt(d)."""
    length = z.norm(dim=1, keepdim=True) / math.sqrt(z.shape[1])
    return z / length.clamp(min=1e-6), length

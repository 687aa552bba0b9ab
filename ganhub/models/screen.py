"""A screen: it tells from a generator's early maps which latents would become broken pictures, to draw these again.

Rejection sampling, as in Azadi et al. 2019 (https://arxiv.org/abs/1810.06758), with another judge. There the
discriminator's logit decides; in the models here that logit doesn't tell broken pictures from others. The generator's
own maps do, long before there is a picture: a linear function of them, fitted to samples that were marked by eye
(`python -m training screen`; docs/zoo.md has numbers). That such a fault sits in single units of a generator, and can
be learnt from marks, is from Bau et al. 2019 (https://arxiv.org/abs/1811.10597) and Tousi et al. 2021
(https://arxiv.org/abs/2104.09917), who switch these units off.
"""

import torch
from torch import Tensor, nn


class Screen(nn.Module):
    """Maps (B, C, H, W), labels (B,) -> doubts (B,); above 0 a latent is to be drawn again.

    Buffers, not parameters: a screen belongs to a finished generator and isn't trained with it. A new one doubts
    nothing.

    Args:
        channels: C.
        num_classes: 0 without classes; else each class has an offset of its own.
    """

    weight: Tensor
    offset: Tensor

    def __init__(self, channels: int, num_classes: int):
        super().__init__()
        self.register_buffer("weight", torch.zeros(3 * channels))
        self.register_buffer("offset", torch.zeros(max(num_classes, 1)))

    def forward(self, maps: Tensor, labels: Tensor | None) -> Tensor:
        return pooled(maps) @ self.weight + (self.offset if labels is None else self.offset[labels])


def pooled(maps: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, 3 C): every channel's mean, deviation and maximum."""
    deviation, mean = torch.std_mean(maps, (2, 3))
    return torch.cat([mean, deviation, maps.amax((2, 3))], dim=1)

"""Adversarial objectives: pairs of pure functions on logits.

`d_loss(real, fake)` and `g_loss(fake, real)` take logits (B,) and return a scalar to minimise. Logits are unbounded and
larger means "more real". Only a relativistic objective looks at `real` in `g_loss`; the others get None there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Objective:
    d_loss: Callable[[Tensor, Tensor], Tensor]
    g_loss: Callable[[Tensor, Any], Tensor]
    relativistic: bool = False  # does g_loss need the logits of real images?


def cross_entropy(real: Tensor, fake: Tensor) -> Tensor:
    """-log sigmoid(real) - log(1 - sigmoid(fake)): the discriminator's side of both 2014 losses."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


# Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661, section 3: G maximises log D(G(z)).
non_saturating = Objective(cross_entropy, lambda fake, _: F.softplus(-fake).mean())

# The same paper's equation 1: G minimises log(1 - D(G(z))), whose gradient vanishes while D wins.
minimax = Objective(cross_entropy, lambda fake, _: -F.softplus(fake).mean())

# Lim and Ye 2017, https://arxiv.org/abs/1705.02894.
hinge = Objective(
    d_loss=lambda real, fake: F.relu(1 - real).mean() + F.relu(1 + fake).mean(),
    g_loss=lambda fake, _: -fake.mean(),
)

# Mao et al. 2017, https://arxiv.org/abs/1611.04076, with targets 0 and 1.
least_squares = Objective(
    d_loss=lambda real, fake: ((real - 1).square().mean() + fake.square().mean()) / 2,
    g_loss=lambda fake, _: (fake - 1).square().mean() / 2,
)

# RpGAN: Jolicoeur-Martineau 2018, https://arxiv.org/abs/1807.00734; with R1 and R2 it is R3GAN's loss
# (Huang et al. 2024, https://arxiv.org/abs/2501.05441).
relativistic = Objective(
    d_loss=lambda real, fake: F.softplus(fake - real).mean(),
    g_loss=lambda fake, real: F.softplus(real - fake).mean(),
    relativistic=True,
)

OBJECTIVES: dict[str, Objective] = {
    "non_saturating": non_saturating,
    "minimax": minimax,
    "hinge": hinge,
    "least_squares": least_squares,
    "relativistic": relativistic,
}

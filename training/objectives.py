"""Adversarial objectives: pure functions on logits.

`d_loss(real, fake)` and `g_loss(fake, real)` take logits (B,) and return a scalar to minimise. Logits are unbounded and
larger means "more real"; an auto-encoder's logit is its negated reconstruction error. Only a relativistic objective
looks at `real` in `g_loss`; the others get None there. An objective's arguments are keywords with defaults.

Most discriminators here judge each image by itself, against a label: 1 for real, 0 for generated. `classifying` makes
such an objective from that one loss, and so every trick on labels works with all of them. A new objective is one entry
here; nothing else needs to know of it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Memory = dict[str, Tensor]


@dataclass(frozen=True)
class Objective:
    d_loss: Callable[..., Tensor]
    g_loss: Callable[..., Tensor]
    loss: Callable[..., Tensor] | None = None
    """(logits (B,), labels (B,), **arguments) -> losses (B,): D's loss for each image, whatever its label."""
    arguments: dict[str, float] = field(default_factory=dict)
    """What `recipe.objective_args` may set, with its defaults."""
    relativistic: bool = False
    """Does g_loss need the logits of real images?"""
    one_stage: bool = False
    """Does D's loss rise with each generated image's logit, however low that is, so that G's slope follows from D's?"""
    boundary: float | None = None
    """The logit at which D is undecided; None where only differences mean anything."""
    lipschitz: bool = False
    """Does the theory need D to be Lipschitz: by clipped weights, a gradient penalty or spectral norm?"""
    autoencoder: bool = False
    """Must the logit be a negated reconstruction error?"""
    memory: dict[str, float] = field(default_factory=dict)
    """Numbers that the objective carries from step to step, with their first values; d_loss gets them as keywords."""
    remember: Callable[..., tuple[Memory, Memory]] | None = None
    """(mean real logit, mean fake logit, **memory, **arguments) -> the memory from now on, and what to log."""


def classifying(loss: Callable[..., Tensor], g_loss: Callable[..., Tensor], **facts: Any) -> Objective:
    """An objective whose D has the same loss for every image but for the label."""

    def d_loss(real: Tensor, fake: Tensor, **arguments: Any) -> Tensor:
        judged_real, judged_fake = (
            loss(real, torch.ones_like(real), **arguments),
            loss(fake, torch.zeros_like(fake), **arguments),
        )
        return judged_real.mean() + judged_fake.mean()

    return Objective(d_loss, g_loss, loss, **facts)


def raise_logit(fake: Tensor, _: Tensor | None = None, **arguments: float) -> Tensor:
    """G's loss wherever the logit itself is the score."""
    return -fake.mean()


SURE = 16.118  # the logit of 1 - 1e-7, where Keras clips probabilities


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """-label log sigmoid(logit) - (1 - label) log(1 - sigmoid(logit)).

    A label outside [0, 1], which label noise makes, would reward ever larger logits; as in Keras that ends at `SURE`.
    """
    inside = labels.clamp(0, 1)
    return F.softplus(logits) - inside * logits - (labels - inside) * logits.clamp(-SURE, SURE)


# Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661, section 3: G maximises log D(G(z)).
non_saturating = classifying(cross_entropy, lambda fake, _: F.softplus(-fake).mean(), one_stage=True, boundary=0.0)

# The same paper's equation 1: G minimises log(1 - D(G(z))), whose gradient vanishes while D wins.
minimax = classifying(cross_entropy, lambda fake, _: -F.softplus(fake).mean(), one_stage=True, boundary=0.0)

# Mao et al. 2017, https://arxiv.org/abs/1611.04076, with targets 0 and 1.
least_squares = classifying(
    lambda logits, labels: (logits - labels).square() / 2,
    lambda fake, _: (fake - 1).square().mean() / 2,
    boundary=0.5,
)


def hinge_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """label max(0, 1 - logit) + (1 - label) max(0, 1 + logit); labels outside [0, 1] count as the nearer of them."""
    labels = labels.clamp(0, 1)
    return labels * F.relu(1 - logits) + (1 - labels) * F.relu(1 + logits)


# Lim and Ye 2017, https://arxiv.org/abs/1705.02894.
hinge = classifying(hinge_loss, raise_logit, boundary=0.0)

# Arjovsky et al. 2017, https://arxiv.org/abs/1701.07875; with the penalty wgan_gp it is WGAN-GP.
wasserstein = classifying(lambda logits, labels: (1 - 2 * labels) * logits, raise_logit, one_stage=True, lipschitz=True)


def capsule_margin(logits: Tensor, labels: Tensor, upper: float, lower: float, down: float) -> Tensor:
    """label max(0, upper - v)^2 + down (1 - label) max(0, v - lower)^2 for capsules of length v = sigmoid(logit)."""
    length = logits.sigmoid()
    return labels * F.relu(upper - length).square() + down * (1 - labels) * F.relu(length - lower).square()


# Sabour et al. 2017, https://arxiv.org/abs/1710.09829, equation 4, on a discriminator as in Jaiswal et al. 2018
# (https://arxiv.org/abs/1802.06167). G's own margin loss vanishes where D is sure; it takes the non-saturating one.
margin = classifying(
    capsule_margin,
    lambda fake, _, **arguments: F.softplus(-fake).mean(),
    arguments={"upper": 0.9, "lower": 0.1, "down": 0.5},
    boundary=0.0,
)

# Zhao et al. 2017, https://arxiv.org/abs/1609.03126: D's error is to be low on real images and at least `margin` on
# generated ones. The pulling-away term is `recipe.pull_away`.
ebgan = classifying(
    lambda logits, labels, margin: -labels * logits + (1 - labels) * F.relu(margin + logits),
    raise_logit,
    arguments={"margin": 1.0},
    autoencoder=True,
)


def balance(real: Tensor, fake: Tensor, k: Tensor, gamma: float, k_rate: float) -> tuple[Memory, Memory]:
    """BEGAN's equilibrium: k follows gamma L(x) - L(G(z)); M = L(x) + |gamma L(x) - L(G(z))| measures convergence.

    L(G(z)) is that of the images which D has just seen, so k moves once a discriminator step.
    """
    difference = fake - gamma * real  # errors are negated logits
    return {"k": (k + k_rate * difference).clamp(0, 1)}, {"k": k, "convergence": -real + difference.abs()}


# Berthelot et al. 2017, https://arxiv.org/abs/1703.10717: D minimises L(x) - k L(G(z)).
began = classifying(
    lambda logits, labels, k, **arguments: -labels * logits + k * (1 - labels) * logits,
    raise_logit,
    arguments={"gamma": 0.5, "k_rate": 0.001},
    autoencoder=True,
    memory={"k": 0.0},
    remember=balance,
)

# RpGAN: Jolicoeur-Martineau 2018, https://arxiv.org/abs/1807.00734; with R1 and R2 it is R3GAN's loss
# (Huang et al. 2024, https://arxiv.org/abs/2501.05441).
relativistic = Objective(
    d_loss=lambda real, fake: F.softplus(fake - real).mean(),
    g_loss=lambda fake, real: F.softplus(real - fake).mean(),
    relativistic=True,
    one_stage=True,
)

OBJECTIVES: dict[str, Objective] = {
    "non_saturating": non_saturating,
    "minimax": minimax,
    "least_squares": least_squares,
    "hinge": hinge,
    "wasserstein": wasserstein,
    "margin": margin,
    "ebgan": ebgan,
    "began": began,
    "relativistic": relativistic,
}

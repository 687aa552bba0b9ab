"""Gradient penalties on the discriminator: pure functions `(critic, real, fake) -> scalar`.

`critic` maps images (B, C, R, R) to logits (B,), with labels and augmentation already bound.
Where `real` and `fake` require a gradient and were already judged, the critic answers from that pass. Weights live in
the recipe: `penalties={"r1": 1.0}`.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Critic = Callable[[Tensor], Tensor]
Penalty = Callable[[Critic, Tensor, Tensor], Tensor]


def input_gradient(critic: Critic, images: Tensor) -> Tensor:
    """d critic(x) / d x for every sample: (B, C, R, R) -> (B, C*R*R), differentiable in turn."""
    if not images.requires_grad:
        images = images.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(images).sum(), images, create_graph=True)
    return gradient.flatten(1)


def r1(critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
    """|gradient|^2 / 2 on real images: Mescheder et al. 2018, https://arxiv.org/abs/1801.04406, equation 9."""
    return input_gradient(critic, real).square().sum(1).mean() / 2


def r2(critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
    """The same on generated images, equation 10 of the same paper; R3GAN uses both."""
    return r1(critic, fake, real)


PENALTIES: dict[str, Penalty] = {"r1": r1, "r2": r2}

"""Gradient penalties on the discriminator: pure functions `(critic, real, fake) -> scalar`.

`critic` maps images (B, C, R, R) to logits (B,), with labels and augmentation already bound.
Where `real` and `fake` require a gradient and were already judged, the critic answers from that pass. Weights live in
the recipe: `penalties={"r1": 1.0}`.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Logits = Callable[[Tensor], Tensor]
Penalty = Callable[[Logits, Tensor, Tensor], Tensor]


def input_gradient(critic: Logits, images: Tensor) -> Tensor:
    """d critic(x) / d x for every sample: (B, C, R, R) -> (B, C*R*R), differentiable in turn."""
    if not images.requires_grad:
        images = images.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(images).sum(), images, create_graph=True)
    return gradient.flatten(1)


def r1(critic: Logits, real: Tensor, fake: Tensor) -> Tensor:
    """|gradient|^2 / 2 on real images: Mescheder et al. 2018, https://arxiv.org/abs/1801.04406, equation 9."""
    return input_gradient(critic, real).square().sum(1).mean() / 2


def r2(critic: Logits, real: Tensor, fake: Tensor) -> Tensor:
    """The same on generated images, equation 10 of the same paper; R3GAN uses both."""
    return r1(critic, fake, real)


def one_centred(critic: Logits, images: Tensor) -> Tensor:
    """(|gradient| - 1)^2 at the given images."""
    return (input_gradient(critic, images).norm(dim=1) - 1).square().mean()


def wgan_gp(critic: Logits, real: Tensor, fake: Tensor) -> Tensor:
    """(|gradient| - 1)^2 somewhere between a real and a generated image: Gulrajani et al. 2017.

    https://arxiv.org/abs/1704.00028, algorithm 1, where its weight is 10.
    """
    share = torch.rand(len(real), 1, 1, 1, device=real.device)
    return one_centred(critic, real.detach().lerp(fake.detach(), share))


def dragan(critic: Logits, real: Tensor, fake: Tensor) -> Tensor:
    """(|gradient| - 1)^2 near the real images: Kodali et al. 2017, https://arxiv.org/abs/1705.07215, weight 10.

    As in the authors' code, an image moves by a random share of noise that is U(0, 1) times half the standard deviation
    of the batch.
    """
    noise = 0.5 * real.detach().std() * torch.rand_like(real)
    share = torch.rand(len(real), 1, 1, 1, device=real.device)
    return one_centred(critic, real.detach() + share * noise)


def pulling_away(code: Tensor) -> Tensor:
    """Mean squared cosine between the codes (B, F) of different generated images, for G to lower.

    Zhao et al. 2017, https://arxiv.org/abs/1609.03126, section 2.4; 0.1 is the paper's weight.
    """
    unit = torch.nn.functional.normalize(code)
    cosines = unit @ unit.T
    return (cosines.square().sum() - cosines.diagonal().square().sum()) / (len(code) * (len(code) - 1))


PENALTIES: dict[str, Penalty] = {"r1": r1, "r2": r2, "wgan_gp": wgan_gp, "dragan": dragan}
REUSES = {"r1": "real", "r2": "fake"}  # penalties at the very images that D judges anyway: they cost no further pass

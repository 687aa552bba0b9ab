"""A capsule discriminator against the DCGAN generator.

Sabour, Frosst and Hinton 2017, https://arxiv.org/abs/1710.09829, as a discriminator by Jaiswal et al. 2018
(https://arxiv.org/abs/1802.06167): primary capsules vote on the pose of one output capsule ("real"), or of one a class,
and dynamic routing lets the votes that agree count. How long the squashed pose is, v = |s|^2 / (1 + |s|^2), is the
probability; so the logit is log(v / (1 - v)) = log |s|^2, and the paper's margin loss is a function of it.

Deviations: a few strided convolutions give 4x4 places with capsules at any resolution, instead of two of 9x9, to train
on a CPU. Routing is leaky (from the authors' code): a vote may also count for no capsule at all, because a softmax over
one output capsule is always 1 and would route nothing.
"""

import torch
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from ganhub.models import base, dcgan, layers

Generator = dcgan.Generator

PLACES = 4 * 4  # of the last map
MAX_ROUTING = 16
EPS = 1e-4  # keeps the logit above -9.3, and its gradient finite


class Discriminator(base.Discriminator):
    """Images to logits through capsules.

    Args:
        resolution: side of the image in pixels, 16, 32 or 64.
        channels: 1 or 3.
        num_classes: 0 for an unconditional model; else every class has an output capsule, and the asked one judges.
        width: channels at half the resolution; they double down to 8x8.
        capsules: primary capsules at each of the 4x4 places.
        capsule_dim: length of a primary capsule.
        pose_dim: length of an output capsule.
        routing: rounds of routing.
        norm: after the convolutions before the capsules: "none", "batch", "instance" or "layer".
        dropout: share of the numbers dropped after these convolutions.
        minibatch_discrimination: kernels of layers.MinibatchDiscrimination on the poses; a linear layer makes of their
            closeness a further term of the logit. 0 is off.
        minibatch_stddev: the same with layers.MinibatchStddev.
        spectral_norm: divide the weights of all convolutions by their spectral norm.
        init: how weights are drawn, a name in ganhub.models.layers.INITS.
    """

    arch = "capsule"

    @register_to_config
    def __init__(
        self,
        resolution: int = 32,
        channels: int = 1,
        num_classes: int = 0,
        width: int = 32,
        capsules: int = 8,
        capsule_dim: int = 8,
        pose_dim: int = 16,
        routing: int = 3,
        norm: str = "none",
        dropout: float = 0.0,
        minibatch_discrimination: int = 0,
        minibatch_stddev: bool = False,
        spectral_norm: bool = False,
        init: str = "he",
    ):
        super().__init__()
        sizes = {"width": width, "capsules": capsules, "capsule_dim": capsule_dim, "pose_dim": pose_dim}
        base.check_sizes("capsule", resolution, channels, num_classes, **sizes, routing=routing)
        base.check_flags("capsule", minibatch_stddev=minibatch_stddev, spectral_norm=spectral_norm)
        layers.check_norm("capsule", norm)
        if resolution not in (16, 32, 64):
            raise ValueError(f"capsule needs a resolution of 16, 32 or 64, got {resolution}")
        if routing > MAX_ROUTING:
            raise ValueError(f"capsule needs routing between 1 and {MAX_ROUTING}, got {routing}")
        widths = [channels, *(width * 2**i for i in range(resolution.bit_length() - 4))]

        def down(c_in: int, c_out: int) -> nn.Sequential:
            conv = nn.Conv2d(c_in, c_out, 4, 2, 1, bias=layers.has_bias(norm))
            return nn.Sequential(conv, *layers.norm2d(norm, c_out), nn.LeakyReLU(0.2), *layers.dropout(dropout))

        self.blocks = nn.Sequential(*(down(a, b) for a, b in zip(widths, widths[1:])))  # (B, 64, 8, 8)
        self.primary = nn.Conv2d(widths[-1], capsules * capsule_dim, 4, 2, 1)  # (B, capsules * capsule_dim, 4, 4)
        voters, candidates = PLACES * capsules, num_classes or 1
        compare = layers.minibatch(candidates * pose_dim, minibatch_discrimination, minibatch_stddev)
        self.compare = nn.Sequential(*compare)
        self.to_term = nn.Linear(minibatch_discrimination + minibatch_stddev, 1) if compare else None
        layers.prepare_weights(self, init, spectral_norm)
        self.votes = nn.Parameter(torch.empty(voters, capsule_dim, candidates, pose_dim))
        nn.init.normal_(self.votes, 0.0, (candidates + 1) / (voters * pose_dim) ** 0.5)  # |s|^2 starts near 1

    def hidden(self, images: Tensor, labels: Tensor | None = None) -> list[Tensor]:
        maps = base.chain([*self.blocks, self.primary], images)
        capsules = squash(maps[-1].unflatten(1, (-1, self.config.capsule_dim)).movedim(2, -1).flatten(1, 3))
        votes = torch.einsum("bvi,vicp->bvcp", capsules, self.votes)
        return [*maps, route(votes, self.config.routing).flatten(1)]  # poses (B, candidates * pose_dim)

    def judge(self, code: Tensor, images: Tensor, labels: Tensor | None) -> Tensor:
        poses = code.float().unflatten(1, (-1, self.config.pose_dim))
        logits = (poses.square().sum(2) + EPS).log()  # (B, candidates)
        asked = (
            base.need_labels(labels) if self.config.num_classes else torch.zeros_like(logits[:, 0], dtype=torch.long)
        )
        logits = logits.gather(1, asked[:, None]).squeeze(1)
        if self.to_term is None:
            return logits
        compared = self.compare(code)[:, code.shape[1] :]  # (B, kernels + 1)
        return logits + self.to_term(compared).squeeze(1)


def squash(capsules: Tensor) -> Tensor:
    """Shorten vectors (..., D) to a length of |s|^2 / (1 + |s|^2), below 1 (equation 1 of the paper)."""
    squared = capsules.square().sum(-1, keepdim=True)
    return capsules * (squared + 1e-8).sqrt() / (1 + squared)


def route(votes: Tensor, rounds: int) -> Tensor:
    """Votes (B, voters, candidates, D) -> poses (B, candidates, D), not yet squashed.

    Procedure 1 of the paper, leaky: the shares of a voter add up to less than 1, the rest goes to no candidate. Only
    the last round has a gradient.
    """
    agreement = torch.zeros_like(votes[..., 0])  # (B, voters, candidates)
    with torch.no_grad():
        for _ in range(rounds - 1):
            agreement = agreement + (votes * squash(poses(votes, agreement))[:, None]).sum(3)
    return poses(votes, agreement)


def poses(votes: Tensor, agreement: Tensor) -> Tensor:
    """The votes for each candidate (B, candidates, D), added up by each voter's shares."""
    nobody = torch.zeros_like(agreement[..., :1])
    shares = torch.cat([nobody, agreement], dim=2).softmax(2)[..., 1:]
    return (shares[..., None] * votes).sum(1)

"""Drawing and shaping latents z (B, latent_dim)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

MAX_SEED = 2**63 - 1
MAX_DRAWS = 16  # for one seed; where a screen turns down a half, one seed in 32,768 comes to the last


def sample(seeds: Sequence[int], latent_dim: int) -> Tensor:
    """One standard normal row a seed, (len(seeds), latent_dim) on the CPU.

    Every row comes from a generator of its own, so it depends on its seed alone and not on its neighbours, and a seed
    means the same latent on every device.
    """
    return draw_each(sources_of(seeds), latent_dim)


def sources_of(seeds: Sequence[int]) -> list[torch.Generator]:
    return [torch.Generator("cpu").manual_seed(seed) for seed in seeds]


def draw_each(sources: Sequence[torch.Generator], latent_dim: int) -> Tensor:
    """The next latent of each of these, (len(sources), latent_dim)."""
    kind: Any = {"dtype": torch.float32, "device": "cpu"}  # whatever torch's defaults are: a seed is a picture
    rows = [torch.randn(latent_dim, generator=source, **kind) for source in sources]
    return torch.stack(rows) if rows else torch.empty(0, latent_dim, **kind)


@torch.no_grad()
def latents_for(
    generator: Any, seeds: Sequence[int], labels: Sequence[int] | None = None, batch_size: int = 64
) -> Tensor:
    """The latent of each seed that this generator is to be given, (len(seeds), latent_dim) on the CPU.

    Those of `sample`; but where the generator has a screen (ganhub.models.screen), each seed goes on drawing from its
    own source until the screen has no doubt; the last of `MAX_DRAWS` is taken as it is. So a row depends on its seed,
    its label and the weights. Latents are judged as drawn, before any truncation. Doubts are rounded: in another batch
    or on another device about one seed in a million may stand for another latent, in half precision or with TF32
    (PyTorch's default for convolutions on newer NVIDIA cards) one in some thousands.

    Args:
        generator: a ganhub.models.base.Generator, in eval mode.
        seeds: 0 to MAX_SEED each.
        labels: one a seed where it is conditional.
        batch_size: latents judged at once.
    """
    sources = sources_of(seeds)
    z = draw_each(sources, generator.config.latent_dim)
    classes = None if labels is None else torch.tensor(labels, dtype=torch.long, device="cpu")
    left = torch.arange(len(z), device="cpu")
    for _ in range(MAX_DRAWS - 1):
        if not len(left):
            break
        parts = left.split(batch_size)
        left = torch.cat([i[doubted(generator, z[i], None if classes is None else classes[i])] for i in parts])
        z[left] = draw_each([sources[i] for i in left.tolist()], z.shape[1])
    return z


def doubted(generator: Any, z: Tensor, labels: Tensor | None) -> Tensor:
    """Which of these latents a screen turns down, (B,) on the CPU; none without a screen."""
    device = generator.device
    doubts = generator.doubt(z.to(device, generator.dtype), None if labels is None else labels.to(device))
    return torch.zeros(len(z), dtype=torch.bool, device="cpu") if doubts is None else (doubts > 0).cpu()


def truncate(z: Tensor, truncation: float) -> Tensor:
    """Scale z towards the mean: 1.0 leaves it, 0.0 gives the mean latent, above 1.0 exaggerates.

    The psi of StyleGAN (https://arxiv.org/abs/1812.04948, appendix B) applied in z, whose mean is 0. BigGAN's
    truncation trick draws out-of-range values again instead, and a seed would then give unrelated pictures. A generator
    with a mapping network (ganhub.models.mapping) turns it into StyleGAN's own, among styles.
    """
    return z * truncation


def slerp(start: Tensor, end: Tensor, shares: Tensor) -> Tensor:
    """The latents at these shares of the way from one to another, along a great circle: (n, latent_dim).

    Spherical linear interpolation (White 2016, https://arxiv.org/abs/1609.04468), of their directions; their lengths go
    evenly from one to the other (but between opposites). Halfway on a straight line latents would be shorter than any
    that a generator learns from.

    Args:
        start, end: (latent_dim,) each.
        shares: (n,); 0 gives `start`, 1 gives `end`.
    """
    ends = torch.stack([start, end])
    lengths = ends.norm(dim=1).clamp(min=1e-6)
    units = ends / lengths[:, None]
    angle = (units[0] @ units[1]).clamp(-1, 1).acos().clamp(1e-4, torch.pi - 1e-4)  # equals, opposites: any way will do
    weights = torch.stack([1 - shares, shares], 1)  # (n, 2)
    return (angle * weights).sin() / angle.sin() @ units * (weights @ lengths)[:, None]

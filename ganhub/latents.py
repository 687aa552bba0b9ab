"""Drawing and shaping latents: pure functions on z (B, latent_dim)."""

from collections.abc import Sequence

import torch
from torch import Tensor

MAX_SEED = 2**63 - 1


def sample(seeds: Sequence[int], latent_dim: int) -> Tensor:
    """One standard normal row a seed, (len(seeds), latent_dim) on the CPU.

    Every row comes from a generator of its own, so it depends on its seed alone and not on its neighbours, and a seed
    means the same latent on every device.
    """
    rows = [torch.randn(latent_dim, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(rows) if rows else torch.empty(0, latent_dim)


def truncate(z: Tensor, truncation: float) -> Tensor:
    """Scale z towards the mean: 1.0 leaves it, 0.0 gives the mean latent, above 1.0 exaggerates.

    The psi of StyleGAN (https://arxiv.org/abs/1812.04948, appendix B) applied in z, whose mean is 0. BigGAN's
    truncation trick draws out-of-range values again instead, and a seed would then give unrelated pictures. A generator
    with a mapping network (ganhub.models.mapping) turns it into StyleGAN's own, among styles.
    """
    return z * truncation

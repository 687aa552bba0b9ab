"""Toy data sets whose modes are known; `python -m training modes RUN` counts those that a run has found."""

from dataclasses import replace

from training.recipe import Recipe

ring = Recipe(
    name="ring",
    source="8 Gaussians on a circle, as in unrolled GANs (arXiv:1611.02163)",
    data="toy:ring",
    arch="mlp",
    resolution=1,
    channels=2,
    latent_dim=2,
    generator={"hidden": [128, 128]},
    discriminator={"hidden": [128, 128]},
    g_lr=1e-3,
    d_lr=1e-3,
    kimg=300.0,
    ema_kimg=0.0,
    log_kimg=10.0,
)

grid = replace(ring, name="grid", source="25 Gaussians on a grid, as in PacGAN (arXiv:1712.04086)", data="toy:grid")

stacked_mnist = Recipe(
    name="stacked-mnist",
    source="three digits in three channels, 1000 modes (arXiv:1611.02163); a DCGAN (arXiv:1511.06434)",
    resolution=32,
    latent_dim=64,
    generator={"width": 32},
    discriminator={"width": 16},
    kimg=100.0,
    ema_kimg=1.0,
)

TOYS = (ring, grid, stacked_mnist)

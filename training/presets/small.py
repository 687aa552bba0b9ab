"""DCGANs for the data of the zoo, for those without a GPU: two CPU cores take less than an hour, for faces and Simpsons
two."""

from dataclasses import replace

from training.recipe import Recipe

SOURCE = "DCGAN (arXiv:1511.06434), EMA"

digits_small = Recipe(
    name="digits-small",
    source=f"{SOURCE}, projection D (arXiv:1802.05637)",
    conditional=True,
    resolution=32,
    channels=1,
    latent_dim=64,
    generator={"width": 48, "label_dim": 16},
    discriminator={"width": 32, "norm": "batch"},
    g_lr=3e-4,
    d_lr=3e-4,
    kimg=250.0,
    ema_kimg=10.0,
)

frogs_small = Recipe(
    name="frogs-small",
    source=f"{SOURCE}, DiffAugment's translation (arXiv:2006.10738)",
    classes=("frog",),
    flip=True,
    resolution=32,
    latent_dim=100,
    generator={"width": 64},
    discriminator={"width": 64, "norm": "batch"},
    augment=("translation",),
    batch_size=32,
    d_lr=3e-4,
    kimg=250.0,
)

faces_small = Recipe(
    name="faces-small",
    source=SOURCE,
    flip=True,
    resolution=64,
    latent_dim=100,
    generator={"width": 48},
    discriminator={"width": 48, "norm": "batch"},
    batch_size=32,
    kimg=200.0,
)

simpsons_small = replace(
    faces_small,
    name="simpsons-small",
    source=f"{SOURCE}, projection D (arXiv:1802.05637), DiffAugment's translation (arXiv:2006.10738)",
    classes=("bart", "homer", "lisa", "marge"),
    conditional=True,
    generator={"width": 48, "label_dim": 32},
    augment=("translation",),
    kimg=240.0,
)

SMALL = (digits_small, frogs_small, simpsons_small, faces_small)

"""The recipes of the models in `ganhub/zoo`."""

from training.recipe import Recipe

digits = Recipe(
    name="digits",
    source="DCGAN (arXiv:1511.06434), projection D (arXiv:1802.05637), EMA",
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

frogs = Recipe(
    name="frogs",
    source="DCGAN (arXiv:1511.06434), DiffAugment's translation (arXiv:2006.10738), EMA",
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
    ema_kimg=5.0,
)

faces = Recipe(
    name="faces",
    source="DCGAN (arXiv:1511.06434), EMA",
    flip=True,
    resolution=64,
    latent_dim=100,
    generator={"width": 48},
    discriminator={"width": 48, "norm": "batch"},
    batch_size=32,
    kimg=200.0,
    ema_kimg=5.0,
)

simpsons = Recipe(
    name="simpsons",
    source="DCGAN (arXiv:1511.06434), projection D (arXiv:1802.05637), DiffAugment's translation (arXiv:2006.10738)",
    classes=("bart", "homer", "lisa", "marge"),
    conditional=True,
    flip=True,
    resolution=64,
    latent_dim=100,
    generator={"width": 48, "label_dim": 32},
    discriminator={"width": 48, "norm": "batch"},
    augment=("translation",),
    batch_size=32,
    kimg=240.0,
    ema_kimg=5.0,
)

ZOO = (digits, frogs, simpsons, faces)

"""The named presets. Each is a Recipe, most derived from another with `dataclasses.replace`."""

from dataclasses import replace

from training.recipe import Recipe

PYTORCH_GANS = "https://github.com/gordicaleksa/pytorch-GANs"

vanilla_mnist = Recipe(
    name="vanilla-mnist",
    source=f"Goodfellow et al. 2014 (arXiv:1406.2661) as in {PYTORCH_GANS}",
    resolution=28,
    channels=1,
    arch="mlp",
    latent_dim=100,
    batch_size=128,
    kimg=2000.0,
    ema_kimg=0.0,
    sample_kimg=60.0,
    save_kimg=120.0,
)

cgan_mnist = replace(
    vanilla_mnist,
    name="cgan-mnist",
    source=f"Mirza and Osindero 2014 (arXiv:1411.1784) as in {PYTORCH_GANS}",
    conditional=True,
)

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

PRESETS: dict[str, Recipe] = {recipe.name: recipe for recipe in (digits, frogs, vanilla_mnist, cgan_mnist)}

"""The recipes of the models in `ganhub/zoo`."""

from dataclasses import replace

from training.recipe import Recipe

# R3GAN's objective on small residual networks; why so, docs/zoo.md says. They want a GPU, or hours of a CPU that knows
# bf16 (--mixed-precision bf16); training.presets.small has DCGANs for the same data that need less.
SOURCE = "relativistic loss with R1 and R2 (R3GAN, arXiv:2501.05441) on residual blocks (arXiv:1704.00028), EMA"

base = Recipe(
    flip=True,
    arch="resnet",
    resolution=64,
    latent_dim=128,
    generator={"width": 48, "max_width": 224},
    discriminator={"width": 48, "max_width": 192},
    objective="relativistic",
    penalties={"r1": 1.0, "r2": 1.0},
    penalty_every=4,
    betas=(0.0, 0.99),
    g_lr=3e-4,
    d_lr=3e-4,
    lr_schedule="linear",
    lr_kimg=320.0,
    kimg=320.0,
    ema_kimg=10.0,
)

faces = replace(
    base,
    name="faces",
    source=f"{SOURCE}; styles (arXiv:1812.04948)",
    typical=0.75,
    generator={"width": 48, "max_width": 192, "mapping": 2},
    discriminator={"width": 64, "max_width": 192},
    lr_kimg=410.0,
    kimg=410.0,
)

simpsons = replace(
    base,
    name="simpsons",
    source=f"{SOURCE}; projection (arXiv:1802.05637), DiffAugment (arXiv:2006.10738)",
    classes=("bart", "homer", "lisa", "marge"),
    conditional=True,
    generator={**base.generator, "upsampling": "bilinear"},
    augment=("color", "translation", "cutout"),
    later_kimg=320.0,
    later={
        "augment_p": 0.6,
        "penalties": {"r1": 0.5, "r2": 0.5},
        "penalty_every": 16,
        "later_kimg": 640.0,
        "later": {
            "typical": 0.7,
            "typical_by": "edges",
            "one_stage": True,
            "g_lr": 2e-4,
            "d_lr": 2e-4,
            "lr_kimg": 230.0,
            "later_kimg": 870.0,
            "later": {
                "sharpest": 0.8,
                "lr_kimg": 225.0,
                "later_kimg": 1095.0,
                "later": {"lr_kimg": 170.0},
            },
        },
    },
    kimg=1265.0,
)

frogs = replace(
    base,
    name="frogs",
    source=f"{SOURCE}; DiffAugment (arXiv:2006.10738)",
    classes=("frog",),
    resolution=32,
    generator={"width": 64, "max_width": 256, "upsampling": "bilinear"},
    discriminator={"width": 64, "max_width": 192},
    penalties={"r1": 0.3, "r2": 0.3},
    augment=("color", "translation", "cutout"),
    later_kimg=320.0,
    later={
        "augment_p": 0.2,
        "penalties": {"r1": 0.15, "r2": 0.15},
        "penalty_every": 8,
        "g_lr": 1.5e-4,
        "lr_kimg": 350.0,
    },
    kimg=670.0,
)

digits = replace(
    base,
    name="digits",
    source=f"{SOURCE}; projection (arXiv:1802.05637)",
    conditional=True,
    flip=False,
    resolution=32,
    channels=1,
    latent_dim=64,
    generator={"width": 40, "max_width": 160, "output": "clamp"},
    penalties={"r1": 0.5, "r2": 0.5},
    lr_kimg=300.0,
    kimg=300.0,
)

ZOO = (digits, frogs, simpsons, faces)

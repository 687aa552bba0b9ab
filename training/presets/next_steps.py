"""What the tutorials name as the next step: other objectives and other networks, small enough for a CPU.

Most learn MNIST at 32x32 and differ from `hinge-mnist` in what their paper changed.
"""

from dataclasses import replace

from training.presets.tutorials import vanilla_mnist
from training.recipe import Recipe

hinge_mnist = Recipe(
    name="hinge-mnist",
    source="hinge loss (arXiv:1705.02894) on a DCGAN (arXiv:1511.06434)",
    resolution=32,
    channels=1,
    latent_dim=64,
    generator={"width": 32},
    discriminator={"width": 32},
    objective="hinge",
    kimg=250.0,
)

# On these DCGANs D wins at once and G's gradient is gone; the fully connected ones of 2014 are closer matched.
minimax_mnist = replace(
    vanilla_mnist,
    name="minimax-mnist",
    source="the saturating loss of arXiv:1406.2661, equation 1",
    objective="minimax",
    kimg=2000.0,
)

lsgan_mnist = replace(
    hinge_mnist, name="lsgan-mnist", source="least squares GAN (arXiv:1611.04076)", objective="least_squares"
)

# The papers' rates are 5e-5 here and 1e-4 below, for a hundred times as many steps.
wgan_mnist = replace(
    hinge_mnist,
    name="wgan-mnist",
    source="Wasserstein GAN with clipped weights (arXiv:1701.07875)",
    objective="wasserstein",
    clip_weights=0.01,
    d_steps=5,
    g_optimizer="rmsprop",
    d_optimizer="rmsprop",
    g_lr=2e-4,
    d_lr=2e-4,
    kimg=1250.0,
)

wgan_gp_mnist = replace(
    hinge_mnist,
    name="wgan-gp-mnist",
    source="WGAN-GP (arXiv:1704.00028)",
    discriminator={"width": 32, "norm": "layer"},
    objective="wasserstein",
    penalties={"wgan_gp": 10.0},
    d_steps=5,
    betas=(0.0, 0.9),
    g_lr=1e-3,
    d_lr=5e-4,
    kimg=1250.0,
)

dragan_mnist = replace(
    hinge_mnist,
    name="dragan-mnist",
    source="DRAGAN (arXiv:1705.07215)",
    discriminator={"width": 32, "norm": "none"},
    objective="non_saturating",
    penalties={"dragan": 10.0},
)

r3gan_mnist = replace(
    hinge_mnist,
    name="r3gan-mnist",
    source="relativistic loss with R1 and R2, R3GAN's objective (arXiv:2501.05441)",
    discriminator={"width": 32, "norm": "none"},
    objective="relativistic",
    penalties={"r1": 2.0, "r2": 2.0},
    betas=(0.0, 0.99),
    g_lr=1e-3,
)

# Spectral norm, which neither paper has, keeps D from winning at once.
capsule_mnist = replace(
    hinge_mnist,
    name="capsule-mnist",
    source="capsules with dynamic routing (arXiv:1710.09829) as discriminator (arXiv:1802.06167)",
    arch="capsule",
    discriminator={"width": 32, "spectral_norm": True},
    objective="margin",
    batch_size=32,
    g_lr=1e-3,
    d_lr=1e-3,
)

ebgan_mnist = replace(
    hinge_mnist,
    name="ebgan-mnist",
    source="EBGAN with the pulling-away term (arXiv:1609.03126)",
    resolution=28,
    arch="autoencoder",
    generator={"width": 16, "depth": 1, "norm": "batch"},
    discriminator={"width": 16, "depth": 1, "code_dim": 32, "error": "l2"},
    objective="ebgan",
    objective_args={"margin": 0.3},
    pull_away=0.1,
    batch_size=32,
    g_lr=5e-4,
    d_lr=5e-4,
)

# The paper's G has no norm, its rates are 1e-4 and k's is 0.001, for images of faces and weeks of training.
began_mnist = replace(
    ebgan_mnist,
    name="began-mnist",
    source="BEGAN (arXiv:1703.10717)",
    latent="uniform",
    discriminator={"width": 16, "depth": 1, "code_dim": 32, "error": "l1"},
    objective="began",
    objective_args={"gamma": 1.0, "k_rate": 0.02},
    pull_away=0.0,
    batch_size=16,
)

# The paper's networks are wider (256 channels in G, 128 in D); these can be trained on a CPU, as those below.
RESNET = {"width": 32, "max_width": 256}

sngan_frogs = Recipe(
    name="sngan-frogs",
    source="SNGAN (arXiv:1802.05957): residual blocks, spectral norm, hinge loss, 5 steps of D",
    classes=("frog",),
    flip=True,
    arch="resnet",
    resolution=32,
    latent_dim=128,
    generator=RESNET,
    discriminator={**RESNET, "spectral_norm": True},
    objective="hinge",
    d_steps=5,
    betas=(0.0, 0.9),
    kimg=1000.0,
)

# All ten classes: conditional batch norm in G, a projection in D, self-attention at 16x16.
sagan_cifar = replace(
    sngan_frogs,
    name="sagan-cifar",
    source="self-attention (arXiv:1805.08318) and projection (arXiv:1802.05637) on residual blocks",
    classes=(),
    conditional=True,
    generator={**RESNET, "attention": 16, "spectral_norm": True},
    discriminator={**RESNET, "attention": 16, "spectral_norm": True},
    d_steps=1,
    g_lr=1e-4,
    d_lr=4e-4,
)

# The paper's WGAN-GP at rates of 1e-3 did not train stably at this size.
progressive_frogs = replace(
    sngan_frogs,
    name="progressive-frogs",
    source="progressive growing (arXiv:1710.10196) from 8x8, with SNGAN's loss and norm",
    batch_size=32,
    d_steps=1,
    d_lr=4e-4,
    grow_from=8,
    grow_kimg=100.0,
    kimg=500.0,
)

NEXT_STEPS = (
    hinge_mnist,
    minimax_mnist,
    lsgan_mnist,
    wgan_mnist,
    wgan_gp_mnist,
    dragan_mnist,
    r3gan_mnist,
    capsule_mnist,
    ebgan_mnist,
    began_mnist,
    sngan_frogs,
    sagan_cifar,
    progressive_frogs,
)

"""The five tutorials that this project grew out of, as faithful as an entry here can be.

What a tutorial leaves open, or what differs, stands above its preset. Lengths are in kimg as everywhere: epochs times
images / 1000.
"""

from dataclasses import replace

from training.recipe import Recipe

PYTORCH_GANS = "https://github.com/gordicaleksa/pytorch-GANs"
DCGAN = "DCGAN (arXiv:1511.06434)"

# Goodfellow's GAN with the tutorial's changes; 150 epochs of 60,000 images. The 2014 loss is `--objective minimax`, its
# k steps `--d-steps k`.
vanilla_mnist = Recipe(
    name="vanilla-mnist",
    source=f"Goodfellow et al. 2014 (arXiv:1406.2661) as in {PYTORCH_GANS}",
    resolution=28,
    channels=1,
    arch="mlp",
    latent_dim=100,
    batch_size=128,
    kimg=9000.0,
    ema_kimg=0.0,
    sample_kimg=60.0,
    save_kimg=120.0,
)

# The one-hot class beside z in G and beside the flattened picture in D; 50 epochs.
cgan_mnist = replace(
    vanilla_mnist,
    name="cgan-mnist",
    source=f"Mirza and Osindero 2014 (arXiv:1411.1784) as in {PYTORCH_GANS}",
    conditional=True,
    kimg=3000.0,
)

# The DCGAN of the same tutorial: 1,024 channels at 4x4 in both networks, PyTorch's own initial weights; 8 epochs of
# 202,599 images.
dcgan_celeba = Recipe(
    name="dcgan-celeba",
    source=f"{DCGAN} as in {PYTORCH_GANS}",
    resolution=64,
    latent_dim=100,
    generator={"width": 128, "max_width": 1024, "project": "linear", "init": "default", "bias": False},
    discriminator={"width": 128, "max_width": 1024, "init": "default", "bias": False},
    batch_size=128,
    kimg=1621.0,
    ema_kimg=0.0,
)

# The paper's own, as long: 5x5 kernels, z uniform, N(0, 0.02) weights, Adam's beta1 0.5, batches of 128.
dcgan_paper = replace(
    dcgan_celeba,
    name="dcgan-paper",
    source=DCGAN,
    latent="uniform",
    generator={"width": 128, "max_width": 1024, "kernel": 5, "bias": False},
    discriminator={"width": 128, "max_width": 1024, "kernel": 5, "bias": False},
)

# The variant with half the channels, 512 at 4x4, that most PyTorch examples use; 5 epochs.
dcgan_512 = replace(
    dcgan_paper,
    name="dcgan-512",
    source=f"{DCGAN} as in https://docs.pytorch.org/tutorials/beginner/dcgan_faces_tutorial.html",
    latent="normal",
    generator={"width": 64, "bias": False},
    discriminator={"width": 64, "bias": False},
    kimg=1013.0,
)

# Batch norm keeps PyTorch's epsilon and momentum in all of these; Keras's are 1e-3 and 0.99. Kept weights are fp16.
# The tutorial's demonstration used batches of 2, five an epoch, for 50 epochs; batches of 2 leave batch norm and
# minibatch discrimination nothing to compare, so they are 64 here. It names no probability for its flips. Five epochs
# of the 202,599 aligned faces are 1,013 kimg; ten are trained.
keras_celeba = Recipe(
    name="keras-celeba",
    source="the Keras tutorial on GAN tricks: minibatch discrimination, smoothing, flips, SGD against Adam",
    resolution=64,
    crop="celeba",
    resize="area",
    latent_dim=100,
    latent_scale=0.5,
    generator={"width": 128, "max_width": 1024, "kernel": 3, "project": "dense", "bias": True, "init": "xavier"},
    discriminator={
        "width": 32,
        "kernel": 3,
        "norm_first": True,
        "bias": True,
        "head": "dense",
        "outputs": 2,
        "minibatch_discrimination": 100,
        "init": "xavier",
    },
    real_label=(0.9, 1.0),
    label_flip=0.05,
    label_flip_per="batch",
    d_batches="alternating",
    d_optimizer="sgd",
    d_lr=1e-3,
    d_optimizer_args={"momentum": 0.9, "nesterov": True},
    g_lr=1e-3,
    g_optimizer_args={"eps": 1e-8},
    batch_size=64,
    kimg=2026.0,
    ema_kimg=0.0,
    snapshot_kimg=1013.0,
)

# 100 images and 10,000 epochs there, which is these 1,000 kimg; 36,507,524 parameters.
tf_simpsons = Recipe(
    name="tf-simpsons",
    source="the TensorFlow tutorial that draws Simpsons at 128x128",
    resolution=128,
    latent_dim=100,
    generator={"width": 64, "max_width": 1024, "kernel": 5, "project": "dense", "bias": True, "init": "normal"},
    discriminator={"width": 64, "max_width": 1024, "kernel": 5, "bias": True, "head": "dense", "init": "normal"},
    batch_size=25,
    g_steps=2,
    g_lr=1e-4,
    d_lr=1e-4,
    kimg=1000.0,
    ema_kimg=0.0,
)

# 10,000 steps of 20 images. Fakes are 1 and reals 0 in the tutorial, so its label noise raises what is lowered here.
# It shows D real images in [0, 1] against a tanh generator: `--pixel-range 0 1` brings that back.
keras_frogs = Recipe(
    name="keras-frogs",
    source="F. Chollet, Deep Learning with Python (2017), section 8.5",
    classes=("frog",),
    shuffle=False,
    arch="frog",
    resolution=32,
    latent_dim=32,
    d_batches="mixed",
    label_noise=-0.05,
    g_optimizer="rmsprop",
    d_optimizer="rmsprop",
    g_lr=4e-4,
    d_lr=8e-4,
    g_optimizer_args={"alpha": 0.9, "eps": 1e-7},
    d_optimizer_args={"alpha": 0.9, "eps": 1e-7},
    clip_value=1.0,
    lr_schedule="keras",
    lr_decay=1e-8,
    batch_size=20,
    kimg=200.0,
    ema_kimg=0.0,
)

TUTORIALS = (
    vanilla_mnist,
    cgan_mnist,
    keras_celeba,
    tf_simpsons,
    keras_frogs,
    dcgan_celeba,
    dcgan_paper,
    dcgan_512,
)

"""The presets of the tutorials have their numbers."""

import pytest

from training.presets import PRESETS

PYTORCH = {"g_lr": 2e-4, "d_lr": 2e-4, "betas": (0.5, 0.999), "batch_size": 128, "latent_dim": 100, "ema_kimg": 0.0}
KERAS_RMSPROP = {"alpha": 0.9, "eps": 1e-7}
TUTORIALS = {
    "vanilla-mnist": {**PYTORCH, "resolution": 28, "channels": 1, "conditional": False},
    "cgan-mnist": {**PYTORCH, "resolution": 28, "channels": 1, "conditional": True},
    "dcgan-celeba": {**PYTORCH, "resolution": 64, "latent": "normal"},
    "dcgan-paper": {**PYTORCH, "resolution": 64, "latent": "uniform"},
    "keras-celeba": {
        "resolution": 64,
        "latent_dim": 100,
        "latent_scale": 0.5,
        "crop": "celeba",
        "resize": "area",
        "d_optimizer": "sgd",
        "d_lr": 1e-3,
        "d_optimizer_args": {"momentum": 0.9, "nesterov": True},
        "g_optimizer": "adam",
        "g_lr": 1e-3,
        "betas": (0.5, 0.999),
        "g_optimizer_args": {"eps": 1e-8},
        "d_batches": "alternating",
        "real_label": (0.9, 1.0),
        "label_flip_per": "batch",
        "snapshot_kimg": 1013.0,
    },
    "tf-simpsons": {
        "resolution": 128,
        "latent_dim": 100,
        "batch_size": 25,
        "g_steps": 2,
        "d_steps": 1,
        "kimg": 1000.0,
        "g_lr": 1e-4,
        "d_lr": 1e-4,
        "betas": (0.5, 0.999),
    },
    "keras-frogs": {
        "resolution": 32,
        "latent_dim": 32,
        "batch_size": 20,
        "kimg": 200.0,
        "shuffle": False,
        "classes": ("frog",),
        "g_optimizer": "rmsprop",
        "g_lr": 4e-4,
        "g_optimizer_args": KERAS_RMSPROP,
        "clip_value": 1.0,
        "d_optimizer": "rmsprop",
        "d_lr": 8e-4,
        "d_optimizer_args": KERAS_RMSPROP,
        "label_noise": -0.05,
        "lr_schedule": "keras",
        "lr_decay": 1e-8,
        "d_batches": "mixed",
        "pixel_range": (-1.0, 1.0),
    },
}


@pytest.mark.parametrize("name", TUTORIALS)
def test_a_tutorials_settings_are_what_it_says(name):
    assert {field: getattr(PRESETS[name], field) for field in TUTORIALS[name]} == TUTORIALS[name]

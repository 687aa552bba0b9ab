"""The mapping network: styles, their mean, and truncation by the length of a latent."""

import pytest
import torch

from ganhub import GANPipeline
from ganhub.latents import truncate
from ganhub.models import resnet
from ganhub.models.layers import INITS
from ganhub.models.mapping import FORGET, Mapping, split_length

SMALL = {"resolution": 16, "channels": 1, "width": 4, "max_width": 8, "latent_dim": 8, "mapping": 2}


def styles(mapping, z, labels=None):
    return mapping(*split_length(z), labels)


def test_a_latent_is_a_direction_and_a_length():
    z = torch.randn(5, 16)
    direction, length = split_length(z)
    torch.testing.assert_close(direction.norm(dim=1), torch.full((5,), 4.0))
    torch.testing.assert_close(direction * length, z)
    assert torch.equal(split_length(torch.zeros(1, 16))[0], torch.zeros(1, 16))


@pytest.mark.parametrize("num_classes", [0, 3])
def test_truncation_goes_straight_to_the_mean_style_of_the_class(num_classes):
    torch.manual_seed(0)
    mapping = Mapping(8, num_classes, 2).eval()
    mapping.mean.normal_()
    z = split_length(torch.randn(6, 8))[0]
    labels = torch.arange(6) % num_classes if num_classes else None
    mean = mapping.mean[labels if num_classes else torch.zeros(6, dtype=torch.long)]
    full = styles(mapping, z, labels)
    torch.testing.assert_close(styles(mapping, truncate(z, 0.0), labels), mean)
    torch.testing.assert_close(styles(mapping, truncate(z, 0.25), labels), mean + 0.25 * (full - mean))


def test_the_mean_is_the_classes_own_and_moves_in_training_alone():
    torch.manual_seed(0)
    mapping = Mapping(8, 3, 2).eval()
    z, labels = torch.randn(6, 8), torch.tensor([0, 0, 2, 2, 2, 0])
    styles(mapping, z, labels)
    assert not mapping.mean.any()
    made = mapping.styles(torch.cat([split_length(z)[0], mapping.classes(labels)], 1))
    mapping.train()
    styles(mapping, z, labels)
    torch.testing.assert_close(mapping.mean[2], FORGET * made[labels == 2].mean(0))
    assert not mapping.mean[1].any()  # nobody of that class was there
    for _ in range(600):
        styles(mapping, z, labels)
    torch.testing.assert_close(mapping.mean[0], made[labels == 0].mean(0), rtol=0.01, atol=1e-3)


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("spectral_norm", [False, True])
@pytest.mark.parametrize("num_classes", [0, 3])
def test_styles_vary_as_much_as_latents_from_the_start(init, spectral_norm, num_classes):
    torch.manual_seed(0)
    for depth in (1, 4):
        options = {"latent_dim": 256, "mapping": depth, "init": init, "spectral_norm": spectral_norm}
        generator = resnet.Generator(**SMALL | options, num_classes=num_classes).eval()
        labels = torch.zeros(500, dtype=torch.long) if num_classes else None
        assert 0.5 < styles(generator.mapping_network, torch.randn(500, 256), labels).std(0).mean() < 1.5


def test_the_mean_is_of_full_precision_under_autocast():
    torch.manual_seed(0)
    full = Mapping(8, 0, 1)
    half = Mapping(8, 0, 1)
    half.load_state_dict(full.state_dict())
    made = torch.randn(64, 8)
    full.update(made, torch.zeros(64, dtype=torch.long))
    with torch.autocast("cpu", torch.bfloat16):
        half.update(made, torch.zeros(64, dtype=torch.long))
    assert torch.equal(full.mean, half.mean)


def test_a_class_needs_to_be_said():
    with pytest.raises(ValueError, match="needs labels"):
        resnet.Generator(**SMALL, num_classes=3)(torch.randn(2, 8))


def test_a_saved_model_draws_the_same_and_at_0_one_picture(tmp_path):
    torch.manual_seed(0)
    generator = resnet.Generator(**SMALL)
    for _ in range(20):
        generator(torch.randn(16, 8))
    pipe = GANPipeline(generator.eval())
    pipe.save_pretrained(tmp_path)
    again = GANPipeline.from_pretrained(tmp_path)
    assert again.generator.mapping_network.mean.any()
    for truncation in (0.0, 0.5, 1.0):
        mine, theirs = (p(4, seed=3, truncation=truncation, output_type="pt").images for p in (pipe, again))
        assert torch.equal(mine, theirs)
        assert (mine == mine[:1]).all() == (truncation == 0)

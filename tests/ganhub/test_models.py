"""Every architecture keeps the contracts of ganhub.models.base."""

import pytest
import torch

from ganhub.models import ARCHITECTURES, dcgan, mlp

SMALL = {
    "dcgan": ({"resolution": 16, "latent_dim": 8, "width": 4}, {"resolution": 16, "width": 4}),
    "mlp": ({"resolution": 16, "latent_dim": 8, "hidden": (8, 16)}, {"resolution": 16, "hidden": (16, 8)}),
}


def build(arch, channels=3, num_classes=0):
    generator, discriminator = SMALL[arch]
    shared = {"channels": channels, "num_classes": num_classes}
    family = ARCHITECTURES[arch]
    return family.Generator(**generator, **shared), family.Discriminator(**discriminator, **shared)


def labels_for(num_classes, count):
    return torch.arange(count) % num_classes if num_classes else None


def count(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("num_classes", [0, 3])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_shapes_ranges_and_a_gradient_on_every_parameter(arch, channels, num_classes):
    generator, discriminator = build(arch, channels, num_classes)
    labels = labels_for(num_classes, 4)
    images = generator(torch.randn(4, 8), labels)
    logits = discriminator(images, labels)
    assert images.shape == (4, channels, 16, 16) and images.abs().max() <= 1
    assert logits.shape == (4,)
    logits.square().sum().backward()
    for network in (generator, discriminator):
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


@pytest.mark.parametrize("num_classes", [0, 3])
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_a_saved_model_loads_as_it_was(arch, num_classes, tmp_path):
    for name, network in zip(("Generator", "Discriminator"), build(arch, num_classes=num_classes)):
        network.save_pretrained(tmp_path / name)
        loaded = getattr(ARCHITECTURES[arch], name).from_pretrained(tmp_path / name)
        assert not loaded.training
        for key, value in network.state_dict().items():
            assert torch.equal(loaded.state_dict()[key], value), key


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_a_class_changes_the_picture_and_the_logit(arch):
    generator, discriminator = (network.eval() for network in build(arch, num_classes=3))
    z = torch.randn(1, 8)
    first, second = (generator(z, torch.tensor([label])) for label in (0, 2))
    assert not torch.allclose(first, second)
    assert discriminator(first, torch.tensor([0])) != discriminator(first, torch.tensor([2]))


@pytest.mark.parametrize("kernel", [3, 4, 5])
@pytest.mark.parametrize("resolution", [16, 32, 64, 128, 256])
def test_dcgan_has_every_resolution_and_kernel(resolution, kernel):
    sizes = {"resolution": resolution, "kernel": kernel, "width": 2}
    images = dcgan.Generator(**sizes, latent_dim=8).eval()(torch.randn(1, 8))
    assert images.shape == (1, 3, resolution, resolution)
    assert dcgan.Discriminator(**sizes, norm="none")(images).shape == (1,)


def test_dcgan_has_the_papers_widths():
    generator = dcgan.Generator(resolution=64, width=64)
    assert [block[0].out_channels for block in generator.blocks] == [256, 128, 64]
    assert generator.stem[0].out_channels == 512


def test_mlp_has_the_tutorials_layers():
    layers = [100 * 256, 256 * 512, 512 * 1024, 1024 * 784]
    assert count(mlp.Generator()) == sum(layers) + (256 + 512 + 1024) * 3 + 784  # bias, scale and shift
    assert count(mlp.Discriminator()) == 784 * 512 + 512 + 512 * 256 + 256 + 256 + 1
    assert count(mlp.Generator(num_classes=10)) - count(mlp.Generator()) == 10 * 256
    assert count(mlp.Discriminator(num_classes=10)) - count(mlp.Discriminator()) == 10 * 512


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: dcgan.Generator(resolution=60), "power-of-two resolution from 16 to 256, got 60"),
        (lambda: dcgan.Generator(kernel=7), "kernel of 3, 4 or 5, got 7"),
        (lambda: dcgan.Generator(channels=2), "1 or 3 channels, got 2"),
        (lambda: dcgan.Generator(width=10**9), "width between 1 and 4096"),
        (lambda: dcgan.Generator(latent_dim=10**9), "latent_dim between 1 and 4096"),
        (lambda: dcgan.Generator(latent_dim="100"), "whole number as latent_dim"),
        (lambda: dcgan.Generator(num_classes=-1), "0 to 4096 classes"),
        (lambda: dcgan.Discriminator(norm="layer"), "norm 'batch' or 'none'"),
        (lambda: mlp.Generator(hidden=()), "1 to 16 hidden layers"),
        (lambda: mlp.Generator(resolution=100_000), "resolution from 4 to 256"),
    ],
)
def test_impossible_sizes_are_refused_by_name(make, words):
    with pytest.raises(ValueError, match=words):
        make()

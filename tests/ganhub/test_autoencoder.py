"""The auto-encoding discriminator: its logit is an error, on a known scale."""

import pytest
import torch
import torch.nn.functional as F

from ganhub.models import ARCHITECTURES, autoencoder

SMALL = {"resolution": 16, "channels": 1, "width": 4}


def constant(error: str, level: float) -> autoencoder.Discriminator:
    """It reconstructs every image as this grey."""
    discriminator = autoencoder.Discriminator(**SMALL, code_dim=8, error=error)
    torch.nn.init.zeros_(discriminator.decoder[-1].weight)
    torch.nn.init.constant_(discriminator.decoder[-1].bias, level)
    return discriminator


def test_the_logit_is_minus_the_mean_error():
    images = torch.full((2, 1, 16, 16), -1.0)
    images[1, :, :, :8] = 1.0
    torch.testing.assert_close(constant("l1", 0.5)(images), -torch.tensor([1.5, 1.0]))
    torch.testing.assert_close(constant("l2", 0.5)(images), -torch.tensor([2.25, 1.25]))


def test_a_perfect_reconstruction_has_the_highest_logit():
    discriminator = autoencoder.Discriminator(**SMALL, code_dim=8)
    images = torch.rand(3, 1, 16, 16) * 2 - 1
    code = discriminator.hidden(images)[-1]
    torch.testing.assert_close(discriminator.judge(code, discriminator.reconstruct(code), None), torch.zeros(3))
    assert (discriminator(images) < 0).all()


def test_the_code_is_all_that_reaches_the_decoder():
    discriminator = autoencoder.Discriminator(**SMALL, code_dim=8)
    images = torch.randn(2, 1, 16, 16)
    maps = discriminator.hidden(images)
    assert [tuple(x.shape[1:]) for x in maps] == [(4, 16, 16), (8, 8, 8), (8,)]
    other = discriminator.judge(maps[-1], torch.zeros_like(images), None)
    torch.testing.assert_close(other, -discriminator.reconstruct(maps[-1]).abs().mean((1, 2, 3)))


@pytest.mark.parametrize("resolution, smallest", [(8, 8), (16, 8), (28, 7), (40, 5), (48, 6), (64, 8), (256, 8)])
def test_maps_end_at_4x4_to_8x8(resolution, smallest):
    sizes = {"resolution": resolution, "width": 2, "depth": 1}
    images = autoencoder.Generator(**sizes, latent_dim=8)(torch.randn(1, 8))
    assert images.shape == (1, 3, resolution, resolution)
    discriminator = autoencoder.Discriminator(**sizes)
    levels = (resolution // smallest).bit_length()
    assert discriminator.hidden(images)[-2].shape[1:] == (2 * levels, smallest, smallest)
    assert discriminator(images).shape == (1,)


def test_depth_is_the_convolutions_at_each_resolution():
    def convolutions(family, depth):
        return sum(isinstance(m, torch.nn.Conv2d) for m in family(resolution=32, width=2, depth=depth).modules())

    for depth in (1, 2):  # at 8, 16 and 32; one more to the image, and one more into each map of the encoder
        assert convolutions(autoencoder.Generator, depth) == 3 * depth + 1
        assert convolutions(autoencoder.Discriminator, depth) == (3 * depth + 3) + (3 * depth + 1)


def test_only_this_family_is_an_auto_encoder():
    assert [arch for arch in ARCHITECTURES if ARCHITECTURES[arch].Discriminator.autoencoder] == ["autoencoder"]


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: autoencoder.Generator(resolution=36), "4 to 8 times a power of two, 8 to 256, got 36"),
        (lambda: autoencoder.Generator(resolution=4), "8 to 256, got 4"),
        (lambda: autoencoder.Discriminator(resolution=512), "8 to 256, got 512"),
        (lambda: autoencoder.Generator(depth=9), "depth between 1 and 8, got 9"),
        (lambda: autoencoder.Generator(width=0), "width between 1"),
        (lambda: autoencoder.Discriminator(code_dim=0), "code_dim between 1"),
        (lambda: autoencoder.Discriminator(error="mse"), "error .*l1, l2, got 'mse'"),
        (lambda: autoencoder.Discriminator(norm="group"), "norm among batch"),
        (lambda: autoencoder.Generator(latent_scale=0), "latent_scale above 0"),
    ],
)
def test_impossible_options_are_refused_by_name(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_an_autoencoders_blocks_are_convolutions_and_elus():
    network = autoencoder.Discriminator(resolution=16, width=2, depth=1, channels=1)
    s, x = network.state_dict(), torch.randn(2, 1, 16, 16)

    def step(x, name, stride=1):
        return F.elu(F.conv2d(x, s[f"{name}.weight"], s[f"{name}.bias"], stride, padding=1))

    y = step(step(x, "encoder.0.0"), "encoder.0.2")
    y = step(step(y, "encoder.1.0", 2), "encoder.1.2")
    code = F.linear(y.flatten(1), s["encoder.2.1.weight"], s["encoder.2.1.bias"])
    y = step(F.linear(code, s["decoder.0.weight"], s["decoder.0.bias"]).view(2, 2, 8, 8), "decoder.2.0")
    y = step(y.repeat_interleave(2, 2).repeat_interleave(2, 3), "decoder.3.1")
    y = F.conv2d(y, s["decoder.4.weight"], s["decoder.4.bias"], padding=1)
    torch.testing.assert_close(network(x), -(y - x).abs().mean((1, 2, 3)))

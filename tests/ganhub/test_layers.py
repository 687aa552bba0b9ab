"""What the families share does what its papers say."""

import pytest
import torch

from ganhub.models import ARCHITECTURES, dcgan, layers


def test_minibatch_layers_have_their_values():
    layer = layers.MinibatchDiscrimination(2, kernels=1, dims=2)
    layer.projection.weight.data = torch.eye(2)
    x = torch.tensor([[0.0, 0.0], [1.0, -1.0], [0.0, 3.0]])
    two, three, five = torch.tensor([-2.0, -3.0, -5.0]).exp()
    close = torch.stack([1 + two + three, 1 + two + five, 1 + three + five])
    torch.testing.assert_close(layer(x), torch.cat([x, close[:, None]], dim=1))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(layer(x.bfloat16()).float()[:, 2], close, atol=0.02, rtol=0)
    maps = torch.tensor([1.0, -3.0]).view(2, 1, 1, 1).expand(2, 3, 2, 2)  # standard deviation 2 everywhere
    torch.testing.assert_close(layers.MinibatchStddev()(maps)[:, 3], torch.full((2, 2, 2), 2.0))


def test_spectral_norm_bounds_every_weight():
    discriminator = dcgan.Discriminator(resolution=16, width=4, norm="none", num_classes=3, spectral_norm=True)
    for _ in range(50):  # of its power iteration
        discriminator(torch.rand(2, 3, 16, 16), torch.tensor([0, 1]))
    weighted = [m for m in discriminator.modules() if isinstance(m, (torch.nn.Conv2d, torch.nn.Embedding))]
    assert len(weighted) == 4
    for module in weighted:
        torch.testing.assert_close(
            torch.linalg.matrix_norm(module.weight.flatten(1), 2), torch.tensor(1.0), atol=0.01, rtol=0
        )


def test_inits_have_their_spread():
    def spread(init, **options):
        torch.manual_seed(0)
        linear = dcgan.Discriminator(resolution=16, width=64, head="dense", init=init, **options).to_logit
        return linear.weight.std() * linear.in_features**0.5, linear.bias.abs().sum()

    scale = (16 * 128) ** 0.5
    expected = {
        "dcgan": (0.02 * scale, True),
        "normal": (0.02 * scale, False),
        "he": ((2 / 1.04) ** 0.5, True),
        "xavier": (2**0.5, False),
        "default": (3**-0.5, True),
    }
    for init, (std, biased) in expected.items():
        found, bias = spread(init)
        torch.testing.assert_close(found, torch.tensor(std), rtol=0.1, atol=0)
        assert (bias > 0) == biased
    assert spread("") == spread("dcgan") and spread("", norm="none") == spread("he", norm="none")


def test_he_keeps_the_spread_through_a_transposed_convolution():
    """PyTorch's own counts its outputs as its inputs; here 64 * 4 * 4 / 2^2 numbers make one pixel."""
    torch.manual_seed(0)
    for layer, inputs in (
        (torch.nn.ConvTranspose2d(64, 16, 4, 2, 1, bias=False), 64 * 4),
        (torch.nn.ConvTranspose2d(64, 16, 5, 1, 2, bias=False), 64 * 25),
        (torch.nn.Conv2d(64, 16, 3, 2, bias=False), 64 * 9),
        (torch.nn.Linear(600, 40, bias=False), 600),
    ):
        layers.init_weights(layer, "he")
        torch.testing.assert_close(layer.weight.std(), torch.tensor((2 / 1.04 / inputs) ** 0.5), rtol=0.03, atol=0)
    layer = torch.nn.ConvTranspose2d(64, 16, 4, 2, 1)
    layers.init_weights(layer, "he")
    given = torch.nn.functional.leaky_relu(torch.randn(8, 64, 16, 16), 0.2)
    torch.testing.assert_close(layer(given)[:, :, 4:-4, 4:-4].std(), torch.tensor(1.0), atol=0.1, rtol=0)


def test_one_rule_says_where_a_bias_counts():
    x = torch.randn(4, 3, 5, 5)
    bias = torch.tensor([1.0, -2.0, 3.0])[:, None, None]
    for norm in layers.NORMS:
        network = torch.nn.Sequential(*layers.norm2d(norm, 3))
        same = torch.allclose(network(x), network(x + bias), atol=1e-5)
        assert layers.has_bias(norm) != same


def test_features_are_the_largest_of_each_part_of_a_map():
    discriminator = dcgan.Discriminator(resolution=16, width=4, channels=1)
    maps = torch.arange(64.0).view(1, 1, 8, 8)
    discriminator.hidden = lambda images: [maps, maps[:, :, :2, :2], maps[0, 0, :1]]
    largest = [9 + 2 * i + 16 * j for j in range(4) for i in range(4)]
    torch.testing.assert_close(discriminator.features(maps)[0], torch.tensor([*largest, 0.0, 1, 8, 9, *range(8)]))


@pytest.mark.parametrize("arch", ["dcgan", "frog"])
def test_a_class_is_projected_on_the_mean_of_the_last_maps(arch):
    sizes = {"resolution": 32, "width": 4, "num_classes": 3}
    discriminator = ARCHITECTURES[arch].Discriminator(**sizes).eval()
    images, labels = torch.randn(2, 3, 32, 32), torch.tensor([2, 0])
    code = discriminator.hidden(images)[-1]
    assert code.shape[2] > 1
    logits, rows = discriminator(images, labels), discriminator.embed.weight[labels].clone()
    torch.nn.init.zeros_(discriminator.embed.weight)
    expected = (rows * code.flatten(2).sum(2) / code[0, 0].numel()).sum(1)
    torch.testing.assert_close(logits - discriminator(images, labels), expected)


@pytest.mark.parametrize("arch", ["mlp", "frog"])
def test_minibatch_stddev_is_beside_the_code(arch):
    sizes = {"resolution": 24, "channels": 1}
    network = ARCHITECTURES[arch].Discriminator(**sizes, minibatch_stddev=True).eval()
    torch.nn.init.zeros_(network.to_logit.weight)
    network.to_logit.weight.data[0, -1] = 1.0
    images = torch.randn(5, 1, 24, 24)
    code = network.hidden(images)[-1].flatten(1)
    spread = code.var(0, unbiased=False).add(1e-8).sqrt().mean()
    torch.testing.assert_close(network(images) - network.to_logit.bias, spread.expand(5))

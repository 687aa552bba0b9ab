"""The tutorials' networks, layer by layer; every shape and count here comes from the tutorials, not from the code."""

import json
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ganhub import GANPipeline
from ganhub.models import dcgan
from training.presets import PRESETS


def linear(inputs, outputs, bias=True):
    return [(outputs, inputs)] + [(outputs,)] * bias


def conv(inputs, outputs, kernel, bias=True):
    return [(outputs, inputs, kernel, kernel)] + [(outputs,)] * bias


def deconv(inputs, outputs, kernel, bias=True):
    return [(inputs, outputs, kernel, kernel)] + [(outputs,)] * bias


def norm(channels):
    return [(channels,), (channels,)]  # scale and shift


def ladder(layer, channels, kernel, bias, normed):
    """One layer from each number of channels to the next, `normed` those with a norm behind."""
    steps = zip(channels, channels[1:], normed)
    return [shape for a, b, has_norm in steps for shape in layer(a, b, kernel, bias) + norm(b) * has_norm]


# name: the parameters of G, their count, those of D, their count
PARAMETERS = {
    "keras-celeba": (
        linear(100, 16384) + norm(1024) + ladder(deconv, (1024, 512, 256, 128, 3), 3, True, (1, 1, 1, 0)),
        7_856_131,
        ladder(conv, (3, 32, 64, 128, 256), 3, True, (1, 1, 1, 1)) + linear(4096, 500, False) + linear(4196, 2),
        2_445_770,
    ),
    "tf-simpsons": (
        linear(100, 16384) + norm(1024) + ladder(deconv, (1024, 512, 256, 128, 64, 3), 5, True, (1, 1, 1, 1, 0)),
        19_072_515,
        ladder(conv, (3, 64, 128, 256, 512, 1024), 5, True, (0, 1, 1, 1, 1)) + linear(16384, 1),
        17_435_009,
    ),
    "keras-frogs": (
        linear(32, 16 * 16 * 128)
        + conv(128, 256, 5)
        + deconv(256, 256, 4)
        + conv(256, 256, 5)
        + conv(256, 256, 5)
        + conv(256, 3, 7),
        6_264_579,
        conv(3, 128, 3) + conv(128, 128, 4) * 3 + linear(512, 1),
        790_913,
    ),
    "vanilla-mnist": (
        [shape for a, b in ((100, 256), (256, 512), (512, 1024)) for shape in linear(a, b) + norm(b)]
        + linear(1024, 784),
        1_489_936,
        linear(784, 512) + linear(512, 256) + linear(256, 1),
        533_505,
    ),
    "dcgan-celeba": (
        linear(100, 16384) + ladder(deconv, (1024, 512, 256, 128, 3), 4, False, (1, 1, 1, 0)),
        12_672_768,
        ladder(conv, (3, 128, 256, 512, 1024), 4, False, (0, 1, 1, 1)) + conv(1024, 1, 4, False),
        11_036_160,
    ),
    "dcgan-paper": (
        deconv(100, 1024, 4, False) + norm(1024) + ladder(deconv, (1024, 512, 256, 128, 3), 5, False, (1, 1, 1, 0)),
        18_855_040,
        ladder(conv, (3, 128, 256, 512, 1024), 5, False, (0, 1, 1, 1)) + conv(1024, 1, 4, False),
        17_232_768,
    ),
    "dcgan-512": (
        deconv(100, 512, 4, False) + norm(512) + ladder(deconv, (512, 256, 128, 64, 3), 4, False, (1, 1, 1, 0)),
        3_576_704,
        ladder(conv, (3, 64, 128, 256, 512), 4, False, (0, 1, 1, 1)) + conv(512, 1, 4, False),
        2_765_568,
    ),
}
# name: channels and side of G's maps from the first on, and of D's
MAPS = {
    "keras-celeba": (
        [(1024, 4), (512, 8), (256, 16), (128, 32), (3, 64)],
        [(32, 32), (64, 16), (128, 8), (256, 4)],
    ),
    "tf-simpsons": (
        [(1024, 4), (512, 8), (256, 16), (128, 32), (64, 64), (3, 128)],
        [(64, 64), (128, 32), (256, 16), (512, 8), (1024, 4)],
    ),
    "keras-frogs": (
        [(128, 16), (256, 16), (256, 32), (256, 32), (256, 32), (3, 32)],
        [(128, 30), (128, 14), (128, 6), (128, 2)],
    ),
    "dcgan-celeba": (
        [(1024, 4), (512, 8), (256, 16), (128, 32), (3, 64)],
        [(128, 32), (256, 16), (512, 8), (1024, 4)],
    ),
    "dcgan-paper": (
        [(1024, 4), (512, 8), (256, 16), (128, 32), (3, 64)],
        [(128, 32), (256, 16), (512, 8), (1024, 4)],
    ),
    "dcgan-512": (
        [(512, 4), (256, 8), (128, 16), (64, 32), (3, 64)],
        [(64, 32), (128, 16), (256, 8), (512, 4)],
    ),
}
# name: the activations of G's hidden layers and of D's
ACTIVATIONS = {
    "keras-celeba": ([0.0] * 4, [0.2] * 4),
    "tf-simpsons": ([0.0] * 5, [0.2] * 5),
    "keras-frogs": ([0.3] * 5, [0.3] * 4),
    "vanilla-mnist": ([0.2] * 3, [0.2] * 2),
    "dcgan-celeba": ([0.0] * 3, [0.2] * 4),
    "dcgan-paper": ([0.0] * 4, [0.2] * 4),
    "dcgan-512": ([0.0] * 4, [0.2] * 4),
}


def networks(name, num_classes=0):
    """Without memory: only shapes are looked at."""
    with torch.device("meta"):
        return PRESETS[name].build(num_classes)


def parameters(network):
    return [tuple(p.shape) for p in network.parameters()]


def count(shapes):
    return sum(math.prod(shape) for shape in shapes)


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_preset_has_the_tutorials_layers(name):
    of_g, count_g, of_d, count_d = PARAMETERS[name]
    assert (count(of_g), count(of_d)) == (count_g, count_d)
    generator, discriminator = networks(name)
    assert parameters(generator) == of_g
    assert parameters(discriminator) == of_d


def test_the_simpsons_have_36_507_524_parameters():
    assert sum(count(parameters(network)) for network in networks("tf-simpsons")) == 36_507_524


@pytest.mark.parametrize("name", MAPS)
def test_a_presets_maps_have_the_tutorials_sizes(name):
    of_g, of_d = MAPS[name]
    generator, discriminator = networks(name)
    found = []
    for module in (generator.stem, *generator.blocks, generator.to_image):
        module.register_forward_hook(lambda _, __, x: found.append((x.shape[1], x.shape[2])))
    images = generator(torch.randn(2, PRESETS[name].latent_dim, device="meta"))
    assert found == of_g and images.shape == (2, of_g[-1][0], of_g[-1][1], of_g[-1][1])
    assert [(x.shape[1], x.shape[2]) for x in discriminator.hidden(images)] == of_d
    assert discriminator(images).shape == (2,)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_presets_activations_are_the_tutorials(name):
    for network, slopes in zip(networks(name), ACTIVATIONS[name]):
        used = [m for m in network.modules() if isinstance(m, (nn.ReLU, nn.LeakyReLU))]
        assert [getattr(m, "negative_slope", 0.0) for m in used] == slopes


def test_only_the_frogs_discriminator_drops_out():
    for name in PARAMETERS:
        rates = [[m.p for m in network.modules() if isinstance(m, nn.Dropout)] for network in networks(name)]
        assert rates == [[], [0.4] if name == "keras-frogs" else []]


def test_the_conditional_mlp_takes_a_one_hot_class_beside_z_and_beside_the_image():
    for network, plain in zip(networks("cgan-mnist", 10), PARAMETERS["vanilla-mnist"][::2]):
        (outputs, inputs), *others = plain
        assert parameters(network) == [(outputs, inputs + 10), *others]


def test_initial_weights_are_the_tutorials():
    """Of G's last layer; biases are 0 outside PyTorch."""
    expected = {
        "dcgan-celeba": (3 * 3 * 16) ** -0.5,  # PyTorch's own: uniform up to 1 / sqrt(outputs * kernel^2)
        "dcgan-512": 0.02,
        "keras-frogs": (2 / (256 * 49 + 3 * 49)) ** 0.5,  # Glorot's
    }
    for name, std in expected.items():
        torch.manual_seed(0)
        last = PRESETS[name].build()[0].to_image
        torch.testing.assert_close(last.weight.std(), torch.tensor(std), rtol=0.05, atol=0)
        assert last.bias is None or not last.bias.any()


def keep(file, *names):
    """Leave those arguments alone in a config."""
    config = json.loads(file.read_text())
    file.write_text(json.dumps({key: value for key, value in config.items() if key in names or key[0] == "_"}))


def test_a_config_without_the_newer_arguments_means_the_network_it_meant(tmp_path):
    """The first digits, by hand: embedding beside z, 4x4 stem, batch norm and ReLU, and a projection in D."""
    sizes = {"resolution": 32, "channels": 1, "num_classes": 10, "width": 8, "kernel": 4}
    made = GANPipeline(
        dcgan.Generator(**sizes, latent_dim=64, label_dim=16), dcgan.Discriminator(**sizes, norm="batch")
    )
    for name, values in [*made.generator.named_buffers(), *made.discriminator.named_buffers()]:
        if "running" in name:
            values.uniform_(0.5, 1.5)
    made.save_pretrained(tmp_path)
    keep(tmp_path / "generator" / "config.json", *sizes, "latent_dim", "label_dim")
    keep(tmp_path / "discriminator" / "config.json", *sizes, "norm")
    pipe = GANPipeline.from_pretrained(tmp_path, discriminator=True)
    g, d = pipe.generator.state_dict(), pipe.discriminator.state_dict()
    z, labels = torch.randn(3, 64), torch.tensor([1, 4, 9])

    def normed(x, state, key):
        mean, var = state[f"{key}.running_mean"], state[f"{key}.running_var"]
        return F.batch_norm(x, mean, var, state[f"{key}.weight"], state[f"{key}.bias"])

    x = torch.cat([z, g["embed.weight"][labels]], dim=1)[:, :, None, None]
    x = normed(F.conv_transpose2d(x, g["stem.0.weight"]), g, "stem.1").relu()
    for i in range(2):
        x = normed(F.conv_transpose2d(x, g[f"blocks.{i}.0.weight"], stride=2, padding=1), g, f"blocks.{i}.1").relu()
    images = F.conv_transpose2d(x, g["to_image.weight"], g["to_image.bias"], stride=2, padding=1).tanh()
    torch.testing.assert_close(pipe.generator(z, labels), images)

    y = F.leaky_relu(F.conv2d(images, d["blocks.0.0.weight"], d["blocks.0.0.bias"], stride=2, padding=1), 0.2)
    for i in (1, 2):
        y = F.conv2d(y, d[f"blocks.{i}.0.weight"], stride=2, padding=1)
        y = F.leaky_relu(normed(y, d, f"blocks.{i}.1"), 0.2)
    logits = F.conv2d(y, d["to_logit.weight"], d["to_logit.bias"]).flatten()
    logits = logits + (d["embed.weight"][labels] * y.mean((2, 3))).sum(1)
    torch.testing.assert_close(pipe.discriminator(images, labels), logits)


def test_a_dense_stem_norms_channels_not_numbers():
    generator = dcgan.Generator(resolution=16, width=4, project="dense")
    maps = []
    generator.stem.register_forward_hook(lambda _, __, x: maps.append(x))
    generator(torch.randn(64, 100))
    (rectified,) = maps
    assert rectified.shape == (64, 8, 4, 4)
    torch.testing.assert_close(rectified.square().mean((0, 2, 3)), torch.full((8,), 0.5), atol=0.15, rtol=0)

"""The residual family: its shapes, its norms, its attention, and how it grows."""

import copy

import pytest
import torch
import torch.nn.functional as F

from ganhub.models import resnet
from ganhub.models.residual import UPSAMPLINGS, ClassNorm, DownBlock, SelfAttention, StyleNorm, UpBlock

SMALL = {"resolution": 32, "channels": 1, "width": 4, "max_width": 16}


def pair(**options):
    generator = resnet.Generator(**SMALL, latent_dim=8, **options)
    return generator, resnet.Discriminator(**SMALL, **options)


def used(network):
    return {name for name, p in network.named_parameters() if p.grad is not None}


def modules_of(names, part):
    return {int(name.split(".")[1]) for name in names if name.startswith(part)}


@pytest.mark.parametrize("resolution", [16, 64, 256])
def test_channels_double_towards_4x4(resolution):
    sizes = {"resolution": resolution, "width": 2, "max_width": 8}
    images = resnet.Generator(**sizes, latent_dim=8).eval()(torch.randn(1, 8))
    assert images.shape == (1, 3, resolution, resolution)
    maps = resnet.Discriminator(**sizes).hidden(images)
    sides = [resolution // 2**i for i in range(1, resolution.bit_length() - 2)]
    shapes = [(min(2 * 2**i, 8), side) for i, side in enumerate(sides)]
    assert [tuple(x.shape[1:3]) for x in maps[:-2]] == shapes
    assert maps[-2].shape[2:] == (4, 4) and maps[-1].ndim == 2


def test_the_default_widths_are_the_papers_at_64():
    with torch.device("meta"):
        generator = resnet.Generator(resolution=64, width=64)
        discriminator = resnet.Discriminator(resolution=64, width=64)
    assert [block.shortcut.in_channels for block in generator.blocks] == [512, 512, 256, 128]
    assert [block.shortcut.out_channels for block in discriminator.blocks] == [128, 256, 512]


@pytest.mark.parametrize("norm", ["batch", "instance", "layer", "none"])
@pytest.mark.parametrize("num_classes", [0, 3])
def test_every_option_reaches_every_parameter(norm, num_classes):
    torch.manual_seed(0)
    options = {"norm": norm, "num_classes": num_classes, "attention": 8, "spectral_norm": True, "dropout": 0.1}
    generator = resnet.Generator(**SMALL, latent_dim=8, **options)
    discriminator = resnet.Discriminator(**SMALL, **options, minibatch_discrimination=4, minibatch_stddev=True)
    for network in (generator, discriminator):
        network.self_attention.gate.data.fill_(0.5)  # it starts at 0, and lets no gradient through
    labels = torch.arange(6) % num_classes if num_classes else None
    discriminator(generator(torch.randn(6, 8), labels), labels).square().sum().backward()
    for network in (generator, discriminator):
        assert all(p.grad is not None and p.grad.abs().max() > 1e-7 for p in network.parameters())


@pytest.mark.parametrize(
    "kind, axes", [("batch", (0, 2, 3)), ("instance", (2, 3)), ("layer", (1, 2, 3)), ("none", None)]
)
def test_a_class_scales_and_shifts_what_is_normalised(kind, axes):
    torch.manual_seed(0)
    norm, x, labels = ClassNorm(kind, 5, 3), 2 + 3 * torch.randn(6, 5, 4, 4), torch.tensor([0, 2, 1, 0, 2, 1])
    assert {name for name, _ in norm.named_parameters()} == {"scale", "shift"}
    norm.scale.data.normal_()
    norm.shift.data.normal_()
    plain = x
    if axes:
        variance, mean = torch.var_mean(x, axes, unbiased=False, keepdim=True)
        plain = (x - mean) / (variance + 1e-5).sqrt()
    expected = torch.stack(
        [norm.scale[c][:, None, None] * one + norm.shift[c][:, None, None] for c, one in zip(labels, plain)]
    )
    torch.testing.assert_close(norm(x, labels), expected)


def test_attention_at_a_gate_of_0_changes_nothing():
    x = torch.randn(2, 16, 3, 5)
    assert torch.equal(SelfAttention(16)(x), x)


def test_attention_without_queries_adds_the_mean():
    attention, x = SelfAttention(16), torch.randn(2, 16, 3, 5)
    attention.query.weight.data.zero_()  # every pixel looks everywhere alike
    attention.gate.data.fill_(0.5)
    everywhere = attention.output(attention.value(x)).mean((2, 3), keepdim=True)
    torch.testing.assert_close(attention(x), x + 0.5 * everywhere.expand_as(x))


def test_attention_finds_the_pixel_that_is_asked_for():
    attention = SelfAttention(8)  # one inner channel
    for conv in (attention.query, attention.key, attention.value):
        conv.weight.data.zero_()[0, 0] = 1.0
    attention.query.weight.data.mul_(100)
    attention.output.weight.data.fill_(1.0)
    attention.gate.data.fill_(1.0)
    x = torch.rand(1, 8, 4, 4) + 0.5
    x[0, 0, 2, 3] = 5.0  # all queries are positive, so all of them find the largest key
    torch.testing.assert_close(attention(x), x + 5.0)


def test_pooling_is_a_sum_or_a_mean():
    torch.manual_seed(0)
    summed = resnet.Discriminator(**SMALL)
    meant = resnet.Discriminator(**SMALL, pooling="mean")
    meant.load_state_dict(summed.state_dict())
    images = torch.randn(2, 1, 32, 32)
    torch.testing.assert_close(summed.hidden(images)[-1], 16 * meant.hidden(images)[-1])


def test_spectral_norm_bounds_the_discriminator():
    torch.manual_seed(0)
    discriminator = resnet.Discriminator(**SMALL, spectral_norm=True)
    weights = [m.weight for m in discriminator.modules() if isinstance(m, (torch.nn.Conv2d, torch.nn.Linear))]
    assert all(abs(torch.linalg.matrix_norm(w.flatten(1), 2) - 1) < 0.1 for w in weights) and len(weights) > 10


def test_blocks_are_the_papers():
    up, x = UpBlock(3, 2, "none", 0, 0.0, "nearest"), torch.randn(2, 3, 4, 4)
    convolutions = (up.first, up.second[-1])

    def doubled(x):
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)

    y = doubled(x.clamp(min=0))
    for conv in convolutions:
        y = F.conv2d(y.clamp(min=0), conv.weight, conv.bias, padding=1)
    torch.testing.assert_close(up(x, None), y + doubled(F.conv2d(x, up.shortcut.weight)))

    for first in (False, True):
        down = DownBlock(3, 2, first=first)
        y = x if first else x.clamp(min=0)
        one, two = (m for m in down.residual if isinstance(m, torch.nn.Conv2d))
        y = F.conv2d(F.conv2d(y, one.weight, one.bias, padding=1).clamp(min=0), two.weight, two.bias, padding=1)
        y = y + F.conv2d(x, down.shortcut.weight)
        torch.testing.assert_close(down(x), y.view(2, 2, 2, 2, 2, 2).mean((3, 5)))


def test_smooth_upsampling_is_bilinear():
    x = torch.randn(2, 3, 4, 6, dtype=torch.float64)
    expected = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
    torch.testing.assert_close(UPSAMPLINGS["bilinear"](x), expected)


def test_smooth_upsampling_leaves_no_grid():
    """Across a ramp pixels step evenly, where nearest upsampling goes by stairs."""
    torch.manual_seed(0)
    nearest, smooth = (UpBlock(3, 2, "none", 0, 0.0, name) for name in ("nearest", "bilinear"))
    smooth.load_state_dict(nearest.state_dict())
    ramp = torch.linspace(1, 2, 8).expand(1, 3, 8, 8)
    for up, even in ((nearest, False), (smooth, True)):
        inner = up(ramp, None)[..., 4:-4, 4:-4].diff(n=2, dim=3)
        assert (inner.abs().max() < 1e-5) == even


@pytest.mark.parametrize("grow_from", [4, 8, 16])
def test_images_keep_their_size_at_every_level(grow_from):
    generator, discriminator = pair(grow_from=grow_from, attention=8)
    assert generator.levels == discriminator.levels == generator.level == [3, 2, 1][[4, 8, 16].index(grow_from)]
    for half in range(2 * generator.levels + 1):
        generator.grow_to(half / 2)
        discriminator.grow_to(half / 2)
        images = generator(torch.randn(2, 8))
        side = grow_from * 2 ** ((half + 1) // 2)
        torch.testing.assert_close(F.interpolate(F.avg_pool2d(images, 32 // side), (32, 32)), images)
        assert images.shape == (2, 1, 32, 32) and discriminator(images).shape == (2,)


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_only_the_blocks_of_a_level_run(level):
    generator, discriminator = pair(grow_from=4)
    generator.grow_to(level)
    discriminator.grow_to(level)
    discriminator(generator(torch.randn(4, 8))).sum().backward()
    assert modules_of(used(generator), "blocks") == set(range(level))
    assert modules_of(used(generator), "to_image") == {level}
    assert modules_of(used(discriminator), "from_image") == {level}
    assert modules_of(used(discriminator), "blocks") == set(range(3 - level, 2))  # the first is for the largest images


def test_a_fraction_blends_two_levels():
    torch.manual_seed(0)
    generator, discriminator = (network.eval() for network in pair(grow_from=8))
    z, images = torch.randn(3, 8), torch.randn(3, 1, 32, 32)

    def at(network, level, x):
        network.grow_to(level)
        return network(x)

    low, high = (at(generator, level, z) for level in (0, 1))
    assert (low - high).abs().max() > 0.1
    torch.testing.assert_close(at(generator, 0.25, z), 0.75 * low + 0.25 * high)
    for network, x in ((generator, z), (discriminator, images)):
        for level in (0, 1):
            torch.testing.assert_close(at(network, level + 1e-6, x), at(network, level, x), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(at(network, 1 - 1e-6, x), at(network, 1, x), atol=1e-4, rtol=1e-4)
        assert not torch.allclose(at(network, 0.5, x), at(network, 0, x), atol=1e-3)


def test_a_discriminator_at_a_low_level_sees_no_detail():
    discriminator = resnet.Discriminator(**SMALL, grow_from=8)
    detail = torch.ones(2, 1, 32, 32)
    detail[:, :, ::2] = -1.0
    discriminator.grow_to(1)
    torch.testing.assert_close(discriminator(detail), discriminator(torch.zeros_like(detail)))
    discriminator.grow_to(2)
    assert not torch.allclose(discriminator(detail), discriminator(torch.zeros_like(detail)))


def test_real_images_are_blended_as_the_generator_blends_its_own():
    """Figure 2 of arXiv:1710.10196: between the two resolutions, and without any finer detail."""
    _, discriminator = pair(grow_from=8)
    images = torch.randn(2, 1, 32, 32)

    def coarse(side):
        return (
            images.unfold(2, side, side)
            .unfold(3, side, side)
            .mean((4, 5))
            .repeat_interleave(side, 2)
            .repeat_interleave(side, 3)
        )

    for level, expected in (
        (0, coarse(4)),
        (0.25, 0.75 * coarse(4) + 0.25 * coarse(2)),
        (1.5, 0.5 * coarse(2) + 0.5 * images),
        (2, images),
    ):
        discriminator.grow_to(level)
        torch.testing.assert_close(discriminator.blend(images), expected)
    assert torch.equal(discriminator.blend(images), images)


def test_a_loaded_network_is_fully_grown(tmp_path):
    for network, x in zip(pair(grow_from=4), (torch.randn(2, 8), torch.randn(2, 1, 32, 32))):
        network.eval().grow_to(1.5)
        assert copy.deepcopy(network).level == 1.5
        network.save_pretrained(tmp_path)
        loaded = type(network).from_pretrained(tmp_path)
        assert loaded.level == 3
        network.grow_to(3)
        assert torch.equal(loaded(x), network(x))
        assert "level" not in "".join(network.state_dict())


@pytest.mark.parametrize("norm", ["batch", "none"])
@pytest.mark.parametrize("num_classes", [0, 3])
def test_a_mapping_network_reaches_every_parameter(norm, num_classes):
    torch.manual_seed(0)
    generator = resnet.Generator(**SMALL, latent_dim=8, norm=norm, num_classes=num_classes, mapping=2)
    for name, p in generator.named_parameters():
        if name.endswith((".scale", ".shift")):
            torch.nn.init.normal_(p, 0.0, 0.1)  # they start at 0, and let no gradient through
    labels = torch.arange(6) % num_classes if num_classes else None
    z = torch.randn(6, 8)
    generator(z, labels).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 1e-7 for p in generator.parameters())
    generator.zero_grad()
    torch.nn.init.zeros_(generator.stem.weight)  # now by the norms alone
    generator(z, labels).square().sum().backward()
    assert all(p.grad.abs().max() > 1e-7 for p in generator.mapping_network.parameters())


def test_a_style_scales_and_shifts_what_is_normalised():
    torch.manual_seed(0)
    norm, x, style = StyleNorm("none", 5, 3), torch.randn(2, 5, 4, 4), torch.randn(2, 3)
    assert torch.equal(norm(x, style), x)
    norm.scale.data.normal_()
    norm.shift.data.normal_()
    scale, shift = ((style @ table.T)[:, :, None, None] for table in (norm.scale, norm.shift))
    torch.testing.assert_close(norm(x, style), x * (1 + scale) + shift)


def test_a_clamped_output_reaches_black_and_white():
    torch.manual_seed(0)
    clamped = resnet.Generator(**SMALL, latent_dim=8, output="clamp").eval()
    smooth = resnet.Generator(**SMALL, latent_dim=8).eval()
    smooth.load_state_dict(clamped.state_dict())
    z = 20 * torch.randn(4, 8)
    images = clamped(z)
    assert images.min() == -1 and images.max() == 1
    torch.testing.assert_close(smooth(z).atanh().clamp(-1, 1), images, atol=1e-2, rtol=0)


@pytest.mark.parametrize("cls", [resnet.Generator, resnet.Discriminator])
@pytest.mark.parametrize(
    "options, words",
    [
        ({"resolution": 60}, "power-of-two resolution from 16 to 256, got 60"),
        ({"width": 0}, "width between 1"),
        ({"max_width": 10**9}, "max_width between 1"),
        ({"norm": "group"}, "norm among batch, instance, layer, none"),
        ({"attention": 32}, "attention at a power of two from 8 to 16, got 32"),
        ({"attention": 4}, "attention at a power of two"),
        ({"resolution": 256, "attention": 128}, "from 8 to 64, got 128"),
        ({"grow_from": 32}, "grow_from a power of two from 4 to 16, got 32"),
        ({"attention": 8.0}, "whole number as attention, got 8.0"),
        ({"grow_from": 8.0}, "whole number as grow_from, got 8.0"),
        ({"attention": False}, "whole number as attention, got False"),
        ({"grow_from": 12}, "grow_from a power of two"),
        ({"dropout": 1.0}, "dropout must be a share"),
        ({"spectral_norm": "yes"}, "spectral_norm"),
        ({"init": "zeros"}, "init must be one of"),
    ],
)
def test_impossible_options_are_refused_by_name(cls, options, words):
    with pytest.raises(ValueError, match=words):
        cls(**options)


def test_what_only_one_of_them_has():
    with pytest.raises(ValueError, match="pooling to be one of sum, mean"):
        resnet.Discriminator(pooling="max")
    with pytest.raises(ValueError, match="latent .*normal, uniform"):
        resnet.Generator(latent="cauchy")
    with pytest.raises(ValueError, match="output to be one of tanh, clamp"):
        resnet.Generator(output="relu")
    with pytest.raises(ValueError, match="upsampling to be one of nearest, bilinear"):
        resnet.Generator(upsampling="bicubic")
    with pytest.raises(ValueError, match="mapping network of 0 to 8 layers, got 9"):
        resnet.Generator(mapping=9)
    with pytest.raises(ValueError, match="whole number as mapping, got True"):
        resnet.Generator(mapping=True)
    generator, discriminator = pair(grow_from=8)
    for network in (generator, discriminator):
        with pytest.raises(ValueError, match="levels from 0 to 2, got 2.5"):
            network.grow_to(2.5)
    with pytest.raises(ValueError, match="needs labels"):
        resnet.Generator(**SMALL, num_classes=3, latent_dim=8)(torch.randn(2, 8))

"""Every architecture keeps the contracts of ganhub.models.base, whatever its options."""

import pytest
import torch

from ganhub.models import ARCHITECTURES, dcgan, frog, layers, mlp

SMALL = {  # arguments of both networks; any other family is built at 16x16 with its own defaults
    "dcgan": {"width": 4},
    "mlp": {"hidden": (16, 8)},
    "frog": {"resolution": 24, "width": 4},
    "resnet": {"width": 4},
    "autoencoder": {"width": 4},
    "capsule": {"width": 4},
}
OPTIONS = {  # further arguments of the generator and of the discriminator
    "dcgan dense": (
        "dcgan",
        {"project": "dense", "norm": "layer", "dropout": 0.1},
        {"head": "dense", "outputs": 2, "norm": "layer", "norm_first": True, "minibatch_discrimination": 3},
    ),
    "dcgan linear": (
        "dcgan",
        {"project": "linear", "norm": "instance"},
        {"norm": "instance", "minibatch_stddev": True, "dropout": 0.1},
    ),
    "dcgan plain": ("dcgan", {"norm": "none", "bias": False}, {"norm": "none", "bias": False}),
    "dcgan spectral": ("dcgan", {"spectral_norm": True}, {"spectral_norm": True, "norm": "none"}),
    "mlp other norms": (
        "mlp",
        {"norm": "layer", "dropout": 0.1},
        {"norm": "batch", "minibatch_discrimination": 3, "minibatch_stddev": True},
    ),
    "mlp spectral": ("mlp", {"norm": "none", "spectral_norm": True}, {"norm": "layer", "spectral_norm": True}),
    "frog normed": (
        "frog",
        {"norm": "batch", "dropout": 0.1},
        {"norm": "batch", "minibatch_discrimination": 3, "minibatch_stddev": True},
    ),
    "frog spectral": ("frog", {"spectral_norm": True}, {"spectral_norm": True}),
    "resnet normed": (
        "resnet",
        {"norm": "layer", "dropout": 0.1},
        {"norm": "layer", "pooling": "mean", "dropout": 0.1, "minibatch_discrimination": 3, "minibatch_stddev": True},
    ),
    "resnet styled": ("resnet", {"mapping": 2, "output": "clamp", "upsampling": "bilinear"}, {}),
    "resnet spectral": ("resnet", {"norm": "instance", "spectral_norm": True}, {"spectral_norm": True}),
    "autoencoder normed": (
        "autoencoder",
        {"norm": "batch", "depth": 1, "dropout": 0.1},
        {"norm": "layer", "depth": 1, "dropout": 0.1, "error": "l2"},
    ),
    "autoencoder spectral": ("autoencoder", {"spectral_norm": True}, {"spectral_norm": True}),
    "capsule normed": ("capsule", {}, {"norm": "batch", "dropout": 0.1, "spectral_norm": True}),
    "capsule minibatch": ("capsule", {}, {"norm": "layer", "minibatch_discrimination": 3, "minibatch_stddev": True}),
}
CASES = {arch: (arch, {}, {}) for arch in ARCHITECTURES} | OPTIONS
LATENT_DIM = 8


def build(case, channels=3, num_classes=0, **generator_options):
    torch.manual_seed(0)
    arch, for_g, for_d = CASES[case]
    shared = {"resolution": 16, **SMALL.get(arch, {}), "channels": channels, "num_classes": num_classes}
    family = ARCHITECTURES[arch]
    generator = family.Generator(**shared, latent_dim=LATENT_DIM, **for_g, **generator_options)
    return generator, family.Discriminator(**shared, **for_d)


def trained(network):
    """In eval mode, with statistics and parameters that are no longer the initial ones."""
    network.train()
    for parameter in network.parameters():
        parameter.data.add_(torch.randn_like(parameter), alpha=0.1)
    side = network.config.resolution
    inputs = (8, LATENT_DIM) if hasattr(network, "noise") else (8, network.config.channels, side, side)
    with torch.no_grad():
        network(torch.randn(inputs), labels_for(network.config.num_classes, 8))
    return network.eval()


def labels_for(num_classes, count):
    return torch.arange(count) % num_classes if num_classes else None


@pytest.mark.parametrize("num_classes", [0, 3])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("case", CASES)
def test_shapes_ranges_and_a_gradient_on_every_parameter(case, channels, num_classes):
    generator, discriminator = build(case, channels, num_classes)
    labels = labels_for(num_classes, 4)
    images = generator(torch.randn(4, LATENT_DIM), labels)
    logits = discriminator(images, labels)
    side = generator.config.resolution
    assert images.shape == (4, channels, side, side) and images.abs().max() <= 1
    assert logits.shape == (4,)
    logits.square().sum().backward()
    for network in (generator, discriminator):
        still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
        assert not still


@pytest.mark.parametrize("num_classes", [0, 3])
@pytest.mark.parametrize("case", CASES)
def test_a_saved_model_loads_as_it_was(case, num_classes, tmp_path):
    for name, network in zip(("Generator", "Discriminator"), build(case, num_classes=num_classes)):
        trained(network).save_pretrained(tmp_path / name)
        loaded = getattr(ARCHITECTURES[CASES[case][0]], name).from_pretrained(tmp_path / name)
        assert not any(module.training for module in loaded.modules())
        assert loaded.to_json_string() == network.to_json_string()
        for key, value in network.state_dict().items():
            assert torch.equal(loaded.state_dict()[key], value), key


@pytest.mark.parametrize("case", CASES)
def test_a_network_is_built_without_memory_and_the_same_from_one_seed(case):
    with torch.device("meta"):
        assert all(p.is_meta for network in build(case, num_classes=2) for p in network.parameters())
    for network, twin in zip(build(case), build(case)):
        assert all(torch.equal(a, b) for a, b in zip(network.state_dict().values(), twin.state_dict().values()))


@pytest.mark.parametrize("case", CASES)
def test_a_class_changes_the_picture_and_the_logit(case):
    generator, discriminator = (trained(network) for network in build(case, num_classes=3))
    z = torch.randn(1, LATENT_DIM)
    first, second = (generator(z, torch.tensor([label])) for label in (0, 2))
    assert not torch.allclose(first, second)
    assert discriminator(first, torch.tensor([0])) != discriminator(first, torch.tensor([2]))
    for network, given in ((generator, z), (discriminator, first)):
        with pytest.raises(ValueError, match="needs labels"):
            network(given)


@pytest.mark.parametrize("num_classes", [0, 3])
@pytest.mark.parametrize("case", CASES)
def test_an_image_and_its_features_dont_depend_on_their_batch(case, num_classes):
    generator, discriminator = (trained(network) for network in build(case, num_classes=num_classes))
    z, labels = torch.randn(4, LATENT_DIM), labels_for(num_classes, 4)
    images = generator(z, labels)
    features, logits = discriminator.features(images), discriminator(images, labels)
    assert features.ndim == 2 and len(features) == 4 and torch.isfinite(features).all()
    blocks = discriminator.hidden(images)
    assert features.shape[1] == sum(x.shape[1] * min(4, x.shape[2]) ** 2 if x.ndim == 4 else x.shape[1] for x in blocks)
    alone = None if labels is None else labels[2:3]
    torch.testing.assert_close(generator(z[2:3], alone), images[2:3], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(discriminator.features(images[2:3]), features[2:3], atol=1e-4, rtol=1e-4)
    if not any(
        isinstance(m, (layers.MinibatchDiscrimination, layers.MinibatchStddev)) for m in discriminator.modules()
    ):
        torch.testing.assert_close(discriminator(images[2:3], alone), logits[2:3], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_uniform_and_scaled_noise_come_from_standard_normal_z(arch):
    plain, scaled = trained(build(arch)[0]), build(arch, latent_scale=0.5)[0].eval()
    uniform = build(arch, latent="uniform")[0].eval()
    z = torch.randn(3, LATENT_DIM)
    for network, same in ((scaled, z / 2), (uniform, 2 * torch.distributions.Normal(0, 1).cdf(z) - 1)):
        network.load_state_dict(plain.state_dict())
        assert not torch.allclose(network(z), plain(z))
        torch.testing.assert_close(network(z), plain(same), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kernel", [3, 4, 5])
@pytest.mark.parametrize("resolution", [16, 32, 64, 128, 256])
def test_dcgan_has_every_resolution_and_kernel(resolution, kernel):
    sizes = {"resolution": resolution, "kernel": kernel, "width": 2}
    images = dcgan.Generator(**sizes, latent_dim=8).eval()(torch.randn(1, 8))
    assert images.shape == (1, 3, resolution, resolution)
    assert dcgan.Discriminator(**sizes, norm="none")(images).shape == (1,)


@pytest.mark.parametrize("resolution", [24, 26, 28, 46, 64, 128])
def test_frog_has_even_resolutions(resolution):
    images = frog.Generator(resolution=resolution, width=2)(torch.randn(1, 32))
    assert images.shape == (1, 3, resolution, resolution)
    assert frog.Discriminator(resolution=resolution, width=2)(images).shape == (1,)


def test_dcgan_channels_double_up_to_the_cap():
    def widths(**options):
        with torch.device("meta"):
            return [block[0].out_channels for block in dcgan.Discriminator(resolution=128, **options).blocks]

    assert widths(width=64) == [64, 128, 256, 512, 512]
    assert widths(width=64, max_width=1024) == [64, 128, 256, 512, 1024]
    assert widths(width=64, max_width=128) == [64, 128, 128, 128, 128]
    assert widths(width=768) == [768] * 5


def test_biases_are_where_they_count_or_as_told():
    def biases(network):
        return [m.bias is not None for m in network.modules() if isinstance(m, layers.Convolution)]

    for norm, inner in (("batch", False), ("instance", False), ("layer", True), ("none", True)):
        assert biases(dcgan.Generator(resolution=16, width=2, norm=norm)) == [inner, inner, True]
        assert biases(dcgan.Discriminator(resolution=16, width=2, norm=norm)) == [True, inner, True]
    for told in (False, True):
        assert set(biases(dcgan.Generator(resolution=16, width=2, bias=told))) == {told}
        assert set(biases(dcgan.Discriminator(resolution=16, width=2, bias=told))) == {told}


def test_two_outputs_are_a_softmax_folded_into_one_logit():
    discriminator = dcgan.Discriminator(resolution=16, width=2, outputs=2, head="dense").eval()
    torch.nn.init.zeros_(discriminator.to_logit.weight)
    discriminator.to_logit.bias.data = torch.tensor([0.5, 2.0])  # generated, real
    logits = discriminator(torch.rand(3, 3, 16, 16))
    torch.testing.assert_close(logits, torch.full((3,), 1.5))
    cross_entropy = torch.nn.functional.cross_entropy(torch.tensor([[0.5, 2.0]]), torch.tensor([1]))
    torch.testing.assert_close(torch.nn.functional.softplus(-logits[0]), cross_entropy)


@pytest.mark.parametrize("arch", ["dcgan", "mlp", "frog", "autoencoder", "capsule"])
def test_dropout_works_in_training_only(arch):
    torch.manual_seed(0)
    sizes = {"resolution": 24, "width": 8} if arch == "frog" else {"resolution": 16}
    sizes |= {"channels": 1, "dropout": 0.5}
    family = ARCHITECTURES[arch]
    networks = family.Generator(**sizes, latent_dim=8), family.Discriminator(**sizes)
    for network, x in zip(networks, (torch.randn(4, 8), torch.randn(4, 1, sizes["resolution"], sizes["resolution"]))):
        assert not torch.equal(network(x), network(x))
        network.eval()
        assert torch.equal(network(x), network(x))


@pytest.mark.parametrize("arch", ["dcgan", "mlp", "frog"])
def test_minibatch_discrimination_sees_copies(arch):
    options = {"dcgan": {"head": "dense", "norm": "none"}}.get(arch, {})
    sizes = {"resolution": 32, "minibatch_discrimination": 4, **options}
    discriminator = ARCHITECTURES[arch].Discriminator(channels=3, **sizes).eval()
    torch.nn.init.zeros_(discriminator.to_logit.weight)
    discriminator.to_logit.weight.data[0, -4:] = 1.0
    bias = discriminator.to_logit.bias
    image = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(discriminator(image) - bias, torch.tensor([4.0]))  # itself, four times
    torch.testing.assert_close(discriminator(image.expand(3, -1, -1, -1)) - bias, torch.full((3,), 12.0))
    apart = discriminator(torch.cat([image * 1e3, -image * 1e3])) - bias
    torch.testing.assert_close(apart, torch.full((2,), 4.0))


def test_mlp_draws_points():
    points = mlp.Generator(resolution=1, channels=2, hidden=(8,))(torch.randn(5, 100))
    assert points.shape == (5, 2, 1, 1) and points.abs().max() <= 1
    assert mlp.Discriminator(resolution=1, channels=2, hidden=(8,))(points).shape == (5,)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: dcgan.Generator(resolution=60), "power-of-two resolution from 16 to 256, got 60"),
        (lambda: dcgan.Generator(kernel=7), "kernel to be one of 3, 4, 5, got 7"),
        (lambda: dcgan.Generator(channels=2), "1 or 3 channels, got 2"),
        (lambda: dcgan.Generator(width=10**9), "width between 1 and 4096"),
        (lambda: dcgan.Generator(max_width=0), "max_width between 1 and 4096"),
        (lambda: dcgan.Generator(latent_dim=10**9), "latent_dim between 1 and 4096"),
        (lambda: dcgan.Generator(latent_dim="100"), "whole number as latent_dim"),
        (lambda: dcgan.Generator(latent="gamma"), "latent to be one of normal, uniform, got 'gamma'"),
        (lambda: dcgan.Generator(latent_scale=0), "latent_scale above 0"),
        (lambda: dcgan.Generator(num_classes=-1), "0 to 4096 classes"),
        (lambda: dcgan.Generator(project="convolution"), "project to be one of conv, dense, linear"),
        (lambda: dcgan.Generator(bias="False"), "true or false as bias, got 'False'"),
        (lambda: dcgan.Generator(init="glorot"), "init must be one of dcgan, he, xavier"),
        (lambda: dcgan.Discriminator(norm="group"), "norm among batch, instance, layer, none, got 'group'"),
        (lambda: dcgan.Discriminator(norm_first="no"), "true or false as norm_first, got 'no'"),
        (lambda: dcgan.Discriminator(outputs=3), "outputs to be one of 1, 2, got 3"),
        (lambda: dcgan.Discriminator(dropout=1), "dropout must be a share from 0 to below 1"),
        (lambda: dcgan.Discriminator(minibatch_discrimination=5), "flattened maps; use head=dense, got 'conv'"),
        (lambda: dcgan.Discriminator(minibatch_discrimination=-1, head="dense"), "1 to 1024 kernels, got -1"),
        (lambda: dcgan.Discriminator(minibatch_discrimination=0.0, head="dense"), "1 to 1024 kernels, got 0.0"),
        (lambda: dcgan.Generator(kernel=4.0), "kernel to be one of 3, 4, 5, got 4.0"),
        (lambda: dcgan.Discriminator(outputs=True), "outputs to be one of 1, 2, got True"),
        (lambda: mlp.Discriminator(minibatch_stddev=1), "true or false as minibatch_stddev, got 1"),
        (lambda: mlp.Generator(hidden=()), "1 to 16 hidden layers"),
        (lambda: mlp.Generator(norm="instance"), "norm among batch, layer, none, got 'instance'"),
        (lambda: mlp.Generator(resolution=100_000), "resolution from 4 to 256"),
        (lambda: mlp.Generator(resolution=1), "channels=2: points"),
        (lambda: mlp.Discriminator(channels=2), "1 or 3 channels, got 2"),
        (lambda: frog.Generator(resolution=33), "even resolution from 24 to 128, got 33"),
        (lambda: frog.Discriminator(resolution=22), "even resolution from 24 to 128, got 22"),
    ],
)
def test_impossible_sizes_are_refused_by_name(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("resolution, side", [(24, 1), (30, 1), (32, 2)])
def test_frog_has_no_instance_norm_where_its_last_maps_are_one_pixel(resolution, side):
    assert frog.Discriminator(resolution=resolution, width=2, norm="layer").hidden(
        torch.randn(2, 3, resolution, resolution)
    )[-1].shape[2:] == (side, side)
    if side == 1:
        with pytest.raises(ValueError, match=f"1x1 at {resolution}.*use norm=layer or batch, or a resolution from 32"):
            frog.Discriminator(resolution=resolution, norm="instance")
    else:
        assert frog.Discriminator(resolution=32, width=2, norm="instance")(torch.randn(2, 3, 32, 32)).shape == (2,)

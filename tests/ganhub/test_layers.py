"""What the families share does what its papers say."""

import torch

from ganhub.models import dcgan, layers


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

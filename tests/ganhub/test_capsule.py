"""The capsule discriminator: squashing, routing and the logit that follows from a capsule's length."""

import pytest
import torch
import torch.nn.functional as F

from ganhub import GANPipeline
from ganhub.models import capsule, dcgan
from ganhub.models.capsule import EPS, route, squash

SMALL = {"resolution": 16, "channels": 1, "width": 4}


def test_squash_keeps_directions_and_bounds_lengths():
    vectors = torch.tensor([[3.0, 4.0], [0.3, -0.4], [0.0, 0.0]])
    squashed = squash(vectors)
    torch.testing.assert_close(squashed.norm(dim=1), torch.tensor([25 / 26, 0.25 / 1.25, 0.0]))
    torch.testing.assert_close(squashed[0], torch.tensor([3.0, 4.0]) / 5 * 25 / 26)
    torch.testing.assert_close(squash(torch.tensor([[1e6, 0.0]])).norm(), torch.tensor(1.0))


def test_the_logits_sigmoid_is_the_length_of_the_squashed_pose():
    discriminator = capsule.Discriminator(**SMALL)
    code = discriminator.hidden(torch.randn(5, 1, 16, 16))[-1]
    logits = discriminator.judge(code, None, None)
    torch.testing.assert_close(logits.sigmoid(), squash(code).norm(dim=1), atol=EPS, rtol=0)


def test_a_pose_of_no_length_has_a_finite_gradient():
    discriminator = capsule.Discriminator(**SMALL)
    for judge in (lambda pose: discriminator.judge(pose, None, None), squash):
        code = torch.zeros(1, 16, requires_grad=True)
        judge(code).sum().backward()
        assert torch.isfinite(code.grad).all()


def test_one_round_shares_votes_evenly_with_nobody():
    votes = torch.randn(2, 6, 3, 4)
    torch.testing.assert_close(route(votes, 1), votes.sum(1) / 4)  # three candidates and nobody


@pytest.mark.parametrize("candidates", [1, 3])
def test_rounds_are_the_papers_formula(candidates):
    votes = torch.randn(2, 6, candidates, 4)

    def total(agreement):  # softmax over the candidates and nobody, whose agreement stays 0
        shares = agreement.exp() / (1 + agreement.exp().sum(2, keepdim=True))
        return (shares[..., None] * votes).sum(1)

    def agree(with_pose):
        return (votes * squash(with_pose)[:, None]).sum(3)

    first = agree(votes.sum(1) / (candidates + 1))
    torch.testing.assert_close(route(votes, 2), total(first))
    torch.testing.assert_close(route(votes, 3), total(first + agree(total(first))))


def test_the_rounds_are_the_networks():
    images = torch.randn(2, 1, 16, 16)
    networks = [capsule.Discriminator(**SMALL, routing=rounds) for rounds in (1, 3)]
    networks[1].load_state_dict(networks[0].state_dict())
    assert not torch.allclose(networks[0](images), networks[1](images))


def test_routing_listens_to_those_who_agree():
    agreeing = torch.tensor([[2.0, 0.0]] * 4 + [[-2.0, 0.0]])[None, :, None]  # one voter against four
    lengths = [route(agreeing, rounds)[0, 0, 0].item() for rounds in (1, 2, 3, 8)]
    assert lengths == sorted(lengths) and lengths[0] == 3.0 and lengths[2] > 5.0
    scattered = torch.eye(5)[None, :, None] * 2
    assert route(scattered, 3).norm() < 0.6 * route(agreeing, 3).norm()


def test_only_the_last_round_has_a_gradient():
    votes = torch.randn(1, 4, 2, 3, requires_grad=True)
    total = route(votes, 3)
    (gradient,) = torch.autograd.grad(total[0, 0, 0], votes)
    share = gradient[0, :, 0, 0]
    torch.testing.assert_close((share[:, None] * votes[0, :, 0]).sum(0), total[0, 0])
    assert (gradient[0, :, 1] == 0).all() and (gradient[0, :, 0, 1:] == 0).all()


def test_a_penalty_can_be_taken_on_the_gradient():
    discriminator = capsule.Discriminator(**SMALL)
    images = torch.randn(2, 1, 16, 16, requires_grad=True)
    (gradient,) = torch.autograd.grad(discriminator(images).sum(), images, create_graph=True)
    gradient.square().sum().backward()
    assert discriminator.votes.grad.abs().sum() > 0


def test_the_asked_class_judges():
    discriminator = capsule.Discriminator(**SMALL, num_classes=3)
    images = torch.randn(1, 1, 16, 16).expand(3, -1, -1, -1)
    code = discriminator.hidden(images)[-1]
    expected = (code[0].view(3, 16).square().sum(1) + EPS).log()
    torch.testing.assert_close(discriminator(images, torch.tensor([2, 0, 1])), expected[[2, 0, 1]])


@pytest.mark.parametrize("num_classes", [0, 10])
@pytest.mark.parametrize("resolution", [16, 32, 64])
def test_it_starts_undecided(resolution, num_classes):
    torch.manual_seed(0)
    discriminator = capsule.Discriminator(resolution=resolution, num_classes=num_classes)
    labels = torch.arange(8) if num_classes else None
    assert discriminator(torch.randn(8, 1, resolution, resolution), labels).abs().max() < 4


def test_the_pipeline_saves_and_loads_both_families(tmp_path):
    generator = capsule.Generator(resolution=16, channels=1, width=4, latent_dim=8)
    pipe = GANPipeline(generator, capsule.Discriminator(**SMALL))
    pipe.save_pretrained(tmp_path)
    loaded = GANPipeline.from_pretrained(tmp_path, discriminator=True)
    assert type(loaded.generator) is dcgan.Generator and type(loaded.discriminator) is capsule.Discriminator
    images = torch.randn(2, 1, 16, 16)
    assert torch.equal(loaded.discriminator(images), pipe.discriminator(images))
    z = torch.randn(2, 8)
    assert torch.equal(loaded.generator(z), generator(z))


@pytest.mark.parametrize(
    "options, words",
    [
        ({"resolution": 28}, "resolution of 16, 32 or 64, got 28"),
        ({"routing": 0}, "routing between 1"),
        ({"routing": 17}, "routing between 1 and 16, got 17"),
        ({"capsules": 0}, "capsules between 1"),
        ({"capsule_dim": "8"}, "whole number as capsule_dim"),
        ({"norm": "group"}, "norm among batch"),
        ({"spectral_norm": 1}, "spectral_norm"),
    ],
)
def test_impossible_options_are_refused_by_name(options, words):
    with pytest.raises(ValueError, match=words):
        capsule.Discriminator(**options)


def test_a_capsule_networks_maps_are_convolutions_and_leaky_relus():
    network = capsule.Discriminator(resolution=32, width=2)
    s, y = network.state_dict(), torch.randn(2, 1, 32, 32)
    *maps, _ = network.hidden(y)
    for i in range(2):
        y = F.conv2d(y, s[f"blocks.{i}.0.weight"], s[f"blocks.{i}.0.bias"], stride=2, padding=1)
        y = torch.where(y > 0, y, 0.2 * y)
        torch.testing.assert_close(maps[i], y)
    torch.testing.assert_close(maps[2], F.conv2d(y, s["primary.weight"], s["primary.bias"], stride=2, padding=1))


def test_minibatch_layers_of_a_capsule_network_add_a_term():
    shared = {"resolution": 16, "width": 2}
    plain = capsule.Discriminator(**shared)
    network = capsule.Discriminator(**shared, minibatch_discrimination=2, minibatch_stddev=True)
    network.load_state_dict(plain.state_dict(), strict=False)
    network.to_term.weight.data = torch.tensor([[1.0, 1.0, 5.0]])
    image = torch.randn(1, 1, 16, 16)
    alike = image.expand(3, -1, -1, -1)  # each is as close as can be to all three, in both kernels; no spread
    expected = plain(alike) + 2 * 3 + 5 * 1e-4 + network.to_term.bias
    torch.testing.assert_close(network(alike), expected, atol=1e-4, rtol=1e-4)

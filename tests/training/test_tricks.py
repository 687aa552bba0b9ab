"""Every trick does what it says, and nothing else."""

import dataclasses

import pytest
import torch

from tests.training.game import BARE, play, real_images, watch, weights
from training.augment import adapted, augmenter
from training.labels import draw_labels
from training.objectives import OBJECTIVES
from training.penalties import pulling_away
from training.steps import d_step, g_step


def test_a_whole_batch_flips_even_when_it_is_accumulated(monkeypatch):
    game, told = play(accumulate=2, label_flip=0.4, label_flip_per="batch"), []
    loss = OBJECTIVES["non_saturating"].loss
    spy = dataclasses.replace(OBJECTIVES["non_saturating"], loss=lambda x, y: told.append(y) or loss(x, y))
    monkeypatch.setitem(OBJECTIVES, "non_saturating", spy)
    for _ in range(30):
        d_step(game, real_images(game), None)
    flips = [labels.unique().tolist() for labels in told]
    assert all(len(values) == 1 for values in flips) and {values[0] for values in flips[::4]} == {0.0, 1.0}
    for first_real, first_fake, second_real, second_fake in zip(*[iter(flips)] * 4):
        assert first_real == second_real and first_fake == second_fake


def test_d_sees_augmented_images_in_both_steps():
    game = play(augment=("cutout",))
    shown, _ = watch(game)
    d_step(game, torch.ones(4, 1, 16, 16), None)
    g_step(game, torch.ones(4, 1, 16, 16), None)
    assert all((images == 0).flatten(1).any(1).all() for images in shown) and len(shown) == 3


@pytest.mark.parametrize(
    "changes, low, high",
    [
        ({}, (1, 1), (0, 0)),
        ({"real_label": (0.9, 0.9)}, (0.9, 0.9), (0, 0)),
        ({"real_label": (0.7, 1.0)}, (0.7, 1.0), (0, 0)),
        ({"label_noise": 0.05}, (1, 1.05), (0, 0.05)),
        ({"label_noise": -0.05}, (0.95, 1), (-0.05, 0)),
        ({"label_flip": 1.0}, (0, 0), (1, 1)),
    ],
)
def test_labels_lie_where_the_tricks_put_them(changes, low, high):
    recipe = dataclasses.replace(BARE, **changes)
    for real, (least, most) in ((True, low), (False, high)):
        labels = draw_labels(recipe, torch.zeros(4000), real)
        assert least - 1e-6 <= labels.min() and labels.max() <= most + 1e-6
        assert labels.mean().item() == pytest.approx((least + most) / 2, abs=0.01)


def test_flips_are_drawn_for_each_image_or_for_the_whole_batch():
    torch.manual_seed(0)
    each = draw_labels(dataclasses.replace(BARE, label_flip=0.25), torch.zeros(8000), True)
    assert each.mean().item() == pytest.approx(0.75, abs=0.03)
    whole = dataclasses.replace(BARE, label_flip=0.25, label_flip_per="batch")
    means = [draw_labels(whole, torch.zeros(50), True).mean().item() for _ in range(400)]
    assert set(means) == {0.0, 1.0} and sum(means) / 400 == pytest.approx(0.75, abs=0.1)


def test_labels_change_the_discriminators_loss_and_nothing_of_the_generators():
    plain, flipped = play(), play(label_flip=1.0)
    stats = []
    for game in (plain, flipped):
        torch.manual_seed(0)
        stats.append(d_step(game, real_images(game), None))
    logits = {name: plain.seen[name] for name in ("real_logit", "fake_logit")}
    for name, other in (("real", 1), ("fake", -1)):
        loss = torch.nn.functional.softplus(other * logits[f"{name}_logit"]).mean()
        assert stats[1][f"d_loss_{name}"].item() == pytest.approx(loss.item(), rel=1e-5)
    torch.manual_seed(0)
    g_step(flipped, real_images(flipped), None)
    fresh = play(label_flip=0.0)
    fresh.state.discriminator.load_state_dict(flipped.state.discriminator.state_dict())
    torch.manual_seed(0)
    g_step(fresh, real_images(fresh), None)
    assert torch.equal(weights(fresh.state.generator), weights(flipped.state.generator))


def test_instance_noise_has_its_strength_fades_and_reaches_both_steps():
    game = play(instance_noise=0.5, instance_noise_kimg=2.0)
    images = torch.zeros(500, 1, 16, 16)
    for seen, strength in ((0, 0.5), (1000, 0.25), (2000, 0.0), (9000, 0.0)):
        game.state.clock.images = seen
        game.start_iteration()
        assert game.view(images).std().item() == pytest.approx(strength, abs=0.005)
    steady = play(instance_noise=0.5)
    steady.state.clock.images = 10**6
    steady.start_iteration()
    assert steady.view(images).std().item() == pytest.approx(0.5, abs=0.005)
    shown, _ = watch(steady)
    d_step(steady, torch.zeros(4, 1, 16, 16), None)
    g_step(steady, torch.zeros(4, 1, 16, 16), None)
    assert len(shown) == 3 and shown[0].std().item() == pytest.approx(0.5, abs=0.1)


def test_an_augmentation_takes_its_share_of_the_images():
    torch.manual_seed(0)
    images = torch.rand(2000, 1, 4, 4)
    changed = (augmenter(("cutout",), 0.3)(images) != images).flatten(1).any(1)
    assert changed.float().mean().item() == pytest.approx(0.3, abs=0.04)
    assert torch.equal(augmenter(("cutout",), torch.tensor(0.0))(images), images)


def test_ada_follows_the_sign_of_the_logits_on_real_images():
    p = torch.tensor(0.5)
    assert adapted(p, torch.tensor(0.9), 0.6, 0.1).item() == pytest.approx(0.6)
    assert adapted(p, torch.tensor(0.2), 0.6, 0.1).item() == pytest.approx(0.4)
    assert adapted(torch.tensor(0.95), torch.tensor(1.0), 0.6, 0.1).item() == 1.0
    game = play(augment=("translation",), augment_target=0.6, augment_adapt_kimg=0.04, augment_p=0.5)
    game.state.discriminator.to_logit.bias.data.fill_(100.0)
    stats = d_step(game, real_images(game), None)
    assert stats["augment_sign"].item() == 1.0
    assert game.state.memory["augment_p"].item() == pytest.approx(0.5 + 4 / 40)
    game.state.discriminator.to_logit.bias.data.fill_(-100.0)
    d_step(game, real_images(game), None)
    assert game.state.memory["augment_p"].item() == pytest.approx(0.5)


def test_whole_numbers_are_as_good_as_others():
    game = play(augment=("translation",), augment_target=0.6, augment_adapt_kimg=1, augment_p=0)
    game.state.discriminator.to_logit.bias.data.fill_(100.0)
    d_step(game, real_images(game), None)
    assert game.state.memory["augment_p"].item() == pytest.approx(4 / 1000)
    for real_label in ((1, 1), (0, 1)):
        labels = draw_labels(dataclasses.replace(BARE, real_label=real_label, label_noise=0.05), torch.zeros(400), True)
        assert labels.is_floating_point() and len(labels.unique()) > 300


def test_began_carries_its_balance_from_step_to_step():
    changes = {"arch": "autoencoder", "generator": {"width": 4}, "discriminator": {"width": 4}}
    game = play(objective="began", objective_args={"k_rate": 0.5}, **changes)
    stats = d_step(game, real_images(game), None)
    expected = max(0.0, (0.5 * (stats["fake_logit"] - 0.5 * stats["real_logit"])).item())
    assert game.state.memory["k"].item() == pytest.approx(expected)
    assert stats["convergence"] > 0 and stats["k"] == 0


def test_the_pulling_away_term_costs_no_second_pass():
    game = play(pull_away=0.1)
    shown, _ = watch(game)
    stats = g_step(game, real_images(game), None)
    assert len(shown) == 1 and 0 < stats["pull_away"] <= 1
    pulled, plain = play(pull_away=0.1), play()
    for game in (pulled, plain):
        torch.manual_seed(0)
        stats = g_step(game, real_images(game), None)
    fresh = play()
    torch.manual_seed(0)
    codes = fresh.state.discriminator.hidden(fresh.state.generator(fresh.latents(4)))[-1].flatten(1)
    extra = torch.autograd.grad(0.1 * pulling_away(codes), list(fresh.state.generator.parameters()))
    parameters = zip(pulled.state.generator.parameters(), plain.state.generator.parameters(), extra)
    for p, q, more in parameters:
        torch.testing.assert_close(p.grad - q.grad, more, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_clipping_bounds_values_norms_and_weights(player):
    def gradient(**changes):
        game = play(**changes)
        torch.manual_seed(0)
        (d_step if player == "discriminator" else g_step)(game, real_images(game), None)
        network = game.state.networks()[player]
        return torch.cat([p.grad.flatten() for p in network.parameters()]), game

    plain, _ = gradient()
    limit = plain.abs().max().item() / 2
    assert torch.equal(gradient(clip_value=limit)[0], plain.clamp(-limit, limit))
    torch.testing.assert_close(gradient(clip_norm=plain.norm().item() / 4)[0], plain / 4, rtol=1e-3, atol=1e-6)
    assert torch.equal(gradient(clip_norm=1e9)[0], plain)
    _, clipped = gradient(clip_weights=0.01)
    assert weights(clipped.state.discriminator).abs().max() <= (0.01 if player == "discriminator" else 9)
    assert weights(clipped.state.generator).abs().max() > 0.01


def test_uniform_and_scaled_noise_reach_the_generator():
    game = play(latent="uniform", latent_scale=0.5)
    game.latents(50_000)
    z = game.histograms()["z"]
    assert z.abs().max() <= 0.5 and z.std().item() == pytest.approx(0.5 / 3**0.5, abs=0.005)
    game = play(latent_scale=0.5)
    game.latents(50_000)
    assert game.histograms()["z"].std().item() == pytest.approx(0.5, abs=0.01)

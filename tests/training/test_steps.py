"""Every switch of the two steps does what it says, and nothing else."""

import dataclasses

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from training.augment import adapted, augmenter
from training.data import Batches, ImageData
from training.labels import draw_labels
from training.objectives import OBJECTIVES
from training.penalties import pulling_away
from training.presets import PRESETS
from training.recipe import Recipe
from training.steps import Critic, Game, d_step, g_step
from training.trainer import make_step, means, start_state

BARE = Recipe(
    resolution=16,
    channels=1,
    latent_dim=8,
    generator={"width": 4},
    discriminator={"width": 4, "norm": "none"},
    batch_size=4,
    seed=3,
)
IMAGES = torch.randint(256, (16, 1, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def play(**changes) -> Game:
    recipe = dataclasses.replace(BARE, **changes)
    data = ImageData(IMAGES, None, ("a", "b", "c"), "random")
    return Game(recipe, start_state(recipe, data, Accelerator()), Accelerator())


def batches(game):
    recipe = game.recipe
    return Batches(
        ImageData(IMAGES, None, (), "random"), recipe.batch_size, 0, recipe.flip, recipe.shuffle, recipe.pixel_range
    )


def real_images(game):
    return batches(game).at(0)[0]


def weights(network):
    return torch.cat([p.detach().flatten().clone() for p in network.parameters()])


def watch(game):
    """The batches that D is shown, and how often each optimiser steps."""
    shown, counts = [], {"generator": 0, "discriminator": 0}
    hidden = game.state.discriminator.hidden
    game.state.discriminator.hidden = lambda x, labels: shown.append(x.detach().clone()) or hidden(x, labels)
    for name, optimizer in (("generator", game.state.g_optimizer), ("discriminator", game.state.d_optimizer)):
        optimizer.register_step_post_hook(lambda *_, name=name: counts.__setitem__(name, counts[name] + 1))
    return shown, counts


@pytest.mark.parametrize("d_steps, g_steps", [(1, 1), (3, 1), (1, 2)])
def test_steps_of_each_player_in_an_iteration(d_steps, g_steps):
    game = play(d_steps=d_steps, g_steps=g_steps)
    _, counts = watch(game)
    make_step(game, batches(game))()
    assert counts == {"discriminator": d_steps, "generator": g_steps}
    assert game.state.clock.images == 4 * d_steps and game.state.clock.steps == 1


def test_separate_mixed_and_alternating_batches():
    real = real_images(play())
    for kind, sizes, steps in (("separate", [4, 4], 1), ("mixed", [8], 1), ("alternating", [4, 4], 2)):
        game = play(d_batches=kind)
        shown, counts = watch(game)
        stats = d_step(game, real.clone(), None)
        assert [len(images) for images in shown] == sizes and counts["discriminator"] == steps
        assert torch.equal(torch.cat(shown)[:4], real)
        assert stats["d_loss"] == pytest.approx(stats["d_loss_real"] + stats["d_loss_fake"])


def test_a_mixed_batch_has_one_mean_over_all_of_its_images():
    game = play(d_batches="mixed")
    stats = d_step(game, real_images(game), None)
    logits, labels = torch.cat([game.seen["real_logit"], game.seen["fake_logit"]]), torch.arange(8) < 4
    whole = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels.float())
    assert stats["d_loss"].item() == pytest.approx(whole.item())


def test_a_mixed_batch_changes_batch_norm_and_nothing_else():
    results = {}
    for norm in ("batch", "none"):
        for kind in ("separate", "mixed"):
            game = play(d_batches=kind, discriminator={"width": 4, "norm": norm})
            d_step(game, real_images(game), None)
            results[norm, kind] = weights(game.state.discriminator)
    torch.testing.assert_close(results["none", "separate"], results["none", "mixed"])
    assert not torch.allclose(results["batch", "separate"], results["batch", "mixed"])


def test_accumulated_gradients_are_those_of_the_whole_batch():
    whole, parts = (play(accumulate=n, penalties={"r1": 1.0, "r2": 1.0}) for n in (1, 2))
    for step in (
        lambda game: d_step(game, real_images(game), None, True),
        lambda game: g_step(game, real_images(game), None),
    ):
        for game in (whole, parts):
            game.state.generator.eval()  # batch norm would see half as many images
            torch.manual_seed(0)
            step(game)
        for a, b in zip(whole.state.networks().values(), parts.state.networks().values()):
            for p, q in zip(a.parameters(), b.parameters()):
                if p.grad is not None:
                    torch.testing.assert_close(p.grad, q.grad)


def test_a_whole_batch_flips_even_when_it_is_accumulated(monkeypatch):
    game, told = play(accumulate=2, label_flip=0.4, label_flip_per="batch"), []
    loss = OBJECTIVES["non_saturating"].loss
    spy = dataclasses.replace(OBJECTIVES["non_saturating"], loss=lambda x, y: told.append(y) or loss(x, y))
    monkeypatch.setitem(OBJECTIVES, "non_saturating", spy)
    for _ in range(30):
        d_step(game, real_images(game), None)
    flips = [labels.unique().tolist() for labels in told]
    assert all(len(values) == 1 for values in flips) and {0.0, 1.0} == {values[0] for values in flips}
    for first_real, first_fake, second_real, second_fake in zip(*[iter(flips)] * 4):
        assert first_real == second_real and first_fake == second_fake


def test_rates_follow_their_schedule_and_are_equal_for_both_players():
    game = play(lr_schedule="linear", lr_kimg=0.008, g_lr=1e-3, d_lr=1e-2)
    step = make_step(game, batches(game))
    for share in (1.0, 0.5, 0.0):
        step()
        assert game.state.g_optimizer.param_groups[0]["lr"] == pytest.approx(share * 1e-3)
        assert game.state.d_optimizer.param_groups[0]["lr"] == pytest.approx(share * 1e-2)


def test_d_sees_augmented_images_in_both_steps():
    game = play(augment=("cutout",))
    shown, _ = watch(game)
    d_step(game, torch.ones(4, 1, 16, 16), None)
    g_step(game, torch.ones(4, 1, 16, 16), None)
    assert all((images == 0).flatten(1).any(1).all() for images in shown) and len(shown) == 3


def test_networks_grow_with_the_clock():
    game = play(arch="resnet", grow_from=8, grow_kimg=0.008)
    step, levels = make_step(game, batches(game)), []
    for _ in range(5):
        step()
        levels.append([network.level for network in game.state.networks().values()])
    assert levels == [[level] * 3 for level in (0.0, 0.0, 0.0, 1.0, 1.0)]


def test_the_detail_of_real_images_fades_in_while_networks_grow():
    game = play(arch="resnet", grow_from=8, grow_kimg=0.016)
    shown, _ = watch(game)
    step, seen = make_step(game, batches(game)), []
    for i in range(9):
        step()
        real = batches(game).at(4 * i)[0]
        coarse = torch.nn.functional.avg_pool2d(real, 2).repeat_interleave(2, 2).repeat_interleave(2, 3)
        share = ((shown[3 * i] - coarse).norm() / (real - coarse).norm()).item()
        seen.append(round(share, 3))
    assert seen[4] == 0.0 and seen[5] == pytest.approx(0.5, abs=1e-3) and seen[6] == seen[8] == 1.0


def test_statistics_are_means_over_the_steps_that_gave_them():
    assert means([{"a": torch.tensor(1.0), "r1": torch.tensor(8.0)}, {"a": torch.tensor(3.0)}]) == {"a": 2.0, "r1": 8.0}


def test_a_penalty_is_weighted_and_lazy():
    game = play(penalties={"r1": 2.0}, penalty_every=3)
    step, seen = make_step(game, batches(game)), []
    for _ in range(4):
        seen.append("r1" in step())
    assert seen == [True, False, False, True]
    plain, penalised = play(), play(penalties={"r1": 2.0}, penalty_every=3)
    for game, penalise in ((plain, False), (penalised, True)):
        torch.manual_seed(0)
        stats = d_step(game, real_images(game), None, penalise)
    real = real_images(play()).requires_grad_(True)
    fresh = play().state.discriminator
    (gradient,) = torch.autograd.grad(fresh(real).sum(), real, create_graph=True)
    r1 = gradient.square().sum((1, 2, 3)).mean() / 2
    assert stats["r1"].item() == pytest.approx(r1.item(), rel=1e-5)
    extra = torch.autograd.grad(6 * r1, list(fresh.parameters()), allow_unused=True)
    for p, q, more in zip(plain.state.discriminator.parameters(), penalised.state.discriminator.parameters(), extra):
        torch.testing.assert_close(q.grad - p.grad, torch.zeros_like(p) if more is None else more, atol=1e-5, rtol=1e-3)


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


def test_a_critic_in_a_mixed_batch_tells_the_halves_apart():
    game = play()
    game = play(conditional=True)
    real, fake, classes = torch.ones(3, 1, 16, 16), -torch.ones(3, 1, 16, 16), torch.tensor([0, 1, 2])
    critic, alone = Critic(game, classes), Critic(game, classes)
    game.state.discriminator.embed.weight.data = torch.tensor([[1.0], [5.0], [-9.0]]).expand(-1, 8).clone()
    critic.judge_together(real, fake)
    torch.testing.assert_close(critic(real), alone(real))
    torch.testing.assert_close(critic(fake), alone(fake))


def test_bf16_judges_penalties_in_full_precision():
    exact, half = play(penalties={"r1": 1.0}), play(penalties={"r1": 1.0})
    AcceleratorState._reset_state(True)
    half.accelerator = Accelerator(mixed_precision="bf16")
    try:
        r1 = [d_step(game, real_images(game), None, penalise=True)["r1"].item() for game in (exact, half)]
        assert r1[0] == r1[1]
    finally:
        AcceleratorState._reset_state(True)


PYTORCH = {"g_lr": 2e-4, "d_lr": 2e-4, "betas": (0.5, 0.999), "batch_size": 128, "latent_dim": 100, "ema_kimg": 0.0}
KERAS_RMSPROP = {"alpha": 0.9, "eps": 1e-7}
TUTORIALS = {
    "vanilla-mnist": {**PYTORCH, "resolution": 28, "channels": 1, "conditional": False},
    "cgan-mnist": {**PYTORCH, "resolution": 28, "channels": 1, "conditional": True},
    "dcgan-celeba": {**PYTORCH, "resolution": 64, "latent": "normal"},
    "dcgan-paper": {**PYTORCH, "resolution": 64, "latent": "uniform"},
    "keras-celeba": {
        "resolution": 64,
        "latent_dim": 100,
        "latent_scale": 0.5,
        "crop": "celeba",
        "resize": "area",
        "d_optimizer": "sgd",
        "d_lr": 1e-3,
        "d_optimizer_args": {"momentum": 0.9, "nesterov": True},
        "g_optimizer": "adam",
        "g_lr": 1e-3,
        "betas": (0.5, 0.999),
        "g_optimizer_args": {"eps": 1e-8},
        "d_batches": "alternating",
        "real_label": (0.9, 1.0),
        "label_flip_per": "batch",
        "snapshot_kimg": 1013.0,
    },
    "tf-simpsons": {
        "resolution": 128,
        "latent_dim": 100,
        "batch_size": 25,
        "g_steps": 2,
        "d_steps": 1,
        "kimg": 1000.0,
        "g_lr": 1e-4,
        "d_lr": 1e-4,
        "betas": (0.5, 0.999),
    },
    "keras-frogs": {
        "resolution": 32,
        "latent_dim": 32,
        "batch_size": 20,
        "kimg": 200.0,
        "shuffle": False,
        "classes": ("frog",),
        "g_optimizer": "rmsprop",
        "g_lr": 4e-4,
        "g_optimizer_args": KERAS_RMSPROP,
        "clip_value": 1.0,
        "d_optimizer": "rmsprop",
        "d_lr": 8e-4,
        "d_optimizer_args": KERAS_RMSPROP,
        "label_noise": -0.05,
        "lr_schedule": "keras",
        "lr_decay": 1e-8,
        "d_batches": "mixed",
        "pixel_range": (-1.0, 1.0),
    },
}


@pytest.mark.parametrize("name", TUTORIALS)
def test_a_tutorials_settings_are_what_it_says(name):
    assert {field: getattr(PRESETS[name], field) for field in TUTORIALS[name]} == TUTORIALS[name]

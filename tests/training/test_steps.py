"""The two steps do what the recipe says, and nothing else."""

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from tests.training.game import IMAGES, batches, play, real_images, watch, weights
from training.checks import LATER
from training.critic import Critic
from training.data import Batches, ImageData, to_float
from training.objectives import OBJECTIVES
from training.steps import both_steps, d_step, g_step, slope_ratio
from training.trainer import make_step, means


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


def test_rates_follow_their_schedule_and_are_equal_for_both_players():
    game = play(lr_schedule="linear", lr_kimg=0.008, g_lr=1e-3, d_lr=1e-2)
    step = make_step(game, batches(game))
    for share in (1.0, 0.5, 0.0):
        step()
        assert game.state.g_optimizer.param_groups[0]["lr"] == pytest.approx(share * 1e-3)
        assert game.state.d_optimizer.param_groups[0]["lr"] == pytest.approx(share * 1e-2)


def test_what_is_said_for_later_holds_from_then_on():
    later = {
        "penalties": {"r2": 0.5},
        "penalty_every": 1,
        "pull_away": 0.1,
        "augment_p": 0.0,
        "g_lr": 1e-2,
        "d_lr": 2e-2,
    }
    game = play(penalties={"r1": 1.0}, penalty_every=2, augment=("color",), g_lr=1e-3, later_kimg=0.012, later=later)
    step, real = make_step(game, batches(game)), real_images(game)
    seen = []
    for _ in range(5):
        terms = {"r1", "r2", "pull_away"} & step().keys()
        rates = [optimizer.param_groups[0]["lr"] for optimizer in game.state.optimizers().values()]
        seen.append((terms, rates, torch.equal(game.view(real), real)))
    before, after = [1e-3, 2e-4], [1e-2, 2e-2]
    assert seen[:3] == [({"r1"}, before, False), (set(), before, False), ({"r1"}, before, False)]
    assert seen[3:] == 2 * [({"r2", "pull_away"}, after, True)]
    others = {"objective_args", "lr_kimg", "sharpest", "typical", "typical_by", "one_stage", "later_kimg", "later"}
    assert {*later, *others} == set(LATER)  # tested below, and that of which pictures with the trainer


def test_a_run_may_have_three_parts():
    later = {"penalties": {}, "penalty_every": 1, "later_kimg": 0.012, "later": {"one_stage": True, "g_lr": 1e-2}}
    game = play(objective="relativistic", penalties={"r1": 1.0}, g_lr=1e-3, later_kimg=0.004, later=later)
    shown, _ = watch(game)
    step, seen = make_step(game, batches(game)), []
    for _ in range(5):
        stats = step()
        seen.append(("r1" in stats, len(shown), game.state.g_optimizer.param_groups[0]["lr"]))
        shown.clear()
    assert [(penalised, rate) for penalised, _, rate in seen] == [(True, 1e-3)] + 2 * [(False, 1e-3)] + 2 * [
        (False, 1e-2)
    ]
    assert [asked for _, asked, _ in seen[3:]] == [2, 2] and min(asked for _, asked, _ in seen[:3]) > 2  # one stage


def test_an_iteration_learns_from_the_pictures_of_its_part():
    """The part changes within the second iteration, after its first D step, and holds from the third on."""
    game = play(d_steps=2, later_kimg=0.012, later={"g_lr": 1e-2})
    shown, _ = watch(game)
    chosen = [(0.0, torch.arange(16)), (0.012, torch.tensor([5]))]
    step = make_step(game, Batches(ImageData(IMAGES, None, (), "random"), 4, seed=3, shuffle=False, chosen=chosen))
    own = to_float(IMAGES)
    for expected in ([0, 1, 2, 3], [4, 5, 6, 7]), ([8, 9, 10, 11], [12, 13, 14, 15]), ([5] * 4, [5] * 4):
        shown.clear()
        step()
        real = [images for images in shown if any(torch.equal(images, own[numbers]) for numbers in expected)]
        assert [torch.equal(images, own[numbers]) for images, numbers in zip(real, expected)] == [True, True]


def test_rates_fall_a_second_time_over_a_length_of_their_own():
    game = play(lr_schedule="linear", lr_kimg=0.008, g_lr=1.0, later_kimg=0.008, later={"lr_kimg": 0.016})
    step, rates = make_step(game, batches(game)), []
    for _ in range(6):
        step()
        rates.append(game.state.g_optimizer.param_groups[0]["lr"])
    assert rates == [1.0, 0.5, 1.0, 0.75, 0.5, 0.25]


def test_the_objective_takes_its_later_arguments():
    game = play(objective="margin", later_kimg=0.004, later={"objective_args": {"down": 0.7}})
    step, seen = make_step(game, batches(game)), []
    for _ in range(2):
        step()
        seen.append(game.arguments["down"])
    assert seen == [0.5, 0.7]


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


@pytest.mark.parametrize("objective", [name for name, entry in OBJECTIVES.items() if entry.one_stage])
@pytest.mark.parametrize(
    "changes",
    [{}, {"accumulate": 2, "conditional": True}, {"arch": "resnet", "grow_from": 8, "grow_kimg": 0.016}],
)
def test_one_stage_gives_both_players_the_gradients_of_two(objective, changes):
    """Of the same images, and of D as it was before its step."""
    smoothed = {} if objective == "relativistic" else {"real_label": (0.8, 0.8)}
    games = [play(objective=objective, d_lr=1e-30, g_lr=1e-30, **changes, **smoothed) for _ in range(2)]
    labels = torch.tensor([0, 2, 1, 0]) if "conditional" in changes else None
    logged = []
    for game, steps in zip(games, [(d_step, g_step), (both_steps,)]):
        torch.manual_seed(4)
        game.state.clock.images = 20  # networks that grow are fading
        game.start_iteration()
        game.state.generator.eval()  # batch norm would see half as many images
        for network in (game.state.generator, game.state.discriminator):  # so that images and logits differ
            for p in network.parameters():
                p.data += 0.1 * torch.randn_like(p)
        logged.append({})
        for step in steps:
            torch.manual_seed(5)  # the same latents
            logged[-1] |= step(game, real_images(game), labels)
        assert game.seen["fake_logit"].std() > 0.01
    for name in ("generator", "discriminator"):
        two, one = (torch.cat([p.grad.flatten() for p in game.state.networks()[name].parameters()]) for game in games)
        assert one.abs().max() > 1e-3
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)
    assert logged[0].keys() == logged[1].keys()
    for name, value in logged[0].items():
        torch.testing.assert_close(value, logged[1][name], msg=name)


def test_one_stage_shows_d_each_image_once_but_where_a_penalty_is_due():
    game = play(objective="relativistic", penalties={"r1": 1.0}, penalty_every=2, one_stage=True)
    shown, counts = watch(game)
    step, seen = make_step(game, batches(game)), []
    for _ in range(3):
        stats = step()
        seen.append((len(shown), "r1" in stats, "g_loss" in stats))
        shown.clear()
    assert seen == [(4, True, True), (2, False, True), (4, True, True)]
    assert counts == {"generator": 3, "discriminator": 3}


@pytest.mark.parametrize("objective", ["relativistic", "non_saturating"])
def test_one_stage_gives_g_its_slope_unless_d_is_utterly_sure(objective):
    fake = torch.tensor([3.0, 0.0, -40.0, -200.0])
    game = play(objective=objective)
    ratio, _ = slope_ratio(game, torch.zeros(4), fake)
    of_d = fake.sigmoid() / 4  # of softplus(fake), or of softplus(fake - 0)
    torch.testing.assert_close((ratio * of_d)[:3], -(-fake).sigmoid()[:3] / 4)
    assert (ratio * of_d)[3] == 0 and ratio.isfinite().all()

"""What can't be trained is refused before anything starts, by name and with the way out."""

import dataclasses
import inspect
import re

import pytest

from ganhub import UserError
from training.checks import LATER
from training.presets import PRESETS
from training.recipe import Recipe

PENALTY = {"penalties": {"r1": 1.0}}
ONE_STAGE = {"one_stage": True, "discriminator": {"norm": "none"}}
FALLS_TWICE = {"lr_schedule": "linear", "lr_kimg": 6.0, "later_kimg": 6.0, "later": {"lr_kimg": 4.0}, "kimg": 10.0}
ADA = {"augment": ("translation",), "augment_target": 0.6, "augment_p": 0.0}


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"arch": "vae"}, "arch has no 'vae'; known: dcgan, "),
        ({"objective": "wgan"}, "objective has no 'wgan'"),
        ({"objective_args": {"margin": 1.0}}, "objective_args has no 'margin'; known: none"),
        ({"penalties": {"r3": 1.0}}, "penalties has no 'r3'; known: r1, r2"),
        ({"augment": ("blur",)}, "augment has no 'blur'"),
        ({"crop": "oval"}, "crop has no 'oval'; known: square"),
        ({"d_optimizer": "lion"}, "d_optimizer has no 'lion'; known: adam"),
        ({"kimg": 0}, "kimg must be above 0"),
        ({"g_lr": float("nan")}, "g_lr must be above 0"),
        ({"kimg": float("inf")}, "kimg must be above 0 and finite"),
        ({"clip_norm": -1.0}, "clip_norm must be 0 or more"),
        ({"label_flip": 1.5}, "label_flip must be between 0 and 1"),
        ({"real_label": (1.0, 0.9)}, "real_label must be two numbers from 0 to 2, the lower one first"),
        ({"pixel_range": (1.0, 0.0)}, "pixel_range must be two numbers from -1 to 1, black first"),
        ({"penalties": {"r1": "x"}}, "a penalty's weight must be a number"),
        ({"penalties": {"r1": -1.0}}, "a penalty's weight must be a number"),
        ({"penalties": {"r1": 0.0}}, "a penalty's weight must be a number above 0, got 0.0; leave the penalty out"),
        ({"g_lr": "x"}, "g_lr must be a number, got 'x'"),
        ({"d_steps": 1.5}, "d_steps must be of type int, got 1.5"),
        ({"real_label": (1.0,)}, "real_label must be two numbers"),
        ({"pixel_range": (0.0, 0.5, 1.0)}, "pixel_range must be two numbers"),
        ({"d_batches": "both"}, "d_batches must be one of separate, mixed, alternating, got 'both'"),
        ({"objective": "margin", "objective_args": {"upper": "x"}}, "objective_args: upper must be a number"),
        ({"betas": (1.5, 0.9)}, "betas must lie in"),
        ({"ema_kimg": -1.0}, "ema_kimg must be 0 or more"),
        ({"seed": -1}, "seed must be from 0"),
        ({"batch_size": 1}, "batch_size / accumulate must be at least 2"),
        ({"batch_size": 8, "accumulate": 3}, "accumulate must divide batch_size, 8, got 3"),
        ({"batch_size": 8, "accumulate": 8}, "batch_size / accumulate must be at least 2"),
        ({"d_optimizer_args": {"momentum": 0.9}}, "d_optimizer_args: .*momentum"),
        ({"latent": "cauchy"}, "latent must be one of normal, uniform"),
    ],
)
def test_a_bad_value_is_refused_by_name(changes, words):
    with pytest.raises(UserError, match=words):
        dataclasses.replace(PRESETS["digits"], **changes).check()


@pytest.mark.parametrize(
    "changes, words",
    [
        (
            {**PENALTY, "discriminator": {"norm": "batch"}},
            "per sample, BatchNorm2d is not; use --discriminator norm=none",
        ),
        ({**PENALTY, "discriminator": {}}, "use --discriminator norm=none"),
        (
            {**PENALTY, "discriminator": {"norm": "none", "minibatch_stddev": True}},
            "MinibatchStddev is not; use --discriminator norm=none, without minibatch layers",
        ),
        ({**PENALTY, "discriminator": {"norm": "none"}, "d_batches": "alternating"}, "use --d-batches separate"),
        ({"objective": "ebgan"}, "ebgan needs an auto-encoder as discriminator; use --arch autoencoder"),
        ({"objective": "hinge", "arch": "autoencoder"}, "which hinge can't use; use --objective ebgan or began"),
        ({"objective": "wasserstein"}, "without a bound on D's slope; use --clip-weights 0.01"),
        ({"objective": "relativistic", "label_flip": 0.1}, "objective relativistic has none"),
        ({"objective": "relativistic", "real_label": (0.9, 0.9)}, "objective relativistic has none"),
        ({"objective": "relativistic", "d_batches": "alternating"}, "their batches can't alternate"),
        ({"augment_target": 0.6}, "need something to apply; name it with --augment"),
        ({"augment": ("color",), "augment_target": 0.6}, "starts at its end; use --augment-p 0"),
        ({"penalty_every": 4}, "set penalties too"),
        ({"clip_weights": 0.1, "discriminator": {"spectral_norm": True}}, "leave one of them out"),
        ({"label_flip": 0.5}, "it must be below 0.5"),
        (
            {"arch": "resnet", "generator": {"grow_from": 8}},
            "the generator takes no grow_from; it is a field of the recipe",
        ),
        ({"augment_p": 0.5}, "need something to apply; name it with --augment"),
        ({**ADA, "objective": "wasserstein", "clip_weights": 0.01}, "means nothing to objective wasserstein"),
        ({"grow_from": 8, "grow_kimg": 1.0, "arch": "mlp"}, "arch mlp doesn't; use --arch resnet"),
        ({"grow_from": 8, "arch": "resnet"}, "grow_from and grow_kimg belong together"),
        ({"grow_kimg": 8.0}, "grow_from and grow_kimg belong together"),
        ({"lr_schedule": "cosine"}, "lr_schedule cosine with lr_kimg 0: .*--lr-kimg 500"),
        (
            {"lr_schedule": "linear", "lr_kimg": 9.0, "kimg": 10.0},
            "kimg 10: the rates reach 0 at lr_kimg 9, .* with --kimg 9, or for a longer run use --lr-kimg 10",
        ),
        (
            {"lr_schedule": "linear", "lr_kimg": 9.0, "kimg": 10.0, "later_kimg": 8.0},
            "from 0 .* lr_kimg 9, .* is 8 long, .* later_kimg 8; use --lr-kimg 5 --later-kimg 5, or .* --later-kimg 0",
        ),
        (
            {"lr_schedule": "linear", "lr_kimg": 4.0, "kimg": 10.0, "later_kimg": 4.0},
            "from 4 .* lr_kimg 4, .* is 6 long, up to kimg 10; use --lr-kimg 5 --later-kimg 5, .* 10 --later-kimg 0",
        ),
        (
            {**FALLS_TWICE, "kimg": 11.0},
            "from 6 kimg on .* lr_kimg 4, .* is 5 long, up to kimg 11; make that lr_kimg 5, or .* --lr-kimg 11 ",
        ),
        (
            {**FALLS_TWICE, "later_kimg": 5.0},
            "from 0 kimg on .* over lr_kimg 6, but .* is 5 long, up to later_kimg 5; make that lr_kimg 5, or",
        ),
        (
            {**FALLS_TWICE, "later": {"lr_kimg": 3.0, "later_kimg": 8.0, "later": {"lr_kimg": 2.0}}},
            "from 6 kimg on .* over lr_kimg 3, but .* is 2 long, up to later_kimg 8; make that lr_kimg 2, or",
        ),
        (
            {**FALLS_TWICE, "kimg": 11.0, "later": {"lr_kimg": 2.0, "later_kimg": 8.0, "later": {"g_lr": 1e-4}}},
            "from 8 kimg on .* over lr_kimg 2, but .* is 3 long, up to kimg 11; make that lr_kimg 3, or",
        ),
        (
            {"later_kimg": 5.0, "later": {"g_lr": 1e-4, "later_kimg": 5.0, "later": {"g_lr": 1e-5}}},
            "later: later_kimg 5 must come after 5; it counts from the start of the run",
        ),
        (
            {"later_kimg": 5.0, "later": {"later": {"g_lr": 1e-4}}},
            "later: later says what changes, and later_kimg when; set both, or leave both out of it",
        ),
        (
            {"later_kimg": 5.0, "later": {"later_kimg": 8.0, "later": {"g_lr": -1.0}}},
            "later: later: g_lr must be above",
        ),
        ({"later_kimg": 5.0, "later": {"g_lr": 1e-4, "later_kimg": 8.0}}, "later: later_kimg: nothing changes then"),
        ({"later_kimg": 5.0, "later": {"later_kimg": "8"}}, "later: later_kimg must be a number, got '8'"),
        (
            {"later_kimg": 5.0, "later": {"later_kimg": 8.0, "later": "{typical:0.7}"}},
            "later: later must be of type dict, as JSON with quotes around its names, got '{typical:0.7}'",
        ),
        ({"later_kimg": 5.0, "later": {"typical": 0.0}}, "later: typical must be above 0"),
        (
            {"later_kimg": 5.0, "later": {"typical_by": "eye"}},
            "later: typical_by must be one of pixels, edges, got 'eye'",
        ),
        ({"later": {"lr_kimg": "long"}}, "later says what changes, and later_kimg when; set both"),
        ({**FALLS_TWICE, "later": {"lr_kimg": "long"}}, "later: lr_kimg must be a number, got 'long'"),
        ({**FALLS_TWICE, "later": {"lr_kimg": -1.0}}, "later: lr_kimg must be 0 or more"),
        (
            {"later_kimg": 5.0, "later": {"lr_kimg": 5.0}},
            "later: lr_kimg is for rates that fall; leave it out",
        ),
        ({**FALLS_TWICE, "later": {"lr_kimg": 0.0}}, "later: lr_kimg 0 is no length .*; leave it out$"),
        (
            {"later": {"augment_p": 0.5}, "augment": ("color",)},
            "later says what changes, and later_kimg when; set both",
        ),
        ({"later_kimg": 5.0}, "recipe custom: later_kimg: nothing changes then; say what with later"),
        ({"later_kimg": 5.0, "later": {"typical": 1.0}}, "later_kimg: nothing changes then"),
        (
            {"later_kimg": 5.0, "later": {"later_kimg": 6.0, "later": {"g_lr": 1.0}}},
            ": later_kimg: nothing changes then",
        ),
        ({"later_kimg": 5.0, "later": {"typical_by": "edges"}}, "later_kimg: nothing changes then"),
        ({"later_kimg": 5.0, "later": {"width": 3}}, "later has no 'width'; known: g_lr, d_lr, .*augment_p"),
        ({"later_kimg": 5.0, "later": {"penalty_every": 0}}, "later: penalty_every must be above 0"),
        ({"later_kimg": 5.0, "later": {"g_lr": "high"}}, "later: g_lr must be a number, got 'high'"),
        ({"later_kimg": 5.0, "later": {"penalties": {"r1": 1.0}}}, "later: penalties .*use --discriminator norm=none"),
        (
            {
                **PENALTY,
                "discriminator": {"norm": "none"},
                "penalty_every": 4,
                "later_kimg": 5.0,
                "later": {"penalties": {}},
            },
            "later: penalty_every makes a penalty lazy that is not there; set penalties too, or penalty_every to 1",
        ),
        (
            {
                "augment": ("color",),
                "augment_p": 0.0,
                "augment_target": 0.6,
                "later_kimg": 5.0,
                "later": {"augment_p": 1.0},
            },
            "augment_target adapts augment_p, so it can't be set later",
        ),
        ({"lr_kimg": 9.0}, "lr_schedule constant with lr_kimg 9: .*leave --lr-kimg out, or add --lr-schedule linear"),
        ({"lr_schedule": "keras"}, "lr_schedule keras with lr_decay 0: .*--lr-decay 1e-6"),
        ({"lr_decay": 1e-6}, "constant with lr_decay 1e-06: .*leave --lr-decay out, or add --lr-schedule keras"),
        ({"instance_noise_kimg": 9.0}, "set instance_noise too"),
        ({"label_flip_per": "batch"}, "set label_flip too, or label_flip_per to sample"),
        ({"augment_adapt_kimg": 9.0}, "set augment_target too, or augment_adapt_kimg to 500"),
        (
            {**ONE_STAGE, "objective": "hinge"},
            "one_stage: hinge has no slope .*; use --objective non_saturating or",
        ),
        ({**ONE_STAGE, "label_flip": 0.1}, "one_stage: D is told other labels .*; use --label-noise 0 --label-flip 0"),
        ({**ONE_STAGE, "d_steps": 2}, "one_stage: both players step together; use --d-steps 1 --g-steps 1"),
        ({**ONE_STAGE, "g_steps": 2}, "one_stage: both players step together; use --d-steps 1 --g-steps 1"),
        ({**ONE_STAGE, "d_batches": "mixed"}, "one_stage: d_batches mixed is another loss"),
        ({**ONE_STAGE, "label_noise": 0.1}, "one_stage: D is told other labels .*; use --label-noise 0 --label-flip 0"),
        ({**ONE_STAGE, "pull_away": 0.1}, "one_stage: pull_away is a loss of G alone"),
        ({**ONE_STAGE, **PENALTY}, "one_stage: every step has a penalty, .*; use --penalty-every 4"),
        ({"one_stage": True}, "one_stage: BatchNorm2d judges images together; use --discriminator norm=none"),
    ],
)
def test_what_makes_no_sense_together_is_refused_with_the_way_out(changes, words):
    with pytest.raises(UserError, match=words):
        dataclasses.replace(Recipe(), **changes).check()


def test_help_names_all_that_may_change_within_a_run():
    said = inspect.getsource(Recipe).split("Fields with a new value then, such as augment_p=0.6: ")[1]
    fields, further = said.split(". Whoever sets it")
    assert {*re.findall(r"\w+", fields)} - {"or"} == {*LATER} - {"later_kimg", "later"}
    assert "it sets later_kimg" in further and "and later once more" in further


def test_points_are_not_augmented():
    points = Recipe(arch="mlp", resolution=1, channels=2)
    points.check()
    with pytest.raises(UserError, match="not for points in the plane"):
        dataclasses.replace(points, flip=True).check()


def test_stacks_are_asked_for_as_stacks():
    with pytest.raises(UserError, match="stacked-mnist learns stacked digits; use --data stacked:ylecun/mnist"):
        dataclasses.replace(PRESETS["stacked-mnist"], data="ylecun/mnist").check()

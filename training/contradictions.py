"""Settings that are fine by themselves, but not together; each with the way out."""

import dataclasses
from collections.abc import Iterator
from itertools import pairwise

from ganhub.models import ARCHITECTURES
from ganhub.models.base import Discriminator, Generator
from ganhub.models.layers import BATCHWISE
from training.labels import tricky
from training.objectives import OBJECTIVES
from training.recipe import Recipe, Selection

LR_KIMG = "linear and cosine need their length, such as --lr-kimg 500"
NO_LR_KIMG = "only linear and cosine have a length; leave --lr-kimg out, or add --lr-schedule linear"
LR_DECAY = "keras needs one, such as --lr-decay 1e-6"
NO_LR_DECAY = "only keras takes one; leave --lr-decay out, or add --lr-schedule keras"
WITHOUT_LATER = "--later-kimg 0 --later"


def contradictions(recipe: Recipe, generator: Generator, discriminator: Discriminator) -> Iterator[str]:
    """All of a recipe's, given its networks."""
    yield from about_the_objective(recipe, discriminator)
    yield from about_penalties(recipe, discriminator)
    yield from about_augmentation(recipe)
    yield from about_one_stage(recipe, discriminator)
    if recipe.grow_from and not (generator.grows and discriminator.grows):
        growing = [name for name, family in ARCHITECTURES.items() if family.Generator.grows]
        yield f"grow_from needs networks that grow, arch {recipe.arch} doesn't; use --arch {' or '.join(growing)}"
    if bool(recipe.grow_from) != bool(recipe.grow_kimg):
        yield "grow_from and grow_kimg belong together: a resolution to start at, and the length of a stage"
    if recipe.instance_noise_kimg and not recipe.instance_noise:
        yield "instance_noise_kimg lets a noise fade that is not there; set instance_noise too"
    if recipe.label_flip_per != Recipe.label_flip_per and not recipe.label_flip:
        yield (
            "label_flip_per says who draws for flips that are not there; set label_flip too, or label_flip_per to "
            f"{Recipe.label_flip_per}"
        )
    if recipe.label_flip >= 0.5:
        yield f"label_flip {recipe.label_flip:g} leaves D nothing true to learn; it must be below 0.5"


def about_phases(recipe: Recipe) -> Iterator[str]:
    """Of the whole run: where one part of it ends and the next begins."""
    phases = list(recipe.phases())
    for number, (_, then) in enumerate(phases):
        if then.later and not then.later_kimg:
            way_out = "leave both out of it" if number else f"neither with {WITHOUT_LATER}"
            yield f"{'later: ' * number}later says what changes, and later_kimg when; set both, or {way_out}"
    for number, ((before, now), (begun, then)) in enumerate(pairwise(phases)):
        when = "later: " * number
        if begun <= before:
            yield f"{when}later_kimg {begun:g} must come after {before:g}; it counts from the start of the run"
        if not now.lr_kimg and effective(now) == effective(then):
            yield f"{when}later_kimg: nothing changes then; say what with later, such as augment_p=0.5"


def effective(recipe: Recipe) -> tuple[Recipe, Selection]:
    """Equal for recipes that train alike until their next part."""
    return dataclasses.replace(recipe, typical_by="pixels", later_kimg=0.0, later={}), recipe.selection()


def about_rates(recipe: Recipe) -> Iterator[str]:
    """Of the whole run: learning rates fall to 0 once in each part of it."""
    falls = recipe.lr_schedule in ("linear", "cosine")
    if falls != bool(recipe.lr_kimg):
        advice = NO_LR_KIMG if recipe.lr_kimg else LR_KIMG
        yield f"lr_schedule {recipe.lr_schedule} with lr_kimg {recipe.lr_kimg:g}: {advice}"
    if (recipe.lr_schedule == "keras") != bool(recipe.lr_decay):
        advice = NO_LR_DECAY if recipe.lr_decay else LR_DECAY
        yield f"lr_schedule {recipe.lr_schedule} with lr_decay {recipe.lr_decay:g}: {advice}"
    for number, (_, then) in enumerate(recipe.phases()):
        when = "later: " * number
        if then.lr_kimg and not falls:
            yield f"{when}lr_kimg is for rates that fall; leave it out, or add --lr-schedule linear"
        if falls and not then.lr_kimg:
            yield f"{when}lr_kimg 0 is no length of a fall of the rates; leave it out"
    if falls:
        yield from about_lengths(recipe)


def about_lengths(recipe: Recipe) -> Iterator[str]:
    """A fall may not end before its part of the run does, and only the last one may be cut short."""
    phases = recipe.reached()
    ends = [phase.begun for phase in phases[1:]] + [recipe.kimg]
    once = f"--lr-kimg {recipe.kimg:.10g}{' ' + WITHOUT_LATER if recipe.later_kimg else ''}"
    for (begun, then), end in zip(phases, ends):
        length, last = end - begun, end == recipe.kimg
        if abs(then.lr_kimg - length) < 1e-6 or (last and then.lr_kimg > length):
            continue
        if len(phases) == 1:
            yield (
                f"kimg {end:g}: the rates reach 0 at lr_kimg {then.lr_kimg:g}, and nothing is learnt after that; "
                f"end there with --kimg {then.lr_kimg:g}, or for a longer run use {once}"
            )
        else:
            half = f"{recipe.kimg / 2:.10g}"
            halves = len(list(recipe.phases())) == 2 and "lr_kimg" not in recipe.later
            yield (
                f"from {begun:g} kimg on the rates fall to 0 over lr_kimg {then.lr_kimg:g}, but that part of the run "
                f"is {length:g} long, up to {'kimg' if last else 'later_kimg'} {end:g}; "
                + (f"use --lr-kimg {half} --later-kimg {half}" if halves else f"make that lr_kimg {length:.10g}")
                + f", or let the rates fall once with {once}"
            )


def about_the_objective(recipe: Recipe, discriminator: Discriminator) -> Iterator[str]:
    objective = OBJECTIVES[recipe.objective]
    energies = [name for name, entry in OBJECTIVES.items() if entry.autoencoder]
    if objective.autoencoder and not discriminator.autoencoder:
        yield f"objective {recipe.objective} needs an auto-encoder as discriminator; use --arch autoencoder"
    if discriminator.autoencoder and not objective.autoencoder:
        yield (
            f"arch {recipe.arch} judges by reconstruction errors, which {recipe.objective} can't use; "
            f"use --objective {' or '.join(energies)}"
        )
    if objective.lipschitz and not (recipe.clip_weights or recipe.penalties or has_spectral_norm(discriminator)):
        yield (
            f"objective {recipe.objective} diverges without a bound on D's slope; use --clip-weights 0.01, or "
            "--penalties wgan_gp=10 --discriminator norm=none, or --discriminator spectral_norm=true"
        )
    if recipe.clip_weights and has_spectral_norm(discriminator):
        yield "clip_weights bounds weights that spectral norm scales anyway; leave one of them out"
    if objective.loss is None and tricky(recipe):
        yield (
            f"real_label, label_noise and label_flip change labels, and objective {recipe.objective} has none; "
            "leave them out or use --objective non_saturating"
        )
    if objective.loss is None and recipe.d_batches == "alternating":
        yield (
            f"objective {recipe.objective} compares real with generated images, so their batches can't alternate; "
            "use --d-batches separate"
        )


def has_spectral_norm(discriminator: Discriminator) -> bool:
    return any("parametrizations" in name for name, _ in discriminator.named_parameters())


def about_penalties(recipe: Recipe, discriminator: Discriminator) -> Iterator[str]:
    if not recipe.penalties:
        if recipe.penalty_every > 1:
            yield "penalty_every makes a penalty lazy that is not there; set penalties too, or penalty_every to 1"
        return
    names = ", ".join(recipe.penalties)
    if layer := batchwise(discriminator):
        yield (
            f"penalties ({names}) are per sample, {layer} is not; "
            "use --discriminator norm=none, without minibatch layers"
        )
    if recipe.d_batches == "alternating":
        yield f"penalties ({names}) need real and generated images in one step; use --d-batches separate"


def batchwise(discriminator: Discriminator) -> str:
    """The kind of a layer that mixes the images of a batch; empty if there is none."""
    kinds = (type(layer).__name__ for layer in discriminator.modules() if isinstance(layer, BATCHWISE))
    return next(kinds, "")


def about_one_stage(recipe: Recipe, discriminator: Discriminator) -> Iterator[str]:
    """Where G's gradient at an image is not D's times one number, or is wanted at other images than D's."""
    if not recipe.one_stage:
        return
    fitting = [name for name, entry in OBJECTIVES.items() if entry.one_stage]
    if recipe.objective not in fitting:
        yield f"one_stage: {recipe.objective} has no slope at some images; use --objective {' or '.join(fitting)}"
    if (recipe.d_steps, recipe.g_steps) != (1, 1):
        yield "one_stage: both players step together; use --d-steps 1 --g-steps 1"
    if recipe.d_batches != "separate":
        yield f"one_stage: d_batches {recipe.d_batches} is another loss or more steps; use --d-batches separate"
    if recipe.label_noise or recipe.label_flip:
        yield "one_stage: D is told other labels than G aims at; use --label-noise 0 --label-flip 0"
    if recipe.pull_away:
        yield "one_stage: pull_away is a loss of G alone; use --pull-away 0"
    if recipe.penalties and recipe.penalty_every == 1:
        yield "one_stage: every step has a penalty, and so stays two; use --penalty-every 4"
    if layer := batchwise(discriminator):
        yield f"one_stage: {layer} judges images together; use --discriminator norm=none, without minibatch layers"


def about_augmentation(recipe: Recipe) -> Iterator[str]:
    if (recipe.augment_target or recipe.augment_p < 1) and not recipe.augment:
        yield "augment_p and augment_target need something to apply; name it with --augment"
    if recipe.augment_adapt_kimg != Recipe.augment_adapt_kimg and not recipe.augment_target:
        yield (
            "augment_adapt_kimg is the pace towards a target that is not there; set augment_target too, or "
            f"augment_adapt_kimg to {Recipe.augment_adapt_kimg:g}"
        )
    if recipe.augment_target and recipe.augment_p == 1:
        yield "augment_target adapts augment_p, which starts at its end; use --augment-p 0"
    if recipe.augment_target and "augment_p" in recipe.later:
        yield "augment_target adapts augment_p, so it can't be set later; leave one of them out"
    if recipe.augment_target and OBJECTIVES[recipe.objective].boundary is None:
        yield (
            f"augment_target follows the sign of D's logits, which means nothing to objective {recipe.objective}; "
            "leave it out or use --objective non_saturating"
        )
    if recipe.name == "stacked-mnist" and recipe.data and not recipe.data.startswith("stacked:"):
        yield f"stacked-mnist learns stacked digits; use --data stacked:{recipe.data}"
    if recipe.resolution == 1 and (recipe.augment or recipe.flip or recipe.sharpest < 1 or recipe.typical < 1):
        yield "augment, flip, sharpest and typical are for pictures, not for points in the plane; leave them out"

"""What can't be trained is refused before anything starts, by name and with the way out."""

import math
from collections.abc import Collection, Iterable, Iterator
from numbers import Real
from typing import Any, Literal, get_args, get_origin, get_type_hints

import torch

from ganhub.errors import UserError
from ganhub.models import ARCHITECTURES
from ganhub.models.base import Discriminator, Generator
from ganhub.models.layers import BATCHWISE
from training.augment import AUGMENTATIONS
from training.crops import CROPS
from training.labels import tricky
from training.objectives import OBJECTIVES
from training.optimizers import OPTIMIZERS, make_optimizer
from training.penalties import PENALTIES
from training.recipe import MAX_SEED, Recipe

POSITIVE = ["kimg", "batch_size", "accumulate", "d_steps", "g_steps", "g_lr", "d_lr", "penalty_every", "latent_dim"]
POSITIVE += ["latent_scale", "augment_adapt_kimg", "keep_checkpoints", "log_kimg", "sample_kimg", "save_kimg"]
FROM_ZERO = ["ema_kimg", "grow_kimg", "pull_away", "instance_noise", "instance_noise_kimg", "lr_kimg", "lr_decay"]
FROM_ZERO += ["clip_value", "clip_norm", "clip_weights", "snapshot_kimg", "later_kimg"]
LR_KIMG = "linear and cosine need their length, such as --lr-kimg 500"
NO_LR_KIMG = "only linear and cosine have a length; leave --lr-kimg out, or add --lr-schedule linear"
LR_DECAY = "keras needs one, such as --lr-decay 1e-6"
NO_LR_DECAY = "only keras takes one; leave --lr-decay out, or add --lr-schedule keras"
SHARES = ["label_flip", "augment_p", "augment_target"]
LATER = [
    "g_lr",
    "d_lr",
    "objective_args",
    "penalties",
    "penalty_every",
    "pull_away",
    "augment_p",
]  # may change in a run


def check(recipe: Recipe) -> None:
    """Refuse what can't be trained.

    Raises:
        UserError: names the field, its value and what it may be.
    """
    problem = first_problem(recipe)
    if not problem and (problem := first_problem(recipe.at(recipe.later_kimg))):
        problem = f"later: {problem}"
    if problem:
        raise UserError(f"recipe {recipe.name}: {problem}")


def first_problem(recipe: Recipe) -> str:
    """Of the recipe as it is, without what it is to become; empty if there is none."""
    problems = tuple(bad_types(recipe)) or (*unknown_names(recipe), *bad_numbers(recipe))
    if not problems:
        with torch.device("meta"):  # without memory: only to see what the arguments make
            generator, discriminator = recipe.build(num_classes=2)
        make_optimizer(recipe, generator, "g")
        make_optimizer(recipe, discriminator, "d")
        problems = tuple(contradictions(recipe, generator, discriminator))
    return problems[0] if problems else ""


def bad_types(recipe: Recipe) -> Iterator[str]:
    """Fields that hold something else than they are declared as; a recipe.json may be written by hand."""
    for name, kind in get_type_hints(type(recipe)).items():
        value, origin = getattr(recipe, name), get_origin(kind) or kind
        if origin is Literal:
            if value not in get_args(kind):
                yield f"{name} must be one of {', '.join(get_args(kind))}, got {value!r}"
        elif origin is float:
            if not is_number(value):
                yield f"{name} must be a number, got {value!r}"
        elif not isinstance(value, origin) or (origin is int and isinstance(value, bool)):
            yield f"{name} must be of type {origin.__name__}, got {value!r}"
        elif get_args(kind) == (float, float) and not (len(value) == 2 and all(map(is_number, value))):
            yield f"{name} must be two numbers, got {value!r}"


def unknown_names(recipe: Recipe) -> Iterator[str]:
    chosen: list[tuple[str, Iterable[str], Collection[str]]] = [
        ("arch", [recipe.arch], ARCHITECTURES),
        ("crop", [recipe.crop], CROPS),
        ("objective", [recipe.objective], OBJECTIVES),
        ("penalties", recipe.penalties, PENALTIES),
        ("augment", recipe.augment, AUGMENTATIONS),
        ("g_optimizer", [recipe.g_optimizer], OPTIMIZERS),
        ("d_optimizer", [recipe.d_optimizer], OPTIMIZERS),
        ("later", recipe.later, LATER),
    ]
    if recipe.objective in OBJECTIVES:
        chosen.append(("objective_args", recipe.objective_args, OBJECTIVES[recipe.objective].arguments))
    for field, values, known in chosen:
        for value in values:
            if value not in known:
                yield f"{field} has no {value!r}; known: {', '.join(known) or 'none'}"


def bad_numbers(recipe: Recipe) -> Iterator[str]:
    for field in POSITIVE:
        if not 0 < getattr(recipe, field) < math.inf:
            yield f"{field} must be above 0 and finite, got {getattr(recipe, field)}"
    for field in FROM_ZERO:
        if not 0 <= getattr(recipe, field) < math.inf:
            yield f"{field} must be 0 or more, and finite, got {getattr(recipe, field)}"
    for field in SHARES:
        if not 0 <= getattr(recipe, field) <= 1:
            yield f"{field} must be between 0 and 1, got {getattr(recipe, field)}"
    if not 0 < recipe.typical <= 1:
        yield f"typical must be above 0 and at most 1, got {recipe.typical}"
    for weight in recipe.penalties.values():
        if not is_number(weight) or not 0 < weight < math.inf:
            yield f"a penalty's weight must be a number above 0, got {weight!r}; leave the penalty out to have none"
    for name, value in recipe.objective_args.items():
        if not is_number(value) or not 0 <= value < math.inf:
            yield f"objective_args: {name} must be a number from 0, got {value!r}"
    if not all(0 <= beta < 1 for beta in recipe.betas):
        yield f"betas must lie in [0, 1), got {recipe.betas}"
    if not -math.inf < recipe.label_noise < math.inf:
        yield f"label_noise must be finite, got {recipe.label_noise}"
    if not 0 <= recipe.real_label[0] <= recipe.real_label[1] <= 2:
        yield f"real_label must be two numbers from 0 to 2, the lower one first, got {recipe.real_label}"
    if not -1 <= recipe.pixel_range[0] < recipe.pixel_range[1] <= 1:
        yield f"pixel_range must be two numbers from -1 to 1, black first, got {recipe.pixel_range}"
    if not 0 <= recipe.seed < MAX_SEED:
        yield f"seed must be from 0 to {MAX_SEED - 1}, got {recipe.seed}"
    if recipe.batch_size % recipe.accumulate:
        yield f"accumulate must divide batch_size, {recipe.batch_size}, got {recipe.accumulate}"
    elif recipe.batch_size // recipe.accumulate < 2:
        yield "batch_size / accumulate must be at least 2, batch norm needs neighbours"


def is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def contradictions(recipe: Recipe, generator: Generator, discriminator: Discriminator) -> Iterator[str]:
    """Settings that are fine by themselves, but not together."""
    yield from about_the_objective(recipe, discriminator)
    yield from about_penalties(recipe, discriminator)
    yield from about_augmentation(recipe)
    yield from about_rates(recipe)
    if recipe.grow_from and not (generator.grows and discriminator.grows):
        growing = [name for name, family in ARCHITECTURES.items() if family.Generator.grows]
        yield f"grow_from needs networks that grow, arch {recipe.arch} doesn't; use --arch {' or '.join(growing)}"
    if bool(recipe.grow_from) != bool(recipe.grow_kimg):
        yield "grow_from and grow_kimg belong together: a resolution to start at, and the length of a stage"
    if recipe.instance_noise_kimg and not recipe.instance_noise:
        yield "instance_noise_kimg lets a noise fade that is not there; set instance_noise too"
    if recipe.label_flip >= 0.5:
        yield f"label_flip {recipe.label_flip:g} leaves D nothing true to learn; it must be below 0.5"


def about_rates(recipe: Recipe) -> Iterator[str]:
    if (recipe.lr_schedule in ("linear", "cosine")) != bool(recipe.lr_kimg):
        advice = NO_LR_KIMG if recipe.lr_kimg else LR_KIMG
        yield f"lr_schedule {recipe.lr_schedule} with lr_kimg {recipe.lr_kimg:g}: {advice}"
    elif recipe.lr_kimg and 0 < recipe.later_kimg < recipe.kimg:
        half = recipe.kimg / 2
        if not recipe.later_kimg == recipe.lr_kimg >= half:
            yield (
                f"kimg {recipe.kimg:g}: the rates reach 0 after lr_kimg {recipe.lr_kimg:g} and begin again at "
                f"later_kimg {recipe.later_kimg:g}, once; add --lr-kimg {half:g} --later-kimg {half:g}"
            )
    elif recipe.lr_kimg and recipe.kimg > recipe.lr_kimg:
        yield (
            f"kimg {recipe.kimg:g}: the rates reach 0 at lr_kimg {recipe.lr_kimg:g}, and nothing is learnt after that; "
            f"for a longer run add --lr-kimg {recipe.kimg:g}"
        )
    if (recipe.lr_schedule == "keras") != bool(recipe.lr_decay):
        advice = NO_LR_DECAY if recipe.lr_decay else LR_DECAY
        yield f"lr_schedule {recipe.lr_schedule} with lr_decay {recipe.lr_decay:g}: {advice}"
    if recipe.later and not recipe.later_kimg:
        yield "later says what changes, and later_kimg when; set both"
    if recipe.later_kimg and not recipe.later and not recipe.lr_kimg:
        yield "later_kimg: nothing changes then; say what with --later, such as --later augment_p=0.5"


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
            yield "penalty_every makes a penalty lazy that is not there; set --penalties too, or --penalty-every 1"
        return
    names = ", ".join(recipe.penalties)
    for layer in discriminator.modules():
        if isinstance(layer, BATCHWISE):
            yield (
                f"penalties ({names}) are per sample, {type(layer).__name__} is not; "
                "use --discriminator norm=none, without minibatch layers"
            )
            break
    if recipe.d_batches == "alternating":
        yield f"penalties ({names}) need real and generated images in one step; use --d-batches separate"


def about_augmentation(recipe: Recipe) -> Iterator[str]:
    if (recipe.augment_target or recipe.augment_p < 1) and not recipe.augment:
        yield "augment_p and augment_target need something to apply; name it with --augment"
    if recipe.augment_target and recipe.augment_p == 1:
        yield "augment_target adapts augment_p, which starts at its end; use --augment-p 0"
    if recipe.augment_target and "augment_p" in recipe.later:
        yield "augment_target adapts augment_p, so it can't be set later; leave one of them out"
    if recipe.augment_target and OBJECTIVES[recipe.objective].boundary is None:
        yield (
            f"augment_target follows the sign of D's logits, which means nothing to objective {recipe.objective}; "
            "leave it out or use --objective non_saturating"
        )
    if recipe.resolution == 1 and (recipe.augment or recipe.flip or recipe.typical < 1):
        yield "augment, flip and typical are for pictures, not for points in the plane; leave them out"

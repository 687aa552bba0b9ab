"""What can't be trained is refused before anything starts, by name and with the way out."""

import math
from collections.abc import Collection, Iterable, Iterator
from typing import Literal, get_args, get_origin, get_type_hints

import torch

from ganhub.errors import UserError
from ganhub.models import ARCHITECTURES
from ganhub.values import is_number
from training.augment import AUGMENTATIONS
from training.contradictions import about_phases, about_rates, contradictions
from training.crops import CROPS
from training.objectives import OBJECTIVES
from training.optimizers import OPTIMIZERS, make_optimizer
from training.penalties import PENALTIES
from training.recipe import MAX_SEED, Recipe

POSITIVE = ["kimg", "batch_size", "accumulate", "d_steps", "g_steps", "g_lr", "d_lr", "penalty_every", "latent_dim"]
POSITIVE += ["latent_scale", "augment_adapt_kimg", "keep_checkpoints", "log_kimg", "sample_kimg", "save_kimg"]
FROM_ZERO = ["ema_kimg", "grow_kimg", "pull_away", "instance_noise", "instance_noise_kimg", "lr_kimg", "lr_decay"]
FROM_ZERO += ["clip_value", "clip_norm", "clip_weights", "snapshot_kimg", "later_kimg"]
SHARES = ["label_flip", "augment_p", "augment_target"]
SELECTING = ["sharpest", "typical"]  # shares of the pictures: some are left
# What may change within a run: `later` sets it. The steps ask at every iteration, Batches for the selection.
LATER = ["g_lr", "d_lr", "lr_kimg", "objective_args", "penalties", "penalty_every", "pull_away", "augment_p"]
LATER += ["sharpest", "typical", "typical_by", "one_stage", "later_kimg", "later"]


def check(recipe: Recipe) -> None:
    """Refuse what can't be trained.

    Raises:
        UserError: names the field, its value and what it may be.
    """
    if problem := next(problems(recipe), ""):
        raise UserError(f"recipe {recipe.name}: {problem}")


def problems(recipe: Recipe) -> Iterator[str]:
    """Each may rely on there being none before it, so the first one counts."""
    yield from malformed(recipe)
    yield from about_phases(recipe)
    yield from about_rates(recipe)
    with torch.device("meta"):  # without memory: only to see what the arguments make
        generator, discriminator = recipe.build(num_classes=2)
    make_optimizer(recipe, generator, "g")
    make_optimizer(recipe, discriminator, "d")
    for number, (_, then) in enumerate(recipe.phases()):
        yield from ("later: " * number + problem for problem in contradictions(then, generator, discriminator))


def malformed(recipe: Recipe) -> Iterator[str]:
    """What no field can hold, whatever the others do; again, the first one counts."""
    for number, (_, then) in enumerate(recipe.phases()):
        for ask in (bad_types, unknown_names, bad_numbers):
            yield from ("later: " * number + problem for problem in ask(then))


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
            hint = ", as JSON with quotes around its names" if origin is dict and isinstance(value, str) else ""
            yield f"{name} must be of type {origin.__name__}{hint}, got {value!r}"
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
    for field in SELECTING:
        if not 0 < getattr(recipe, field) <= 1:
            yield f"{field} must be above 0 and at most 1, got {getattr(recipe, field)}"
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

"""`python -m training directions FOLDER`: find directions in latent space along which one property changes.

A property is measured on samples by a formula (training/properties.py), nothing is labelled by hand. Its direction is
the least squares gradient: the step in z that raises it fastest, within a class. What the fit explains of samples that
it has not seen is kept beside it, and weak ones are left out. The idea is that of linear latent editing: Shen et al.
2020, arXiv:1907.10786 (there with the normals of classifiers), Jahanian et al. 2020, arXiv:1907.07171 (there learnt by
gradient descent).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from safetensors import SafetensorError

from ganhub.errors import UserError, first_line
from ganhub.layout import DIRECTIONS_FILE

if TYPE_CHECKING:
    from torch import Tensor

    from ganhub.directions import Effect
    from ganhub.pipeline import GANPipeline

WEAK = 0.1  # R^2 below which a property doesn't follow a straight line in z, and no direction is kept
RELIABLE = 0.85  # share of pictures in which a property must rise from STEP before to STEP after
STEP = 2.0
TRIED = 128  # pictures to see that with
RARE = 0.02
HELD_BACK = 0.2
CHUNK = 256
FLAT = 1e-6  # deviation of a property below which it is rounding that varies


@dataclass(frozen=True)
class Directions:
    """Find the named directions of a model; writes directions.safetensors into its folder."""

    folder: Annotated[Path, tyro.conf.Positional]
    """A model folder, as `python -m training export` writes it."""
    properties: tuple[str, ...] = ()
    """Which ones (training.properties.PROPERTIES); by default those of strokes for grey pictures, else of colours."""
    samples: int = 10_000
    """Pictures to measure; a fifth of them only checks the fit."""
    seed: int = 0
    """Sample i is the first latent of seed + i, whatever a screen says of it."""


def run(options: Directions) -> "dict[str, Effect]":
    """Fit, write FOLDER/directions.safetensors and the card, print a table. Returns what was kept.

    Raises:
        UserError: the model or an option won't do, nothing fits, or the folder can't be written.
    """
    from ganhub.card import write_card
    from ganhub.card.check import weights_sha256
    from ganhub.directions import Effect, save_directions
    from ganhub.layout import FACTS_FILE
    from ganhub.pipeline import GANPipeline
    from training.properties import PROPERTIES

    pipe = GANPipeline.from_pretrained(options.folder)
    names = options.properties or default_properties(pipe)
    check(options, pipe, names)
    z, labels, values = measure(pipe, names, options)
    fits = {name: fit(z, labels, values[name]) for name in names}
    shares = {name: reliability(pipe, name, vector, options.seed) for name, (vector, _, _) in fits.items()}
    print(table(fits, shares))
    kept = {name: fits[name][0] for name in names if not failing(fits[name][1], shares[name])}
    effects = {name: Effect(PROPERTIES[name][0], round(fits[name][1], 4), round(fits[name][2], 4)) for name in kept}
    try:
        if kept:
            save_directions(options.folder, kept, effects, weights_sha256(options.folder))
        else:
            (options.folder / DIRECTIONS_FILE).unlink(missing_ok=True)  # those of an earlier search
        if (options.folder / FACTS_FILE).is_file():
            write_card(options.folder)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{options.folder}: can't be written ({first_line(error)})") from error
    if not kept:
        raise UserError(f"{options.folder}: no property follows a direction; there is no {DIRECTIONS_FILE} now")
    return effects


def default_properties(pipe: "GANPipeline") -> tuple[str, ...]:
    from training.properties import COLOURS, STROKES

    return tuple(STROKES if pipe.generator.config.channels == 1 else COLOURS)


def check(options: Directions, pipe: "GANPipeline", names: tuple[str, ...]) -> None:
    """Refuse what can't be measured.

    Raises:
        UserError: names the option and what it may be.
    """
    from ganhub.latents import MAX_SEED
    from training.properties import NEED_COLOUR, PROPERTIES

    config: Any = pipe.generator.config
    if config.channels == 2:
        raise UserError(f"{options.folder}: draws points, not pictures")
    for name in names:
        if name not in PROPERTIES:
            raise UserError(f"--properties has no {name!r}; known: {', '.join(PROPERTIES)}")
        if config.channels == 1 and name in NEED_COLOUR:
            raise UserError(f"--properties {name}: {options.folder} draws grey pictures")
    least = 10 * max(config.latent_dim, config.num_classes)
    if options.samples < least:
        raise UserError(f"--samples must be at least {least}, ten for each latent and each class")
    if not 0 <= options.seed <= MAX_SEED - options.samples:
        raise UserError(f"--seed must be from 0 to {MAX_SEED - options.samples}, got {options.seed}")


def measure(
    pipe: "GANPipeline", names: tuple[str, ...], options: Directions
) -> "tuple[Tensor, Tensor, dict[str, Tensor]]":
    """Latents (N, latent_dim), labels (N,) and each property (N,) of the samples."""
    import torch

    from ganhub.latents import sample
    from training.properties import PROPERTIES

    config: Any = pipe.generator.config
    z = sample(range(options.seed, options.seed + options.samples), config.latent_dim)
    labels = torch.arange(len(z)) % max(config.num_classes, 1)
    found: dict[str, list[Tensor]] = {name: [] for name in names}
    for part, classes in zip(z.split(CHUNK), labels.split(CHUNK)):
        asked = classes.tolist() if config.num_classes else None
        output: Any = pipe(latents=part, labels=asked, output_type="pt")
        images = output.images * 2 - 1
        for name in names:
            found[name].append(PROPERTIES[name][1](images))
    return z, labels, {name: torch.cat(parts) for name, parts in found.items()}


def fit(z: "Tensor", labels: "Tensor", values: "Tensor") -> "tuple[Tensor, float, float]":
    """The unit vector along which `values` grow fastest, its R^2 on the held-back last fifth, and the slope.

    All zeros where the values don't vary.

    Args:
        z: (N, latent_dim) standard normal.
        labels: (N,) classes; each has a mean of its own, so that only what varies within a class counts.
        values: (N,), of which the lowest and the highest 2 % count as the next ones; a slope of 1 is one standard
            deviation of these within a class for each step of length 1.
    """
    import torch

    split = round(len(z) * (1 - HELD_BACK))
    z, values = centred(z, labels, split), centred(values[:, None], labels, split)[:, 0]
    low, high = values[:split].quantile(torch.tensor([RARE, 1 - RARE], dtype=values.dtype))
    values = values.clamp(low, high)  # few extreme pictures must not decide for all
    if (spread := values[:split].std()) < FLAT:
        return torch.zeros(z.shape[1]), 0.0, 0.0
    values = values / spread
    slope = torch.linalg.lstsq(z[:split], values[:split, None]).solution[:, 0]
    vector = slope / slope.norm().clamp(min=1e-12)
    along, rest = z[split:] @ vector * slope.norm(), values[split:]
    r2 = 1 - (rest - along).square().sum() / rest.square().sum().clamp(min=1e-12)
    return vector.float(), r2.item(), slope.norm().item()


def centred(x: "Tensor", labels: "Tensor", split: int) -> "Tensor":
    """(N, F) less the mean of its class over the first `split` rows, in float64."""
    from training.linear import class_means

    x = x.double()
    return x - class_means(x[:split], labels[:split], int(labels.max()) + 1)[labels]


def reliability(pipe: "GANPipeline", name: str, vector: "Tensor", seed: int) -> float:
    """Share of pictures in which the property is higher STEP further along the direction than STEP before."""
    from ganhub.latents import sample
    from training.properties import PROPERTIES

    _, measured = PROPERTIES[name]
    z = sample(range(seed, seed + TRIED), len(vector))
    outputs: list[Any] = [pipe(latents=z + step * vector, output_type="pt") for step in (-STEP, STEP)]
    low, high = (measured(output.images * 2 - 1) for output in outputs)
    return (high > low).double().mean().item()


def failing(r2: float, share: float) -> str:
    """Why a direction is left out; "" where it is kept."""
    if r2 < WEAK:
        return f"left out: R2 below {WEAK}"
    return f"left out: rises in less than {RELIABLE:.0%}" if share < RELIABLE else ""


def table(fits: "dict[str, tuple[Tensor, float, float]]", shares: dict[str, float]) -> str:
    """A line for each property: what the fit explains, how far a step moves it, in how many pictures, and the verdict.

    Args:
        shares: see `reliability`.
    """
    from training.properties import PROPERTIES

    lines = []
    for name, (_, r2, slope) in fits.items():
        told = failing(r2, shares[name]) or "kept"
        numbers = f"R2 {r2:6.3f}   {slope:.2f} deviations a step   rises in {shares[name]:4.0%}"
        lines.append(f"  {name:12} {numbers}   {told}   ({PROPERTIES[name][0]})")
    return "\n".join(lines)

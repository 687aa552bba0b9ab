"""Images per second of a recipe's real training step, beside the plain loop of the tutorials.

Both train the same networks on the same random pictures, in turn, so that a machine whose speed drifts favours neither.
Quote the ratio of one run, not the speeds of two.
"""

import dataclasses
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch.utils.data import DataLoader, TensorDataset

from ganhub.errors import UserError
from training.checkpoint import environment
from training.data import Batches, ImageData, to_float
from training.presets import PRESETS
from training.recipe import Recipe
from training.steps import Game
from training.trainer import make_step, start_state


@dataclass(frozen=True)
class Benchmark:
    """Measure training speed and memory on random pictures."""

    preset: str = "frogs"
    """Whose networks, batch size and tricks."""
    rounds: int = 5
    """Times that each loop is measured."""
    steps: int = 20
    """Generator steps in a round."""
    images: int = 2048
    """Random pictures to train on."""
    mixed_precision: Literal["no", "bf16"] | None = None
    """Of the recipe's step, in place of its own; the plain loop stays in fp32."""
    one_stage: bool = False
    """Let the recipe's step update both players from one pass of each network; batch norm in D, say, forbids it."""


def run(options: Benchmark) -> dict[str, float]:
    """Print and return the median images per second of both loops, their ratio, and the peak memory in MiB."""
    if options.preset not in PRESETS:
        raise UserError(f"no preset {options.preset!r}; known: {', '.join(PRESETS)}")
    preset = PRESETS[options.preset]
    precision, one_stage = options.mixed_precision or preset.mixed_precision, options.one_stage or preset.one_stage
    recipe = dataclasses.replace(preset, mixed_precision=precision, one_stage=one_stage).check()
    if options.rounds < 1 or options.steps < 1:
        raise UserError(f"--rounds and --steps must be at least 1, got {options.rounds} and {options.steps}")
    if options.images < recipe.batch_size:
        raise UserError(f"--images {options.images}: fewer than the batch of {recipe.batch_size}; give more")
    accelerator = Accelerator(mixed_precision=recipe.mixed_precision)
    data = random_data(recipe, options.images).to(accelerator.device)
    loops = {"ganhub": ganhub_loop(recipe, data, accelerator), "plain": plain_loop(recipe, data, accelerator)}
    speeds: dict[str, list[float]] = {name: [] for name in loops}
    for i in range(options.rounds + 1):
        for name, step in loops.items():
            start = time.perf_counter()
            for _ in range(options.steps):
                step()
            synchronize(accelerator)
            if i:  # the first round warms up
                images = options.steps * recipe.d_steps * recipe.batch_size
                speeds[name].append(images / (time.perf_counter() - start))
    result = {name: statistics.median(values) for name, values in speeds.items()}
    result["ratio"] = statistics.median(a / b for a, b in zip(speeds["ganhub"], speeds["plain"]))
    result["peak_mib"] = peak_memory()
    report(recipe, result, environment(torch.nn.Linear(1, 1).to(accelerator.device)))
    return result


def random_data(recipe: Recipe, count: int) -> ImageData:
    generator = torch.Generator().manual_seed(0)
    shape = (count, recipe.channels, recipe.resolution, recipe.resolution)
    images = torch.randint(256, shape, generator=generator, dtype=torch.uint8)
    return ImageData(images, torch.arange(count) % 10, tuple("0123456789"), "random")


def ganhub_loop(recipe: Recipe, data: ImageData, accelerator: Accelerator) -> Callable[[], object]:
    state = start_state(recipe, data, accelerator)
    batches = Batches(data, recipe.batch_size, 0, recipe.flip, recipe.shuffle, recipe.pixel_range)
    return make_step(Game(recipe, state, accelerator), batches)


def plain_loop(recipe: Recipe, data: ImageData, accelerator: Accelerator) -> Callable[[], object]:
    """The textbook step: a loader of float pictures, `.item()` at every step, no tricks, no EMA."""
    plain = dataclasses.replace(recipe, conditional=False)
    state = start_state(plain, data, accelerator)
    networks = [network.to(memory_format=torch.contiguous_format) for network in (state.generator, state.discriminator)]
    generator, discriminator = networks
    loader = DataLoader(TensorDataset(to_float(data.images)), recipe.batch_size, shuffle=True, drop_last=True)
    batches = iter(loader)

    def step() -> tuple[float, float]:
        nonlocal batches
        for _ in range(recipe.d_steps):
            try:
                (real,) = next(batches)
            except StopIteration:
                batches = iter(loader)
                (real,) = next(batches)
            fake = generator(torch.randn(len(real), recipe.latent_dim, device=real.device))
            state.d_optimizer.zero_grad()
            d_loss = F.softplus(-discriminator(real)).mean() + F.softplus(discriminator(fake.detach())).mean()
            d_loss.backward()
            state.d_optimizer.step()
        state.g_optimizer.zero_grad()
        g_loss = F.softplus(-discriminator(fake)).mean()
        g_loss.backward()
        state.g_optimizer.step()
        return d_loss.item(), g_loss.item()

    return step


def synchronize(accelerator: Accelerator) -> None:
    if accelerator.device.type == "cuda":
        torch.cuda.synchronize()


def peak_memory() -> float:
    """MiB: of the GPU where there is one, else of the whole process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def report(recipe: Recipe, result: dict[str, float], where: dict[str, str]) -> None:
    precision = "" if recipe.mixed_precision == "no" else f" in {recipe.mixed_precision}"
    stage = ", one stage" if recipe.one_stage else ""
    print(f"{recipe.name}{precision}{stage}: {where['device']}; {where['versions']}")
    print(f"  ganhub  {result['ganhub']:8.0f} img/s   (every trick of the recipe, EMA)")
    print(f"  plain   {result['plain']:8.0f} img/s   (textbook loop, same networks, no tricks)")
    print(f"  ratio   {result['ratio']:8.2f}         peak memory {result['peak_mib']:.0f} MiB")

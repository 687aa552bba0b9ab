"""What a run writes for people: a progress bar, log.jsonl, TensorBoard, sheets of samples."""

import json
import math
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from accelerate import Accelerator
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from ganhub.errors import UserError
from ganhub.files import write_aside, write_text
from ganhub.images import grid, to_pil
from ganhub.latents import latents_for
from ganhub.models.base import Generator
from training.clock import Clock
from training.recipe import Recipe
from training.snapshots import animate

LOG_FILE = "log.jsonl"
MAX_COLUMNS = 16  # classes up to which a sheet has a column for each


class Averages:
    """Running means of detached scalars that stay on the device until `flush` reads them all at once."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    def add(self, stats: dict[str, Tensor]) -> None:
        for name, value in stats.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value
            self.counts[name] = self.counts.get(name, 0) + 1

    def flush(self) -> dict[str, float]:
        if not self.sums:
            return {}
        values = torch.stack([value.float() for value in self.sums.values()]).tolist()
        means = {name: value / self.counts[name] for name, value in zip(self.sums, values)}
        self.sums, self.counts = {}, {}
        return means


class RunLog:
    """Writes on the main process only; every method may be called on all of them."""

    def __init__(self, recipe: Recipe, run_dir: Path, accelerator: Accelerator, clock: Clock):
        self.recipe, self.run_dir, self.accelerator = recipe, run_dir, accelerator
        self.averages = Averages()
        self.last_time, self.last_images = time.perf_counter(), clock.images
        if accelerator.is_main_process:
            forget_after(run_dir / LOG_FILE, clock.kimg)
        accelerator.init_trackers("tensorboard", init_kwargs={"tensorboard": {"purge_step": clock.images + 1}})
        self.bar = tqdm(
            total=recipe.kimg,
            initial=min(clock.kimg, recipe.kimg),
            desc=recipe.name,
            bar_format="{desc} {percentage:3.0f}%|{bar}| {n:.1f}/{total:g} kimg [{elapsed}<{remaining}{postfix}]",
            mininterval=0.2 if sys.stderr.isatty() else 30.0,
            disable=not accelerator.is_main_process,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()
        self.accelerator.end_training()

    def scalars(self, clock: Clock) -> None:
        """Means since the last call, to the file, TensorBoard and the bar.

        Raises:
            UserError: a mean is NaN or infinite, so some loss since the last call was.
        """
        means = self.averages.flush()
        if not means:
            return
        if broken := [name for name, value in means.items() if not math.isfinite(value)]:
            raise UserError(
                f"{', '.join(broken)} became NaN or infinite before {clock.kimg:.1f} kimg; the last good checkpoint is "
                "kept. Lower the learning rates or add a penalty, and start again"
            )
        now = time.perf_counter()
        speed = (clock.images - self.last_images) / (now - self.last_time)
        self.last_time, self.last_images = now, clock.images
        line = {"kimg": clock.kimg, **{name: round(value, 6) for name, value in means.items()}}
        self.accelerator.log({**means, "images_per_second": speed}, step=clock.images)
        if self.accelerator.is_main_process:
            with open(self.run_dir / LOG_FILE, "a") as file:
                file.write(json.dumps({**line, "images_per_second": round(speed, 1) if speed >= 1 else speed}) + "\n")
        shown = {"img/s": f"{speed:.0f}", "D": f"{means['d_loss']:.3f}", "G": f"{means['g_loss']:.3f}"}
        self.bar.set_postfix({**shown, "D acc": f"{means['d_accuracy']:.0%}"}, refresh=False)
        self.bar.update(min(clock.kimg, self.recipe.kimg) - self.bar.n)

    def histograms(self, seen: dict[str, Tensor], clock: Clock) -> None:
        """The last step's noise and logits, to TensorBoard."""
        for tracker in self.accelerator.trackers:
            for name, values in seen.items():
                tracker.writer.add_histogram(f"histogram/{name}", values.float().cpu(), clock.images)

    def samples(self, generator: Generator, clock: Clock) -> None:
        """The same latents every time, one file a sheet; a sheet that exists stays as it is."""
        if not self.accelerator.is_main_process:
            return
        file = self.run_dir / "samples" / f"{clock.images:09d}.png"
        if file.exists():
            return
        sheet = sample_sheet(generator, data=self.recipe.data)
        file.parent.mkdir(exist_ok=True)
        write_aside(file, partial(sheet.save, format="PNG"))  # whole, or it would count as written
        pixels = np.asarray(sheet.convert("RGB"))[None]
        for tracker in self.accelerator.trackers:
            tracker.log_images({"samples": pixels}, step=clock.images, dataformats="NHWC")

    def animation(self) -> None:
        """samples.gif, of all sheets."""
        if self.accelerator.is_main_process:
            animate(self.run_dir)


def sample_sheet(generator: Generator, rows: int = 8, data: str = "") -> Image.Image:
    """Seeds 0, 1, 2, ... in an 8x8 grid, or in a column for each class: the pictures `GANPipeline` gives for them."""
    config: Any = generator.config
    if config.channels == 2:
        return point_sheet(generator, data)
    columns = config.num_classes if 0 < config.num_classes <= MAX_COLUMNS else 8
    return grid(to_pil(first_seeds(generator, rows * columns)), columns)


def point_sheet(generator: Generator, data: str, points: int = 2000) -> Image.Image:
    """Where a generator of points in the plane puts seeds 0, 1, 2, ..., around the centres of the data."""
    from training.toys import mixture, scatter

    return scatter(first_seeds(generator, points).flatten(1).cpu(), gaussians=mixture(data))


@torch.no_grad()
def first_seeds(generator: Generator, count: int) -> Tensor:
    """The images (count, C, R, R) of seeds 0, 1, 2, ..., cycling through the classes."""
    config: Any = generator.config
    device = next(generator.parameters()).device
    classes = [i % config.num_classes for i in range(count)] if config.num_classes else None
    z = latents_for(generator, range(count), classes).to(device)
    return generator(z, None if classes is None else torch.tensor(classes, device=device))


def read_log(file: Path) -> list[dict[str, float]]:
    """The lines of a log.jsonl; a last line that was cut short is left out."""
    if not file.exists():
        return []
    lines = []
    for line in file.read_text().splitlines():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return lines


def forget_after(file: Path, kimg: float) -> None:
    """Drop what a killed run logged after its last checkpoint: the resumed run logs it again."""
    lines = [line for line in read_log(file) if line["kimg"] <= kimg]
    if file.exists():
        write_text(file, "".join(json.dumps(line) + "\n" for line in lines))

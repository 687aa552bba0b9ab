"""`python -m training modes RUN_OR_MODEL`: how many modes of a toy data set a generator has found, and how evenly.

Counted as in VEEGAN (Srivastava et al. 2017, https://arxiv.org/abs/1705.07761, section 4) and PacGAN (Lin et al. 2018,
https://arxiv.org/abs/1712.04086, section 4):

- Gaussians in the plane: a sample belongs to the mode whose centre is nearest, and is of high quality if that is at
  most three standard deviations away (98.9 % of the data are). A mode is found if one such sample belongs to it, so
  samples scattered all over the plane find every mode too: read the count beside the share of high quality.
- Stacked MNIST: a classifier reads the digit of each channel; a mode is found if one sample is read as it.
- Reverse KL, which these papers report, is KL(generated || data) in nats between the shares of samples that belong to
  each mode, all samples counted. 0 is best; log of the number of modes, all samples in one mode, is worst. Forward KL,
  KL(data || generated), is infinite (None) as soon as a mode has no sample.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ganhub.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from ganhub.models.base import Generator
    from training.lens import Lens

SAMPLES_OF_POINTS, SAMPLES_OF_STACKS = 10_000, 26_000  # 2,500 and 26,000 in the papers
HIGH_QUALITY = 3  # standard deviations


@dataclass(frozen=True)
class Modes:
    """Count the modes that a generator has found on a toy data set."""

    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN_OR_MODEL")]
    """The folder of a run (its newest checkpoint) or of a model, or a Hub id."""
    data: str = ""
    """toy:ring, toy:grid or stacked:DATA; by default what the model was trained on."""
    samples: int = 0
    """How many to generate; by default 10,000 points or 26,000 pictures. Conditional models cycle through classes."""
    classifier: str = "digit-classifier"
    """Reads the digits of Stacked MNIST: a name, or a folder of `python -m training extractor`."""
    seed: int = 0
    """Sample i is drawn from seed + i."""
    device: str = "cpu"
    """Where networks run: cpu, cuda, mps."""
    json: Path | None = None
    """Write the numbers to this file, too."""


def run(options: Modes) -> dict[str, Any]:
    """Count, print one line, write --json. Returns what that file holds.

    Raises:
        UserError: the model, its data or the classifier won't do, or the file can't be written.
    """
    from training.featurenet import check_device
    from training.sources import data_name
    from training.trained import check_seed, open_trained, save_json

    check_device(options.device)
    check_seed(options.seed)
    trained = open_trained(options.model)
    data = options.data or (trained.recipe.data if trained.recipe else "")
    generator = trained.generator.to(options.device)
    found = measure(generator, data, options.samples, options.seed, options.classifier)
    found = {"model": data_name(options.model), "data": data_name(data), **found}
    print(line(found))
    if options.json:
        save_json(found, options.json)
    return found


def measure(
    generator: "Generator", data: str, samples: int = 0, seed: int = 0, classifier: str = "digit-classifier"
) -> dict[str, Any]:
    """The counts of a generator, as a flat JSON-ready table; it is left as it was, and torch's random state too.

    Args:
        generator: on the device where it shall run.
        data: "toy:ring", "toy:grid" or "stacked:" and anything.
        samples: 0 for the usual number.
        seed: sample i is drawn from seed + i.
        classifier: for Stacked MNIST; see `training.lens.open_lens`.

    Raises:
        UserError: no such data, a generator of something else, or a classifier that can't read digits.
    """
    import torch

    from training import toys

    gaussians, config = toys.mixture(data), generator.config
    if gaussians is None and not data.startswith(toys.STACKED):
        raise UserError(f"{data or 'no data'}: modes are known of toy:ring, toy:grid and stacked:DATA only; add --data")
    channels = 2 if gaussians else 3
    if config.channels != channels:
        raise UserError(f"{data}: has {channels} channels, the generator draws {config.channels}")
    if samples < 0:
        raise UserError(f"--samples must be at least 1, got {samples}")
    samples = samples or (SAMPLES_OF_POINTS if gaussians else SAMPLES_OF_STACKS)
    used: dict[str, Any] = {"samples": samples, "seed": seed}
    if gaussians:
        points = torch.cat([part.float().flatten(1) for part in drawn(generator, samples, seed)])
        return used | count_points(points, gaussians.centres, gaussians.std)
    lens = open_classifier(classifier, str(generator.device))
    images = torch.cat([part.add(1).mul(127.5).round().to(torch.uint8) for part in drawn(generator, samples, seed)])
    counts = torch.bincount(read_stacks(images, lens, str(generator.device)), minlength=toys.MODES)
    used |= {"classifier": lens.name, "classifier_sha256": lens.sha256}
    return used | {"modes": int((counts > 0).sum()), "of": toys.MODES, **divergences(counts)}


def drawn(generator: "Generator", count: int, seed: int, chunk: int = 1000) -> "Iterator[Tensor]":
    """Samples (B, C, R, R) in [-1, 1] on the CPU, chunk by chunk."""
    import torch

    from ganhub.latents import latents_for

    config = generator.config
    for start in range(0, count, chunk):
        numbers = range(start, min(start + chunk, count))
        asked = [i % config.num_classes for i in numbers] if config.num_classes else None
        with torch.inference_mode(), evaluating(generator):
            z = latents_for(generator, [seed + i for i in numbers], asked).to(generator.device, generator.dtype)
            images = generator(z, None if asked is None else torch.tensor(asked, device=z.device)).cpu()
        yield images


@contextmanager
def evaluating(generator: "Generator") -> Iterator[None]:
    """In eval mode inside, and as it was afterwards."""
    training = generator.training
    generator.eval()
    try:
        yield
    finally:
        generator.train(training)


def count_points(points: "Tensor", centres: "Tensor", std: float) -> dict[str, Any]:
    """Points (N, 2) that belong to Gaussians with centres (K, 2): what the head of this file defines."""
    import torch

    distance, nearest = torch.cdist(points, centres).min(1)
    good = distance <= HIGH_QUALITY * std
    return {
        "modes": len(nearest[good].unique()),
        "of": len(centres),
        "high_quality": good.double().mean().item(),
        **divergences(torch.bincount(nearest, minlength=len(centres))),
    }


def divergences(counts: "Tensor") -> dict[str, float | None]:
    """Reverse and forward KL between the shares of samples in each mode, counts (K,), and the same share for all."""
    shares = counts.double() / counts.sum()
    some = shares[shares > 0]
    forward = -math.log(len(shares)) - shares.log().mean().item()
    return {
        "reverse_kl": max(0.0, math.log(len(shares)) + (some * some.log()).sum().item()),
        "forward_kl": max(0.0, forward) if math.isfinite(forward) else None,
    }


def open_classifier(name: str, device: str) -> "Lens":
    from training.lens import open_lens
    from training.toys import DIGITS

    other = "leave it out, or train one on digits with `python -m training extractor`"
    try:
        lens = open_lens(name, 1, DIGITS, device)
    except UserError as error:
        reason = str(error).partition(";")[0].replace("--extractor", "--classifier")
        raise UserError(f"{reason}; {other}") from error
    if lens is None or sorted(lens.class_names) != sorted(DIGITS):
        raise UserError(f"--classifier {name}: doesn't tell the ten digits apart; {other}")
    return lens


def read_stacks(images: "Tensor", lens: "Lens", device: str) -> "Tensor":
    """uint8 pictures (N, 3, R, R) -> (N,) the number 100 a + 10 b + c that their channels are read as."""
    import torch

    _, classes = lens.look(images.flatten(0, 1)[:, None], device)
    assert classes is not None
    digits = torch.tensor([int(name) for name in lens.class_names])[classes].view(-1, 3)
    return digits @ torch.tensor([100, 10, 1])


def line(found: dict[str, Any]) -> str:
    """The counts for people."""
    good = f", {found['high_quality']:.1%} of high quality" if "high_quality" in found else ""
    read = f", read by {found['classifier']}" if "classifier" in found else ""
    forward = "infinite" if found["forward_kl"] is None else f"{found['forward_kl']:.4f}"
    return (
        f"{found['model']} on {found['data']}: {found['modes']} of {found['of']} modes in {found['samples']:,} samples"
        f"{good}{read}; reverse KL {found['reverse_kl']:.4f}, forward KL {forward}"
    )

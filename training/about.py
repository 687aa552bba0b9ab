"""What the cards of the named presets say about their data; `export` takes these as defaults."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class About:
    """The part of a card that a person has to write."""

    summary: str
    """One sentence: what it draws, at which size, learnt from what."""
    data: str
    """Name and citation of the data set."""
    data_terms: str
    """Under which terms the data may be used."""
    limits: str
    """What it can't do, and what it was never tested on."""
    data_names: tuple[str, ...] = ()
    """Hub ids and folder names under which this data set goes; a run on other data needs a card of its own."""
    data_id: str = ""
    """Hub id of the data set, if it has one."""
    measured: str = ""
    """What the protocol leaves open: where the extractor is from, what the compared models are."""
    license: str = "mit"
    """Licence of the weights, as the Hub spells it."""


MNIST: dict[str, Any] = {
    "data": "MNIST: Y. LeCun, C. Cortes and C. Burges, The MNIST database of handwritten digits; 60,000 images.",
    "data_terms": "usually given as CC BY-SA 3.0 (LeCun and Cortes).",
    "data_names": ("mnist", "ylecun/mnist"),
    "data_id": "ylecun/mnist",
}

ABOUT: dict[str, About] = {
    "digits": About(
        summary="Handwritten digits of the class you ask for: MNIST at 32x32, grey.",
        limits="Digits in the style of MNIST only: centred, white on black, upright. Some samples are malformed, and a "
        "few show another digit than the one asked for (see the per-class accuracy). Not for testing or training a "
        "digit reader that matters: the samples carry the quirks of the model as well as those of the data.",
        **MNIST,
    ),
    "frogs": About(
        summary="Small frogs in colour: CIFAR-10 at 32x32.",
        data="CIFAR-10, class frog: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.",
        data_terms="no licence is stated; the pictures were collected from the web (Tiny Images): research use.",
        data_names=("cifar10", "uoft-cs/cifar10"),
        data_id="uoft-cs/cifar10",
        measured="The extractor is a small classifier of the ten CIFAR-10 classes (82.2 % of held-back pictures right, "
        "frogs 96.1 %), from `python -m training extractor --data cifar10 --out FOLDER --width 48 --feature-dim 192 "
        "--epochs 14 --flip --degrees 5`; it has seen most of these frogs. tutorial-dcgan is the same pair of networks "
        "trained the tutorials' way on the same pictures for the same kimg: batches of 128, learning rates 2e-4, no "
        "mirroring, no augmentation, no average. untrained is the first checkpoint.",
        limits="A small model of few images: expect the colours, pose and setting of a frog more often than its "
        "anatomy. Not for anything but play and study.",
    ),
    "vanilla-mnist": About(
        summary="The vanilla GAN of 2014: handwritten digits, 28x28 grey pixels, from fully connected layers.",
        limits="A historical baseline: speckled digits, and less variety than MNIST has.",
        **MNIST,
    ),
    "cgan-mnist": About(
        summary="The conditional GAN of 2014: digits of the class you ask for, 28x28 grey pixels, fully connected.",
        limits="A historical baseline: speckled digits, and less variety than MNIST has.",
        **MNIST,
    ),
}

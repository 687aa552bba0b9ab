"""What the cards of the named presets say about their data; `export` takes these as defaults."""

from dataclasses import dataclass, replace
from typing import Any

from ganhub.card import UNSAID
from training.presets import PRESETS
from training.recipe import Recipe


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
    license: str = "mit"
    """Licence of the weights, as the Hub spells it."""
    license_name: str = ""
    """What to call it where that is "other"."""
    license_link: str = ""
    """Where it can be read then."""
    bias: str = UNSAID
    """Whom or what the data shows too often, too seldom or unfairly."""
    show_data: bool = False
    """The terms of the data allow a card to show a few of its pictures."""


MNIST: dict[str, Any] = {
    "data": "MNIST: Y. LeCun, C. Cortes and C. Burges, The MNIST database of handwritten digits; 60,000 images.",
    "data_terms": "usually given as CC BY-SA 3.0 (LeCun and Cortes).",
    "data_names": ("mnist", "ylecun/mnist"),
    "data_id": "ylecun/mnist",
    "bias": "Digits as a few hundred Americans, clerks and pupils, wrote them around 1990; how other people write them "
    "(a crossed 7, a 1 with a serif) it hardly knows.",
    "show_data": True,
}

CIFAR10: dict[str, Any] = {
    "data_terms": "no licence is stated; the pictures were collected from the web (Tiny Images): research use.",
    "data_names": ("cifar10", "uoft-cs/cifar10"),
    "data_id": "uoft-cs/cifar10",
    "bias": "What web search engines of the 2000s found for an English word and students then sorted: what people like "
    "to photograph comes too often, and the subject fills the middle of the picture.",
    "show_data": True,
}
CIFAR10_SOURCE = "A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009."

CELEBA: dict[str, Any] = {
    "data": "CelebA, aligned and cropped faces: Z. Liu, P. Luo, X. Wang and X. Tang, Deep Learning Face Attributes in "
    "the Wild, ICCV 2015.",
    "data_terms": "non-commercial research only; the pictures may not be passed on.",
    "data_names": ("celeba",),
    "license": "other",
    "license_name": "non-commercial-research",
    "license_link": "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
    "limits": "Faces in the style of its data only: facing the camera, cropped and small. No sample is meant to show "
    "anybody. Only for play and study, never to judge, identify or deceive people.",
    "bias": "The data are celebrities, mostly young, white, made up and smiling; it draws other people worse and less "
    "often.",
}

SIMPSONS: dict[str, Any] = {
    "data": "Faces of characters of The Simpsons, cut from frames of the series.",
    "data_terms": "characters and pictures belong to their rights holder (20th Television / Disney); research only.",
    "data_names": ("simpsons",),
    "license": "other",
    "license_name": "research-only",
    "limits": "The style of one series, and few characters of it. Not for anything but play and study.",
    "bias": "Characters come as often as in the series, the main ones far more often than all others, and the series "
    "has stereotypes of its own.",
}

BASELINE = "A baseline to study and compare with: expect malformed samples, and less variety than the data has."

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
        data=f"CIFAR-10, class frog: {CIFAR10_SOURCE}",
        limits="A small model of few images: expect the colours, pose and setting of a frog more often than its "
        "anatomy, and texture without any animal now and then. Not for anything but play and study.",
        **CIFAR10,
    ),
    "vanilla-mnist": About(
        summary="The vanilla GAN of 2014: handwritten digits, 28x28 grey pixels, from fully connected layers.",
        limits=BASELINE,
        **MNIST,
    ),
    "cgan-mnist": About(
        summary="The conditional GAN of 2014: digits of the class you ask for, 28x28 grey pixels, fully connected.",
        limits=BASELINE,
        **MNIST,
    ),
    "faces": About(
        summary="Faces at 64x64, learnt from CelebA.",
        **CELEBA,
    ),
    "simpsons": About(
        summary="Faces of the Simpson you ask for, Bart, Homer, Lisa or Marge, at 64x64.",
        **SIMPSONS,
    ),
    "keras-celeba": About(summary="Faces at 64x64, by the Keras tutorial on GAN tricks.", **CELEBA),
    "dcgan-celeba": About(summary="Faces at 64x64, by the DCGAN of pytorch-GANs.", **CELEBA),
    "dcgan-paper": About(summary="Faces at 64x64, by the DCGAN of 2016 as its paper has it.", **CELEBA),
    "dcgan-512": About(summary="Faces at 64x64, by the DCGAN that most PyTorch examples use.", **CELEBA),
    "tf-simpsons": About(summary="Faces of The Simpsons at 128x128, by the TensorFlow tutorial's DCGAN.", **SIMPSONS),
    "keras-frogs": About(
        summary="Small frogs in colour, 32x32, by the GAN of the Keras book.",
        data=f"CIFAR-10, class frog: {CIFAR10_SOURCE}",
        limits=BASELINE,
        **CIFAR10,
    ),
}


ABOUT |= {f"{name}-small": ABOUT[name] for name in ("digits", "frogs", "faces", "simpsons")}


def of_preset(recipe: Recipe) -> About | None:
    """What is known of a preset, for a run of it at any resolution: its own entry, else one made of source and data."""
    if recipe.name not in PRESETS:
        return None
    size = f"{recipe.resolution}x{recipe.resolution}"
    if about := ABOUT.get(recipe.name):
        usual = PRESETS[recipe.name].resolution
        return replace(about, summary=about.summary.replace(f"{usual}x{usual}", size))
    if recipe.data.startswith("toy:"):
        summary, drawn = f"Points in the plane: {recipe.source}.", f"{recipe.data}, drawn by ganhub."
        nobody = "none: the points are drawn from a formula."
        return About(summary, drawn, "none.", BASELINE, data_names=(recipe.data,), bias=nobody, show_data=True)
    if recipe.name == "stacked-mnist":
        names = tuple(f"stacked:{name}" for name in MNIST["data_names"])
        return About(summary=f"{recipe.source}.", limits=BASELINE, **{**MNIST, "data_names": names})
    if recipe.name.endswith("-mnist"):
        return About(summary=f"Handwritten digits, {size}, grey: {recipe.source}.", limits=BASELINE, **MNIST)
    what, classes = ("Small frogs", ", class frog") if recipe.classes == ("frog",) else ("Small pictures", "")
    data = f"CIFAR-10{classes}: {CIFAR10_SOURCE}"
    return About(summary=f"{what} in colour, {size}: {recipe.source}.", data=data, limits=BASELINE, **CIFAR10)

"""`python -m training extractor`: train the feature network that the metrics look through.

No pretrained network is needed or downloaded. With labels it is a classifier. Without, it learns by SimCLR (Chen et al.
2020, arXiv:2002.05709): two distorted views of a picture shall have features more alike than those of other pictures;
the projection head is thrown away. Ours is small: no blur, batches of a few hundred, whole-image distortions
(translation, rotation, scale, colour) in place of the paper's wide crops.
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganhub.errors import UserError, first_line
from ganhub.layout import CARD_FILE, METRICS_FILE
from training.folders import appearing
from training.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor

    from training.data import ImageData
    from training.featurenet import FeatureNet


@dataclass(frozen=True)
class Extractor:
    """Train a feature network on the labels of a data set, or by self-supervision where it has none."""

    data: str
    """A folder of parquet files, a folder of images (with or without class subfolders), or a Hub data set id."""
    out: Path
    """Folder to write: config.json, diffusion_pytorch_model.safetensors, metrics.json, README.md."""
    split: str = "train"
    """Split to learn from."""
    test_split: str = ""
    """Split to report on; by default "test" where there is one, else a tenth of --split that is held back."""
    image_column: str = ""
    """Column with the pictures; found by itself when empty."""
    label_column: str = ""
    """Column with the classes; found by itself when empty."""
    classes: tuple[str, ...] = ()
    """Keep only these classes, in this order; all of them when empty."""
    self_supervised: bool = False
    """Don't look at labels, even where there are some."""
    resolution: int = 32
    """Side in pixels that the network sees; a multiple of 8."""
    channels: int = 3
    """1 (grey) or 3 (RGB)."""
    width: int = 32
    """Channels of the first block."""
    feature_dim: int = 128
    """Length of a feature vector."""
    epochs: int = 10
    """Passes over the data."""
    batch_size: int = 128
    """Images in a step; for self-supervision more is better."""
    lr: float = 3e-3
    """Highest learning rate."""
    label_smoothing: float = 0.05
    """Share of the target that goes to the other classes."""
    flip: bool = False
    """Mirror half of the images, at random. Never for digits or text."""
    shift: float = 2.0
    """Translate by up to this many pixels."""
    degrees: float = 10.0
    """Rotate by up to this many degrees."""
    zoom: float = 0.1
    """Scale by up to this share."""
    seed: int = 0
    """Seed of the weights, the order of the data, the distortions and what is held back."""
    device: str = "cpu"
    """Where to train: cpu, cuda, mps."""
    license: str = "mit"
    """Licence of the weights, for the card."""
    terms: str = "not stated"
    """Terms of the data, for the card."""

    def recipe(self) -> Recipe:
        """What `load_images` has to know."""
        names = ("data", "split", "image_column", "label_column", "classes", "resolution", "channels")
        return Recipe(name="extractor", **{name: getattr(self, name) for name in names})


def run(options: Extractor) -> dict[str, Any]:
    """Train, measure on pictures that training never saw, and write the folder. Returns what metrics.json holds.

    Raises:
        UserError: the data, the sizes, the device or the folder won't do.
    """
    from training.featurenet import FeatureNet, check_device, seeded
    from training.references import versions
    from training.sources import data_name

    check(options)
    check_device(options.device)
    check_out(options.out)
    train, test, test_name = read(options)
    supervised = train.labels is not None
    names = list(train.class_names) if supervised else None
    with seeded(options.seed):
        try:
            network = FeatureNet(
                options.resolution,
                options.channels,
                len(train.class_names) if supervised else 0,
                options.width,
                options.feature_dim,
                names,
            ).to(options.device)
        except (ValueError, RuntimeError) as error:
            raise UserError(first_line(error)) from error
        (learn_labels if supervised else learn_views)(network, train, options)
        measured = (accuracy if supervised else retrieval)(network, test, options)
    network = network.to("cpu")
    metrics = {
        **measured,
        "test": {"data": data_name(options.data), "split": test_name, "count": len(test), "trained_on": False},
        "train": {"split": options.split, "count": len(train)},
        "seed": options.seed,
        "versions": versions(),
    }
    save(options, network, metrics)
    return metrics


def check(options: Extractor) -> None:
    for name in ("epochs", "batch_size", "lr", "resolution"):
        if not getattr(options, name) > 0:
            raise UserError(f"--{name.replace('_', '-')} must be above 0, got {getattr(options, name)}")
    ranges = {"label_smoothing": (0, 1), "shift": (0, options.resolution), "degrees": (0, 180), "zoom": (0, 0.9)}
    for name, (low, high) in ranges.items():
        if not low <= getattr(options, name) <= high:
            raise UserError(f"--{name.replace('_', '-')} must be from {low} to {high}, got {getattr(options, name)}")
    if options.batch_size < 2:
        raise UserError("--batch-size must be at least 2, batch norm needs neighbours")


def check_out(out: Path) -> None:
    """The folder can be made when training is done: it is new or empty, and its parent can be written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        out.rmdir()
    except OSError as error:
        raise UserError(f"{out}: can't be written ({error.strerror or error}); give a new folder as --out") from error


def save(options: Extractor, network: "FeatureNet", metrics: dict[str, Any]) -> None:
    from training.extractor_card import card

    with appearing(options.out) as aside:
        network.save_pretrained(aside)
        (aside / METRICS_FILE).write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
        (aside / CARD_FILE).write_text(card(options, network, metrics), encoding="utf-8")


def read(options: Extractor) -> "tuple[ImageData, ImageData, str]":
    """Training images, images to report on, and what the latter are called."""
    from training.data import load_images
    from training.references import learn_and_ask

    def load(name: str, split: str) -> "ImageData":
        return usable(load_images(options.recipe(), split), options)

    data, test, name = learn_and_ask(load, options.data, options.split, "", options.test_split, options.seed)
    if len(data) < options.batch_size:
        raise UserError(
            f"{options.data}: {len(data)} images to learn from, fewer than --batch-size {options.batch_size}; give a "
            "smaller one, or measure without features: evaluate --extractor none"
        )
    if not len(test):
        raise UserError(f"{options.data}, split {name}: has no picture with a class; name another --test-split")
    if data.class_names != test.class_names:
        raise UserError(
            f"{options.data}: the classes of {name} are not those to learn; name another --test-split, {options.split} "
            "say, of which a tenth is held back"
        )
    return data, test, name


def usable(data: "ImageData", options: Extractor) -> "ImageData":
    """Without labels for self-supervision, else without the images that have none."""
    if data.labels is None or options.self_supervised:
        return dataclasses.replace(data, labels=None, class_names=())
    if len(data.class_names) < 2:
        there = ", ".join(data.class_names) or "none"
        raise UserError(f"{options.data}: fewer than two classes ({there}); add --self-supervised")
    return data.pick(data.labels >= 0)


def learn_labels(network: "FeatureNet", data: "ImageData", options: Extractor) -> None:
    from torch.nn import functional

    from training.data import Batches
    from training.featurenet import distort, fit

    def loss(images: "Tensor", labels: "Tensor | None") -> "Tensor":
        assert labels is not None
        logits = network(distort(images, options.shift, options.degrees, options.zoom))
        return functional.cross_entropy(logits, labels, label_smoothing=options.label_smoothing)

    batches = Batches(data.to(options.device), options.batch_size, options.seed, options.flip)
    fit(network, loss, batches, steps(data, options), options.lr)


def learn_views(network: "FeatureNet", data: "ImageData", options: Extractor) -> None:
    from torch import nn

    from training.data import Batches
    from training.featurenet import fit, nt_xent

    dim = options.feature_dim
    projection = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim)).to(options.device)

    def loss(images: "Tensor", _: "Tensor | None") -> "Tensor":
        a, b = (projection(network(view(images, options))) for _ in range(2))
        return nt_xent(a, b)

    batches = Batches(data.to(options.device), options.batch_size, options.seed)
    fit(nn.ModuleList([network, projection]), loss, batches, steps(data, options), options.lr)


def steps(data: "ImageData", options: Extractor) -> int:
    return max(1, options.epochs * len(data) // options.batch_size)


def view(images: "Tensor", options: Extractor) -> "Tensor":
    """One random view for self-supervision: mirrored where that is allowed, moved, turned, scaled, recoloured."""
    from training.augment import color, mirror
    from training.featurenet import distort

    if options.flip:
        images = mirror(images)
    images = distort(images, images.shape[-1] / 8, max(options.degrees, 10), max(options.zoom, 0.3))
    return color(images).clamp(-1, 1)


def accuracy(network: "FeatureNet", test: "ImageData", options: Extractor) -> dict[str, Any]:
    from training.featurenet import batched
    from training.metrics import conditional_accuracy

    assert test.labels is not None
    predicted = batched(network, test.images, options.device).argmax(1)
    share, per_class = conditional_accuracy(predicted, test.labels, len(test.class_names))
    return {"accuracy": share, "accuracy_per_class": dict(zip(test.class_names, per_class))}


def retrieval(network: "FeatureNet", test: "ImageData", options: Extractor, among: int = 256) -> dict[str, Any]:
    """How often the nearest features among `among` held-back images are those of the other view of the same image."""
    import torch
    from torch.nn import functional

    from training.data import to_float

    parts = test.images.split(among)
    hits = 0
    with torch.inference_mode():
        for part in parts:
            images = to_float(part.to(options.device))
            a, b = (functional.normalize(network.features(view(images, options))) for _ in range(2))
            hits += int(((a @ b.T).argmax(1).cpu() == torch.arange(len(part))).sum())
    return {"retrieval_accuracy": hits / len(test), "retrieval_among": min(among, len(test))}

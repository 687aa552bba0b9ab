"""`python -m training probe MODEL --data DATA`: how much a discriminator knows of classes that nobody told it.

As in section 5.1 of the DCGAN paper (Radford et al. 2016, https://arxiv.org/abs/1511.06434): the discriminator is
frozen, its maps are pooled and joined (`Discriminator.features`), and a regularised linear classifier on them is
trained with labels and asked about pictures that it has not seen. The same is done on an untrained discriminator of the
same config and on the pixels themselves, without which the number says little. Deviation: the classifier is a
multinomial logistic regression (`training.linear`), there an L2-SVM.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ganhub.errors import UserError, first_line

if TYPE_CHECKING:
    from torch import Tensor

    from training.data import ImageData
    from training.recipe import Recipe
    from training.trained import Trained

SEEN = 2048  # pictures from which a feature's mean and deviation are taken
MIN_IMAGES = 20


@dataclass(frozen=True)
class Probe:
    """Fit a linear classifier on a discriminator's features, on an untrained one's and on pixels, and compare."""

    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """The folder of a run (its newest checkpoint) or of a model, a zoo name, or a Hub id."""
    data: str
    """Pictures with classes: a folder or a Hub id. The model decides on their size."""
    split: str = "train"
    """Split to learn from."""
    test_data: str = ""
    """Other pictures of the same classes to be asked about; by default those of --data."""
    test_split: str = ""
    """Split to be asked about; by default "test" where there is one, else a tenth of --split that is held back."""
    image_column: str = ""
    """Column with the pictures; found by itself when empty."""
    label_column: str = ""
    """Column with the classes; found by itself when empty."""
    classes: tuple[str, ...] = ()
    """Keep only these classes; all of them when empty."""
    seed: int = 0
    """Seed of the order of the pictures, what is held back, and the untrained discriminator."""
    device: str = "cpu"
    """Where networks run: cpu, cuda, mps."""
    json: Path | None = None
    """Write the numbers to this file, too."""


def run(options: Probe) -> dict[str, Any]:
    """Fit, print a table, write --json. Returns what that file holds.

    Raises:
        UserError: the model or its data won't do, or the file can't be written.
    """
    from training.featurenet import check_device, seeded
    from training.sources import data_name
    from training.trained import check_seed, open_trained, save_json

    check_device(options.device)
    check_seed(options.seed)
    trained = open_trained(options.model, discriminator=True)
    train, test, test_name = read(options, trained)
    network: Any = trained.discriminator
    with seeded(options.seed):
        fresh = type(network).from_config(network.config).eval()
    functions: dict[str, Callable[[Tensor], Tensor]] = {
        "discriminator": network.to(options.device).features,
        "untrained": fresh.to(options.device).features,
        "pixels": lambda images: images.flatten(1),
    }
    pixel_range = trained.recipe.pixel_range if trained.recipe else (-1.0, 1.0)
    assert test.labels is not None
    found = {
        "model": data_name(options.model),
        "conditional": network.config.num_classes > 0,
        "data": data_name(options.data),
        "train": {"split": options.split, "count": len(train)},
        "test": {"data": data_name(options.test_data or options.data), "split": test_name, "count": len(test)},
        "seen": seen(trained.recipe, options, test_name),
        "classes": list(train.class_names),
        "chance": test.labels.bincount().max().item() / len(test),
        "seed": options.seed,
    } | {name: score(function, train, test, pixel_range, options.device) for name, function in functions.items()}
    print(table(found))
    if options.json:
        save_json(found, options.json)
    return found


def read(options: Probe, trained: "Trained") -> "tuple[ImageData, ImageData, str]":
    """Pictures to learn from, pictures to be asked about, both in random order, and what the latter are called."""
    from training.data import load_images
    from training.recipe import Recipe
    from training.references import learn_and_ask

    network: Any = trained.discriminator
    known = trained.recipe or Recipe()
    sizes = {"resolution": network.config.resolution, "channels": network.config.channels}
    prepared = {name: getattr(known, name) for name in ("crop", "resize", "pixel_range")}
    asked = {name: getattr(options, name) for name in ("image_column", "label_column", "classes")}

    def load(data: str, split: str) -> "ImageData":
        recipe = Recipe(name="probe", data=data, split=split, **sizes, **prepared, **asked)
        return labelled(load_images(recipe), data, options.seed)

    train, test, name = learn_and_ask(
        load, options.data, options.split, options.test_data, options.test_split, options.seed
    )
    if train.class_names != test.class_names:
        other = f"{options.test_data or options.data}: has the classes {', '.join(test.class_names)}"
        raise UserError(f"{other}, not those of {options.data}")
    if len(train) < MIN_IMAGES:
        raise UserError(f"{options.data}: {len(train)} pictures, too few to learn from; need {MIN_IMAGES}")
    return train, test, name


def labelled(data: "ImageData", name: str, seed: int) -> "ImageData":
    """Those with a class, shuffled: a layer that looks at a whole batch must not find one class in it."""
    import torch

    if data.labels is None:
        raise UserError(f"{name}: has no classes to tell apart; add class subfolders or name them with --label-column")
    known = (data.labels >= 0).nonzero().squeeze(1)
    if len(data.labels[known].unique()) < 2:
        raise UserError(f"{name}: one class only, nothing to tell apart; choose others with --classes")
    return data.pick(known[torch.randperm(len(known), generator=torch.Generator().manual_seed(seed))])


def score(
    function: "Callable[[Tensor], Tensor]",
    train: "ImageData",
    test: "ImageData",
    pixel_range: tuple[float, float],
    device: str,
) -> dict[str, Any]:
    """The accuracy of a linear classifier on what the function makes of pictures, float (B, C, R, R) -> (B, F)."""
    import torch

    from training.data import to_float
    from training.linear import choose, standard

    def features(images: "Tensor") -> "Iterator[Tensor]":
        for part in images.split(256):
            with torch.inference_mode():
                found = function(to_float(part.to(device), pixel_range)).float()
            yield found

    assert train.labels is not None and test.labels is not None
    shift, scale = standard(torch.cat(list(features(train.images[:SEEN]))))
    with tempfile.TemporaryDirectory(prefix="ganhub-") as folder:
        file = Path(folder, "features")
        try:
            with file.open("wb") as out:
                for part in features(train.images):
                    out.write(((part - shift) * scale).half().cpu().numpy().tobytes())
        except OSError as error:
            raise UserError(f"{folder}: can't hold the features ({first_line(error)}); set TMPDIR to a disk") from error
        size = (len(train), len(shift))
        rows = torch.from_file(str(file), size=size[0] * size[1], dtype=torch.float16).view(size)  # mapped, not read
        linear, ridge = choose(rows, train.labels.to(device), len(train.class_names))
        del rows
    with torch.inference_mode():
        predicted = torch.cat([linear((part - shift) * scale).argmax(1) for part in features(test.images)])
    right = int((predicted.cpu() == test.labels).sum())
    return {"accuracy": right / len(test), "right": right, "features": len(shift), "ridge": ridge}


def seen(recipe: "Recipe | None", options: Probe, test_name: str) -> bool | None:
    """Whether the pictures asked about are from the split that the discriminator learnt from; None if nobody knows."""
    from training.references import HELD_BACK
    from training.sources import data_name, existing

    if recipe is None or not recipe.data:
        return None
    split = options.split if test_name == HELD_BACK.format(options.split) else test_name
    ours, asked = existing(recipe.data), existing(options.test_data or options.data)
    if ours and asked:
        same = ours.resolve() == asked.resolve()
    else:  # a published recipe holds the name of a folder alone
        same = data_name(recipe.data) == data_name(options.test_data or options.data)
    return same and split == recipe.split


def table(found: dict[str, Any]) -> str:
    """The numbers for people, with the protocol above them."""
    test = found["test"]
    lines = [
        f"{found['model']} on {found['data']}: a linear classifier of {len(found['classes'])} classes, learnt from "
        f"{found['train']['count']:,} pictures, asked about {test['count']:,} of {test['data']}, split {test['split']}"
    ]
    for name, label in (("discriminator", "discriminator"), ("untrained", "untrained"), ("pixels", "raw pixels")):
        row = found[name]
        counts = f"{row['right']:,} of {test['count']:,} right, {row['features']:,} features"
        lines.append(f"  {label:14} {row['accuracy']:7.2%}   {counts}")
    lines.append(f"  {'chance':14} {found['chance']:7.2%}   always the commonest class")
    labels = ", with labels" if found["conditional"] else ""
    if found["seen"]:
        lines.append(f"  The pictures asked about are from a split that this discriminator was trained on{labels}.")
    elif found["conditional"]:
        lines.append("  This discriminator was shown labels in its training.")
    return "\n".join(lines)

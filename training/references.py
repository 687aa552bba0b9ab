"""What generated pictures are compared with: which splits there are, what is held back, and how a report names it."""

import dataclasses
import logging
import platform
from collections.abc import Callable

import datasets
import torch

import ganhub
from ganhub.errors import UserError
from training.data import ImageData
from training.recipe import Recipe
from training.sources import load_arguments, open_dataset, read_labels

log = logging.getLogger(__name__)

SHARE = 0.1
HELD_BACK = "a seeded tenth of {}, held back"  # what a report calls them, of a split


def learn_and_ask(
    load: Callable[[str, str], ImageData], data: str, split: str, test_data: str, test_split: str, seed: int
) -> tuple[ImageData, ImageData, str]:
    """Pictures to learn from, others to be asked about, and what a report calls the split of the latter.

    Args:
        load: a data set and a split -> their pictures.
        data, split: to learn from.
        test_data: to be asked about; "" for the same.
        test_split: of that; "" for test where there is one with other pictures, else a tenth of those to learn from.
        seed: of what is held back.

    Raises:
        UserError: both would be the same pictures.
    """
    source = test_data or data
    chosen = test_split or ("test" if "test" in split_names(source) else split)
    train = load(data, split)
    if (source, chosen) != (data, split):
        test = load(source, chosen)
        if test.digest != train.digest:
            return train, test, chosen
        if test_data or test_split:
            raise UserError(f"{source}, split {chosen}: holds the very pictures to learn from; leave it out")
    elif test_split:
        raise UserError(f"--test-split {test_split}: is the split to learn from; name another or leave it out")
    return *hold_back(train, seed), HELD_BACK.format(split)


def hold_back(data: ImageData, seed: int, share: float = SHARE) -> tuple[ImageData, ImageData]:
    """(the rest, a random share of at least one image)."""
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    count = max(1, round(len(data) * share))
    return data.pick(order[count:].sort().values), data.pick(order[:count].sort().values)


def split_names(data: str) -> list[str]:
    """The splits of a data set that can be read, of stacks those of what they stack; [] where they can't be listed."""
    data = data.removeprefix("stacked:")
    try:
        return datasets.get_dataset_split_names(**load_arguments(data))
    except Exception:  # a dozen unrelated types; the split itself was read, so one is known
        return []


def reading(recipe: Recipe, source: str, split: str) -> Recipe:
    """How other pictures than those of the recipe are read: their columns and classes may have other names, or none.

    Raises:
        UserError: they have some of the classes that the recipe names, but not all.
    """
    found = dataclasses.replace(recipe, data=source)
    if source == recipe.data or source.startswith("stacked:"):
        return found
    rows = open_dataset(found, split)
    image, label = (name if name in rows.column_names else "" for name in (found.image_column, found.label_column))
    found = dataclasses.replace(found, image_column=image, label_column=label)
    labels, names = read_labels(rows, found)
    lacking = [name for name in found.classes if name not in names]
    if labels is not None and not lacking:
        return found
    if labels is not None and len(lacking) < len(found.classes):
        raise UserError(
            f"{source}: has no class {lacking[0]!r}; compare with pictures of all classes learnt, or of none"
        )
    if labels is not None:
        log.warning("%s has no class %s; all of its pictures are taken", source, " or ".join(lacking))
    return dataclasses.replace(found, classes=(), conditional=False)


def versions() -> dict[str, str]:
    return {"python": platform.python_version(), "torch": torch.__version__, "ganhub": ganhub.__version__}

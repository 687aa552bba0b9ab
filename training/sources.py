"""Where pictures come from: a Hub id, a parquet folder or an image folder, read through Hugging Face `datasets`.

Everything here is about rows and columns; `training.data` decodes what comes out.
"""

import glob
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ganhub.errors import UserError, first_line
from training.recipe import Recipe

if TYPE_CHECKING:
    from datasets import Dataset

IMAGE_COLUMNS = ("image", "img", "picture", "pixels")
INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
LABEL_TYPES = ("string", "large_string", "bool", *INTEGERS)
LABEL_COLUMNS = ("label", "labels", "class", "fine_label", "character")
BATCH = 64  # rows in memory at a time
TABLES = {".parquet", ".arrow", ".zip", ".tar", ".gz"}
HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")


@dataclass(frozen=True)
class Source:
    rows: "Dataset"
    """With one column, of encoded pictures."""
    column: str
    labels: np.ndarray | None
    """(N,) int64, -1 for a row without a class; None for a set without classes."""
    class_names: tuple[str, ...]


def open_source(recipe: Recipe, split: str) -> Source:
    """The pictures and classes that the recipe's data fields ask for, not yet decoded.

    Raises:
        UserError: there is no such data set, split, column or class.
    """
    rows = open_dataset(recipe, split)
    column = find_column(rows, recipe.image_column, "Image", IMAGE_COLUMNS)
    if column is None:
        raise UserError(f"{recipe.data}: no column of pictures among {rows.column_names}; name it with --image-column")
    labels, names = read_labels(rows, recipe)
    if recipe.conditional and labels is None:
        raise UserError(
            f"{recipe.data}: no classes to condition on; add class subfolders, --label-column or --no-conditional"
        )
    rows, labels, names = keep_classes(rows, labels, names, recipe)
    return Source(encoded(rows, column, recipe), column, labels, names)


def open_dataset(recipe: Recipe, split: str) -> "Dataset":
    import datasets

    if not recipe.data:
        raise UserError("no data given; use --data with a folder of parquet files or pictures, or a Hub data set id")
    folder = existing(recipe.data)
    if not folder and not HUB_ID.fullmatch(recipe.data):
        raise UserError(f"{recipe.data}: no such folder, and not a Hub data set id (user/name)")
    if folder and folder.is_dir() and not any(folder.iterdir()):
        raise UserError(f"{recipe.data}: the folder is empty")
    try:
        return datasets.load_dataset(**load_arguments(recipe.data), split=split)
    except Exception as error:  # datasets raises a dozen unrelated types here, Hub errors included
        reason = first_line(error)
        raise UserError(f"{recipe.data}, split {split!r}: cannot be read as a data set ({reason})") from error


def load_arguments(data: str) -> dict[str, Any]:
    """What `datasets` is told of a folder or a Hub id.

    By itself it takes a picture called train_1.jpg, or a class called test, for a split, and drops the rest of the
    folder. So of a folder of pictures it is told that all of them are the one split there is.
    """
    folder = existing(data)
    if folder and holds_pictures(folder):
        return {"path": "imagefolder", "data_files": {"train": f"{glob.escape(str(folder.absolute()))}/**"}}
    return {"path": str(folder or data)}


def holds_pictures(folder: Path) -> bool:
    """A folder of pictures, or of one for each class; not of one for each split, and without other data files."""
    from datasets.data_files import SPLIT_KEYWORDS

    if not folder.is_dir() or names_splits(folder / "README.md"):
        return False
    kinds, words = set(), set()
    for _, folders, files in os.walk(folder):  # there may be very many files, so none is looked at
        kinds |= {Path(name).suffix.lower() for name in files}
        words |= {word for name in folders for word in re.split(r"[-._ 0-9]+", name.lower())}
    if sum(bool(words.intersection(keywords)) for keywords in SPLIT_KEYWORDS.values()) > 1:
        return False  # train and test, say, as datasets knows them by these words
    readable = {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    return not kinds & TABLES and bool(kinds & readable)


def names_splits(card: Path) -> bool:
    """A data set's card may say which files are which split."""
    try:
        return "\nconfigs:" in card.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def existing(path: str) -> Path | None:
    try:
        folder = Path(path).expanduser()
        return folder if folder.exists() else None
    except (OSError, RuntimeError):  # too long for a path, or ~ of nobody
        return None


def settled(data: str) -> str:
    """A folder of this machine as an absolute path: known for one, not for a Hub id, wherever its run is exported."""
    if data.startswith("stacked:"):
        return f"stacked:{settled(data.removeprefix('stacked:'))}"
    folder = existing(data)
    return str(folder.absolute()) if folder else data


def data_name(data: str) -> str:
    """What a card may say: a Hub id as it is, a local path as its last part, never where it lies on this machine."""
    if data.startswith("stacked:"):
        return f"stacked:{data_name(data.removeprefix('stacked:'))}"
    path = Path(data).expanduser()
    return path.resolve().name if path.exists() or path.is_absolute() or data.startswith(".") else data


def find_column(rows: "Dataset", wanted: str, feature: str, usual: tuple[str, ...]) -> str | None:
    """The column that was asked for, else the first of that feature type, else one with a usual name."""
    if wanted:
        if wanted not in rows.column_names:
            raise UserError(f"no column {wanted!r}; the data set has {', '.join(rows.column_names)}")
        return wanted
    typed = [name for name, kind in rows.features.items() if type(kind).__name__ == feature]
    return next(iter(typed + [name for name in usual if name in rows.column_names]), None)


def read_labels(rows: "Dataset", recipe: Recipe) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Class ids (N,) and the names of the classes; (None, ()) for a set without classes."""
    column = find_column(rows, recipe.label_column, "ClassLabel", LABEL_COLUMNS)
    if column is None:
        return None, ()
    feature = rows.features[column]
    if type(feature).__name__ != "ClassLabel" and getattr(feature, "dtype", "") not in LABEL_TYPES:
        if not (recipe.label_column or recipe.conditional or recipe.classes):
            return None, ()  # it only had a usual name, several labels a picture for example
        raise UserError(f"{recipe.data}: column {column!r} has no classes (it holds {feature}); choose another one")
    values = rows[column][:]
    if type(feature).__name__ == "ClassLabel":
        ids = np.array([-1 if value is None else value for value in values], dtype=np.int64)
        if ids.max(initial=0) >= len(feature.names):
            raise UserError(
                f"{recipe.data}: column {column!r} has class {ids.max()}, but only {len(feature.names)} names"
            )
        return ids, tuple(feature.names)
    known = sorted({value for value in values if value is not None})
    number = {value: i for i, value in enumerate(known)}
    return np.array([number.get(value, -1) for value in values], dtype=np.int64), tuple(map(str, known))


def keep_classes(
    rows: "Dataset", labels: np.ndarray | None, names: tuple[str, ...], recipe: Recipe
) -> tuple["Dataset", np.ndarray | None, tuple[str, ...]]:
    """Only the recipe's classes, renumbered in its order; rows without a class (-1) go when classes matter."""
    if labels is None:
        if recipe.classes:
            raise UserError(
                f"{recipe.data}: has no classes, so {', '.join(recipe.classes)} can't be chosen; "
                f"a bare --classes takes every picture"
            )
        return rows, None, ()
    if unknown := [name for name in recipe.classes if name not in names]:
        raise UserError(
            f"{recipe.data}: no class {unknown[0]!r}; it has {', '.join(names)}; a bare --classes takes them all"
        )
    if len(set(recipe.classes)) != len(recipe.classes):
        raise UserError(f"--classes {' '.join(recipe.classes)}: names a class twice")
    kept = recipe.classes or names
    number = np.full(len(names) + 1, -1)  # the last entry serves label -1
    number[[names.index(name) for name in kept]] = np.arange(len(kept))
    labels = number[labels]
    if recipe.classes or recipe.conditional:
        rows, labels = rows.select(np.flatnonzero(labels >= 0)), labels[labels >= 0]
    return rows, labels, kept


def encoded(rows: "Dataset", column: str, recipe: Recipe) -> "Dataset":
    """Only the column of pictures, as bytes or paths that `prepare` decodes."""
    import datasets

    feature = rows.features[column]
    try:
        return rows.select_columns([column]).cast_column(column, datasets.Image(decode=False))
    except Exception as error:  # whatever pyarrow has for a type that holds no picture
        raise UserError(f"{recipe.data}: column {column!r} has no pictures (it holds {feature})") from error


def pictures(rows: "Dataset", column: str) -> Iterator[tuple[bytes, str]]:
    """The encoded bytes and the name of every picture; no bytes where a file can't be read."""
    i = 0
    for batch in rows.with_format("arrow").iter(BATCH):  # as stored: faster than row by row
        for row in batch[column]:  # one at a time: a list of them would hold each picture twice
            value = row.as_py() or {}
            name = value.get("path") or f"row {i}"
            content = value.get("bytes")
            if content is None:
                try:
                    content = Path(name).read_bytes()
                except OSError:
                    content = b""
            yield content, name
            i += 1

"""A folder of pictures, prepared or not, or a synthetic data set becomes a Hub data set with its card, in one commit.

    README.md                                  the card
    data/SPLIT-NNNNN-of-NNNNN.parquet          the pictures as they are in their files, and their classes

Training takes it by its id then, `--data user/name`, and sees the same pictures, classes and splits as in the folder.
"""

import io
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro
from PIL import Image

from ganhub.errors import UserError, first_line
from ganhub.files import read_object
from training.data_card import About, Split, card
from training.prepare import REPORT_FILE, REPORT_KEYS
from training.recipe import Recipe
from training.sources import (
    IMAGE_COLUMNS,
    LABEL_COLUMNS,
    Source,
    data_name,
    existing,
    load_arguments,
    open_source,
    pictures,
)

if TYPE_CHECKING:
    import datasets

    from ganhub.differences import Pushed

SHARD_BYTES = 400 * 2**20
ROWS = 100  # of a row group: what a reader must fetch to see one picture
Row = dict[str, Any]


@dataclass(frozen=True)
class PushData:
    """Publish a folder of pictures or a synthetic data set as a Hub data set, with its card, in one commit."""

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """A folder of `prepare`, any folder of pictures (with or without class subfolders) or of parquet files, or a
    synthetic set: toy:ring, toy:grid, stacked:DATA."""
    repo: str
    """Hub id of the data set, user/name; created when needed."""
    license: str = ""
    """Licence of the pictures, as the Hub spells it: cc-by-4.0, cc0-1.0, other, ... Needed."""
    terms: str = ""
    """What others may and may not do with the pictures, and where they are from. Needed."""
    citation: str = ""
    """Whom to name, and how."""
    summary: str = ""
    """One sentence for the card: what the pictures show."""
    private: bool = False
    """Create it private."""
    resolution: int = 32
    """Side in pixels of the digits of stacked:DATA."""
    dry_run: bool = False
    """Only say what would be uploaded."""
    token: str | None = None
    """Of the Hub; else HF_TOKEN or `hf auth login`."""


def run(options: PushData) -> "Pushed":
    """Build the data set and push it; a second run with the same pictures makes no commit.

    Raises:
        UserError: licence or terms aren't given, the source can't be read, or the Hub refuses it.
    """
    from ganhub.card.licenses import LICENSES
    from ganhub.push import push

    if options.license not in LICENSES:
        stated = f"the Hub knows no licence {options.license!r}" if options.license else "needs the pictures' licence"
        raise UserError(f"{options.source}: {stated}; give --license cc-by-4.0, cc0-1.0, other, ...")
    if not options.terms.strip():
        raise UserError(f'{options.source}: needs what others may do with the pictures; give --terms "..."')
    try:
        with tempfile.TemporaryDirectory(prefix="ganhub-data-") as folder:
            build(options, Path(folder))
            return push(
                Path(folder),
                options.repo,
                repo_type="dataset",
                private=options.private or None,
                token=options.token,
                message=f"Data set of {data_name(options.source)}",
                dry_run=options.dry_run,
                keep=lambda path: not path.startswith("data/"),
            )
    except OSError as error:
        raise UserError(f"{options.source}: can't be written as parquet ({first_line(error)})") from error


def build(options: PushData, folder: Path) -> None:
    """Write the data set and its card into `folder`."""
    from ganhub.publish import local_path
    from training.toys import TOY, is_toy

    (folder / "data").mkdir()
    if options.source.startswith(TOY):
        found = [write_split(points(options, split), split, folder, options.source) for split in ("train", "test")]
    elif is_toy(options.source):
        found = [write_split(stacked(options), "train", folder, options.source)]
    else:
        sources = {split: open_source(Recipe(data=options.source), split) for split in splits_of(options)}
        names = class_names(sources.values())
        found = [write_split(rows_of(each, names), split, folder, options.source) for split, each in sources.items()]
    report = report_of(options.source)
    about = About(
        name=options.repo.rpartition("/")[2],
        repo=options.repo,
        source=data_name(options.source),
        license=options.license,
        terms=options.terms,
        citation=options.citation,
        summary=options.summary,
    )
    text = card(about, found, report)
    if path := local_path(text):
        raise UserError(f"{options.source}: its card would name {path}, a path of this machine; take that out of it")
    (folder / "README.md").write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class Content:
    """The rows of a split, read as they are written."""

    features: "datasets.Features"
    rows: Iterator[Row]
    sizes: bool
    """Are they pictures, whose sizes a card should tell?"""


def splits_of(options: PushData) -> list[str]:
    """Names of the splits of a folder, train first.

    Raises:
        UserError: there is no such folder, or it can't be read.
    """
    import datasets

    folder = existing(options.source)
    if not folder or not folder.is_dir():
        raise UserError(f"{options.source}: no such folder; give pictures of this machine, or toy:ring, stacked:DATA")
    try:
        names = datasets.get_dataset_split_names(**load_arguments(options.source))
    except Exception as error:  # datasets raises a dozen unrelated types here
        raise UserError(f"{options.source}: cannot be read as a data set ({first_line(error)})") from error
    return sorted(map(str, names), key=lambda name: (name != "train", name))


def class_names(sources: Collection[Source]) -> list[str]:
    """Of all splits, for one number has to mean one class in all of them; sorted where splits have different ones."""
    if len(known := {source.class_names for source in sources}) == 1:
        return list(*known)
    return sorted({name for names in known for name in names})


def rows_of(source: Source, names: list[str]) -> Content:
    """The pictures of a folder as they are, under the column names that training looks for.

    Args:
        names: of all classes, in the order of their new numbers.
    """
    import datasets

    kinds: dict[str, Any] = {IMAGE_COLUMNS[0]: datasets.Image()}
    number = [names.index(name) for name in source.class_names]
    if source.labels is not None:
        kinds[LABEL_COLUMNS[0]] = datasets.ClassLabel(names=names)

    def rows() -> Iterator[Row]:
        for i, (content, name) in enumerate(pictures(source.rows, source.column)):
            file = Path(name).name
            row: Row = {IMAGE_COLUMNS[0]: {"bytes": content, "path": file if Path(file).suffix else None}}
            if source.labels is not None:
                row[LABEL_COLUMNS[0]] = None if source.labels[i] < 0 else number[source.labels[i]]
            yield row

    return Content(datasets.Features(kinds), rows(), sizes=True)


def stacked(options: PushData) -> Content:
    """Stacked MNIST as pictures with 1000 classes."""
    import datasets

    from training.data import load_images

    data = load_images(Recipe(data=options.source, channels=3, resolution=options.resolution))
    features = datasets.Features(
        {IMAGE_COLUMNS[0]: datasets.Image(), LABEL_COLUMNS[0]: datasets.ClassLabel(names=list(data.class_names))}
    )
    labels = [] if data.labels is None else data.labels.tolist()

    def rows() -> Iterator[Row]:
        for pixels, label in zip(data.images, labels):
            file = io.BytesIO()
            Image.fromarray(np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())).save(file, "PNG")
            yield {IMAGE_COLUMNS[0]: {"bytes": file.getvalue(), "path": None}, LABEL_COLUMNS[0]: label}

    return Content(features, rows(), sizes=True)


def points(options: PushData, split: str) -> Content:
    """Points in the plane as columns x and y, with the Gaussian that each was drawn from."""
    import datasets

    from training.data import load_images

    data = load_images(Recipe(data=options.source, arch="mlp", channels=2, resolution=1), split)
    kind = datasets.Value("float32")
    label = datasets.ClassLabel(names=list(data.class_names))
    labels = [] if data.labels is None else data.labels.tolist()
    rows = ({"x": x, "y": y, LABEL_COLUMNS[0]: mode} for (x, y), mode in zip(data.images.flatten(1).tolist(), labels))
    return Content(datasets.Features({"x": kind, "y": kind, LABEL_COLUMNS[0]: label}), rows, sizes=False)


def write_split(content: Content, split: str, folder: Path, source: str) -> Split:
    """Write parquet files of at most about 400 MB; the same rows give the same bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = content.features.arrow_schema
    found = Split(split, content.features, source)
    written: list[Path] = []
    writer: pq.ParquetWriter | None = None
    for rows in batched(content.rows, ROWS):
        if writer is None:
            written.append(folder / "data" / f"{split}-{len(written):05d}")
            writer = pq.ParquetWriter(written[-1], schema)
            size = 0
        table = pa.Table.from_pylist(rows, schema=schema)
        writer.write_table(table)
        size += table.nbytes
        for row in rows:
            found.add(row, content.sizes)
        if size > SHARD_BYTES:
            writer.close()
            writer = None
    if writer:
        writer.close()
    if not found.count:
        raise UserError(f"split {split} has no rows; nothing to upload")
    for file in written:
        file.rename(file.with_name(f"{file.name}-of-{len(written):05d}.parquet"))
    return found


def batched(rows: Iterator[Row], size: int) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def report_of(source: str) -> dict[str, Any] | None:
    """What `prepare` wrote beside its pictures."""
    try:
        report = read_object(Path(source).expanduser() / REPORT_FILE)
    except (OSError, UserError):
        return None
    return report if report.keys() >= REPORT_KEYS else None

"""The data work of the tutorials: pictures of any size become a folder of squares that `--data` takes as it is.

The folder holds `train/CLASS/NUMBER.png` (without CLASS for a set without classes; NUMBER counts the pictures of the
source) and `report.json`. It is written aside and renamed: a run that stops or fails leaves nothing,
and what was there before.
"""

import hashlib
import io
import json
import os
import re
import signal
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro
from tqdm import tqdm

from ganhub.errors import UserError, first_line
from ganhub.files import read_object
from training.crops import CROPS, around, read_picture, take
from training.detectors import Detector, find_detector
from training.folders import put
from training.preparation_report import DUPLICATE, NO_CLASS, UNREADABLE, Report
from training.recipe import Recipe
from training.sources import Source, existing, open_source, pictures

REPORT_FILE = "report.json"
REPORT_KEYS = {"source", "pictures", "accepted", "rejected", "options"}  # tell our report.json from another
CHUNK = 64  # encoded pictures in memory at a time


@dataclass(frozen=True)
class Prepare:
    """Make a folder of square pictures that --data takes: crop, or find the faces and crop around them, and resize."""

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """A folder of pictures (with or without class subfolders) or of parquet files, or a Hub data set id."""
    out: Path
    """The folder to write; must not exist yet."""
    resolution: int = 64
    """Side in pixels."""
    crop: str = "square"
    """What to take without a detector: square (the middle), celeba (the Keras tutorial's cut) or whole (squeezed)."""
    resize: Literal["lanczos", "area"] = "lanczos"
    """Filter that brings the crop to the resolution."""
    detector: str = "none"
    """What to crop around: frontal (faces in photographs), saliency (what stands out, also in cartoons), centre, or
    cascade:FILE.xml for an OpenCV cascade of your own."""
    margin: float = 0.25
    """Context around what the detector found, on each side, as a share of its size."""
    min_size: int = 0
    """Reject pictures whose crop has fewer pixels a side; 0 keeps them, enlarged."""
    channels: Literal[1, 3] = 3
    """1 (grey) or 3 (RGB)."""
    keep_duplicates: bool = False
    """Also write pictures that come out exactly as an earlier one did."""
    limit: int = 0
    """Read only so many, spread evenly over the source; 0 reads all. For a quick look at the report."""
    workers: int = 0
    """Threads; 0 is one a core."""
    force: bool = False
    """Replace a folder that this command wrote."""
    split: str = "train"
    """Split of the source; it becomes the train split of the folder."""
    image_column: str = ""
    """Column with the pictures; found by itself when empty."""
    label_column: str = ""
    """Column with the classes; found by itself when empty."""
    classes: tuple[str, ...] = ()
    """Keep only these classes; all of them when empty."""


@dataclass(frozen=True)
class Ready:
    png: bytes
    enlarged: bool


def run(options: Prepare) -> Report:
    """Prepare the pictures; returns what became of them, which `report.json` holds too.

    Raises:
        UserError: an option is wrong, the source can't be read, --out is taken, inside the source or can't be written,
            or no picture was accepted; nothing is written then.
    """
    check(options)
    detector = None if options.detector == "none" else find_detector(options.detector)
    recipe = Recipe(
        data=options.source,
        image_column=options.image_column,
        label_column=options.label_column,
        classes=options.classes,
    )
    source = some(open_source(recipe, options.split), options.limit)
    if not len(source.rows):
        raise UserError(f"{options.source}: has no pictures")
    try:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        with terminate_cleanly(), tempfile.TemporaryDirectory(dir=options.out.parent, prefix=".prepare-") as parent:
            aside = Path(parent, "pictures")
            report = write(source, detector, options, aside)
            check_free(options)  # which may have changed meanwhile
            with undisturbed():
                put(aside, options.out)
    except OSError as error:
        raise UserError(f"{options.out}: can't be written ({first_line(error)}); mend that and try again") from error
    return report


def check(options: Prepare) -> None:
    """Refuse, before anything is read, what can't be done."""
    if options.crop not in CROPS:
        raise UserError(f"no crop {options.crop!r}; known: {', '.join(CROPS)}")
    if options.detector != "none" and options.crop != Prepare.crop:
        raise UserError(f"--crop {options.crop} and --detector {options.detector} both say where to cut; give one")
    ranges = {"resolution": (4, 2048), "margin": (0, 10), "min_size": (0, 65536), "limit": (0, 10**9)}
    for name, (low, high) in {**ranges, "workers": (0, 256)}.items():
        if not low <= getattr(options, name) <= high:
            raise UserError(f"--{name.replace('_', '-')} must be from {low} to {high}, got {getattr(options, name)}")
    if folder := existing(options.source):
        inner, outer = options.out.resolve(), folder.resolve()
        if inner.is_relative_to(outer) or outer.is_relative_to(inner):
            raise UserError(f"{options.out}: --out and the source lie in each other; give an --out elsewhere")
    check_free(options)


def check_free(options: Prepare) -> None:
    """Refuse an --out that is taken; with --force, one that this command didn't write."""
    if not options.out.exists():
        return
    if not options.force:
        raise UserError(f"{options.out}: is already there; give another --out, or --force to replace prepared pictures")
    try:
        entries = {entry.name for entry in options.out.iterdir()}
        report = read_object(options.out / REPORT_FILE)
    except (OSError, UserError):
        entries, report = set(), {}
    if entries != {"train", REPORT_FILE} or not report.keys() >= REPORT_KEYS:
        raise UserError(
            f"{options.out}: is already there, and not as prepare writes it (train and its {REPORT_FILE}, nothing "
            f"else); --force leaves it alone, give another --out"
        )


def some(source: Source, limit: int) -> Source:
    """`limit` of its pictures, evenly spread; all of them for 0."""
    if not 0 < limit < len(source.rows):
        return source
    index = np.linspace(0, len(source.rows) - 1, limit).round().astype(int)
    labels = None if source.labels is None else source.labels[index]
    return Source(source.rows.select(index), source.column, labels, source.class_names)


def write(source: Source, detector: Detector | None, options: Prepare, out: Path) -> Report:
    """Write the accepted pictures and the report below `out`."""
    report = Report(options)
    folders = class_folders(source.class_names)
    seen: set[bytes] = set()
    digits = len(str(len(source.rows) - 1))
    for i, (name, result) in enumerate(prepared(source, detector, options)):
        label = None if source.labels is None else int(source.labels[i])
        if isinstance(result, str):
            report.reject(result, name)
        elif label is not None and label < 0:
            report.reject(NO_CLASS, name)
        elif (digest := hashlib.sha256(result.png).digest()) in seen and not options.keep_duplicates:
            report.reject(DUPLICATE, name)
        else:
            seen.add(digest)
            folder = out / "train" if label is None else out / "train" / folders[label]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{i:0{digits}d}.png").write_bytes(result.png)
            report.accept(None if label is None else source.class_names[label], result.enlarged)
    if not report.accepted:
        raise UserError(f"{options.source}: {report.finding()}; nothing was written; {report.advice()}")
    (out / REPORT_FILE).write_text(json.dumps(report.summary(), indent=2) + "\n")
    return report


def prepared(source: Source, detector: Detector | None, options: Prepare) -> Iterator[tuple[str, Ready | str]]:
    """The name of every picture and what became of it, in the order of the source."""
    found = pictures(source.rows, source.column)
    folder = existing(options.source)
    with (
        ThreadPoolExecutor(options.workers or os.cpu_count()) as pool,
        tqdm(desc="preparing", total=len(source.rows), unit=" pictures", leave=False) as bar,
    ):
        while chunk := list(islice(found, CHUNK)):
            results = pool.map(lambda item: prepare_one(item[0], detector, options), chunk)
            for (_, name), result in zip(chunk, results):
                yield relative(name, folder), result
                bar.update()


def prepare_one(content: bytes, detector: Detector | None, options: Prepare) -> Ready | str:
    """Encoded bytes -> the prepared picture as PNG, or why it is rejected."""
    picture = read_picture(content, channels=3)
    if picture is None:
        return UNREADABLE
    if detector is None:
        box = CROPS[options.crop](picture.size)
    elif found := detector.find(picture):
        box = around(found, options.margin, picture.size)
    else:
        return detector.miss
    side = min(box[2] - box[0], box[3] - box[1])
    if side < options.min_size:
        return f"smaller than {options.min_size} pixels"
    picture = take(picture.convert("L") if options.channels == 1 else picture, options.resolution, box, options.resize)
    picture.info = {}  # a colour profile, for instance: pictures are their pixels
    file = io.BytesIO()
    picture.save(file, "PNG")
    return Ready(file.getvalue(), enlarged=side < options.resolution)


def class_folders(names: tuple[str, ...]) -> list[str]:
    """A folder's name for every class: never hidden or in another folder, and numbered where two would share one."""
    safe = [re.sub(r"[^\w .-]", "_", name).strip(" ._") or "class" for name in names]
    unique = len({name.lower() for name in safe}) == len(safe)  # some file systems know no upper case
    digits = len(str(len(safe) - 1))  # so that names sort as numbers do
    return safe if unique else [f"{i:0{digits}d} {name}" for i, name in enumerate(safe)]


def relative(name: str, folder: Path | None) -> str:
    """The name of a picture inside its source, without where that lies on this machine."""
    path = Path(name)
    return str(path.relative_to(folder.resolve())) if folder and path.is_relative_to(folder.resolve()) else path.name


@contextmanager
def terminate_cleanly() -> Iterator[None]:
    """While open, SIGTERM ends the program as Ctrl-C does, which cleans up."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def undisturbed() -> Iterator[None]:
    """While open, Ctrl-C and SIGTERM are ignored: all is written, and what remains takes a moment."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

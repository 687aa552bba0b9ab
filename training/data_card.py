"""The card of a data set: README.md with the Hub's metadata, counts and sizes, where the pictures are from, terms."""

import io
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from huggingface_hub import DatasetCardData
from PIL import Image

from ganhub.card.measured import cell
from ganhub.errors import UserError

if TYPE_CHECKING:
    import datasets

SIZE_LIMITS = {"n<1K": 10**3, "1K<n<10K": 10**4, "10K<n<100K": 10**5, "100K<n<1M": 10**6}
MAX_SIZES = 5  # listed one by one; more are a range
MAX_CLASSES = 50  # in the table
MADE = {  # of synthetic sets, by what their names begin with (training.toys)
    "toy": "points drawn at random around known centres, as many around each",
    "stacked": "of its digits three each, chosen at random, are the red, green and blue of a picture, resized to it",
}


@dataclass(frozen=True)
class About:
    """What a person says of the data."""

    name: str
    repo: str
    source: str
    license: str
    terms: str
    citation: str
    summary: str


@dataclass
class Split:
    """What was written of a split."""

    name: str
    features: "datasets.Features"
    source: str
    count: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    sizes: Counter[str] = field(default_factory=Counter)
    """Pictures of each size and mode, "64x64 RGB"."""

    def add(self, row: dict[str, Any], picture: bool) -> None:
        self.count += 1
        if "label" in self.features:
            label = row["label"]
            self.classes["(none)" if label is None else self.features["label"].names[label]] += 1
        if picture:
            self.sizes[size_of(row["image"], self.source)] += 1


def size_of(image: dict[str, Any], source: str) -> str:
    """ "64x64 RGB", of a picture from there.

    Raises:
        UserError: it is no picture, or not a whole one.
    """
    try:
        with Image.open(io.BytesIO(image["bytes"] or b"")) as picture:
            picture.load()
            return f"{picture.width}x{picture.height} {picture.mode}"
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        name = image["path"] or "a picture"
        raise UserError(f"{source}: {name} can't be read; take it out, or `prepare` the folder first") from error


def card(about: About, splits: list[Split], report: dict[str, Any] | None) -> str:
    """The text of README.md.

    Args:
        about: what a person says.
        splits: what was written.
        report: report.json of `prepare`, or None.
    """
    pictures = any(split.sizes for split in splits)
    sections = [
        f"# {about.name}",
        about.summary or f"{'Pictures' if pictures else 'Points in the plane'} of {about.source}, for training GANs.",
        _contents(splits),
        _classes(splits),
        _usage(about, pictures),
        _preparation(about, report),
        f"## Licence and terms\n\nLicence: {about.license}. {about.terms}",
        *([f"## Citation\n\n{about.citation}"] if about.citation else []),
    ]
    return f"---\n{_front_matter(about, splits, pictures)}\n---\n\n" + "\n\n".join(filter(None, sections)) + "\n"


def _front_matter(about: About, splits: list[Split], pictures: bool) -> str:
    labelled = "label" in splits[0].features
    count = sum(split.count for split in splits)
    data = DatasetCardData(
        license=about.license,
        pretty_name=about.name,
        task_categories=["unconditional-image-generation"] * pictures
        + ["image-classification"] * (pictures and labelled),
        size_categories=[next((name for name, limit in SIZE_LIMITS.items() if count < limit), "n>1M")],
        tags=["gan", "ganhub"],
        configs=[
            {
                "config_name": "default",
                "data_files": [{"split": split.name, "path": f"data/{split.name}-*"} for split in splits],
            }
        ],
    )
    return data.to_yaml().strip()


def _contents(splits: list[Split]) -> str:
    rows = [f"| {split.name} | {split.count:,} | {_sizes(split)} |" for split in splits]
    return "\n".join(["## What is in it", "", "| split | rows | pictures |", "| --- | --- | --- |", *rows])


def _sizes(split: Split) -> str:
    if len(split.sizes) <= MAX_SIZES:
        return ", ".join(f"{count:,} of {size}" for size, count in split.sizes.most_common()) or "-"
    sides = [[int(side) for side in size.split(" ")[0].split("x")] for size in split.sizes]
    widths, heights = zip(*sides)
    return f"{min(widths)} to {max(widths)} pixels wide, {min(heights)} to {max(heights)} high"


def _classes(splits: list[Split]) -> str:
    names = list(dict.fromkeys(name for split in splits for name in split.classes))
    if not names:
        return "No classes." if splits[0].sizes else ""
    if len(names) > MAX_CLASSES:
        counts = [split.classes[name] for split in splits for name in split.classes]
        return f"{len(names):,} classes of {min(counts):,} to {max(counts):,} each."
    head = "| class | " + " | ".join(split.name for split in splits) + " |"
    rule = "| --- |" + " --- |" * len(splits)
    rows = (f"| {cell(name)} | " + " | ".join(f"{split.classes[name]:,}" for split in splits) + " |" for name in names)
    return "\n".join([head, rule, *rows])


def _usage(about: About, pictures: bool) -> str:
    load = f'```python\nfrom datasets import load_dataset\n\nrows = load_dataset("{about.repo}", split="train")\n```'
    preset = "PRESET" if pictures else "ring"
    train = f"```\npython -m training train {preset} --data {about.repo} --run-dir DIR\n```"
    return f"## How to use it\n\n{load}\n\nTo train a GAN on it with ganhub:\n\n{train}"


def _preparation(about: About, report: dict[str, Any] | None) -> str:
    if made := MADE.get(about.source.partition(":")[0]):
        return f"## Where it is from\n\nMade by ganhub's `{about.source}`: {made}, the same every time."
    if report is None:
        return f"## Where it is from\n\nMade of {about.source}, as it was: no picture was changed or left out."
    chosen = ", ".join(
        f"{name} {value}" for name, value in report["options"].items() if value not in ("", [], 0, False)
    )
    rejected = [f"- {reason}: {found['count']:,}" for reason, found in report["rejected"].items()]
    text = (
        f"## How it was prepared\n\nFrom {report['source']} by ganhub's `python -m training prepare` ({chosen}): "
        f"{report['accepted']:,} of {report['pictures']:,} pictures were accepted."
    )
    return "\n\n".join([text, *(["Left out were:\n\n" + "\n".join(rejected)] if rejected else [])])

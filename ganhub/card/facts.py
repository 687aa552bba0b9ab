"""What a card is made of: the files, the facts that a person or a run must give, the measures it knows."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganhub.errors import UserError
from ganhub.files import read_object, write_text
from ganhub.layout import FACTS_FILE

UNSAID = "not stated by the author."
POINT_CHANNELS = 2  # channels of a generator that draws points in the plane, and no pictures


@dataclass(frozen=True)
class Facts:
    """What a reader must be told and no other file holds."""

    name: str
    """What `from_pretrained` takes: a zoo name, a folder or a Hub id."""
    summary: str
    """One sentence: what it draws, at which size, learnt from what."""
    license: str
    """Licence of the weights, as the Hub spells it."""
    data: str
    """Name and citation of the data set."""
    data_terms: str
    """Under which terms the data may be used."""
    limits: str
    """What it can't do, and what it was never tested on."""
    command: str
    """The command that trains it again."""
    kimg: float
    """Thousand real images shown in training."""
    minutes: float
    """Wall time of the training."""
    hardware: str
    """Device it was trained on."""
    versions: str
    """Software it was trained with."""
    data_id: str = ""
    """Hub id of the data set, if it has one."""
    data_digest: str = ""
    """Digest of the prepared pictures, by which `evaluate` knows them again."""
    measured: str = ""
    """What the protocol leaves open: where the extractor is from, what the compared models are."""
    bias: str = UNSAID
    """Whom or what the data shows too often, too seldom or unfairly, and so does the model."""
    license_name: str = ""
    """What to call the licence where `license` is "other"."""
    license_link: str = ""
    """Where the licence can be read where `license` is "other"."""
    show_data: bool = False
    """The terms of the data allow a card to show some of its pictures."""
    unit: str = ""
    """What computed: "CPU core" or "GPU"; "" where it isn't known."""
    units: int = 0
    """How many of them were used."""
    watts: float = 0.0
    """Power of one of them; 0 where it isn't known, and then no energy is estimated."""
    watts_source: str = ""
    """Where that power is from."""
    origin: str = ""
    """Where weights are from that were trained elsewhere, in a paragraph; then nothing above is said of training."""


# metrics.json key -> (name, format, what is better)
METRICS: dict[str, tuple[str, str, str]] = {
    "conditional_accuracy": ("Conditional accuracy", ".2%", "higher; a classifier finds the asked class"),
    "fid": ("FID", ".4f", "lower"),
    "kid": ("KID", ".5f", "lower"),
    "precision": ("Precision", ".3f", "higher; samples look like data"),
    "recall": ("Recall", ".3f", "higher; the data's variety is covered"),
    "density": ("Density", ".3f", "higher"),
    "coverage": ("Coverage", ".3f", "higher"),
    "swd": ("Sliced Wasserstein distance", ".2f", "lower"),
    "two_sample_accuracy": ("Two-sample test", ".1%", "50 % is perfect, 100 % is told apart at sight"),
    "near_duplicates": ("Near-duplicates among samples", ".2%", "lower"),
}


def what_is_drawn(generator: Mapping[str, Any]) -> str:
    """ "32x32 pixels, grey", by the generator's config."""
    if generator["channels"] == POINT_CHANNELS:
        return "points in the plane"
    return (
        f"{generator['resolution']}x{generator['resolution']} pixels, {'grey' if generator['channels'] == 1 else 'RGB'}"
    )


def save_facts(facts: Facts, folder: Path) -> None:
    """Write `folder`/card.json."""
    write_text(folder / FACTS_FILE, json.dumps(dataclasses.asdict(facts), indent=2, ensure_ascii=False) + "\n")


def read_facts(folder: Path) -> Facts:
    """What `folder`/card.json says.

    Raises:
        FileNotFoundError: there is none.
        UserError: it holds something else.
    """
    found = read_object(folder / FACTS_FILE)
    try:
        facts = Facts(**found)
    except TypeError as error:
        raise UserError(f"{folder / FACTS_FILE}: not the facts of a card ({error})") from error
    for item in dataclasses.fields(Facts):
        kind: Any = item.type
        value = getattr(facts, item.name)
        if not isinstance(value, int | float if kind is float else kind):
            raise UserError(f"{folder / FACTS_FILE}: {item.name} is {value!r}, not {kind.__name__}")
    return facts

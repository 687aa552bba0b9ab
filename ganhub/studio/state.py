"""What a visitor has set, checked; and the address that brings it back. Pure functions.

Gradio checks ranges and choices of its own components, but not everywhere (a list passes as a dropdown's value, None as
a number), and its public routes take any JSON. So all values, from the page, the API or the address, pass through here.
"""

import re
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from ganhub.classes import class_id
from ganhub.errors import UserError
from ganhub.pipeline import MAX_TRUNCATION
from ganhub.studio.models import Model
from ganhub.values import is_int, is_number

MAX_SEED = 2**31 - 1
MAX_IMAGES = 64
MAX_DICE = 999_999  # a seed that can be read out over the phone
KEYS = ("model", "label", "seed", "n", "truncation")  # of an address
EVERY_CLASS = ""  # the value of "every class in turn" in the selector


@dataclass(frozen=True)
class Settings:
    """Everything that decides the pictures. `label` is a class id; None is every class in turn, or no classes."""

    model: str
    label: int | None = None
    seed: int = 0
    num_images: int = 16
    truncation: float = 1.0


def check(models: dict[str, Model], model: Any, label: Any, seed: Any, num_images: Any, truncation: Any) -> Settings:
    """Settings out of raw values.

    Raises:
        UserError: names the first value that is wrong, and what it may be.
    """
    found = check_model(models, model)
    asked, count = check_label(found, label), check_count(num_images)
    return Settings(found.name, asked, check_seed(seed, count), count, check_truncation(truncation))


def check_model(models: dict[str, Model], value: Any) -> Model:
    """The model of that name."""
    if not isinstance(value, str) or value not in models:
        raise UserError(f"model must be one of {', '.join(models)}, got {quoted(value)}")
    return models[value]


def check_label(model: Model, value: Any) -> int | None:
    """A class id out of a class name, an id or its digits; None for "" and None, every class in turn."""
    if value is None or value == EVERY_CLASS:
        return None
    if not model.classes:
        raise UserError(f"{model.name} has no classes; leave label out, got {quoted(value)}")
    try:
        return class_id(value, model.classes)
    except UserError as error:
        raise UserError(f"{error}; leave it empty for every class in turn") from error


def check_seed(value: Any, num_images: int = 1) -> int:
    """A whole number in range, and so are the seeds of the pictures after the first."""
    last = MAX_SEED - num_images + 1
    if not is_int(value) or not 0 <= value <= last:
        many = f" (for {num_images} pictures)" if num_images > 1 else ""
        raise UserError(f"seed must be a whole number from 0 to {last}{many}, got {quoted(value)}")
    return value


def check_count(value: Any) -> int:
    """A whole number in range."""
    if not is_int(value) or not 1 <= value <= MAX_IMAGES:
        raise UserError(f"pictures (num_images, n) must be a whole number from 1 to {MAX_IMAGES}, got {quoted(value)}")
    return value


def check_truncation(value: Any) -> float:
    """A number in range, to two decimals, so that pictures, names and addresses hold the same; NaN is in none."""
    if not is_number(value) or not 0 <= value <= MAX_TRUNCATION:
        raise UserError(f"truncation must be a number from 0 to {MAX_TRUNCATION:g}, got {quoted(value)}")
    return round(float(value), 2)


def clamp(value: Any, least: float, most: float) -> Any:
    """The nearest number that a slider has, whole if its ends are; what is no number stays for the checks."""
    if not is_number(value) or value != value:
        return value
    return round(min(max(value, least), most), None if isinstance(least, int) else 2)


def accept(check: Callable[[Any], Any], value: Any, default: Any) -> Any:
    """The checked value, or the default if it doesn't pass."""
    try:
        return check(value)
    except UserError:
        return default


def from_address(models: dict[str, Model], query: Mapping[str, str]) -> tuple[Settings, list[str]]:
    """The settings in an address; what can't be used falls back to its default and is named in the list.

    An address with a usable seed is of certain pictures, and means truncation 1 where it names none, whatever the
    model's own.
    """
    problems: list[str] = []

    def read(key: str, check_text: Callable[[str], Any], default: Any) -> Any:
        try:
            return check_text(query[key]) if key in query else default
        except UserError as error:
            problems.append(str(error))
            return default

    model = read("model", lambda text: check_model(models, text), next(iter(models.values())))
    label = read("label", lambda text: check_label(model, text), None)
    count = read("n", lambda text: check_count(to_number(text)), Settings.num_images)
    seed = read("seed", lambda text: check_seed(to_number(text), count), None)
    truncation = model.truncation if seed is None else Settings.truncation
    settings = Settings(
        model=model.name,
        label=label,
        seed=Settings.seed if seed is None else seed,
        num_images=count,
        truncation=read("truncation", lambda text: check_truncation(to_number(text)), truncation),
    )
    return settings, problems


def read_query(address: Any) -> dict[str, str]:
    """The keys and values of an address's query."""
    return dict(parse_qsl(str(address or "").lstrip("?")))


def to_address(model: Model, settings: Settings) -> str:
    """The query of an address that `from_address` reads back; what has its default value is left out."""
    query: dict[str, Any] = {"model": settings.model}
    if settings.label is not None:
        query["label"] = model.classes[settings.label]
    query["seed"] = settings.seed
    if settings.num_images != Settings.num_images:
        query["n"] = settings.num_images
    if settings.truncation != Settings.truncation:
        query["truncation"] = f"{settings.truncation:g}"
    return "?" + urlencode(query)


def to_number(text: str) -> int | float | str:
    """The number that a text spells, or the text itself for the checks to refuse."""
    if re.fullmatch(r"-?[0-9]{1,20}", text):
        return int(text)
    return float(text) if re.fullmatch(r"-?[0-9]{0,20}\.?[0-9]{1,20}", text) else text


def quoted(value: Any) -> str:
    """A value for a message: short, whatever was sent."""
    return "nothing" if value is None else reprlib.repr(value)

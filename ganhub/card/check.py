"""What is still missing in a model folder's card: publishing refuses until nothing is."""

import shlex
from pathlib import Path
from typing import Any

from ganhub.card.facts import POINT_CHANNELS, UNSAID, Facts, read_facts
from ganhub.card.licenses import LICENSES
from ganhub.directions import weights_of
from ganhub.errors import UserError
from ganhub.files import read_if_there, read_object, sha256
from ganhub.layout import (
    CARD_FILE,
    CONFIG_FILE,
    CURVES_FILE,
    FACTS_FILE,
    GENERATOR,
    LOG_FILE,
    METRICS_FILE,
    RECIPE_FILE,
    SAMPLES_FILE,
    weights_file,
)

WEIGHTS = Path(GENERATOR, weights_file())
EXPORTED = {
    CARD_FILE: "the card",
    RECIPE_FILE: "the recipe",
    LOG_FILE: "the training log",
    SAMPLES_FILE: "the sample sheet",
    CURVES_FILE: "the training curves",
}
MEASURE = "python -m training evaluate {} --data DATA"
EXPORT = "python -m training export RUN --out FOLDER"
PER_CLASS = "conditional_accuracy_per_class"
NO_PER_CLASS = "accuracy per class was not measured"  # a note of `evaluate` that starts so says why
NO_COPIES = "memorisation left out"  # likewise


def unfilled(folder: Path) -> list[str]:
    """What is unfilled or unmeasured in the card of a model folder, a phrase each, with how to fill it; [] when whole.

    Raises:
        UserError: card.json, metrics.json, recipe.json or generator/config.json is damaged.
    """
    expected = dict(EXPORTED)
    missing = []
    try:
        facts = read_facts(folder)
        missing += _facts(facts)
        if facts.origin:  # trained elsewhere, by a recipe and to curves that nobody here knows
            expected = {name: what for name, what in EXPORTED.items() if name not in (LOG_FILE, CURVES_FILE)}
    except FileNotFoundError:
        missing.append(f"the facts of the card {FACTS_FILE} ({EXPORT})")
    files = [
        f"{what} {name} ({EXPORT})"
        for name, what in expected.items()
        if not (folder / name).is_file() or not (folder / name).stat().st_size
    ]
    pictures = _generator(folder).get("channels") != POINT_CHANNELS  # only of these there are measures
    return files + missing + (_measured(folder) if pictures else []) + _directions(folder)


def _facts(facts: Facts) -> list[str]:
    """Texts that nobody wrote; named presets on their own data have them all."""
    said = {
        "summary": ("what it draws", "--summary"),
        "data": ("which data", "--data-citation"),
        "data_terms": ("terms of the data", "--data-terms"),
        "limits": ("limits", "--limits"),
        "bias": ("bias", "--bias"),
    }
    texts = {name: getattr(facts, name).strip() for name in said}
    missing = [f"{what} (publish {option})" for name, (what, option) in said.items() if texts[name] in ("", UNSAID)]
    if facts.license not in LICENSES:
        stated = f"the Hub knows no licence {facts.license!r}" if facts.license else "licence of the weights"
        missing.append(f"{stated} (publish --license mit, cc-by-4.0, other, ...)")
    elif facts.license == "other" and not facts.license_name:
        missing.append("name of the other licence (publish --license-name)")
    return missing


def _measured(folder: Path) -> list[str]:
    measure = MEASURE.format(shlex.quote(str(folder)))
    try:
        metrics = read_object(folder / METRICS_FILE)
    except FileNotFoundError:
        return [f"metrics ({measure})"]
    if not isinstance(metrics.get("protocol"), dict):
        return [f"the protocol of the metrics ({measure})"]
    if _of_others(folder, metrics.get("generator_sha256")):  # absent in older files
        return [f"metrics of these weights, they are of others ({measure})"]
    missing = []
    if not metrics["protocol"].get("screen", True):
        missing.append(f"metrics of what it draws, they are without its screen ({measure})")
    if not metrics.get("memorisation") and not _noted(metrics, NO_COPIES):
        missing.append(f"memorisation ({measure})")
    if _generator(folder).get("num_classes") and not metrics.get(PER_CLASS) and not _noted(metrics, NO_PER_CLASS):
        missing.append(f"accuracy per class ({measure})")
    return missing


def _directions(folder: Path) -> list[str]:
    if _of_others(folder, weights_of(folder) or None):
        return ["directions of these weights, they are of others (python -m training directions FOLDER)"]
    return []


def _of_others(folder: Path, weights: str | None) -> bool:
    """Are these not the folder's weights? They are where it isn't said."""
    return weights is not None and (folder / WEIGHTS).is_file() and weights != weights_sha256(folder)


def _noted(metrics: dict[str, Any], start: str) -> bool:
    return any(str(note).startswith(start) for note in metrics.get("notes", []))


def _generator(folder: Path) -> dict[str, Any]:
    return read_if_there(folder / GENERATOR / CONFIG_FILE)


def weights_sha256(folder: Path) -> str:
    """Of the generator's weights, by which `evaluate` and the card know them.

    Raises:
        UserError: the file can't be read.
    """
    try:
        return sha256(folder / WEIGHTS)
    except OSError as error:
        raise UserError(f"{folder / WEIGHTS}: can't be read ({error.strerror or error})") from error

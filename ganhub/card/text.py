"""The card as text: its sections for people, below the front matter for the Hub."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

from ganhub.card.facts import POINT_CHANNELS, UNSAID, Facts, read_facts, save_facts, what_is_drawn
from ganhub.card.front import front_matter
from ganhub.card.measured import cell
from ganhub.card.measured import section as measured_section
from ganhub.card.screened import section as screened_section
from ganhub.card.trained import history
from ganhub.card.trained import section as trained_section
from ganhub.directions import read_effects
from ganhub.errors import UserError, first_line
from ganhub.files import read_if_there, read_object, write_text
from ganhub.layout import (
    CARD_FILE,
    CONFIG_FILE,
    CURVES_FILE,
    GENERATOR,
    INDEX_FILE,
    METRICS_FILE,
    ONNX_FILE,
    RECIPE_FILE,
    SAMPLES_FILE,
    SCREEN_FILE,
    STRIP_FILE,
    local_snapshots,
    split_names,
    weights_file,
)
from ganhub.standalone import HANDLER_FILE, PIPELINE_FILE, leads_to_code

SNAPSHOTS_HELD = re.compile(r"\n\n`snapshots/` holds the generator at \d+ earlier points of its training, [^\n]*")
MAX_NAMES = 20  # classes up to which the card names them all


def write_card(folder: Path) -> None:
    """(Re)write `folder`/README.md.

    Raises:
        UserError: card.json or recipe.json is missing or incomplete.
    """
    write_text(folder / CARD_FILE, render(folder))


def is_ours(folder: Path) -> bool:
    """README.md is missing, or as ganhub writes it: nobody has edited it.

    Raises:
        UserError: as `write_card`, or README.md can't be read.
    """
    text = read_card(folder)
    if not text:
        return True
    bare = render(folder, extras=False)
    for offer in _offers(read_facts(folder).name).values():  # some are added after the card was written
        text = text.replace(f"\n\n{offer}", "")
    return SNAPSHOTS_HELD.sub("", text) == bare


def read_card(folder: Path) -> str:
    """README.md; "" where there is none."""
    try:
        return (folder / CARD_FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / CARD_FILE}: can't be read; export the model again") from error


def rename(folder: Path, name: str, ours: bool | None = None) -> None:
    """Let the card of `folder` say that its model is called `name`, the Hub id under which it is published.

    card.json and README.md are rewritten; a README.md that somebody edited keeps its words but for the name, and for
    what it offers with files that aren't there.

    Args:
        ours: what `is_ours` said before anything else was changed; asked now when left out.

    Raises:
        UserError: as `is_ours`.
    """
    ours, text, old = is_ours(folder) if ours is None else ours, read_card(folder), read_facts(folder)
    save_facts(dataclasses.replace(old, name=name), folder)
    if ours:
        write_card(folder)
        return
    renamed = _offers(name)
    for file, offer in _offers(old.name).items():  # what is no code of ours isn't fetched from the Hub, say
        text = text.replace(offer, renamed[file]) if _has(folder, file) else text.replace(f"\n\n{offer}", "")
    results = "\nmodel-index:\n- name: "
    text = text.replace(_load(old.name), _load(name))
    write_text(folder / CARD_FILE, text.replace(f"{results}{old.name}\n", f"{results}{name}\n", 1))


def render(folder: Path, extras: bool = True) -> str:
    """The card of a model folder: the same files give the same text.

    Args:
        extras: tell what else the folder offers, such as snapshots.

    Raises:
        UserError: as `write_card`.
    """
    try:
        facts, recipe = read_facts(folder), read_object(folder / RECIPE_FILE)
        generator = read_object(folder / GENERATOR / CONFIG_FILE)
    except FileNotFoundError as error:
        raise UserError(f"{folder}: no {Path(error.filename).name}, so no card; export the run again") from error
    metrics = read_if_there(folder / METRICS_FILE)
    try:
        front = front_matter(facts, recipe, metrics)
        sections = _sections(folder, facts, recipe, generator, metrics, extras)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        files = f"recipe.json, generator/config.json, {SCREEN_FILE} or {METRICS_FILE}"
        raise UserError(f"{folder}: {files} is not what ganhub writes ({first_line(error)})") from error
    return f"---\n{front}\n---\n\n" + "\n\n".join(sections) + "\n"


def _sections(
    folder: Path,
    facts: Facts,
    recipe: dict[str, Any],
    generator: dict[str, Any],
    metrics: dict[str, Any],
    extras: bool,
) -> list[str]:
    return [
        f"# {facts.name.rsplit('/', 1)[-1]}\n\n{facts.summary}",
        *_picture(folder, SAMPLES_FILE, "samples: seeds 0, 1, 2, ... at truncation 1.0"),
        _usage(folder, facts, generator),
        *(_extras(folder, facts.name) if extras else []),
        *screened_section(folder, generator),
        *_directions(folder, facts.name),
        trained_section(facts, recipe),
        *_picture(folder, CURVES_FILE, "training curves over thousands of images shown"),
        *history(folder, bool(generator.get("screen"))),
        _measured(folder, facts, generator, metrics),
        f"## Limits\n\n{facts.limits}",
        f"## Bias\n\n{facts.bias}",
        _terms(facts, recipe),
    ]


def _measured(folder: Path, facts: Facts, generator: dict[str, Any], metrics: dict[str, Any]) -> str:
    if generator["channels"] == POINT_CHANNELS and not metrics:
        counted = "`python -m training modes` counts the modes that they found"
        return f"## Metrics\n\nNot measured, for these are no pictures; {counted}."
    return measured_section(metrics, facts, (folder / STRIP_FILE).exists())


def _picture(folder: Path, name: str, about: str) -> list[str]:
    return [f"![{about}]({name})"] if (folder / name).exists() else []


def _load(name: str) -> str:
    return f"GANPipeline.from_pretrained({json.dumps(name, ensure_ascii=False)})"


def _usage(folder: Path, facts: Facts, generator: dict[str, Any]) -> str:
    names = _class_names(folder, generator)
    labels = f", labels={_example(names, generator['num_classes'])}" if generator["num_classes"] else ""
    classes = _classes(names, generator["num_classes"])
    points = ', output_type="np"' if generator["channels"] == POINT_CHANNELS else ""
    parts = [
        "## How to use it",
        f"```python\nfrom ganhub import GANPipeline\n\npipe = {_load(facts.name)}\n"
        f"images = pipe(num_images=16{labels}, seed=0{points}).images\n```",
        "That needs Python 3.11 or newer and the package `ganhub`: `pip install` its wheel, or a copy of its source.",
        f"{what_is_drawn(generator)}, {classes}. One seed is one picture, "
        "whatever the batch. The weights are safetensors; loading with ganhub runs no code from the repository.",
    ]
    return "\n\n".join(parts)


def _class_names(folder: Path, generator: dict[str, Any]) -> list[str]:
    """One a class; empty where the folder has none that fit."""
    names = split_names(read_if_there(folder / INDEX_FILE).get("class_names"))
    fits = isinstance(names, list) and len(names) == generator["num_classes"]
    return list(map(str, names)) if fits else []


def _example(names: list[str], count: int) -> str:
    """A class as Python code: by name where that says more than its id."""
    label = min(7, count - 1)
    named = names and names[label] != str(label)
    return json.dumps(names[label], ensure_ascii=False) if named else str(label)


def _classes(names: list[str], count: int) -> str:
    if not count:
        return "unconditional"
    return f"{count} classes" + (f" ({', '.join(names)})" if names and count <= MAX_NAMES else "")


def _offers(name: str) -> dict[str, str]:
    """What a repository offers with each of these files."""
    plain = f"`DiffusionPipeline.from_pretrained({json.dumps(name, ensure_ascii=False)}, trust_remote_code=True)`"
    return {
        f"{GENERATOR}/{weights_file('fp16')}": '`variant="fp16"` loads the same weights in half precision.',
        PIPELINE_FILE: f"Without ganhub, plain diffusers draws the same pictures: {plain}; that runs the code in the "
        "`.py` files here.",
        HANDLER_FILE: "`handler.py` serves the model as a hosted inference endpoint.",
        ONNX_FILE: "`generator.onnx` is the generator for other runtimes, a browser's for example.",
    }


def _has(folder: Path, file: str) -> bool:
    """Is it here, or on the Hub, where a copy in the cache leads to its code without having it?"""
    return (folder / file).is_file() or (file == PIPELINE_FILE and leads_to_code(folder))


def _extras(folder: Path, name: str) -> list[str]:
    """What else the repository offers, for the files that are there."""
    found = [text for file, text in _offers(name).items() if _has(folder, file)]
    if snapshots := local_snapshots(folder):
        found.append(
            f"`snapshots/` holds the generator at {len(snapshots)} earlier points of its training, loaded with "
            f"`snapshot=N`, the number of images shown by then: {', '.join(map(str, snapshots))}."
        )
    return found


def _directions(folder: Path, name: str) -> list[str]:
    """What moves along each of the named directions, measured; nothing where the folder has none."""
    effects = read_effects(folder)
    if not effects:
        return []
    rows = [f"| `{name}` | {cell(e.about)} | {e.per_step:.2f} | {e.r2:.0%} |" for name, e in effects.items()]
    return [
        "## Directions",
        f"`{_load(name)}.directions` are unit vectors in latent space: add a few times one of them to latents "
        "(`ganhub.latents.latents_for`) and give these to `pipe(latents=...)`.",
        "\n".join(["| direction | what changes | deviations a step | explained |", "| --- | --- | --- | --- |", *rows]),
        "Found by least squares on samples within a class: a step of length 1 moves the property by so many of its "
        "standard deviations, and a straight line explains that share of its variance over other samples.",
    ]


def _terms(facts: Facts, recipe: dict[str, Any]) -> str:
    words = [facts.license_name and f"({facts.license_name})", facts.license_link]
    licence = " ".join([facts.license, *filter(None, words)]) + "." if facts.license else UNSAID
    return (
        f"## Data and licence\n\n{facts.data}\n\nTerms of the data: {facts.data_terms}\n\n"
        f"Licence of the weights: {licence}{_inherited(recipe)}"
    )


def _inherited(recipe: dict[str, Any]) -> str:
    begun = recipe.get("init")
    return f"\n\nThe terms and the licence of `{begun}`, from which training began, hold as well." if begun else ""

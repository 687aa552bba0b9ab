"""A run becomes a model folder, laid out exactly like a Hub model repo, with its card."""

import dataclasses
import json
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from safetensors import SafetensorError

from ganhub.card import CURVES_FILE, LOG_FILE, SAMPLES_FILE, UNSAID, Facts, save_facts, write_card
from ganhub.errors import UserError, first_line
from ganhub.hub import HUB_ID
from training.about import About, of_preset
from training.energy import power
from training.extras import Extras, add_extras
from training.presets import PRESETS
from training.recipe import Recipe, name_value
from training.sources import data_name


@dataclass(frozen=True, kw_only=True)
class Said:
    """What only a person can say for a card; left out, the texts of a named preset on its own data stand."""

    summary: str = ""
    """One sentence for the card."""
    license: str = ""
    """Licence of the weights, as the Hub spells it: mit, cc-by-4.0, other, ..."""
    license_name: str = ""
    """What to call the licence where that is "other"."""
    license_link: str = ""
    """Where the licence can be read where it is "other"."""
    data_citation: str = ""
    """Name and citation of the data set."""
    data_terms: str = ""
    """Under which terms the data may be used."""
    limits: str = ""
    """What the model can't do."""
    bias: str = ""
    """Whom or what the data shows too often, too seldom or unfairly."""


@dataclass(frozen=True)
class Export(Said, Extras):
    """Write the model folder of a run: weights, recipe, log, sample sheet and card."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run's folder."""
    out: Path
    """The model folder to write; must not exist yet."""
    dtype: Literal["fp16", "fp32"] = "fp16"
    """Precision of the stored weights."""
    checkpoint: int | None = None
    """Step of the checkpoint to take; the newest when left out."""
    history: int = 0
    """How many of the run's sample sheets to keep as snapshots/NNNNNNNNN.png: its training in pictures; 0 is none."""
    force: bool = False
    """Replace a model folder that is already there."""
    name: str = ""
    """What the card tells people to load; the folder's name when left out."""


def run(options: Export) -> Path:
    """Export a run; returns the model folder. Nothing appears there until everything is written.

    Raises:
        UserError: no such run or checkpoint, or the folder is taken or can't be written.
    """
    from training import checkpoint

    if options.history < 0:
        raise UserError(f"--history must be 0 or more, got {options.history}")
    recipe = Recipe.load(options.run / "recipe.json")
    folder = checkpoint.find(options.run, options.checkpoint)
    if options.out.exists() and not (options.force and (options.out / "model_index.json").exists()):
        raise UserError(f"{options.out}: is already there; give another --out, or --force to replace a model folder")
    try:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=options.out.parent) as parent:
            aside = Path(parent, "model")
            write_model(recipe, folder, options, aside)
            if options.out.exists():
                options.out.rename(Path(parent, "old"))  # goes with the temporary folder
            aside.rename(options.out)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{options.out}: can't be written ({first_line(error)}); mend that and export again") from error
    return options.out


def write_model(recipe: Recipe, folder: Path, options: Export, out: Path) -> None:
    from ganhub.pipeline import GANPipeline
    from training import checkpoint, curves
    from training.growing import check_grown
    from training.runlog import LOG_FILE as RUN_LOG
    from training.runlog import read_log, sample_sheet
    from training.snapshots import keep_history

    record = checkpoint.read_record(folder)
    kimg = record["clock"]["images"] / 1000
    check_grown(recipe, kimg, folder)
    generator, discriminator = checkpoint.load_networks(folder, recipe, len(record["class_names"]))
    names = record["class_names"] if recipe.conditional else None
    if options.dtype == "fp16":
        generator, discriminator = generator.half(), discriminator.half()
    GANPipeline(generator, discriminator, names).save_pretrained(out)
    portable(recipe).save(out / "recipe.json")
    log = [line for line in read_log(options.run / RUN_LOG) if line["kimg"] <= kimg]
    (out / LOG_FILE).write_text("".join(json.dumps(line) + "\n" for line in log))
    sample_sheet(GANPipeline.from_pretrained(out).generator, data=recipe.data).save(out / SAMPLES_FILE)
    keep_history(options.run, out, options.history, record["clock"]["images"])
    add_extras(out, options, options.name or options.out.resolve().name)
    curves.draw(log, out / CURVES_FILE)
    processes = len(list(folder.glob("rng-*.safetensors")))
    save_facts(facts(recipe, options, record, log, processes), out)
    write_card(out)
    for file in out.rglob("*.safetensors"):
        file.chmod(0o644)  # safetensors makes them private, which a shared folder or a Space can't serve


def portable(recipe: Recipe) -> Recipe:
    """Without the paths of this machine: local data, or a model to begin from, is known by its folder's name."""
    return dataclasses.replace(recipe, data=data_name(recipe.data), init=recipe.init and data_name(recipe.init))


def facts(
    recipe: Recipe, options: Export, record: dict[str, Any], log: list[dict[str, float]], processes: int = 1
) -> Facts:
    data, hardware = data_name(recipe.data), record["environment"]["device"]
    about = About(f"A small GAN trained on {data}.", f"{data}.", UNSAID, UNSAID, license="")
    known = of_preset(recipe)
    if known and data in known.data_names and recipe.classes == PRESETS[recipe.name].classes:
        about = known
    return Facts(
        name=options.name or options.out.resolve().name,
        summary=options.summary or about.summary,
        license=options.license or about.license,
        license_name=options.license_name or ("" if options.license else about.license_name),
        license_link=options.license_link or ("" if options.license else about.license_link),
        data=options.data_citation or about.data,
        data_terms=options.data_terms or about.data_terms,
        data_id=about.data_id or (data if data == recipe.data and HUB_ID.fullmatch(data) else ""),
        data_digest=record["data_digest"],
        limits=options.limits or about.limits,
        bias=options.bias or about.bias,
        show_data=about.show_data and not options.data_terms,
        measured=about.measured,
        command=command(recipe),
        kimg=record["clock"]["images"] / 1000,
        minutes=round(minutes(log), 3),
        hardware=hardware,
        versions=record["environment"]["versions"],
        **dataclasses.asdict(power(hardware, processes)),
    )


def command(recipe: Recipe) -> str:
    """What to type to train this recipe again: the preset and what differs from it."""
    recipe, preset = portable(recipe), PRESETS.get(recipe.name, Recipe())
    words = [f"python -m training train {recipe.name} --data {shlex.quote(recipe.data)} --run-dir runs/{recipe.name}"]
    for item in dataclasses.fields(recipe):
        value = getattr(recipe, item.name)
        if item.name not in ("name", "source", "data") and value != getattr(preset, item.name):
            words.append(option(item.name.replace("_", "-"), value))
    return " ".join(words)


def option(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    if isinstance(value, dict):
        value = name_value(value)
    values = value if isinstance(value, list | tuple) else [value]
    return " ".join([f"--{name}", *(shlex.quote(str(item)) for item in values)])


def minutes(log: list[dict[str, float]]) -> float:
    """Training time from the logged speeds, interruptions left out."""
    ends = [line["kimg"] for line in log]
    spans = [end - start for start, end in zip([0.0, *ends], ends)]
    return sum(1000 * span / line["images_per_second"] for span, line in zip(spans, log)) / 60

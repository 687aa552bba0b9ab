"""A run becomes a model folder, laid out exactly like a Hub model repo, with its card."""

import dataclasses
import json
import shlex
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from ganhub.card import UNSAID, Facts, save_facts, write_card
from ganhub.hub import HUB_ID
from ganhub.layout import CURVES_FILE, LOG_FILE, RECIPE_FILE, SAMPLES_FILE
from training.about import About, of_preset
from training.command_line import words
from training.energy import power
from training.extras import Extras, add_extras
from training.folders import appearing, check_free
from training.presets import PRESETS
from training.processes import starter
from training.recipe import Recipe
from training.said import Said, with_said
from training.sources import data_name

FAR_BELOW = 0.1  # of the speed around it: nothing that only slows a machine down
TOLD = ("classes", "conditional", "channels", "arch")  # fields that the texts about a preset speak of


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
    from training.snapshots import check_history

    check_history(options.history)
    recipe = Recipe.load(options.run / RECIPE_FILE)
    folder = checkpoint.find(options.run, options.checkpoint)
    check_free(options.out, options.force)
    with appearing(options.out, options.force) as aside:
        write_model(recipe, folder, options, aside)
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
    portable(recipe).save(out / RECIPE_FILE)
    log = [line for line in read_log(options.run / RUN_LOG) if line["kimg"] <= kimg]
    (out / LOG_FILE).write_text("".join(json.dumps(line) + "\n" for line in log))
    sample_sheet(GANPipeline.from_pretrained(out).generator, data=recipe.data).save(out / SAMPLES_FILE)
    keep_history(options.run, out, options.history, record["clock"]["images"])
    add_extras(out, options, options.name or options.out.resolve().name)
    curves.draw(log, out / CURVES_FILE)
    processes = len(list(folder.glob("rng-*.safetensors")))
    save_facts(facts(recipe, options, record, log, processes), out)
    write_card(out)


def portable(recipe: Recipe) -> Recipe:
    """Without the paths of this machine: local data, or a model to begin from, is known by its folder's name."""
    return dataclasses.replace(recipe, data=data_name(recipe.data), init=recipe.init and data_name(recipe.init))


def facts(
    recipe: Recipe, options: Export, record: dict[str, Any], log: list[dict[str, float]], processes: int = 1
) -> Facts:
    data, hardware = data_name(recipe.data), record["environment"]["device"]
    about = about_run(recipe, data)
    known = Facts(
        name=options.name or options.out.resolve().name,
        summary=about.summary,
        license=about.license,
        license_name=about.license_name,
        license_link=about.license_link,
        data=about.data,
        data_terms=about.data_terms,
        data_id=about.data_id or (data if data == recipe.data and HUB_ID.fullmatch(data) else ""),
        data_digest=record["data_digest"],
        limits=about.limits,
        bias=about.bias,
        show_data=about.show_data,
        command=command(recipe, processes),
        kimg=record["clock"]["images"] / 1000,
        minutes=round(minutes(log), 3),
        hardware=hardware,
        versions=record["environment"]["versions"],
        **dataclasses.asdict(power(hardware, processes)),
    )
    return with_said(known, options)


def about_run(recipe: Recipe, data: str) -> About:
    """What is known of the preset and its data, where the run has both.

    Of one that draws otherwise (another architecture, no classes) only what is known of the data; of other classes than
    the preset's nothing, for its texts name them.

    Args:
        recipe: of the run.
        data: the name of what it learnt from.
    """
    anything = About(f"A small GAN trained on {data}.", f"{data}.", UNSAID, UNSAID, license="")
    known = of_preset(recipe)
    if not known or data not in known.data_names:
        return anything
    changed = {name for name in TOLD if getattr(recipe, name) != getattr(PRESETS[recipe.name], name)}
    if not changed:
        return known
    if "classes" in changed:
        return anything
    return dataclasses.replace(known, summary=anything.summary, limits=anything.limits)


def command(recipe: Recipe, processes: int = 1) -> str:
    """What to type to train this recipe again, on as many processes: the preset and what differs from it."""
    recipe, preset = portable(recipe), PRESETS.get(recipe.name, Recipe())
    start = [*starter(processes), "-m", "training", "train", recipe.name, "--data", recipe.data]
    return shlex.join(
        [*start, "--run-dir", f"runs/{recipe.name}", *words(recipe, preset, leave_out=("name", "source", "data"))]
    )


def minutes(log: list[dict[str, float]]) -> float:
    """Training time from the logged speeds, interruptions left out: a line far slower than those around it had one."""
    speeds = [line["images_per_second"] for line in log]
    ends = [line["kimg"] for line in log]
    seconds = 0.0
    for i, (start, end, speed) in enumerate(zip([0.0, *ends], ends, speeds)):
        usual = statistics.median([*speeds[max(i - 2, 0) : i], *speeds[i + 1 : i + 3]] or [speed])
        if steady := speed if speed > FAR_BELOW * usual else usual:
            seconds += 1000 * (end - start) / steady
    return seconds / 60

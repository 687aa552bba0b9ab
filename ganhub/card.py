"""The model card: README.md of a model folder, made of the other files in it and of nothing else.

    recipe.json        the exact recipe
    card.json          what no file can tell: summary, licence, terms of the data, limits, hardware (see `Facts`)
    metrics.json       written by `python -m training evaluate`; without it the card says that nothing was measured

The same files give the same bytes.
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from ganhub.errors import UserError
from ganhub.files import read_object, write_text

FACTS_FILE = "card.json"
METRICS_FILE = "metrics.json"
CARD_FILE = "README.md"


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


def write_card(folder: Path) -> None:
    """(Re)write `folder`/README.md.

    Raises:
        UserError: card.json or recipe.json is missing or incomplete.
    """
    try:
        facts = Facts(**read_object(folder / FACTS_FILE))
        recipe, generator = read_object(folder / "recipe.json"), read_object(folder / "generator" / "config.json")
    except FileNotFoundError as error:
        raise UserError(f"{folder}: no {Path(error.filename).name}, so no card; export the run again") from error
    except TypeError as error:
        raise UserError(f"{folder / FACTS_FILE}: not the facts of a card ({error})") from error
    file = folder / METRICS_FILE
    metrics = read_object(file) if file.exists() else {}
    write_text(folder / CARD_FILE, render(facts, recipe, generator, metrics))


def save_facts(facts: Facts, folder: Path) -> None:
    write_text(folder / FACTS_FILE, json.dumps(dataclasses.asdict(facts), indent=2, ensure_ascii=False) + "\n")


def render(facts: Facts, recipe: dict[str, Any], generator: dict[str, Any], metrics: dict[str, Any]) -> str:
    """The whole card as text."""
    title = facts.name.rsplit("/", 1)[-1]
    sections = [
        f"# {title}\n\n{facts.summary}",
        "![samples: seeds 0, 1, 2, ... at truncation 1.0](samples.png)",
        _usage(facts, generator),
        _training(facts, recipe),
        _metrics(metrics, facts.measured),
        f"## Limits\n\n{facts.limits}",
        f"## Data and licence\n\n{facts.data}\n\nTerms of the data: {facts.data_terms}\n\n"
        f"Licence of the weights: {facts.license}.",
    ]
    return f"---\n{_front_matter(facts, recipe, metrics)}\n---\n\n" + "\n\n".join(sections) + "\n"


def _front_matter(facts: Facts, recipe: dict[str, Any], metrics: dict[str, Any]) -> str:
    measured = [name for name in METRICS if metrics.get(name) is not None]
    results = [
        EvalResult(
            task_type="unconditional-image-generation",
            dataset_type=facts.data_id or metrics["protocol"]["reference"]["data"],
            dataset_name=metrics["protocol"]["reference"]["data"],
            metric_type=name,
            metric_name=METRICS[name][0],
            metric_value=round(metrics[name], 6),
        )
        for name in measured
    ]
    data = ModelCardData(
        license=facts.license,
        library_name="ganhub",
        pipeline_tag="unconditional-image-generation",
        tags=["gan", recipe["arch"], *(["class-conditional"] if recipe["conditional"] else [])],
        datasets=[facts.data_id] if facts.data_id else None,
        model_name=facts.name if results else None,
        eval_results=results or None,
    )
    return data.to_yaml().strip()


def _usage(facts: Facts, generator: dict[str, Any]) -> str:
    labels = ", labels=7" if generator["num_classes"] > 7 else ""
    channels = "grey" if generator["channels"] == 1 else "RGB"
    classes = f", {generator['num_classes']} classes" if generator["num_classes"] else ", unconditional"
    return (
        "## How to use it\n\n```python\nfrom ganhub import GANPipeline\n\n"
        f'pipe = GANPipeline.from_pretrained("{facts.name}")\n'
        f"images = pipe(num_images=16{labels}, seed=0).images\n```\n\n"
        f"{generator['resolution']}x{generator['resolution']} pixels, {channels}{classes}. One seed is one picture, "
        "whatever the batch. The weights are safetensors; loading runs no code from the repository."
    )


def _training(facts: Facts, recipe: dict[str, Any]) -> str:
    hub = f" (`{facts.data_id}`)" if facts.data_id else ""
    return (
        f"## Training\n\nRecipe after {recipe['source']}.\n\n```\n{facts.command}\n```\n\n"
        f"`--data` is the data set named below, as a folder or from the Hub{hub}. {facts.kimg:,.3g} thousand images "
        f"shown to the discriminator in {facts.minutes:,.3g} minutes on {facts.hardware}; {facts.versions}; seed "
        f"{recipe['seed']}. Every setting is in `recipe.json`, the losses over time are in `training_log.jsonl`. The "
        "published weights are the moving average of the generator."
    )


def _metrics(metrics: dict[str, Any], remark: str) -> str:
    if not metrics:
        return "## Metrics\n\nNot measured yet: `python -m training evaluate` fills this section."
    rows = [
        f"| {label} | {format(metrics[name], form)}{_error(metrics, name)} | {better} |"
        for name, (label, form, better) in METRICS.items()
        if metrics.get(name) is not None
    ]
    parts = ["## Metrics", "\n".join(["| measure | value | better |", "| --- | --- | --- |", *rows])]
    parts += [_protocol(metrics["protocol"]), *_memorisation(metrics), *_per_class(metrics), *_compared(metrics)]
    parts += [remark] * bool(remark) + [f"Note: {note}." for note in metrics.get("notes", [])]
    return "\n\n".join(parts)


def _error(metrics: dict[str, Any], name: str) -> str:
    error = metrics.get(f"{name}_stderr")
    return "" if error is None else f" ± {format(error, METRICS[name][1])}"


def _protocol(protocol: dict[str, Any]) -> str:
    reference = protocol["reference"]
    seen = "which training saw" if reference["trained_on"] else "which training never saw"
    return (
        f"Protocol: {protocol['samples']:,} samples (seed {protocol['seed']}, truncation {protocol['truncation']:g}) "
        f"against {reference['count']:,} pictures of {reference['data']}, split {reference['split']}, {seen}. "
        f"Features: {protocol['extractor']}. Such numbers compare models that were measured alike; never set them "
        "beside published FIDs."
    )


def _memorisation(metrics: dict[str, Any]) -> list[str]:
    found = metrics.get("memorisation")
    if not found:
        return []
    return [
        f"Memorisation, by {found['space']}: the median distance from a sample to its nearest training image is "
        f"{found['generated_to_train_median']:.3f}; for real pictures ({found['held_back']}) it is "
        f"{found['held_back_to_train_median']:.3f}. Ratio {found['ratio']:.2f}: copies would be far below 1."
    ]


def _per_class(metrics: dict[str, Any]) -> list[str]:
    accuracies, counts = metrics.get("conditional_accuracy_per_class"), metrics.get("class_counts")
    if not accuracies:
        seen = ", ".join(f"{name} {count:,}" for name, count in (counts or {}).items() if count)
        return [f"The extractor, which also classifies, takes the samples for: {seen}."] if counts else []
    head = "| class | " + " | ".join(accuracies) + " |"
    rule = "| --- |" + " --- |" * len(accuracies)
    return [f"{head}\n{rule}\n| accuracy | " + " | ".join(f"{value:.1%}" for value in accuracies.values()) + " |"]


def _compared(metrics: dict[str, Any]) -> list[str]:
    """Other models under the same protocol, where `metrics.json` has them under "compared"."""
    others = metrics.get("compared")
    if not others:
        return []
    rows = [f"| {name} | {value['kid']:.5f} ± {value['kid_stderr']:.5f} |" for name, value in others.items()]
    return ["Under the same protocol:\n\n| model | KID |\n| --- | --- |\n" + "\n".join(rows)]

"""How a model was trained, as the card's section: command, length, machine, energy."""

from pathlib import Path
from typing import Any

from ganhub.card.facts import Facts
from ganhub.card.measured import percent
from ganhub.layout import local_sheets


def section(facts: Facts, recipe: dict[str, Any]) -> str:
    if facts.origin:
        return f"## Training\n\n{facts.origin}\n\n```\n{facts.command}\n```"
    hub = f" or from the Hub (`{facts.data_id}`)" if facts.data_id else ""
    return (
        f"## Training\n\nRecipe after {recipe['source']}.\n\n```\n{facts.command}\n```\n\n"
        f"`--data` is the data set named below, as a folder{hub}. {facts.kimg:,.3g} thousand images "
        f"shown to the discriminator in {_duration(facts.minutes)} on {facts.hardware}{_used(facts)}; "
        f"{facts.versions}; seed {recipe['seed']}. Every setting is in `recipe.json`, the losses over time are in "
        f"`training_log.jsonl`. The published weights are the moving average of the generator.{_chosen(recipe)}"
        f"{_later(facts, recipe)}{_begun(recipe)}{_energy(facts)}"
    )


def _chosen(recipe: dict[str, Any]) -> str:
    share = recipe.get("typical", 1.0)
    if share == 1:
        return ""
    of_each = " of each class" if recipe["conditional"] else ""
    return (
        f"\n\nOnly the most typical {percent(share)} of the pictures{of_each} were learnt from (instance selection, "
        "arXiv:2007.15255, by a likelihood of pixels at 16x16, which prefers plain pictures): what is rare among them "
        "was left out, so that the rest is drawn better."
    )


def _later(facts: Facts, recipe: dict[str, Any]) -> str:
    begun = recipe.get("later_kimg", 0.0)
    if not 0 < begun < facts.kimg:  # or the training ended before
        return ""
    changes = ["the learning rates began again"] if recipe["lr_kimg"] else []
    changes += [f"`{name}` became {_value(value)}" for name, value in recipe["later"].items()]
    return f"\n\nAfter {begun:,g} thousand images {'; '.join(changes)}."


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item:g}" for key, item in value.items()) or "none"
    return f"{value:g}"


def _begun(recipe: dict[str, Any]) -> str:
    if not recipe.get("init"):
        return ""
    return (
        f"\n\nTraining began from the weights of another model, `{recipe['init']}`: what that learnt is in here too, "
        "and the terms of its data and its licence hold for this model as well."
    )


def _duration(minutes: float) -> str:
    if minutes * 60 < 1:
        return "less than a second"
    if minutes < 2:
        return f"{minutes * 60:.0f} seconds"
    return f"{minutes:.1f} minutes" if minutes < 180 else f"{minutes / 60:.1f} hours"


def _used(facts: Facts) -> str:
    return f", {facts.minutes * facts.units:.4g} {facts.unit} minutes" if facts.units else ""


def _energy(facts: Facts) -> str:
    if not facts.units or not facts.watts:
        return ""
    kwh = facts.minutes / 60 * facts.units * facts.watts / 1000
    amount = f"about {kwh:.2g}" if kwh >= 0.001 else "less than 0.001"
    units = f"{facts.units} {facts.unit}{'s' if facts.units > 1 else ''}"
    return (
        f"\n\nEnergy: {amount} kWh, estimated and not metered: {_duration(facts.minutes)} x {units} x "
        f"{facts.watts:g} W ({facts.watts_source}); the rest of the machine and its cooling are left out."
    )


def history(folder: Path) -> list[str]:
    moments = local_sheets(folder)
    shown = ", ".join(f"{images:,}" for images in moments)
    return [f"`snapshots/` has this sheet of samples as it was after {shown} images."] if moments else []

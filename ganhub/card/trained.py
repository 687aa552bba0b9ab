"""How a model was trained, as the card's section: command, length, machine, energy."""

from itertools import pairwise
from pathlib import Path
from typing import Any

from ganhub.card.facts import Facts
from ganhub.card.measured import percent
from ganhub.layout import local_sheets

EVERYTHING = (1.0, 1.0, "")  # the share of the sharpest pictures, of the typical among these, and what is compared
LIKENESS = {
    "pixels": "pixels at 16x16, which prefers plain pictures",
    "edges": "histograms of edges, which prefers common poses",
}
SAID_APART = ("sharpest", "typical", "typical_by", "later_kimg", "later")  # have sentences of their own


def section(facts: Facts, recipe: dict[str, Any]) -> str:
    if facts.origin:
        return f"## Training\n\n{facts.origin}\n\n```\n{facts.command}\n```"
    hub = f" or from the Hub (`{facts.data_id}`)" if facts.data_id else ""
    return (
        f"## Training\n\nRecipe after {recipe['source']}.\n\n```\n{facts.command}\n```\n\n"
        f"`--data` is the data set named below, as a folder{hub}. {_kimg(facts.kimg)} thousand images "
        f"shown to the discriminator in {_duration(facts.minutes)} on {facts.hardware}{_used(facts)}; "
        f"{facts.versions}; seed {recipe['seed']}. Every setting is in `recipe.json`, the losses over time are in "
        f"`training_log.jsonl`. The published weights are {_averaged(recipe)}.{_chosen(facts, recipe)}"
        f"{_later(facts, recipe)}{_begun(recipe)}{_energy(facts)}"
    )


def _averaged(recipe: dict[str, Any]) -> str:
    averaged = recipe.get("ema_kimg", 1.0)
    return "the moving average of the generator" if averaged else "the generator's own, without an average"


def _chosen(facts: Facts, recipe: dict[str, Any]) -> str:
    rules = [_rule(part) for _, part in _parts(facts, recipe)]
    if set(rules) == {EVERYTHING}:
        return ""
    said = _selection(recipe)
    if len(set(rules)) > 1:
        said = f"at first {said}"
    lost = ["blurred or dim"] * all(sharpest < 1 for sharpest, _, _ in rules)
    lost += ["rare"] * all(typical < 1 for _, typical, _ in rules)
    loss = f": what is {' or '.join(lost)} among them was left out, so that the rest is drawn better" if lost else ""
    return f"\n\n{said[0].upper()}{said[1:]}{loss}."


def _parts(facts: Facts, recipe: dict[str, Any]) -> list[tuple[float, dict[str, Any]]]:
    """From which kimg on which settings held, as far as the training went."""
    parts = [(0.0, recipe)]
    reached = min(facts.kimg, recipe["kimg"])  # the last batch may go beyond
    while 0 < (begun := parts[-1][1].get("later_kimg", 0.0)) < reached:
        before = parts[-1][1]
        parts.append((begun, {**before, "later_kimg": 0.0, "later": {}, **before["later"]}))
    return parts


def _rule(part: dict[str, Any]) -> tuple[float, float, str]:
    """Which pictures are learnt from, as `training.recipe.Selection` has it."""
    typical = part.get("typical", 1.0)
    return part.get("sharpest", 1.0), typical, part.get("typical_by", "pixels") if typical < 1 else ""


def _selection(part: dict[str, Any]) -> str:
    sharpest, typical, by = _rule(part)
    of_each = " of each class" if part["conditional"] else ""
    sharp = f"the sharpest {percent(sharpest)} of the pictures{of_each}"
    focus = "by the variance of the Laplacian in their middle"
    likely = f"instance selection, arXiv:2007.15255, by a likelihood of {LIKENESS[by]}" if by else ""
    if sharpest == typical == 1:
        return "all pictures were learnt from"
    if typical == 1:
        return f"only {sharp} were learnt from ({focus})"
    if sharpest == 1:
        return f"only the most typical {percent(typical)} of the pictures{of_each} were learnt from ({likely})"
    return f"only {sharp} ({focus}), and of these the most typical {percent(typical)}, were learnt from ({likely})"


def _later(facts: Facts, recipe: dict[str, Any]) -> str:
    said = ""
    for (_, before), (begun, part) in pairwise(_parts(facts, recipe)):
        changes = ["the learning rates began again"] if recipe["lr_kimg"] else []
        changes += [_selection(part)] if _rule(part) != _rule(before) else []
        changed = [name for name in before["later"] if name not in SAID_APART and part[name] != before.get(name)]
        changes += [f"`{name}` became {_value(part[name])}" for name in changed]
        said += f"\n\nAfter {begun:,g} thousand images {'; '.join(changes)}."
    return said


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item:g}" for key, item in value.items()) or "none"
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"


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
        seconds = round(minutes * 60)
        return f"{seconds} second{'s'[: seconds != 1]}"
    return f"{minutes:.1f} minutes" if minutes < 180 else f"{minutes / 60:.1f} hours"


def _kimg(kimg: float) -> str:
    return f"{kimg:,.0f}" if kimg >= 100 else f"{kimg:.3g}"


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


def history(folder: Path, screened: bool) -> list[str]:
    """Which sheets of its training the folder has; a generator gets a screen only after it."""
    first = ", of every seed's first latent" if screened else ""
    moments = local_sheets(folder)
    shown = ", ".join(f"{images:,}" for images in moments)
    return [f"`snapshots/` has this sheet of samples as it was after {shown} images{first}."] if moments else []

"""What metrics.json holds, as the card's section: every number beside its protocol."""

from typing import Any

from ganhub.card.facts import METRICS, Facts
from ganhub.layout import STRIP_FILE

MAX_COLUMNS = 12  # classes; a table with more of them stands upright


def section(metrics: dict[str, Any], facts: Facts, strip: bool) -> str:
    """
    Args:
        metrics: what `python -m training evaluate` wrote; empty when nothing was measured.
        strip: the folder has a picture of samples beside their nearest training pictures.

    Raises:
        KeyError, TypeError, ValueError: `metrics` is something else.
    """
    if not metrics:
        return "## Metrics\n\nNot measured yet: `python -m training evaluate` fills this section."
    rows = [
        f"| {label} | {format(metrics[name], form)}{_error(metrics, name)} | {better} |"
        for name, (label, form, better) in METRICS.items()
        if metrics.get(name) is not None
    ]
    parts = ["## Metrics", "\n".join(["| measure | value | better |", "| --- | --- | --- |", *rows])]
    parts += [_protocol(metrics["protocol"]), *_per_class(metrics), *_compared(metrics)]
    parts += [facts.measured] * bool(facts.measured) + [f"Note: {note}." for note in metrics.get("notes", [])]
    return "\n\n".join(parts + _memorisation(metrics, facts, strip))


def _error(metrics: dict[str, Any], name: str) -> str:
    error = metrics.get(f"{name}_stderr")
    return "" if error is None else f" ± {format(error, METRICS[name][1])}"


def _protocol(protocol: dict[str, Any]) -> str:
    reference = protocol["reference"]
    return (
        f"Protocol: {protocol['samples']:,} samples (seed {protocol['seed']}, truncation {protocol['truncation']:g}"
        f"{_mix(protocol)}{', without its screen' if 'screen' in protocol else ''}) "
        f"against {reference['count']:,} pictures of {reference['data']}, split {reference['split']}, "
        f"{_seen(reference)}. Features: {protocol['extractor']}. Such numbers compare models that were "
        "measured alike; never set them beside published FIDs."
    )


def _seen(reference: dict[str, Any]) -> str:
    if not reference["trained_on"]:
        return "which training never saw"
    share = reference.get("share_trained_on", 1.0)  # older measurements don't say
    return "which training saw" if share == 1 else f"of which training saw {percent(share)}"


def _mix(protocol: dict[str, Any]) -> str:
    """Only of conditional models, since 2026-11-27."""
    return f", mix of classes {protocol['class_mix']}" if "class_mix" in protocol else ""


def _memorisation(metrics: dict[str, Any], facts: Facts, strip: bool) -> list[str]:
    found = metrics.get("memorisation")
    if not found:
        return []
    parts = [
        "## Memorisation",
        f"By {found['space']}: the median distance from a sample to its nearest training image"
        f"{', mirrored or not,' if found.get('mirrored') else ''} is "
        f"{found['generated_to_train_median']:.3f}; for real pictures ({found['held_back']}) it is "
        f"{found['held_back_to_train_median']:.3f}. Ratio {found['ratio']:.2f}: copies would be far below 1.",
    ]
    if "too_close" in found:
        parts[-1] += f" {found['too_close']:.2%} of samples are nearer than all but 1 % of the real ones; 1 % is usual."
    if strip:
        parts += [
            f"![samples above their nearest training pictures]({STRIP_FILE})",
            "Upper pair of rows: of all samples the ten nearest to any training picture, each above that picture. "
            "Lower pair: the first ten samples, likewise.",
        ]
    elif not facts.show_data:
        parts.append("The training pictures nearest to samples are not shown: the terms of the data may forbid it.")
    return parts


def _per_class(metrics: dict[str, Any]) -> list[str]:
    accuracies, counts = metrics.get("conditional_accuracy_per_class"), metrics.get("class_counts")
    if not accuracies:
        seen = ", ".join(f"{name} {count:,}" for name, count in (counts or {}).items() if count)
        return [f"The extractor, which also classifies, takes the samples for: {seen}."] if counts else []
    cells = {cell(name): f"{value:.1%}" for name, value in accuracies.items()}
    if len(cells) > MAX_COLUMNS:
        rows = [f"| {name} | {value} |" for name, value in cells.items()]
        return ["\n".join(["| class | accuracy |", "| --- | --- |", *rows])]
    head = "| class | " + " | ".join(cells) + " |"
    rule = "| --- |" + " --- |" * len(cells)
    return [f"{head}\n{rule}\n| accuracy | " + " | ".join(cells.values()) + " |"]


def percent(share: float) -> str:
    """0.75 -> "75%", with as many digits as it has."""
    return f"{100 * share:.4g}%"


def cell(text: str) -> str:
    """A class name that can't end its cell."""
    return " ".join(text.replace("|", "\\|").split())


def _compared(metrics: dict[str, Any]) -> list[str]:
    """Other models under the same protocol, where `metrics.json` has them under "compared"."""
    others = metrics.get("compared")
    if not others:
        return []
    rows = [f"| {cell(name)} | {value['kid']:.5f} ± {value['kid_stderr']:.5f} |" for name, value in others.items()]
    return ["Under the same protocol:\n\n| model | KID |\n| --- | --- |\n" + "\n".join(rows)]

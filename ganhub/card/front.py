"""The card's front matter, by which the Hub shows, finds and compares the model."""

from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from ganhub.card.facts import METRICS, Facts

TASK = "unconditional-image-generation"  # also the closest task that the Hub has for class-conditional generation
BY_FEATURES = ("conditional_accuracy", "fid", "kid", "precision", "recall", "density", "coverage")


def front_matter(facts: Facts, recipe: dict[str, Any], metrics: dict[str, Any]) -> str:
    """YAML; a number stands there alone on the Hub, so its name says what extractor it is by.

    Args:
        metrics: what `python -m training evaluate` wrote; empty when nothing was measured.

    Raises:
        KeyError, TypeError, ValueError: `recipe` or `metrics` is something else.
    """
    by = f" (features: {metrics['protocol']['extractor']})" if metrics else ""
    reference = metrics["protocol"]["reference"] if metrics else {}
    same = not reference.get("other_data")  # the data set that was learnt from
    results = [
        EvalResult(
            task_type=TASK,
            dataset_type=(same and facts.data_id) or reference["data"],
            dataset_name=reference["data"],
            dataset_split=reference["split"],
            metric_type=name,
            metric_name=METRICS[name][0] + (by if name in BY_FEATURES else ""),
            metric_value=round(metrics[name], 6),
        )
        for name in METRICS
        if metrics.get(name) is not None
    ]
    data = ModelCardData(
        license=facts.license or None,
        license_name=facts.license_name or None,
        license_link=facts.license_link or None,
        library_name="ganhub",
        pipeline_tag=TASK,
        tags=["gan", recipe["arch"], *(["class-conditional"] if recipe["conditional"] else [])],
        datasets=[facts.data_id] if facts.data_id else None,
        model_name=facts.name if results else None,
        eval_results=results or None,
        inference=False,  # no widget: the Hub can't run the model
    )
    return data.to_yaml().strip()

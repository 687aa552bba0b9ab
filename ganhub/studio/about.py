"""The panel that answers "what is this model": its card, and its size in numbers."""

from typing import Any

import gradio as gr

from ganhub.card import what_is_drawn
from ganhub.studio.models import Model
from ganhub.studio.page import Page
from ganhub.studio.state import check_model


def about(models: dict[str, Model], name: Any) -> str:
    """A line of facts, then the card."""
    model = check_model(models, name)
    config = model.pipeline.generator.config
    size = sum(parameter.numel() for parameter in model.pipeline.generator.parameters())
    facts = [
        f"{type(model.pipeline.generator).arch} generator, {size:,} weights",
        what_is_drawn(config),
        f"{len(model.classes)} classes" if model.classes else "no classes",
        f"{config.latent_dim} latent numbers per picture",
    ]
    return f"{' · '.join(facts)}\n\n{model.card}"


def build(page: Page) -> None:
    """The panel; it follows the picker, whoever sets it."""
    card = gr.Markdown(about(page.models, page.picker.value), elem_id="card")
    page.picker.change(
        page.handler(about), page.picker, card, preprocess=False, show_progress="hidden", api_visibility="private"
    )

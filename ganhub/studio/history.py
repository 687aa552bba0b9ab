"""The tab that scrubs through a model's training: the same seeds, drawn by the generator as it was then."""

from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from ganhub.errors import UserError
from ganhub.studio.models import Model, open_sheet
from ganhub.studio.page import Page
from ganhub.studio.state import check_model, clamp, quoted
from ganhub.values import is_int

NOTHING = "This model keeps no pictures of its training."  # the curves, where it has those, speak for themselves
ABOUT = "What the model drew at each stage of its training, from the same seeds."
MOVE = " Move the slider."


def sheet(models: dict[str, Model], name: Any, moment: Any) -> tuple[Image.Image | None, str]:
    """The sheet of a moment, counted from 0, and a line about it; else the curves of its training, if it has those."""
    model = check_model(models, name)
    if not model.history:
        return opened(model.curves) if model.curves else None, NOTHING
    if not is_int(moment) or not 0 <= moment < len(model.history):
        raise UserError(f"the stage must be a whole number from 0 to {len(model.history) - 1}, got {quoted(moment)}")
    images, file = model.history[moment]
    picture = opened(file)
    return picture, f"after **{images:,}** real pictures" if picture else "This picture of the training can't be read."


def opened(file: Path) -> Image.Image | None:
    """The picture in a file; None where it is cut short, or no PNG after its header."""
    try:
        with open_sheet(file) as picture:
            return enlarged(picture)
    except (OSError, SyntaxError, ValueError):
        return None


def enlarged(picture: Image.Image) -> Image.Image:
    """Small sheets at a multiple of their size, pixel for pixel: browsers would blur them."""
    times = max(1, 960 // max(picture.size))
    return picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)


def move(models: dict[str, Model], name: Any, moment: Any) -> Any:
    """The sheet and its line after the slider was moved. What is typed beside it may be missing, or beyond its end."""
    if moment is None:
        return gr.skip()
    last = len(check_model(models, name).history) - 1
    picture, line = sheet(models, name, clamp(moment, 0, max(last, 0)))
    return image(picture, line), line


def switch(models: dict[str, Model], name: Any) -> tuple[dict, dict, dict, str]:
    """The intro, the slider, the last sheet and its line after the model was changed; a line alone if it has none."""
    model = check_model(models, name)
    picture, line = sheet(models, name, max(len(model.history) - 1, 0))
    return gr.update(**intro(model)), gr.update(**slider(model)), image(picture, line), line


def image(picture: Image.Image | None, line: str) -> dict[str, Any]:
    """What the component for the sheet shows; without one there is no empty box."""
    return gr.update(value=picture, visible=picture is not None, alt_text=alt_text(line))


def alt_text(line: str) -> str:
    """What those hear who don't see the sheet, or the curves."""
    return "Curves of its losses" if line == NOTHING else f"Samples {line.replace('*', '')}"


def intro(model: Model) -> dict[str, Any]:
    return {"value": ABOUT + MOVE * (len(model.history) > 1), "visible": bool(model.history)}


def slider(model: Model) -> dict[str, Any]:
    last = len(model.history) - 1
    return {"minimum": 0, "maximum": max(last, 1), "value": max(last, 0), "visible": last > 0}


def build(page: Page) -> None:
    """The tab; it follows the picker."""
    first = page.models[page.picker.value]
    picture, line = sheet(page.models, first.name, max(len(first.history) - 1, 0))
    about = gr.Markdown(**intro(first))
    moment = gr.Slider(**slider(first), step=1, label="Stage (0 is the first)", buttons=[], elem_id="moment")
    status = gr.Markdown(line, elem_id="moment-status")
    shown = gr.Image(
        picture, show_label=False, interactive=False, format="png", height="auto", buttons=["download", "fullscreen"],
        elem_id="history", visible=picture is not None, alt_text=alt_text(line),
    )  # fmt: skip
    options: dict[str, Any] = {"preprocess": False, "show_progress": "hidden", "api_visibility": "private"}
    moment.input(page.handler(move), [page.picker, moment], [shown, status], trigger_mode="always_last", **options)
    page.picker.change(page.handler(switch), page.picker, [about, moment, shown, status], **options)

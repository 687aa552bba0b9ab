"""The tab that plays with latents: on the way from one seed's picture to another's, and along named directions."""

import html
from dataclasses import dataclass
from typing import Any

import gradio as gr
import torch
from PIL import Image
from torch import Tensor

from ganhub.errors import UserError
from ganhub.images import grid
from ganhub.latents import latents_for, slerp
from ganhub.pipeline import MAX_TRUNCATION
from ganhub.studio.drawing import stem_of, to_png, truncated
from ganhub.studio.models import Model, data_url
from ganhub.studio.page import DRAWS, Page, class_selector
from ganhub.studio.state import (
    MAX_DICE,
    accept,
    check_label,
    check_model,
    check_seed,
    check_truncation,
    clamp,
    from_address,
    quoted,
    read_query,
)
from ganhub.values import is_number

REACH = 4.0  # steps along a direction, to either side
FRAMES = 7  # of the way between two seeds
SLIDERS = 8  # of more directions than that the first have one
ROLL = f"() => [0, 0].map(() => Math.floor(Math.random() * {MAX_DICE + 1}))"
# The last of the values that are sent: is this tab open?
SEEN = '(...values) => [...values.slice(0, -1), !!document.getElementById("played")?.offsetParent]'
ABOUT = "Blend the pictures of two seeds, and push the result along what this model has directions for."


@dataclass(frozen=True)
class Blend:
    """One latent: some way from a seed to another, then so many steps along each direction."""

    model: Model
    label: int | None
    seed: int
    other: int
    share: float
    truncation: float
    steps: dict[str, float]

    def latents(self, shares: list[float]) -> Tensor:
        """The latents at these shares of the way, (len(shares), latent_dim)."""
        pipe = self.model.pipeline
        labels = None if self.label is None else [self.label] * 2
        start, end = latents_for(pipe.generator, [self.seed, self.other], labels)
        z = slerp(start, end, torch.tensor(shares))
        for name, steps in self.steps.items():
            z = z + steps * pipe.directions[name]
        return z

    def draw(self, shares: list[float]) -> list[Image.Image]:
        """The pictures at these shares of the way."""
        pipe = self.model.pipeline
        output: Any = pipe(latents=self.latents(shares), labels=self.label, truncation=self.truncation)
        return output.images

    @property
    def class_name(self) -> str:
        """Without classes it is ""."""
        return "" if self.label is None else self.model.classes[self.label]

    def parts(self) -> list[str]:
        """What it is made of, in words."""
        mixed = 0 < self.share < 1
        seeds = f"{1 - self.share:.0%} seed {self.seed}, {self.share:.0%} seed {self.other}"
        pushed = [f"{name} {steps:+g}" for name, steps in self.steps.items() if steps]
        return [seeds if mixed else f"seed {self.other if self.share else self.seed}", *pushed]


def check(models: dict[str, Model], name: Any, label: Any, truncation: Any, *values: Any) -> Blend:
    """Raw values -> a blend.

    Raises:
        UserError: names the first value that is wrong.
    """
    seed, other, share, *steps = values
    model = check_model(models, name)
    asked = check_label(model, kept(model, label))
    truncation = check_truncation(clamp(truncation, 0.0, MAX_TRUNCATION))
    pushes = {name: within(value, -REACH, REACH) for name, value in zip(named(model), steps)}
    seeds = check_seed(seed), check_seed(other)
    return Blend(model, asked, *seeds, within(share, 0.0, 1.0), truncation, pushes)


def within(value: Any, least: float, most: float) -> float:
    """The nearest number that a slider has.

    Raises:
        UserError: it is no number.
    """
    if not is_number(value) or value != value:
        raise UserError(f"a slider's value must be a number from {least:g} to {most:g}, got {quoted(value)}")
    return float(clamp(value, least, most))


def named(model: Model) -> dict[str, str]:
    """The directions with a slider, each with what it changes."""
    return dict(list(model.directions.items())[:SLIDERS])


def play(models: dict[str, Model], *values: Any) -> Any:
    """The controls -> the picture, and the way. While a number is typed it may be missing, which waits."""
    if None in values[2:]:
        return gr.skip()
    blend = check(models, *values)
    return picture(blend), way(blend)


def slide(models: dict[str, Model], *values: Any) -> Any:
    """The same for what leaves the way as it is."""
    return gr.skip() if None in values[2:] else picture(check(models, *values))


def redraw(models: dict[str, Model], *values: Any) -> Any:
    """As `play`, where the last value says that the tab is open; else it is drawn when it is opened."""
    *asked, seen = values
    return play(models, *asked) if seen else gr.skip()


def picture(blend: Blend) -> str:
    """The picture as HTML that holds it: what follows a slider makes no files."""
    url = data_url(to_png(blend.draw([blend.share])[0]))
    said = html.escape(" · ".join(filter(None, [blend.class_name, *blend.parts()])))
    return (
        f'<figure><img class="played" src="{url}" alt="{said}"><figcaption><span aria-hidden="true">{said}</span>'
        f'<a href="{url}" download="{html.escape(file_name(blend))}">Download</a></figcaption></figure>'
    )


def way(blend: Blend) -> str:
    """All the way from seed to seed, likewise."""
    url = data_url(to_png(grid(blend.draw([i / (FRAMES - 1) for i in range(FRAMES)]), columns=FRAMES)))
    said = f"from seed {blend.seed} to seed {blend.other}"
    return f'<figure><img src="{url}" alt=""><figcaption>{said}</figcaption></figure>'


def file_name(blend: Blend) -> str:
    """ "faces_70-seed-2-30-seed-1_warmth-+1.5_t0.7.png"."""
    return stem_of(blend.model.name, blend.class_name, *blend.parts(), truncated(blend.truncation)) + ".png"


def switch(models: dict[str, Model], name: Any, label: Any, seed: Any, other: Any) -> tuple:
    """The controls after another model was picked: its classes, truncation and directions, at rest; seeds stay."""
    model = check_model(models, name)
    return rest(model, label, model.truncation, accept(check_seed, seed, 0), accept(check_seed, other, 1))


def take(models: dict[str, Model], name: Any, address: Any, other: Any) -> Any:
    """The controls for a picture of the gallery, by its address."""
    settings, _ = from_address(models, read_query(address))
    if settings.model != name:  # another model was picked meanwhile
        return gr.skip()
    model = models[settings.model]
    label = None if settings.label is None else model.classes[settings.label]
    return rest(model, label, settings.truncation, settings.seed, accept(check_seed, other, 1))


def rest(model: Model, label: Any, truncation: float, seed: int, other: int) -> tuple:
    """All controls, before anything is blended or pushed."""
    pushes = [gr.update(**shows) for shows in sliders(model)]
    return gr.update(**class_selector(model, kept(model, label))), truncation, seed, other, 0.0, *pushes


def kept(model: Model, label: Any) -> str | None:
    """The class that is chosen, where this model has one of that name; else its first; None without classes."""
    return label if label in model.classes else next(iter(model.classes), None)


def sliders(model: Model) -> list[dict[str, Any]]:
    """What each of the sliders shows: the model's directions, then nothing."""
    shown = [
        {"value": 0, "label": name.capitalize(), "info": about, "visible": True} for name, about in named(model).items()
    ]
    return shown + [{"value": 0, "visible": False}] * (SLIDERS - len(shown))


def build(page: Page) -> None:
    """The tab; it follows the picker, and pictures that are taken here."""
    first = page.models[page.picker.value]
    seed, other = 0, 1
    gr.Markdown(ABOUT)
    with gr.Row(elem_classes="workbench"):
        with gr.Column(scale=2, min_width=280, elem_classes="controls"):
            classes = gr.Dropdown(**class_selector(first, kept(first, None)), label="Class")
            with gr.Row(elem_classes="actions"):
                begins = gr.Number(seed, precision=0, label="From seed", min_width=90)
                ends = gr.Number(other, precision=0, label="To seed", min_width=90)
            dice = gr.Button("⚄ New seeds", variant="primary")
            blend = gr.Slider(0, 1, 0, step=0.01, label="How far on the way", buttons=[])
            pushes = [gr.Slider(-REACH, REACH, step=0.1, buttons=[], **shows) for shows in sliders(first)]
            length = gr.Slider(0, MAX_TRUNCATION, first.truncation, step=0.05, label="Truncation", buttons=[])
        with gr.Column(scale=3, min_width=300, elem_classes="result"):
            begun = Blend(first, 0 if first.classes else None, seed, other, 0.0, first.truncation, {})
            with gr.Column(elem_id="played"):
                shown = [gr.HTML(part(begun), padding=False) for part in (picture, way)]
    controls = [classes, length, begins, ends, blend, *pushes]
    asked = [page.picker, *controls]
    options: dict[str, Any] = {
        "trigger_mode": "always_last", "show_progress": "hidden", "api_visibility": "private", **DRAWS,
    }  # fmt: skip
    blend.input(page.handler(slide), asked, shown[0], **options)
    gr.on([control.input for control in controls if control != blend], page.handler(play), asked, shown, **options)
    rolled = dice.click(None, None, [begins, ends], js=ROLL, api_visibility="private")
    rolled.then(page.handler(play), asked, shown, **options)
    page.tab.select(page.handler(play), asked, shown, **options)
    seen = gr.Checkbox(visible="hidden")
    changed = page.picker.change(page.handler(switch), [page.picker, classes, begins, ends], controls, **options)
    changed.success(page.handler(redraw), [*asked, seen], shown, js=SEEN, **options)
    taken = page.picked.change(page.handler(take), [page.picker, page.picked, ends], controls, **options)
    taken.success(page.handler(play), asked, shown, **options)

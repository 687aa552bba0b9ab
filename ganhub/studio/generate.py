"""The tab that draws: class, seed, number and truncation in; pictures, files and an address out."""

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from ganhub.errors import UserError
from ganhub.pipeline import MAX_TRUNCATION
from ganhub.studio.drawing import Drawing, draw, save_pictures, save_zip
from ganhub.studio.models import Model
from ganhub.studio.page import DRAWS, PLAY, Page, class_selector, notice
from ganhub.studio.state import (
    EVERY_CLASS,
    KEYS,
    MAX_DICE,
    MAX_IMAGES,
    MAX_SEED,
    Settings,
    accept,
    check,
    check_count,
    check_model,
    check_seed,
    check_truncation,
    clamp,
    from_address,
    read_query,
    to_address,
)
from ganhub.values import is_int

# In the browser, so that whatever is pressed next goes by the new seed.
CLOSE = """document.querySelector('#gallery button[aria-label="Close"]')?.click()"""  # of a picture that was opened
ROLL = f"() => {{ {CLOSE}; return Math.floor(Math.random() * {MAX_DICE + 1}); }}"
SET_ADDRESS = """(link) => {
    const fresh = ["Copy link", {__type__: "update", visible: false}];  // what was copied or offered is another link
    const url = new URL(window.location), shown = new URLSearchParams(link);
    const keys = KEYS;
    const same = keys.every((key) => url.searchParams.get(key) === shown.get(key));
    if (same) return fresh.map(() => ({__type__: "update"}));  // the page opened with it; it may be copied already
    for (const key of keys) url.searchParams.delete(key);
    shown.forEach((value, key) => url.searchParams.set(key, value));
    try { history.replaceState(history.state, "", url); } catch { return fresh; }  // Safari allows 100 in 30 seconds
    if (window.parent !== window)  // in a Space, the address bar belongs to the page around this one
        window.parent.postMessage({queryString: shown.toString()}, "https://huggingface.co");
    return fresh;
}""".replace("KEYS", str(list(KEYS)))
# Neither the link nor what a Space shows has anything else of the address in it: that may hold a private Space's token.
# All of it happens in the browser, no queue is waited for. Gives the button's text, and a field with the link where it
# can't be copied.
COPY_LINK = """async (address) => {
    const field = (more) => ({__type__: "update", visible: false, ...more});
    document.getElementById("copy").setAttribute("aria-live", "polite");  // what it says then is read aloud
    if (!address) return ["Nothing drawn yet", field()];
    const link = new URL(address, window.location.origin + window.location.pathname).href;
    try { await navigator.clipboard.writeText(link); return ["Link copied", field()]; }
    catch { return ["Link below", field({value: link, visible: true})]; }
}"""
SAVE_FILE = """(file) => {
    const link = Object.assign(document.createElement("a"), {href: file.url, download: file.orig_name});
    document.body.append(link);
    link.click();
    link.remove();
}"""


def update(
    models: dict[str, Model], name: Any, label: Any, seed: Any, count: Any, truncation: Any, address: Any
) -> Any:
    """The controls, as they are at any moment, and the address of what is shown -> what `show` gives.

    While a number is typed beside a slider it may be missing, which waits, or beyond the slider's end, which is taken.
    A class of the model before, or its truncation, may still be chosen while another is picked.
    """
    if None in (seed, count, truncation):
        return gr.skip()
    model = check_model(models, name)
    truncation = clamp(own(models, model, truncation, address), 0.0, MAX_TRUNCATION)
    return show(models, name, kept(model, label), seed, clamp(count, 1, MAX_IMAGES), truncation)


def press(models: dict[str, Model], *values: Any) -> Any:
    """The same for a button, which doesn't wait: it says what is missing."""
    *_, seed, count, truncation, _ = values
    for needed, value in (
        (check_count, count),
        (check_seed, seed),
        (check_truncation, truncation),
    ):
        if value is None:
            needed(value)
    return update(models, *values)


def show(models: dict[str, Model], *values: Any) -> tuple[dict, str, str]:
    """Raw settings -> gallery, status line and address."""
    settings = check(models, *values)
    model = models[settings.model]
    start = time.perf_counter()
    drawing = draw(model, settings)
    status = describe(drawing, time.perf_counter() - start)
    pictures = list(zip(save_pictures(drawing), drawing.captions))
    return gr.update(value=pictures, columns=columns(settings.num_images)), status, to_address(model, settings)


def switch(models: dict[str, Model], name: Any, *values: Any) -> tuple:
    """The same after the model was changed. The other controls come first, with defaults where they can't be used.

    Numbers that can be used aren't set: somebody may have changed them meanwhile. The last value is the address of what
    was shown before.
    """
    label, *numbers, address = values
    seed, count, truncation = numbers
    model = check_model(models, name)
    count = accept(check_count, count, Settings.num_images)
    seed = accept(partial(check_seed, num_images=count), seed, Settings.seed)
    truncation = own(models, model, accept(check_truncation, truncation, model.truncation), address)
    value, rest = kept(model, label), (seed, count, truncation)
    mended = [gr.skip() if new == old else new for new, old in zip(rest, numbers)]
    return gr.update(**class_selector(model, value, every=True)), *mended, *show(models, name, value, *rest)


def own(models: dict[str, Model], model: Model, truncation: Any, address: Any) -> Any:
    """The truncation; what the model shown before begins with, so no visitor's choice, becomes what this one does."""
    before = models[from_address(models, read_query(address))[0].model]
    return model.truncation if truncation == before.truncation else truncation


def kept(model: Model, label: Any) -> str:
    """The class that is chosen, where this model has one of that name; else every class in turn."""
    return label if label in model.classes else EVERY_CLASS


def restore(models: dict[str, Model], query: dict[str, str]) -> tuple:
    """The whole tab as an address describes it; one without settings leaves the page as it was built."""
    if not query.keys() & KEYS:
        return gr.skip()
    settings, problems = from_address(models, query)
    notice(problems)
    model = models[settings.model]
    label = label_value(model, settings.label)
    rest = (settings.seed, settings.num_images, settings.truncation)
    return (
        model.name,
        gr.update(**class_selector(model, label, every=True)),
        *rest,
        *show(models, model.name, label, *rest),
    )


def pack(models: dict[str, Model], address: Any) -> str:
    """The address of what is shown -> the path of a zip with all its pictures."""
    if not address:
        raise UserError("nothing is drawn yet; wait for the pictures")
    settings, problems = from_address(models, read_query(address))
    if problems:
        raise UserError(problems[0])
    return save_zip(models[settings.model], settings)


def answer(models: dict[str, Model], *values: Any) -> tuple[list[dict], dict]:
    """Raw settings -> what the API gives."""
    settings = check(models, *values)
    model = models[settings.model]
    drawing = draw(model, settings)
    files = [gr.FileData(path=path, orig_name=Path(path).name).model_dump() for path in save_pictures(drawing)]
    details = {
        "model": model.name,
        "seeds": drawing.seeds,
        "labels": drawing.labels,
        "class_names": drawing.classes,
        "truncation": settings.truncation,
        "address": to_address(model, settings),
    }
    return files, details


def single(models: dict[str, Model], address: Any, index: Any) -> tuple[str, dict]:
    """One of the pictures that are shown -> its own address, and the tab that plays with it."""
    settings, _ = from_address(models, read_query(address))
    model = models[settings.model]
    if not is_int(index) or index < 0:
        raise UserError("open a picture first, then play with it")
    index = min(index, settings.num_images - 1)  # of fewer pictures than there were, the gallery shows the last
    label = settings.label
    if label is None and model.classes:
        label = index % len(model.classes)
    one = replace(settings, label=label, seed=settings.seed + index, num_images=1)
    return f"{to_address(model, one)}&at={time.time_ns()}", gr.update(selected=PLAY)  # the same may be taken again


def label_value(model: Model, label: int | None) -> str:
    """A class id as the selector's value."""
    return EVERY_CLASS if label is None else model.classes[label]


def columns(count: int) -> int:
    """As square as possible; more than eight would be too small to tap on a phone."""
    return min(8, next(side for side in range(1, count + 1) if side * side >= count))


def describe(drawing: Drawing, seconds: float) -> str:
    """ "16 pictures · seeds 0 to 15 · 12 ms"."""
    many = len(drawing.seeds) > 1
    seeds = f"seeds {drawing.seeds[0]} to {drawing.seeds[-1]}" if many else f"seed {drawing.seeds[0]}"
    count = f"{len(drawing.seeds)} pictures" if many else "1 picture"
    return f"{count} · {seeds} · {max(1, round(seconds * 1000))} ms"


def open_picture(event: gr.SelectData) -> tuple[int, dict]:
    """Which picture was opened, and the button for it."""
    return event.index, gr.update(visible=True)


def build(page: Page) -> None:
    """The tab's components and events, and the public `/generate`."""
    first = next(iter(page.models.values()))
    begun, said, link = show(page.models, first.name, EVERY_CLASS, Settings.seed, Settings.num_images, first.truncation)
    with gr.Row(elem_classes="workbench"):
        with gr.Column(scale=2, min_width=280, elem_classes="controls"):
            with gr.Row(elem_classes="actions"):
                dice = gr.Button("⚄ New seed", variant="primary", elem_id="dice")
                generate = gr.Button("Generate")
            label = gr.Dropdown(**class_selector(first, EVERY_CLASS, every=True), label="Class")
            seed = gr.Number(Settings.seed, precision=0, label="Seed", info="The same seed gives the same pictures.")
            count = gr.Slider(1, MAX_IMAGES, Settings.num_images, step=1, label="Pictures", buttons=[])
            truncation = gr.Slider(
                0, MAX_TRUNCATION, first.truncation, step=0.05, label="Truncation",
                info="1 is what was learnt. Lower: more alike. Higher: more varied. Far from 1: broken.", buttons=[],
            )  # fmt: skip
        with gr.Column(scale=3, min_width=300, elem_classes="result"):
            gallery = gr.Gallery(
                begun["value"], show_label=False, columns=begun["columns"], height="auto", object_fit="contain",
                interactive=False, format="png", buttons=["download", "fullscreen"], elem_id="gallery",
            )  # fmt: skip
            with gr.Row(elem_classes="actions summary"):
                status = gr.Markdown(said, elem_id="status")
                with_it = gr.Button("Play with it", size="sm", visible=False)
                download = gr.Button("Download all", size="sm")
                copy = gr.Button("Copy link", size="sm", elem_id="copy")
            by_hand = gr.Textbox(
                visible=False, interactive=True, label="Copy this link",
                info="The browser doesn't let this page do it.",
            )  # fmt: skip
    address = gr.Textbox(link, visible="hidden", elem_id="address")
    opened = gr.Number(visible="hidden", precision=0)
    archive = gr.DownloadButton(visible="hidden")
    controls, shown = [page.picker, label, seed, count, truncation], [gallery, status, address]

    options: dict[str, Any] = {
        "trigger_mode": "always_last", "show_progress": "minimal", "show_progress_on": status,
        "api_visibility": "private", **DRAWS,
    }  # fmt: skip
    rolled = dice.click(None, None, seed, js=ROLL, api_visibility="private")
    asked = [*controls, address]
    rolled.then(page.handler(press), asked, shown, **options)
    generate.click(page.handler(press), asked, shown, **options)
    typed = [label.input, seed.input, count.input, truncation.input]
    gr.on(typed, page.handler(update), asked, shown, **options)
    closing = f"(...values) => {{ {CLOSE}; return values; }}"
    page.picker.input(page.handler(switch), asked, [*controls[1:], *shown], js=closing, **options)
    page.on_load(restore, [*controls, *shown], progress=status)
    address.change(None, address, [copy, by_hand], js=SET_ADDRESS)
    copy.click(None, address, [copy, by_hand], js=COPY_LINK)
    packed = download.click(page.handler(pack), address, archive, **options)
    packed.success(None, archive, js=SAVE_FILE)
    gallery.select(  # "always_last" would repeat the first event's picture, as gradio 6.31 has it
        open_picture, None, [opened, with_it], queue=False, trigger_mode="multiple", api_visibility="private"
    )
    gallery.preview_close(lambda: gr.update(visible=False), None, with_it, queue=False, api_visibility="private")
    with_it.click(page.handler(single), [address, opened], [page.picked, page.tabs], api_visibility="private")
    publish(page)


def publish(page: Page) -> None:
    """The public `/generate`. Its types are documentation; what a client sends is checked like everything else."""
    default = next(iter(page.models))
    handler = page.handler(answer, markup=False)

    def generate(
        model: str = default,
        label: str = EVERY_CLASS,
        seed: int = Settings.seed,
        num_images: int = Settings.num_images,
        truncation: float = Settings.truncation,
    ) -> tuple[list[Any], dict[str, Any]]:
        return handler(model, label, seed, num_images, truncation)

    begins = [f"{model.truncation:g} for {model.name}" for model in page.models.values()]
    description = (
        f"Draw pictures. model: {', '.join(page.models)}. label: a class name or number, empty for every class in "
        f"turn. seed: picture i has seed + i, from 0 to {MAX_SEED}. num_images: 1 to {MAX_IMAGES}. truncation: 0 to "
        f"{MAX_TRUNCATION:g}; the page begins with {', '.join(begins)}. Returns the PNG files, and model, seeds, "
        "labels, class_names, truncation and address."
    )
    queued = {name: DRAWS[name] for name in ("concurrency_id", "concurrency_limit")}
    gr.api(generate, api_name="generate", api_description=description, **queued)

"""The tab that plays with latents: what is between two seeds, what a direction does, and what a visitor sees of it."""

import base64
import dataclasses
import io
import re
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

from ganhub.directions import Effect, save_directions
from ganhub.errors import UserError
from ganhub.latents import sample
from ganhub.studio.models import Model, load_models
from ganhub.studio.play import (
    FRAMES,
    REACH,
    SLIDERS,
    check,
    file_name,
    play,
    redraw,
    slide,
    sliders,
    switch,
    take,
)  # fmt: skip

REST = (0.0,) * SLIDERS


@pytest.fixture(scope="module")
def models(model_folders: dict[str, Path]) -> dict[str, Model]:
    return load_models([str(folder) for folder in model_folders.values()])


def pixels(markup: str) -> np.ndarray:
    """Of the picture in it."""
    (data,) = re.findall(r'src="data:[^,]*,([^"]*)', markup)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def test_the_way_begins_and_ends_at_the_pictures_of_its_seeds(models: dict[str, Model]) -> None:
    draw = models["digits"].pipeline
    for share, seed in ((0.0, 3), (1, 8)):  # as a browser sends it
        picture, way = map(pixels, play(models, "digits", "two", 1.0, 3, 8, share, *REST))
        (expected,) = draw(1, labels="two", seed=seed).images
        assert np.abs(np.asarray(expected, int) - picture).max() <= 1
        end = way[:, -32:] if share else way[:, :32]
        assert np.abs(end.astype(int) - picture).max() <= 1
        assert way.shape == (32, FRAMES * 34 - 2)


def test_halfway_latents_are_as_long_as_any(models: dict[str, Model]) -> None:
    blend = check(models, "frogs", None, 1.0, 3, 8, 0.5, *REST)
    ends = sample([3, 8], 16)
    (middle,) = blend.latents([0.5])
    assert ends.norm(dim=1).min() < middle.norm() < ends.norm(dim=1).max()
    torch.testing.assert_close(check(models, "frogs", None, 1.0, 3, 3, 0.5, *REST).latents([0.5])[0], ends[0])


def test_a_slider_pushes_along_its_direction(models: dict[str, Model], model_folders: dict[str, Path]) -> None:
    folder = model_folders["frogs"]
    vectors = {name: torch.eye(16)[i] for i, name in enumerate(("warmth", "light"))}
    save_directions(folder, vectors, {"warmth": Effect("red against blue", 0.5, 0.5)}, "")
    try:
        pushed = load_models([str(folder)])
    finally:
        (folder / "directions.safetensors").unlink()
    names = [(shows["label"], shows["info"]) for shows in sliders(pushed["frogs"]) if shows["visible"]]
    assert names == [("Light", ""), ("Warmth", "red against blue")]
    moved = check(pushed, "frogs", None, 1.0, 3, 8, 0.0, 1.5, -9.0, *REST[2:]).latents([0.0])[0] - sample([3], 16)[0]
    torch.testing.assert_close(moved, 1.5 * vectors["light"] - REACH * vectors["warmth"])
    assert "seed 3 · light +1.5<" in slide(pushed, "frogs", None, 1.0, 3, 8, 0.0, 1.5, *REST[1:])
    assert not any(shows["visible"] for shows in sliders(models["frogs"]))


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [(0, "cats", "model must be"), (2, "x", "truncation must be"), (3, -1, "seed must be"), (4, 1.5, "seed must be"),
     (5, "far", "a slider's value must be a number from 0 to 1"), (5, float("nan"), "got nan")],
)  # fmt: skip
def test_what_is_no_value_is_named(models: dict[str, Model], place: int, value: Any, message: str) -> None:
    values: list[Any] = ["digits", "two", 1.0, 3, 8, 0.5, *REST]
    values[place] = value
    with pytest.raises(UserError, match=message):
        play(models, *values)


def test_what_is_being_typed_waits(models: dict[str, Model]) -> None:
    for place in (2, 3, 4, 5):
        values: list[Any] = ["digits", "two", 1.0, 3, 8, 0.5, *REST]
        values[place] = None
        assert play(models, *values) == slide(models, *values) == gr.skip()


def test_another_model_keeps_the_seeds_and_puts_the_rest_to_rest(models: dict[str, Model]) -> None:
    label, truncation, seed, other, share, *pushes = switch(models, "digits", None, 3, None)
    assert (label["value"], truncation, seed, other, share) == ("zero", 1.0, 3, 1, 0.0)
    assert [push["value"] for push in pushes] == [0] * SLIDERS


def test_nothing_is_drawn_where_nobody_looks(models: dict[str, Model]) -> None:
    values = ("digits", "two", 1.0, 3, 8, 0.5, *REST)
    assert redraw(models, *values, True) == play(models, *values)
    assert redraw(models, *values, False) == gr.skip()


def test_a_picture_of_the_gallery_is_taken_as_it_was_drawn(models: dict[str, Model]) -> None:
    address = "?model=digits&label=two&seed=17&n=1&truncation=0.5"
    label, truncation, seed, other, share, *_ = take(models, "digits", address, 8)
    assert (label["value"], truncation, seed, other, share) == ("two", 0.5, 17, 8, 0.0)
    assert take(models, "frogs", address, 8) == gr.skip()  # another model was picked meanwhile


def test_a_download_says_what_it_is_made_of(models: dict[str, Model]) -> None:
    blend = check(models, "digits", "two", 0.7, 2, 1, 0.3, *REST)
    assert file_name(blend) == "digits_two_70-seed-2-30-seed-1_t0.7.png"
    pushed = dataclasses.replace(
        check(models, "frogs", None, 1.0, 2, 1, 1.0, *REST), steps={"light": 1.5, "warmth": -2}
    )
    assert file_name(pushed) == "frogs_seed-1_light-+1.5_warmth--2.png"

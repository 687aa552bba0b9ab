"""What comes with the package loads, fits, and keeps its promises."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from PIL import Image

from ganhub import GANPipeline, zoo_names
from ganhub.card import unfilled, write_card
from ganhub.hub import ZOO
from ganhub.latents import sample
from ganhub.layout import CURVES_FILE, STRIP_FILE, sheets_in, snapshot_folder
from ganhub.models import base
from training.__main__ import Train, parse
from training.presets import PRESETS
from training.presets.small import SMALL
from training.properties import PROPERTIES
from training.recipe import Recipe
from training.runlog import sample_sheet


def test_the_zoo_has_its_models():
    assert zoo_names() == ["digits", "faces", "frogs", "simpsons"]
    assert not {recipe.name for recipe in SMALL} & set(zoo_names())


def test_the_zoo_is_small():
    weights = list(ZOO.rglob("*.safetensors"))
    assert sum(file.stat().st_size for file in weights) < 32 * 10**6
    for name in zoo_names():
        assert sum(file.stat().st_size for file in (ZOO / name).rglob("*.safetensors")) < 9 * 10**6
    assert sum(file.stat().st_size for file in ZOO.glob("*/snapshots/*")) < 4 * 10**6


@pytest.mark.parametrize("name", zoo_names())
def test_a_zoo_model_loads_with_its_discriminator_and_judges_its_own(name):
    pipe = GANPipeline.from_pretrained(name, discriminator=True)
    output = pipe(4, output_type="pt")
    labels = torch.tensor(output.labels) if output.labels else None
    with torch.inference_mode():
        assert torch.isfinite(pipe.discriminator(output.images * 2 - 1, labels)).all()


@pytest.mark.parametrize("name", zoo_names())
def test_the_sheet_in_a_card_is_what_the_model_draws(name):
    sheet = sample_sheet(GANPipeline.from_pretrained(name).generator)
    shipped = Image.open(ZOO / name / "samples.png")
    assert shipped.size == sheet.size and shipped.mode == sheet.mode
    differences = [abs(a - b) for a, b in zip(shipped.tobytes(), sheet.tobytes(), strict=True)]
    assert max(differences) <= 1


@pytest.mark.parametrize("name", zoo_names())
def test_a_card_is_complete_reproducible_and_its_code_runs(name, tmp_path):
    folder = ZOO / name
    text = (folder / "README.md").read_text()
    card = ModelCard(text)
    assert card.data.license and card.data.pipeline_tag and card.data.eval_results
    for part in ("## How to use it", "## Training", "## Metrics", "Protocol:", "## Limits", "Terms of the data"):
        assert part in text
    assert "/work" not in text and "../" not in text and unfilled(folder) == []
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    write_card(copy)
    assert (copy / "README.md").read_bytes() == (folder / "README.md").read_bytes()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.S)
    check = "\nassert len(images) == 16 and images[0].size[0] == pipe.generator.config.resolution"
    subprocess.run([sys.executable, "-c", code + check], check=True, cwd=tmp_path)


@pytest.mark.parametrize("name", zoo_names())
def test_the_pictures_of_a_card_are_small_and_may_be_shown(name):
    pictures = [ZOO / name / file for file in (CURVES_FILE, STRIP_FILE)]
    assert pictures[0].exists() and sum(file.stat().st_size for file in pictures if file.exists()) < 200_000
    assert pictures[1].exists() == (name not in ("faces", "simpsons"))  # of their pictures none may be passed on


@pytest.mark.parametrize("name", ["digits", "frogs"])
def test_the_training_can_be_scrubbed_through(name):
    folder = ZOO / name
    moments = sheets_in([file.relative_to(folder).as_posix() for file in folder.rglob("*.png")])
    assert 8 <= len(moments) <= 12
    sheets = [Image.open(folder / f"{snapshot_folder(images)}.png") for images in moments]
    assert {(sheet.size, sheet.mode) for sheet in sheets} == {(sheets[-1].size, sheets[-1].mode)}
    last = np.asarray(sheets[-1], float)
    distances = [np.abs(np.asarray(sheet, float) - last).mean() for sheet in sheets]
    assert distances[0] == max(distances) and distances[-2] < distances[0] / 2


@pytest.mark.parametrize("name", zoo_names())
def test_directions_move_what_they_are_named_after(name):
    pipe = GANPipeline.from_pretrained(name)
    assert len(pipe.directions) >= 3
    z = sample(range(24), pipe.generator.config.latent_dim)
    for direction, vector in pipe.directions.items():
        _, measure = PROPERTIES[direction]
        low, high = (measure(pipe(latents=z + step * vector, output_type="pt").images * 2 - 1) for step in (-2, 2))
        assert (high > low).float().mean() >= 0.7, direction


def arguments(network):
    left_out = base.ADDED_LATER  # what no recipe says
    return {key: value for key, value in network.config.items() if not key.startswith("_") and key not in left_out}


@pytest.mark.parametrize("name", zoo_names())
def test_recipe_and_metrics_of_a_zoo_model(name):
    recipe = Recipe.load(ZOO / name / "recipe.json")
    words = json.loads((ZOO / name / "card.json").read_text())["command"].split()
    options = parse(Train, "train", words[5:], default=Train(PRESETS[words[4]], Path("x")))
    assert words[:4] == ["python", "-m", "training", "train"] and options.recipe == recipe
    pipe = GANPipeline.from_pretrained(name, discriminator=True)
    generator, discriminator = recipe.build(pipe.num_classes)
    for built, loaded in ((generator, pipe.generator), (discriminator, pipe.discriminator)):
        assert arguments(built) == arguments(loaded)
    metrics = json.loads((ZOO / name / "metrics.json").read_text())
    assert metrics["protocol"]["samples"] >= 10_000 and metrics["kid_stderr"] >= 0


def test_digits_draws_the_class_that_is_asked_for():
    """A thousand samples, judged by the shipped classifier, which training never used."""
    from training.featurenet import FeatureNet

    output = GANPipeline.from_pretrained("digits")(1000, output_type="pt", seed=10**6)
    judge = FeatureNet.from_pretrained(ZOO / "digit-classifier")
    with torch.inference_mode():
        found = judge(output.images * 2 - 1).argmax(1)
    assert (found == torch.tensor(output.labels)).float().mean() >= 0.985

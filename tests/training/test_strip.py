"""Samples beside their nearest training pictures: the right ones, and only where the data may be shown."""

import dataclasses
import json

import pytest
import torch
from PIL import Image

from ganhub.card import Facts, read_facts, save_facts, unfilled
from tests.conftest import tiny_pipeline, write_pictures
from training import evaluate, pixel_measures
from training.data import load_images
from training.evaluate import Evaluate
from training.measures import Nearest, Pictures
from training.metrics import neighbours
from training.recipe import Recipe
from training.strip import BETWEEN, GAP, draw


def test_a_sample_stands_above_its_nearest_and_the_nearest_come_first():
    train = torch.arange(0, 240, 20, dtype=torch.uint8).reshape(12, 1, 1, 1).expand(-1, 1, 16, 16).contiguous()
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    offsets = torch.arange(12, dtype=torch.uint8).flip(0).reshape(12, 1, 1, 1) // 2
    generated = train[order] + offsets
    distances, index = neighbours(generated.flatten(1).float(), train.flatten(1).float())
    assert index[:, 0].tolist() == order.tolist()
    train[..., 8:] = 255  # so that it shows when one is turned round
    turned = torch.arange(12) % 3 == 0
    sheet = draw(Pictures(generated, None, train, train, 1.0), Nearest(distances[:, 0], index[:, 0], turned))
    side = 64
    assert sheet.mode == "L" and sheet.size == (10 * side + 9 * GAP, 4 * side + 2 * GAP + BETWEEN)
    xs = [i * (side + GAP) + 5 for i in range(10)]
    tops = [5, side + GAP + 5, 2 * side + GAP + BETWEEN + 5, 3 * side + 2 * GAP + BETWEEN + 5]
    rows = [[sheet.getpixel((x, y)) for x in xs] for y in tops]
    by_distance = distances[:, 0].argsort(stable=True)[:10]
    beside = train[order, 0, 0, 0].where(~turned, torch.tensor(255, dtype=torch.uint8))
    drawn = generated[:, 0, 0, 0]
    expected = [drawn[by_distance], beside[by_distance], drawn[:10], beside[:10]]
    assert rows == [values.tolist() for values in expected]


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(pixel_measures, "MIN_STEPS", 2)


@pytest.fixture
def folder(tmp_path, quick):
    """A conditional model without an extractor for its classes, and a card."""
    write_pictures(tmp_path / "squares", count=20)
    folder = tmp_path / "model"
    tiny_pipeline(channels=3).save_pretrained(folder)
    recipe = Recipe(name="tiny", source="nobody", resolution=16, channels=3, conditional=True)
    recipe.save(folder / "recipe.json")
    digest = load_images(dataclasses.replace(recipe, data=str(tmp_path / "squares"))).digest
    texts = {item.name: "x" for item in dataclasses.fields(Facts) if item.type is str}
    save_facts(Facts(**{**texts, "data_digest": digest, "show_data": True}, kimg=1.0, minutes=1.0), folder)
    return folder


def measure(folder, **options):
    evaluate.run(Evaluate(folder, str(folder.parent / "squares"), extractor="none", samples=20, **options))
    strip, card = folder / "memorisation.png", (folder / "README.md").read_text()
    assert strip.exists() == ("](memorisation.png)" in card)
    return strip.exists()


def test_the_strip_is_written_only_where_the_data_may_be_shown(folder):
    assert measure(folder)
    assert Image.open(folder / "memorisation.png").size[0] == 10 * 64 + 9 * GAP
    metrics = json.loads((folder / "metrics.json").read_text())
    assert any(note.startswith("accuracy per class was not measured") for note in metrics["notes"])
    assert "accuracy per class" not in " ".join(unfilled(folder)) and len(metrics["generator_sha256"]) == 64
    facts = read_facts(folder)
    save_facts(dataclasses.replace(facts, show_data=False), folder)
    assert not measure(folder)  # and the older one is gone
    assert measure(folder, show_training=True)
    save_facts(dataclasses.replace(facts, data_digest="other pictures"), folder)
    assert not measure(folder)

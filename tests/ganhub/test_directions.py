"""Named directions: kept with the model, unit vectors, and refused when they are anything else."""

import json

import pytest
import torch
from safetensors.torch import save_file

from ganhub import GANPipeline, UserError
from ganhub.card import save_facts, unfilled, write_card
from ganhub.card.check import weights_sha256
from ganhub.directions import Effect, read_directions, read_effects, save_directions, weights_of
from ganhub.layout import DIRECTIONS_FILE, Wanted, limit
from tests.conftest import tiny_pipeline
from tests.ganhub.test_card import FACTS
from training.recipe import Recipe

EFFECTS = {"slant": Effect("how far it leans", 0.5, 0.25), "weight": Effect("how much ink", 1.0, 2.0)}
VECTORS = {"slant": torch.eye(8)[1], "weight": torch.full((8,), 8**-0.5)}


def test_what_is_saved_is_what_a_pipeline_has(model):
    assert GANPipeline.from_pretrained(model).directions == {}
    save_directions(model, VECTORS, EFFECTS, weights_sha256(model))
    found = GANPipeline.from_pretrained(model).directions
    assert list(found) == ["slant", "weight"] and all(torch.equal(found[name], VECTORS[name]) for name in found)
    assert read_effects(model) == EFFECTS
    assert read_effects(model.parent) == {} and read_directions(model.parent, 8) == {}


BAD = {
    "longer": ({"slant": torch.ones(9)}, "slant has shape \\(9,\\), the model has 8"),
    "no unit": ({"slant": torch.ones(8)}, "slant has length 2.8"),
    "not finite": ({"slant": torch.full((8,), float("nan"))}, "has length nan"),
    "half": ({"slant": torch.eye(8)[0].half()}, "has shape"),
    "no name": ({"../x": torch.eye(8)[0]}, "short lower-case names"),
    "a flood": ({f"d{i}": torch.eye(8)[0] for i in range(65)}, "at most 64"),
}


@pytest.mark.parametrize("case", BAD)
def test_other_tensors_are_refused(case, model):
    tensors, message = BAD[case]
    save_file(tensors, model / DIRECTIONS_FILE)
    with pytest.raises(UserError, match=message):
        GANPipeline.from_pretrained(model)


def test_damage_is_one_line(model):
    save_directions(model, VECTORS, EFFECTS, weights_sha256(model))
    whole = (model / DIRECTIONS_FILE).read_bytes()
    (model / DIRECTIONS_FILE).write_bytes(whole[:-3])
    with pytest.raises(UserError, match="damaged"):
        GANPipeline.from_pretrained(model)
    (model / DIRECTIONS_FILE).write_bytes(whole + b"\0" * 2**20)
    with pytest.raises(UserError, match="larger than"):
        GANPipeline.from_pretrained(model)


EFFECT = {"about": "lean", "r2": 0.5, "per_step": 1.0}
FORGED = [{"what": 1}, [1], {**EFFECT, "about": "a\nb"}, {**EFFECT, "about": "x" * 101}, {**EFFECT, "r2": "no"}]
FORGED += [{**EFFECT, "r2": float("nan")}, {**EFFECT, "about": "\x1b[2J"}]


@pytest.mark.parametrize("forged", FORGED)
def test_a_forged_effect_is_refused(forged, model):
    save_file(VECTORS, model / DIRECTIONS_FILE, metadata={"slant": json.dumps(forged)})
    with pytest.raises(UserError, match="not what ganhub writes"):
        read_effects(model)


def test_only_the_effects_of_directions_are_read(model):
    save_file(VECTORS, model / DIRECTIONS_FILE, metadata={"format": "pt", "a|b": "x", "slant": json.dumps(EFFECT)})
    assert list(read_effects(model)) == ["slant"] and weights_of(model) == ""


def test_directions_of_other_weights_are_named_before_publishing(model):
    save_directions(model, VECTORS, EFFECTS, weights_sha256(model))
    assert not any(phrase.startswith("directions") for phrase in unfilled(model))
    tiny_pipeline(num_classes=0).save_pretrained(model)
    assert any(phrase.startswith("directions of these weights") for phrase in unfilled(model))


def test_pipelines_do_not_share_their_directions(model):
    first, second = (GANPipeline.from_pretrained(model) for _ in range(2))
    first.directions["slant"] = VECTORS["slant"]
    assert second.directions == {}


def test_a_card_says_what_they_do(model):
    save_facts(FACTS, model)
    Recipe(name="tiny", source="nobody").save(model / "recipe.json")
    write_card(model)
    assert "## Directions" not in (model / "README.md").read_text()
    save_directions(model, VECTORS, EFFECTS, weights_sha256(model))
    write_card(model)
    text = (model / "README.md").read_text()
    assert "| `slant` | how far it leans | 0.25 | 50% |" in text and 'from_pretrained("tiny").directions' in text


def test_they_are_fetched_with_the_generator_and_sheets_with_the_card():
    generator = ["generator/config.json", "generator/diffusion_pytorch_model.safetensors"]
    sheet, other = "snapshots/000001000.png", "snapshots/1.png"
    files = ["model_index.json", *generator, DIRECTIONS_FILE, "samples.png", sheet, other]
    assert set(Wanted(card=False).choose("a/b", files)) == {"model_index.json", *generator, DIRECTIONS_FILE}
    assert set(Wanted().choose("a/b", files)) == {*files} - {other}
    assert limit(DIRECTIONS_FILE) == 2**20 and limit(sheet) == 4_000_000 and limit(other) is None

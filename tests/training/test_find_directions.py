"""Directions are found where they are, and left out where there are none."""

import pytest
import torch
from safetensors.torch import save_file

from ganhub import GANPipeline, UserError
from ganhub.card.check import weights_sha256
from ganhub.directions import read_effects, weights_of
from ganhub.layout import DIRECTIONS_FILE
from tests.conftest import tiny_pipeline
from training import directions
from training.directions import Directions, fit, run
from training.properties import PROPERTIES, STROKES


def line(side: int = 33, lean: float = 0.0, thickness: int = 1) -> torch.Tensor:
    """(1, 1, R, R): a white stroke on black that moves `lean` pixels to the right for each pixel up."""
    image = -torch.ones(1, 1, side, side)
    for row in range(8, side - 8):
        column = round(side // 2 + lean * (side // 2 - row))
        image[0, 0, row, column : column + thickness] = 1
    return image


def test_strokes_are_measured():
    upright, leaning, thick = line(), line(lean=0.5), line(thickness=5)
    values = {name: [PROPERTIES[name][1](image).item() for image in (upright, leaning, thick)] for name in STROKES}
    assert values["slant"][0] == pytest.approx(0, abs=1e-6) and values["slant"][1] == pytest.approx(0.5, abs=0.03)
    assert values["weight"][2] == pytest.approx(5 * values["weight"][0]) == pytest.approx(5 * 17 / 33**2)
    assert values["height"][0] == pytest.approx(values["height"][1])
    assert values["width"][0] == pytest.approx(0, abs=1e-3) and values["width"][2] > 0.05


def test_colours_are_measured():
    image = -torch.ones(1, 3, 16, 16)
    image[:, 0] = 1  # all red
    measured = {name: function(image).item() for name, (_, function) in PROPERTIES.items()}
    assert measured["warmth"] == 2 and measured["green"] == -1
    assert measured["brightness"] == pytest.approx(0.299) and measured["contrast"] == pytest.approx(0, abs=1e-6)
    assert measured["background"] == pytest.approx(0.299)
    dark_frame = -torch.ones(1, 3, 16, 16)
    dark_frame[:, :, 2:-2, 2:-2] = 1
    assert PROPERTIES["background"][1](dark_frame).item() == pytest.approx(0, abs=1e-6)
    left = -torch.ones(1, 3, 16, 16)
    left[..., :8] = 1
    assert PROPERTIES["light"][1](left).item() == pytest.approx(1)


def test_a_known_direction_is_found_within_classes():
    draw = torch.Generator().manual_seed(0)
    z, labels = torch.randn(4000, 6, generator=draw), torch.arange(4000) % 2
    true = torch.tensor([3.0, 0.0, 4.0, 0.0, 0.0, 0.0]) / 5
    noise = torch.randn(4000, generator=draw)
    vector, r2, slope = fit(z, labels, 10 * labels + 2 * (z @ true) + noise)
    assert vector @ true > 0.99 and vector.norm() == pytest.approx(1)
    assert r2 == pytest.approx(4 / 5, abs=0.04) and slope == pytest.approx(2 / 5**0.5, abs=0.03)
    assert fit(z, labels, noise)[1] < 0.02
    kept = noise.double()
    fit(z, labels, kept)
    assert torch.equal(kept, noise.double()), "the caller's values were changed"


def test_the_folder_gets_directions_that_do_what_they_say(model, capsys):
    effects = run(Directions(model, samples=1000))
    assert effects == read_effects(model) and effects and weights_of(model) == weights_sha256(model)
    pipe = GANPipeline.from_pretrained(model)
    name = max(effects, key=lambda name: effects[name].r2)
    z = torch.randn(200, 8, generator=torch.Generator().manual_seed(9))
    low, high = (
        PROPERTIES[name][1](pipe(latents=z + step * pipe.directions[name], output_type="pt").images * 2 - 1)
        for step in (-1, 1)
    )
    assert (high > low).float().mean() > 0.9
    assert name in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"properties": ("smile",)}, "no 'smile'; known: weight"),
        ({"properties": ("warmth",)}, "draws grey pictures"),
        ({"samples": 79}, "at least 80"),
        ({"seed": -1}, "--seed must be from 0"),
        ({"seed": 10**30}, "--seed must be from 0"),
    ],
)
def test_what_can_not_be_found_is_refused(model, options, message):
    with pytest.raises(UserError, match=message):
        run(Directions(model, **options))
    assert not (model / "directions.safetensors").exists()


def test_few_extreme_pictures_do_not_decide():
    draw = torch.Generator().manual_seed(0)
    z = torch.randn(4000, 4, generator=draw)
    values = z[:, 0].clone()
    values[:20] = 1000 * z[:20, 1]
    assert fit(z, torch.zeros(4000, dtype=torch.long), values)[0][0] > 0.99


def test_what_rises_in_too_few_pictures_is_left_out(model, monkeypatch, capsys):
    monkeypatch.setattr(directions, "RELIABLE", 1.01)
    with pytest.raises(UserError, match="no property follows"):
        run(Directions(model, samples=400))
    assert "left out: rises in less than 101%" in capsys.readouterr().out


def test_a_generator_that_ignores_its_latents_has_none(tmp_path):
    pipe = tiny_pipeline(num_classes=0, channels=3)
    for weight in pipe.generator.stem.parameters():
        torch.nn.init.zeros_(weight)
    pipe.save_pretrained(tmp_path / "dull")
    save_file({"green": torch.eye(8)[0]}, tmp_path / "dull" / DIRECTIONS_FILE)  # of an earlier search
    with pytest.raises(UserError, match="no property follows"):
        run(Directions(tmp_path / "dull", samples=100))
    assert not (tmp_path / "dull" / DIRECTIONS_FILE).exists()

"""The linear classifier, exactly; then the command on a model and small pictures."""

import dataclasses
import json
import math
import subprocess
import sys

import pytest
import torch
from torch import nn

from ganhub import GANPipeline, UserError
from tests.conftest import tiny_pipeline, write_pictures
from training import linear, probe
from training.data import ImageData, load_images
from training.recipe import Recipe
from training.references import HELD_BACK
from training.trained import Trained

RANGE = (-1.0, 1.0)


def zeros(features, classes):
    network = nn.Linear(features, classes)
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    return network


def blobs(count, classes=3, features=5):
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % classes
    return torch.eye(features)[labels] + 0.1 * torch.randn(count, features, generator=random), labels


def test_the_fit_is_the_regularised_optimum():
    rows, labels = torch.tensor([[1.0], [-1.0]]), torch.tensor([0, 1])
    for ridge in (1.0, 0.1):
        network = zeros(1, 2)
        linear.fit(network, rows.half(), labels, ridge)
        (a,), (b,) = network.weight.tolist()
        # by symmetry the weights are a and -a, and a minimises log(1 + exp(-2a)) + ridge a^2
        assert a == pytest.approx(-b, abs=1e-4)
        assert 1 / (1 + math.exp(2 * a)) == pytest.approx(ridge * a, abs=1e-4)


def test_the_fit_does_not_depend_on_what_is_in_memory_at_once(monkeypatch):
    rows, labels = blobs(50)
    whole, parts = zeros(5, 3), zeros(5, 3)
    linear.fit(whole, rows, labels, 1e-2)
    monkeypatch.setattr(linear, "CHUNK", 7)
    linear.fit(parts, rows, labels, 1e-2)
    assert torch.allclose(whole.weight, parts.weight, atol=1e-3)
    assert linear.right(parts, rows, labels) == 50 == linear.right(whole, rows, labels)


def test_the_ridge_is_chosen_on_rows_that_were_held_back(monkeypatch):
    tried = []
    monkeypatch.setattr(linear, "TRIED", 50)
    monkeypatch.setattr(linear, "fit", lambda _, rows, labels, ridge: tried.append((len(rows), len(labels), ridge)))
    answers = iter([3, 7, 7, 5])
    monkeypatch.setattr(linear, "right", lambda _, rows, labels: next(answers) if len(rows) == 10 else None)
    _, ridge = linear.choose(*blobs(60), 3)
    assert ridge == linear.RIDGES[2]  # of two that are as good, the freer one; after a worse one none is tried
    assert tried == [(40, 40, r) for r in linear.RIDGES[:4]] + [(60, 60, linear.RIDGES[2])]


def test_a_classifier_of_the_chosen_ridge_tells_blobs_apart():
    rows, labels = blobs(90)
    network, _ = linear.choose(rows, labels, 3)
    assert linear.right(network, rows, labels) == 90


def test_standard_rows_have_no_mean_and_a_length_of_one_or_so():
    features = torch.randn(500, 16, generator=torch.Generator().manual_seed(0)) * torch.logspace(-2, 3, 16) + 5
    features[:, 3] = 7  # says nothing
    shift, scale = linear.standard(features)
    rows = (features - shift) * scale
    assert rows.mean(0).abs().max() < 1e-5 and (rows[:, 3] == 0).all()
    assert rows.square().sum(1).mean().item() == pytest.approx(15 / 16, rel=0.01)


def levels(count, seed=0):
    """Noise around one grey level a class."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    noise = torch.randint(60, (count, 1, 4, 4), generator=random)
    return ImageData((noise + 190 * labels[:, None, None, None]).to(torch.uint8), labels, ("dark", "light"), "")


def test_a_score_says_what_the_features_know():
    seen = []

    def level(images):
        seen.append((images.min().item(), images.max().item()))
        return images.mean((1, 2, 3))[:, None]

    everything = probe.score(level, levels(600), levels(100, seed=1), (0.0, 1.0), "cpu")
    assert (everything["accuracy"], everything["right"], everything["features"]) == (1.0, 100, 1)
    assert min(low for low, _ in seen) >= 0 and max(high for _, high in seen) == pytest.approx(249 / 255)
    nothing = probe.score(lambda images: torch.ones(len(images), 3), levels(600), levels(100), RANGE, "cpu")
    assert nothing["accuracy"] == 0.5


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("probe") / "model"
    tiny_pipeline(num_classes=3).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("probed") / "pictures", count=40)


def test_the_command_compares_with_an_untrained_one_and_with_pixels(model, pictures, tmp_path, capsys):
    options = probe.Probe(str(model), str(pictures), json=tmp_path / "probe.json")
    found = probe.run(options)
    assert json.loads(options.json.read_text()) == found
    assert found["train"] == {"split": "train", "count": 72}
    assert found["seen"] is None  # the model came without a recipe
    assert found["test"] == {"data": "pictures", "split": "a seeded tenth of train, held back", "count": 8}
    assert found["pixels"]["accuracy"] == 1.0 and found["pixels"]["features"] == 256
    assert found["discriminator"]["features"] == found["untrained"]["features"] == 16 * (4 + 8)
    assert found["conditional"] and found["classes"] == ["dark", "light"] and 0.5 <= found["chance"] < 1
    text = capsys.readouterr().out
    assert "model on pictures: a linear classifier of 2 classes, learnt from 72 pictures, asked about 8" in text
    assert "raw pixels     100.00%   8 of 8 right, 256 features" in text and "shown labels in its training" in text
    assert probe.run(options) == found  # the same again


def test_pictures_to_be_asked_about_may_come_from_elsewhere(model, pictures, tmp_path):
    other = write_pictures(tmp_path / "other", count=3)
    network = GANPipeline.from_pretrained(model, discriminator=True)
    trained = Trained(network.generator, network.discriminator, None)
    train, test, name = probe.read(probe.Probe(str(model), str(pictures), test_data=str(other)), trained)
    assert (len(train), len(test), name) == (80, 6, "train")
    with pytest.raises(UserError, match="--test-split train: is the split to learn from"):
        probe.read(probe.Probe(str(model), str(pictures), test_split="train"), trained)
    strange = write_pictures(tmp_path / "strange", ("light", "strange"), count=3)
    with pytest.raises(UserError, match="has the classes light, strange, not those of"):
        probe.read(probe.Probe(str(model), str(pictures), test_data=str(strange)), trained)
    with pytest.raises(UserError, match="6 pictures, too few to learn from; need 20"):
        probe.read(probe.Probe(str(model), str(other), test_data=str(pictures)), trained)


def test_the_same_pictures_by_another_name_are_not_unseen(model, pictures, tmp_path):
    (tmp_path / "link").symlink_to(pictures)
    for other in (f"{pictures}/", tmp_path / "link"):
        with pytest.raises(UserError, match="holds the very pictures to learn from; leave it out") as caught:
            probe.run(probe.Probe(str(model), str(pictures), test_data=str(other)))
        assert "\n" not in str(caught.value)


def test_pictures_that_training_has_seen_are_said_to_be_seen(pictures, tmp_path, capsys):
    for num_classes, words in ((3, "was trained on, with labels."), (0, "was trained on.")):
        folder = tmp_path / f"model{num_classes}"
        tiny_pipeline(num_classes=num_classes).save_pretrained(folder)
        Recipe(data=f"{pictures}/").save(folder / "recipe.json")
        assert probe.run(probe.Probe(str(folder), str(pictures)))["seen"] is True
        last = capsys.readouterr().out.splitlines()[-1]
        assert last == f"  The pictures asked about are from a split that this discriminator {words}"
    asked = probe.Probe("model", str(pictures))
    for recipe, test_name, expected in (
        (Recipe(data=str(pictures)), HELD_BACK.format("train"), True),
        (Recipe(data="/gone/pictures"), "train", True),  # all that a published recipe keeps is the name
        (Recipe(data=str(pictures)), "test", False),
        (Recipe(data="elsewhere"), "train", False),
        (None, "train", None),
    ):
        assert probe.seen(recipe, asked, test_name) is expected


def test_trained_untrained_and_pixels_are_told_apart(pictures, tmp_path, capsys):
    """A discriminator that sees nothing, one that sees the level, and pixels, of which there are 256."""
    pipe = tiny_pipeline(num_classes=0)
    for parameter in pipe.discriminator.parameters():
        torch.nn.init.zeros_(parameter)
    pipe.save_pretrained(tmp_path / "blind")
    found = probe.run(probe.Probe(str(tmp_path / "blind"), str(pictures)))
    assert found["discriminator"]["accuracy"] <= found["chance"] < 0.9
    assert found["untrained"]["accuracy"] > 0.9 and found["untrained"]["features"] == 192
    assert found["pixels"]["accuracy"] == 1.0 and found["pixels"]["features"] == 256
    rows = {line[:16].strip(): line[16:24].strip() for line in capsys.readouterr().out.splitlines()}
    for row, name in (("discriminator", "discriminator"), ("untrained", "untrained"), ("raw pixels", "pixels")):
        assert rows[row] == f"{found[name]['accuracy']:.2%}"


def test_pictures_are_prepared_as_they_were_for_the_model(model, pictures):
    pipe = GANPipeline.from_pretrained(model, discriminator=True)
    recipe = Recipe(resize="area", resolution=64, channels=3, data="elsewhere", classes=("frog",), conditional=True)
    trained = Trained(pipe.generator, pipe.discriminator, recipe)
    train, _, _ = probe.read(probe.Probe(str(model), str(pictures)), trained)
    expected = Recipe(data=str(pictures), resolution=16, channels=1, resize="area")
    assert train.digest == load_images(expected).digest
    assert train.digest != load_images(dataclasses.replace(expected, resize="lanczos")).digest


def test_classes_are_mixed_and_pictures_without_one_left_out():
    data = levels(400)
    data.labels[:] = torch.arange(400) // 200  # sorted, as in many data sets
    data.labels[:10] = -1
    mixed = probe.labelled(data, "some", seed=0)
    assert len(mixed) == 390 and 30 < mixed.labels[:100].sum() < 70
    assert sorted(mixed.labels.tolist()) == [0] * 190 + [1] * 200


def test_what_cannot_be_probed_is_one_line(model, pictures, tmp_path):
    tiny = tiny_pipeline()
    GANPipeline(tiny.generator, None, tiny.class_names).save_pretrained(tmp_path / "half")
    for words, name, data, classes in (
        ("has no classes to tell apart; add class subfolders", model, pictures / "dark", ()),
        ("one class only", model, pictures, ("dark",)),
        ("no such folder", model, tmp_path / "nowhere", ()),
        ("no such model", tmp_path / "nothing", pictures, ()),
        ("half: has no discriminator; take the run", tmp_path / "half", pictures, ()),
    ):
        with pytest.raises(UserError, match=words) as caught:
            probe.run(probe.Probe(str(name), str(data), classes=classes))
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="--seed must be from 0 to"):
        probe.run(probe.Probe(str(model), str(pictures), seed=10**20))


def test_commands_load_nothing_heavy_before_they_are_used():
    code = "import sys, training.modes, training.probe, training.prepare; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "diffusers", "datasets", "safetensors", "cv2"} & set(done.stdout.split())

"""`python -m training screen`: from marks to a screen that finds what was marked."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ganhub import GANPipeline, UserError, standalone
from ganhub.card.check import weights_sha256
from ganhub.directions import Effect, read_effects, save_directions, weights_of
from ganhub.latents import sample
from ganhub.layout import SCREEN_FILE
from ganhub.models import resnet
from tests.conftest import tiny_pipeline
from training import doubts
from training.__main__ import main
from training.doubts import auc
from training.marks import Marks
from training.screen import Screen, run

COUNT = 600


def images_of(pipe, seeds, **options):
    return pipe(len(seeds), seed=list(seeds), output_type="pt", **options).images


def brokenness(images):
    """What the made-up judge dislikes: much light in the upper left."""
    return images[:, :, :8, :8].mean((1, 2, 3))


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A conditional model whose pictures differ, and the marks of somebody who dislikes 15 % of them."""
    torch.manual_seed(0)
    sizes = {"resolution": 16, "channels": 1, "num_classes": 2, "width": 8}
    generator = resnet.Generator(**sizes, latent_dim=8)
    for parameter in generator.parameters():
        parameter.data.mul_(1.5)
    folder = tmp_path_factory.mktemp("screen") / "model"
    pipe = GANPipeline(generator, class_names=["a", "b"])
    pipe.save_pretrained(folder)
    limit = brokenness(images_of(pipe, range(2000))).quantile(0.85).item()
    wrong = brokenness(images_of(pipe, range(5000, 5000 + COUNT)))
    broken = [5000 + i for i in (wrong > limit).nonzero()[:, 0].tolist()]
    marks = {"first": 5000, "count": COUNT, "broken": broken, "flawed": []}
    (folder.parent / "marks.json").write_text(json.dumps(marks))
    return folder, limit


@pytest.fixture
def folder(original, tmp_path, monkeypatch):
    monkeypatch.setattr(doubts, "OTHERS", 1000)
    shutil.copytree(original[0].parent, tmp_path / "copy")
    return tmp_path / "copy" / "model"


def options(folder, **changes):
    return dataclasses.replace(Screen(folder, folder.parent / "marks.json", by="a test"), **changes)


def test_what_was_marked_is_hardly_drawn_any_more(folder, original):
    weights = folder / "generator" / "diffusion_pytorch_model.safetensors"
    before = load_file(weights)
    save_file(
        {key: value.half() for key, value in before.items()}, weights.with_suffix("").with_suffix(".fp16.safetensors")
    )
    found = run(options(folder))
    pipe = GANPipeline.from_pretrained(folder)
    seeds = range(20_000, 21_000)
    share = [
        (brokenness(images_of(pipe, seeds, screen=on)) > original[1]).double().mean().item() for on in (False, True)
    ]
    assert 0.1 < share[0] < 0.2 and share[1] < share[0] / 3
    assert found["broken_after"] < found["broken_before"] / 2 and 0.8 < found["auc"] < 1
    assert share[1] == pytest.approx(found["broken_after"], abs=0.04)
    kept = (pipe.generator.doubt(sample(seeds, 8), torch.arange(1000) % 2) <= 0).double().mean().item()
    assert kept == pytest.approx(0.7, abs=0.05)
    after = load_file(weights)
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert after.keys() - before.keys() == {"screening.weight", "screening.offset"}
    half = GANPipeline.from_pretrained(folder, variant="fp16")
    assert torch.equal(half.generator.screening.weight, pipe.generator.screening.weight)
    assert (folder / "samples.png").is_file()


def test_directions_stay_and_measurements_go(folder):
    before = weights_sha256(folder)
    save_directions(folder, {"up": torch.eye(8)[0]}, {"up": Effect("light", 0.5, 1.0)}, before)
    (folder / "metrics.json").write_text("{}")
    run(options(folder))
    assert weights_of(folder) == weights_sha256(folder) != before
    assert list(GANPipeline.from_pretrained(folder).directions) == list(read_effects(folder)) == ["up"]
    assert not (folder / "metrics.json").exists()
    save_directions(folder, {"up": torch.eye(8)[0]}, {}, before)  # those of other weights don't become these
    run(options(folder, keep=0.6))
    assert weights_of(folder) == before


def test_standalone_files_are_those_of_the_new_config(folder):
    standalone.write(folder)
    (folder / "generator" / "ganhub.models.resnet.py").write_text("old")
    run(options(folder))
    assert "class Screen" in (folder / "generator" / "ganhub.models.resnet.py").read_text()


def test_a_failure_leaves_the_model_as_it_was(folder, monkeypatch):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    saved = []

    def fill(*given, **options):
        if saved:
            raise OSError(28, "No space left on device")
        save_file(*given, **options)
        saved.append(given)

    monkeypatch.setattr("safetensors.torch.save_file", fill)
    shutil.copy(
        folder / "generator" / "diffusion_pytorch_model.safetensors",
        folder / "generator" / "diffusion_pytorch_model.fp16.safetensors",
    )
    with pytest.raises(UserError, match="can't be written .*No space left"):
        run(options(folder))
    assert before.items() <= {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}.items()
    assert GANPipeline.from_pretrained(folder).generator.screening is None
    assert not list(folder.glob(".screen-*"))


def test_marks_by_chance_are_refused(folder):
    draw = torch.Generator().manual_seed(3)
    broken = (5000 + torch.randperm(COUNT, generator=draw)[:60]).tolist()
    (folder.parent / "marks.json").write_text(json.dumps({"first": 5000, "count": COUNT, "broken": broken}))
    with pytest.raises(UserError, match=r"can't be told from these marks \(AUC 0\.[45]"):
        run(options(folder))


def test_a_class_that_is_broken_throughout_is_named(folder):
    broken = [seed for seed in range(5000, 5000 + COUNT) if seed % 2]
    (folder.parent / "marks.json").write_text(json.dumps({"first": 5000, "count": COUNT, "broken": broken}))
    with pytest.raises(UserError, match="--keep 0.5: of class b 0% would pass"):
        run(options(folder, keep=0.5))


def test_each_class_needs_marks(tmp_path, folder):
    generator = resnet.Generator(resolution=16, channels=1, num_classes=20, width=4, latent_dim=8)
    GANPipeline(generator).save_pretrained(tmp_path / "many")
    marks = {"first": 0, "count": 300, "broken": list(range(40))}
    (folder.parent / "marks.json").write_text(json.dumps(marks))
    with pytest.raises(UserError, match="300 pictures of 20 classes; 16 of each are needed"):
        run(options(tmp_path / "many", marks=folder.parent / "marks.json"))


def test_a_feature_that_never_changes_does_no_harm():
    draw = torch.Generator().manual_seed(0)
    features, pictures = torch.randn(200, 5, generator=draw).double(), torch.randn(200, 3, generator=draw).double()
    features[:, 2] = pictures[:, 1] = 1.0
    seen = doubts.Seen(features, torch.zeros(200, dtype=torch.long), pictures)
    weight, offset = doubts.fit(seen, features[:, 0], 1, 0.01, doubts.shared_with_pictures(seen, 1))
    assert weight.isfinite().all() and offset.isfinite().all() and weight[0] > 0.5


def test_the_command_says_what_it_did(folder, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["training", "screen", str(folder), "--marks", str(folder.parent / "marks.json")])
    main()
    assert "keeps 70% of the latents. Of the 600 pictures looked at 16" in capsys.readouterr().out


def test_its_own_record_makes_the_same_screen_again(folder):
    found = run(options(folder))
    assert json.loads((folder / SCREEN_FILE).read_text()) == json.loads(json.dumps(found)) and found["by"] == "a test"
    weights = (folder / "generator" / "diffusion_pytorch_model.safetensors").read_bytes()
    assert run(options(folder, marks=folder / SCREEN_FILE)) == found
    assert (folder / "generator" / "diffusion_pytorch_model.safetensors").read_bytes() == weights


def test_decorrelated_doubts_follow_the_pictures_less(folder):
    pipe = GANPipeline.from_pretrained(folder)
    marks = Marks.read(folder.parent / "marks.json")
    seen = doubts.look(pipe, range(2000), 2, coarse=True)
    coarse = doubts.within(seen.coarse, seen.labels, 2)[0]
    shared = []
    for strength in (0.0, 1.0, 1000.0):
        weight = doubts.learn(pipe, marks, options(folder, decorrelate=strength))[0]
        told = doubts.within((seen.features @ weight.double())[:, None], seen.labels, 2)[0]
        shared.append(((told / told.std()).T @ (coarse / coarse.std(0)) / len(coarse)).norm().item())
    assert shared[1] < 0.9 * shared[0] and shared[2] < 0.5 * shared[0]


def test_the_chance_to_doubt_the_broken_one_more():
    doubts = torch.tensor([0.1, 0.4, 0.35, 0.8])
    assert auc(doubts, torch.tensor([False, False, True, True])) == 0.75
    assert auc(doubts, torch.tensor([True, False, False, False])) == 0.0
    assert auc(torch.zeros(4), torch.tensor([True, False, False, False])) == 0.5


@pytest.mark.parametrize(
    ("marks", "message"),
    [
        ({"first": 0}, "needs first, a seed from 0 up, and count"),
        ({"first": -1, "count": 3}, "needs first, a seed from 0 up"),
        ({"first": 0, "count": True}, "needs first, a seed from 0 up"),
        ({"first": 5, "count": 100_001}, "from 1 to 100,000; has 5, 100001"),
        ({"first": 5, "count": 3, "broken": [6, 8]}, "8 is no seed from 5 to 7"),
        ({"first": 5, "count": 3, "flawed": ["5"]}, "'5' is no seed from 5 to 7"),
        ({"first": 5, "count": 3, "broken": 5}, "are lists of seeds, got 5"),
        ({"first": 5, "count": 3, "flawd": [5]}, "has no use for flawd; it takes first, count, broken and flawed"),
        ({"first": 5, "count": 3, "broken": [5, 6], "flawed": [7, 6]}, "seed 6 is both broken and flawed"),
        ({"first": 5, "count": 90, "broken": [5, 6]}, "2 of 90 are broken; at least 16"),
        ({"first": 5, "count": 30, "broken": list(range(5, 30))}, "25 of 30 are broken; at least 16"),
    ],
)
def test_marks_that_say_nothing_are_refused(folder, marks, message):
    (folder.parent / "marks.json").write_text(json.dumps(marks))
    with pytest.raises(UserError, match=message):
        run(options(folder))
    assert json.loads((folder / "generator" / "config.json").read_text())["screen"] == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keep": 0.2}, "--keep must be from 0.25 to below 1"),
        ({"keep": 1.0}, "--keep must be from 0.25 to below 1"),
        ({"keep": float("nan")}, "--keep must be from 0.25 to below 1"),
        ({"depth": 0}, "--depth must be from 1 to 2"),
        ({"depth": 3}, "--depth must be from 1 to 2"),
        ({"decorrelate": -1.0}, "--decorrelate must be a number from 0 up"),
        ({"decorrelate": float("inf")}, "--decorrelate must be a number from 0 up"),
    ],
)
def test_options_are_checked(folder, changes, message):
    with pytest.raises(UserError, match=message):
        run(options(folder, **changes))


def test_a_missing_file_of_marks_is_named(folder):
    with pytest.raises(UserError, match="nothing.json: no such file"):
        run(options(folder, marks=folder / "nothing.json"))


def test_a_zoo_model_is_no_folder_to_write_into(folder):
    with pytest.raises(UserError, match="faces: no such folder"):
        run(options(Path("faces"), marks=folder.parent / "marks.json"))


def test_other_families_have_no_screen(folder, tmp_path):
    tiny_pipeline().save_pretrained(tmp_path / "dcgan")
    with pytest.raises(UserError, match="the family dcgan can't be screened"):
        run(options(tmp_path / "dcgan", marks=folder.parent / "marks.json"))

"""A run becomes a model folder: whole, portable, and measured."""

import dataclasses
import json
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from ganhub import GANPipeline, UserError
from ganhub.card import UNSAID, unfilled
from training import checkpoint
from training.export import Export, about_run, command, minutes, run
from training.folders import appearing
from training.presets import PRESETS
from training.recipe import Recipe
from training.runlog import read_log
from training.sources import settled
from training.trainer import train


@pytest.fixture(scope="module")
def finished(tmp_path_factory, picture_folder):
    from tests.training.conftest import shrink

    folder = tmp_path_factory.mktemp("runs") / "run"
    ema = train(shrink(PRESETS["digits"], picture_folder, channels=3, save_kimg=0.02), folder)
    return folder, ema


@pytest.mark.parametrize("dtype", ["fp16", "fp32"])
def test_the_folder_draws_what_the_run_drew(finished, dtype, tmp_path):
    folder, ema = finished
    out = run(Export(folder, tmp_path / "model", dtype=dtype))
    pipe = GANPipeline.from_pretrained(out, discriminator=True)
    assert pipe.class_names == ["dark", "light"]
    z, labels = torch.randn(4, 8), torch.tensor([0, 1, 0, 1])
    tolerance = 2e-2 if dtype == "fp16" else 1e-6
    torch.testing.assert_close(pipe.generator(z, labels), ema(z, labels), atol=tolerance, rtol=0)
    stored = load_file(out / "generator" / "diffusion_pytorch_model.safetensors")
    floats = {value.dtype for value in stored.values() if value.is_floating_point()}
    assert floats == {torch.float16 if dtype == "fp16" else torch.float32}


def test_the_folder_is_complete_and_names_no_path_of_this_machine(finished, tmp_path, picture_folder):
    out = run(Export(finished[0], tmp_path / "tiny"))
    names = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    parts = {f"{part}/{file}" for part in ("generator", "discriminator") for file in ("config.json",)}
    weights = {f"{part}/diffusion_pytorch_model.safetensors" for part in ("generator", "discriminator")}
    texts = {"README.md", "card.json", "model_index.json", "recipe.json", "training_log.jsonl"}
    assert names == parts | weights | texts | {"samples.png", "curves.png"}
    for name in texts | parts:
        assert str(picture_folder.parent) not in (out / name).read_text()
    assert Recipe.load(out / "recipe.json").data == picture_folder.name
    card = (out / "README.md").read_text()
    assert "# tiny\n" in card and "Not measured yet" in card and 'from_pretrained("tiny")' in card
    assert len((out / "training_log.jsonl").read_text().splitlines()) == 6


def test_the_card_s_code_runs_and_the_card_says_what_is_missing(finished, tmp_path):
    out = run(Export(finished[0], tmp_path / "tiny"))
    text = (out / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.S)
    check = "\nassert len(images) == 16 and images[0].size == (16, 16)"
    subprocess.run([sys.executable, "-c", code + check], check=True, cwd=tmp_path)
    assert "](curves.png)" in text and " 0 minutes" not in text and "CPU core" in text
    missing = " ".join(unfilled(out))
    for part in ("licence", "terms of the data", "limits", "bias", "metrics"):
        assert part in missing
    said = {"license": "cc0-1.0", "data_terms": "drawn here", "limits": "two levels", "bias": "none"}
    run(Export(finished[0], out, force=True, **said))
    assert [phrase.split()[0] for phrase in unfilled(out)] == ["metrics"]


def test_the_history_is_the_run_s_own_sheets(finished, tmp_path):
    sheets = sorted((finished[0] / "samples").glob("*.png"))
    out = run(Export(finished[0], tmp_path / "tiny", history=5))
    kept = sorted((out / "snapshots").iterdir())
    assert [file.name for file in kept] == [sheet.name for sheet in sheets] == ["000000020.png", "000000040.png"]
    assert kept[1].read_bytes() == sheets[-1].read_bytes()
    with pytest.raises(UserError, match="--history must be 0 to 24"):
        run(Export(finished[0], tmp_path / "none", history=-1))
    assert "`snapshots/` has this sheet" in (out / "README.md").read_text()
    older = run(Export(finished[0], tmp_path / "older", checkpoint=5, history=9))
    assert [int(file.stem) for file in sorted((older / "snapshots").iterdir())] == [20]


def test_an_older_checkpoint_can_be_taken(finished, tmp_path):
    folder, _ = finished
    run(Export(folder, tmp_path / "old", checkpoint=5))
    assert json.loads((tmp_path / "old" / "card.json").read_text())["kimg"] == pytest.approx(0.02)
    assert read_log(tmp_path / "old" / "training_log.jsonl")[-1]["kimg"] == 0.02
    with pytest.raises(UserError, match="no checkpoint of step 7; there are 5, 10"):
        run(Export(folder, tmp_path / "x", checkpoint=7))


def test_nothing_is_replaced_unless_asked_and_nothing_is_left_half_written(finished, tmp_path):
    folder, _ = finished
    with pytest.raises(UserError, match="not found"):
        run(Export(tmp_path / "nowhere", tmp_path / "model"))
    out = run(Export(folder, tmp_path / "model"))
    with pytest.raises(UserError, match="is already there"):
        run(Export(folder, out))
    run(Export(folder, out, force=True, summary="Draws levels."))
    assert "Draws levels." in (out / "README.md").read_text()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious.txt").write_text("x")
    with pytest.raises(UserError, match="is already there"):
        run(Export(folder, tmp_path / "mine", force=True))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "model"]


def test_a_place_that_is_taken_meanwhile_is_left_alone(tmp_path):
    out = tmp_path / "model"
    with pytest.raises(UserError, match="was made by somebody else meanwhile"), appearing(out, force=True) as aside:
        aside.mkdir()
        out.mkdir()
        (out / "precious.txt").write_text("x")
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "precious.txt"]


def test_a_damaged_checkpoint_is_one_line(finished, tmp_path):
    import shutil

    broken = tmp_path / "run"
    shutil.copytree(finished[0], broken, symlinks=True)
    weights = checkpoint.find(broken) / "ema.safetensors"
    weights.write_bytes(weights.read_bytes()[:50])
    with pytest.raises(UserError, match="000010: damaged .*delete it"):
        run(Export(broken, tmp_path / "model"))
    save_file({"other": torch.zeros(1)}, weights)  # whole, but of something else: not to be deleted
    with pytest.raises(UserError, match="000010: fits neither this recipe nor this version of ganhub .*Missing key"):
        run(Export(broken, tmp_path / "model"))
    weights.unlink()
    weights.mkdir()
    with pytest.raises(UserError, match="000010: can't be read .*mend that"):
        run(Export(broken, tmp_path / "model"))
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("changes", "known", "summary"),
    [
        ({}, True, "Handwritten digits of the class you ask for: MNIST at 32x32, grey."),
        ({"resolution": 16}, True, "Handwritten digits of the class you ask for: MNIST at 16x16, grey."),
        ({"conditional": False}, True, "A small GAN trained on mnist."),  # asks for no class
        ({"arch": "dcgan"}, True, "A small GAN trained on mnist."),
        ({"classes": ("7",)}, False, "A small GAN trained on mnist."),
        ({"data": "letters"}, False, "A small GAN trained on letters."),
    ],
)
def test_the_texts_of_a_preset_are_told_of_what_it_still_is(changes, known, summary):
    recipe = dataclasses.replace(PRESETS["digits"], **{"data": "mnist", **changes})
    about = about_run(recipe, recipe.data)
    assert about.summary == summary and about.data.startswith("MNIST: Y. LeCun") == known
    assert (about.limits == UNSAID) == ("A small GAN" in summary)


def test_the_command_in_a_card_gives_the_recipe_again(tmp_path):
    from training.__main__ import Train, parse

    recipe = dataclasses.replace(
        PRESETS["frogs"],
        data="user/cats",
        kimg=12.5,
        flip=False,
        classes=(),
        augment=(),
        penalties={"r1": 0.1},
        discriminator={"width": 8, "norm": "none"},
        betas=(0.0, 0.9),
        later_kimg=6.0,
        later={"augment_p": 0.6, "penalties": {"r1": 0.5, "r2": 0.5}, "later_kimg": 9.0, "later": {"typical": 0.7}},
    )
    words = shlex.split(command(recipe))
    assert words[:5] == ["python", "-m", "training", "train", "frogs"]
    parsed = parse(Train, "train frogs", words[5:], default=Train(PRESETS["frogs"], tmp_path))
    assert parsed.recipe == recipe


def test_the_command_in_a_card_starts_as_many_processes(finished, tmp_path):
    for folder in checkpoint.folders(shutil.copytree(finished[0], tmp_path / "run", symlinks=True)):
        shutil.copy(folder / "rng-0.safetensors", folder / "rng-1.safetensors")
    for folder, start in ((finished[0], "python"), (tmp_path / "run", "torchrun --nproc_per_node 2")):
        out = run(Export(folder, tmp_path / start.split()[0]))
        card = json.loads((out / "card.json").read_text())
        assert card["command"].startswith(f"{start} -m training train digits --data ")


def test_a_command_can_leave_out_the_second_half_of_a_preset(tmp_path):
    from training.__main__ import Train, parse

    recipe = dataclasses.replace(PRESETS["simpsons"], data="user/cats", kimg=9.0, lr_kimg=9.0, later_kimg=0.0, later={})
    words = shlex.split(command(recipe))
    assert parse(Train, "train simpsons", words[5:], default=Train(PRESETS["simpsons"], tmp_path)).recipe == recipe


def test_a_folder_is_known_for_one_from_elsewhere(picture_folder, tmp_path, monkeypatch):
    from tests.training.conftest import shrink

    shutil.copytree(picture_folder, tmp_path / "data" / "faces")
    monkeypatch.chdir(tmp_path)
    train(shrink(PRESETS["digits"], "data/faces", channels=3, kimg=0.004), "run")
    assert settled("stacked:data/faces") == f"stacked:{tmp_path}/data/faces" and settled("toy:ring") == "toy:ring"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    out = run(Export(tmp_path / "run", tmp_path / "model"))
    card = json.loads((out / "card.json").read_text())
    assert Recipe.load(out / "recipe.json").data == "faces" and card["data_id"] == ""
    assert "--data faces " in card["command"]


def test_minutes_leave_interruptions_out():
    log = [{"kimg": 6.0, "images_per_second": 100.0}, {"kimg": 12.0, "images_per_second": 50.0}]
    assert minutes(log) == pytest.approx(1.0 + 2.0)
    stopped = [*log, {"kimg": 13.0, "images_per_second": 0.0}, {"kimg": 14.0, "images_per_second": 0.01}]
    assert minutes([*stopped, *({"kimg": 14.0 + i, "images_per_second": 50.0} for i in range(1, 6))]) < 6
    slower = [{"kimg": 1.0 + i, "images_per_second": 5000.0 if i < 6 else 60.0} for i in range(10)]  # another machine
    assert minutes(slower) == pytest.approx((6 / 5 + 4000 / 60) / 60, rel=0.3)
    assert minutes([]) == minutes([{"kimg": 1.0, "images_per_second": 0.0}]) == 0

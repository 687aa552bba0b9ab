"""`python -m training prepare`: what is accepted, what is rejected and why, and that nothing is left half-done."""

import io
import json
import os
import shlex
import signal
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from ganhub import UserError
from tests.conftest import write_pictures
from tests.training.drawings import draw_face, noise
from training import __main__ as command
from training import prepare as module
from training.crops import CROPS
from training.data import load_images
from training.detectors import find_detector
from training.prepare import Prepare, class_folders
from training.recipe import Recipe

SRGB = ImageCms.createProfile("sRGB")


def prepare(source, out, **options):
    return module.run(Prepare(str(source), out, **{"resolution": 16, **options}))


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["training", "prepare", *map(str, arguments)])
    command.main()


def load(folder, **changes):
    return load_images(Recipe(data=str(folder), resolution=16, **changes))


@pytest.fixture
def mixed(tmp_path):
    """One drawn face among seven pictures without any."""
    folder = tmp_path / "mixed pictures"
    folder.mkdir()
    draw_face().save(folder / "face.png")
    for i in range(7):
        noise((160, 120), i).save(folder / f"noise{i}.png")
    return folder


def test_a_prepared_folder_trains_as_its_source_would(picture_folder, tmp_path):
    report = prepare(picture_folder, tmp_path / "out")
    source, out = load(picture_folder), load(tmp_path / "out")
    assert torch.equal(out.images, source.images) and torch.equal(out.labels, source.labels)
    assert out.class_names == source.class_names
    assert report.accepted == 24 and not report.rejected and report.classes == {"dark": 12, "light": 12}
    assert {file.name for file in tmp_path.iterdir()} == {"out"}


def test_a_flat_folder_stays_flat_and_one_picture_is_enough(picture_folder, tmp_path):
    prepare(picture_folder / "dark", tmp_path / "flat", channels=1)
    flat = load(tmp_path / "flat", channels=1)
    assert len(flat) == 12 and flat.labels is None
    assert Image.open(tmp_path / "flat/train/00.png").mode == "L"
    prepare(picture_folder, tmp_path / "one", limit=1)
    assert len(load(tmp_path / "one")) == 1  # though report.json is as many files


def write_parquet(folder, labels, names=None):
    """One picture a label, or None for no class; with names, labels are numbers."""
    import datasets

    def encoded(i):
        file = io.BytesIO()
        noise(seed=i).save(file, "PNG")
        return {"bytes": file.getvalue(), "path": None}

    columns = {"image": [encoded(i) for i in range(len(labels))], "label": labels}
    label = datasets.ClassLabel(names=names) if names else datasets.Value("string")
    features = datasets.Features({"image": datasets.Image(), "label": label})
    datasets.Dataset.from_dict(columns, features=features).to_parquet(folder / "train-00000-of-00001.parquet")
    return folder


def test_a_parquet_source_and_rows_without_a_class(tmp_path):
    report = prepare(write_parquet(tmp_path / "rows", ["a/b", None, "../c", "a/b"]), tmp_path / "out")
    assert report.classes == {"a/b": 2, "../c": 1} and report.examples == {"without a class": ["row 1"]}
    assert load(tmp_path / "out").labels.bincount().tolist() == [2, 1]
    assert {file.parent.name for file in (tmp_path / "out").rglob("*.png")} == {"a_b", "c"}


def test_no_class_hides_leaves_or_shares_its_folder(tmp_path):
    assert class_folders(("cat", "..", ".x", "a/b")) == ["cat", "class", "x", "a_b"]
    assert class_folders(("a/b", "A_b", "0 a_b")) == ["0 a_b", "1 A_b", "2 0 a_b"]
    twelve = class_folders(("twin", *"abcdefghij", "twin"))
    assert twelve == sorted(twelve) and twelve[1] == "01 a" and twelve[11] == "11 twin"
    splits = ["test", "valid", "train", "dev"]  # words that `datasets` reads as splits
    prepare(write_parquet(tmp_path / "rows", splits), tmp_path / "test")
    assert load(tmp_path / "test").class_names == tuple(sorted(splits)) and len(load(tmp_path / "test")) == 4


def test_every_rejection_has_a_reason_and_a_name(picture_folder, tmp_path):
    folder = tmp_path / "some"
    folder.mkdir()
    for i in range(8):
        noise((40, 40), i).save(folder / f"good{i}.png")
    (folder / "broken.png").write_bytes(b"no picture")
    noise((10, 40), 9).save(folder / "narrow.png")
    noise((40, 40), 3).save(folder / "twin.bmp")
    report = prepare(folder, tmp_path / "out", min_size=20)
    assert report.accepted == 8 and report.enlarged == 0
    assert report.examples == {
        "unreadable": ["broken.png"],
        "smaller than 20 pixels": ["narrow.png"],
        "the same as an earlier one": ["twin.bmp"],
    }
    saved = json.loads((tmp_path / "out/report.json").read_text())
    assert saved["accepted"] == 8 and saved["rejected"]["unreadable"] == {"count": 1, "first": ["broken.png"]}
    assert str(tmp_path) not in json.dumps(saved) and "warning" not in saved
    lines = report.text().splitlines()
    assert lines[0] == "11 pictures: 8 accepted, 3 rejected" and "rejected 1, unreadable: broken.png" in lines[1]
    kept = prepare(folder, tmp_path / "kept", keep_duplicates=True)
    assert kept.accepted == 10 and kept.enlarged == 1 and len(load(tmp_path / "kept")) == 10


def test_a_limit_is_spread_over_the_source(picture_folder, tmp_path):
    assert prepare(picture_folder, tmp_path / "out", limit=6).classes == {"dark": 3, "light": 3}


def test_the_centre_detector_and_the_margin_say_how_much_is_taken(tmp_path):
    find = find_detector("centre").find
    assert find(Image.new("RGB", (100, 60))) == (35, 15, 65, 45)
    (tmp_path / "in").mkdir()
    noise((64, 32)).save(tmp_path / "in" / "a.png")
    prepare(tmp_path / "in", tmp_path / "half", detector="centre", margin=0)
    taken = np.asarray(Image.open(tmp_path / "half/train/0.png"))
    assert np.array_equal(taken, np.asarray(noise((64, 32)))[8:24, 24:40])
    prepare(tmp_path / "in", tmp_path / "all", detector="centre", margin=0.5, resolution=32)
    taken = np.asarray(Image.open(tmp_path / "all/train/0.png"))
    assert np.array_equal(taken, np.asarray(noise((64, 32)))[:, 16:48])


def test_few_finds_are_the_first_line_and_its_command_works(mixed, tmp_path, monkeypatch, capsys):
    options = ["--out", tmp_path / "out", "--resolution", 16, "--detector", "frontal", "--classes"]
    run(monkeypatch, mixed, *options)
    first, second = capsys.readouterr().out.splitlines()[:2]
    assert "WARNING: only 1 of 8 pictures (12.5%) accepted; 7 rejected: no face found" in first
    assert second == "8 pictures: 1 accepted, 7 rejected"
    fallback = shlex.split(first.partition("try instead: python -m training prepare ")[2])
    assert fallback[-3:] == ["--detector", "saliency", "--force"]
    run(monkeypatch, *fallback)
    assert capsys.readouterr().out.startswith("8 pictures: 8 accepted") and len(load(tmp_path / "out")) == 8


def test_nothing_accepted_is_one_line_and_writes_nothing(mixed, tmp_path, monkeypatch, capsys):
    (mixed / "face.png").unlink()
    with pytest.raises(SystemExit) as stop:
        run(monkeypatch, mixed, "--out", tmp_path / "out", "--detector", "frontal")
    out, error = capsys.readouterr()
    message = error.splitlines()[-1]
    assert stop.value.code == 1 and not out and "none of the 7 pictures accepted" in message
    assert "7 rejected: no face found; nothing was written; try instead: " in message
    assert message.endswith("--detector saliency")  # nothing to --force away
    assert list(tmp_path.iterdir()) == [mixed]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_leaves_what_was_there(signum, picture_folder, tmp_path, monkeypatch, capsys):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    prepare(picture_folder, tmp_path / "out", limit=2)

    def stop(*arguments):
        os.kill(os.getpid(), signum)
        return "stopped"

    monkeypatch.setattr(module, "prepare_one", stop)
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, picture_folder, "--out", tmp_path / "out", "--force", "--workers", 1)
    assert caught.value.code == 130 and "stopped; nothing was written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [tmp_path / "out"] and len(load(tmp_path / "out")) == 2
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_force_replaces_prepared_pictures_and_nothing_else(picture_folder, tmp_path):
    prepare(picture_folder, tmp_path / "out", limit=4)
    with pytest.raises(UserError, match="is already there"):
        prepare(picture_folder, tmp_path / "out")
    prepare(picture_folder, tmp_path / "out", force=True)
    assert len(load(tmp_path / "out")) == 24
    assert {file.name for file in tmp_path.iterdir()} == {"out"}


def test_force_leaves_alone_what_this_command_did_not_write(picture_folder, tmp_path):
    def refused(folder):
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(UserError, match="is already there, and not as prepare writes it") as caught:
            prepare(picture_folder, folder, force=True)
        assert sorted(tmp_path.rglob("*")) == before and "\n" not in str(caught.value)

    mine = tmp_path / "mine"
    mine.mkdir()
    refused(mine)
    (mine / "train").mkdir()
    for text in ("{}", "no JSON", "[]", '{"pictures": 3, "accepted": 2}'):
        (mine / "report.json").write_text(text)
        refused(mine)
    prepare(picture_folder, tmp_path / "out", limit=2)
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    refused(tmp_path / "out")
    (tmp_path / "out" / "thesis.txt").unlink()
    (tmp_path / "out" / "report.json").replace(mine / "report.json")
    refused(tmp_path / "out")  # pictures without a report
    prepare(picture_folder, mine, force=True)
    assert len(load(mine)) == 24


@pytest.mark.parametrize("fault", [OSError("disk gone"), KeyboardInterrupt(), signal.SIGTERM, signal.SIGINT], ids=repr)
def test_the_old_folder_survives_a_swap_that_fails(fault, picture_folder, tmp_path, monkeypatch):
    prepare(picture_folder, tmp_path / "out", limit=2)
    rename, calls = Path.rename, []

    def faulty(path, target):
        calls.append(path)
        if len(calls) == 2 and isinstance(fault, BaseException):
            raise fault
        os.kill(os.getpid(), fault if len(calls) == 2 else 0)  # 0 is no signal
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", faulty)
    if isinstance(fault, signal.Signals):  # too late to stop: all is written
        prepare(picture_folder, tmp_path / "out", force=True)
    else:
        with pytest.raises((UserError, KeyboardInterrupt)):
            prepare(picture_folder, tmp_path / "out", force=True)
    monkeypatch.undo()
    assert len(calls) >= 2 and list(tmp_path.iterdir()) == [tmp_path / "out"]
    assert len(load(tmp_path / "out")) == (24 if isinstance(fault, signal.Signals) else 2)


def test_where_the_old_folder_cannot_come_back_it_is_named(picture_folder, tmp_path, monkeypatch):
    prepare(picture_folder, tmp_path / "out", limit=2)
    rename, calls = Path.rename, []

    def once(path, target):
        if calls:
            raise OSError("disk gone")
        calls.append(rename(path, target))

    monkeypatch.setattr(Path, "rename", once)
    with pytest.raises(UserError, match=r"out: can't be written \(disk gone\); what was there is in ") as caught:
        prepare(picture_folder, tmp_path / "out", force=True)
    assert len(load(str(caught.value).rpartition(" is in ")[2])) == 2


@pytest.mark.parametrize("workers", [2, 0])
def test_pictures_are_prepared_side_by_side(workers, picture_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(module.os, "cpu_count", lambda: 2)
    meeting, prepare_one = threading.Barrier(2), module.prepare_one

    def meet(*arguments):
        meeting.wait(timeout=30)  # where only one works at a time, no other ever comes
        return prepare_one(*arguments)

    monkeypatch.setattr(module, "prepare_one", meet)
    assert prepare(picture_folder, tmp_path / "out", workers=workers).accepted == 24


def test_an_output_in_the_source_or_around_it_is_refused(picture_folder, tmp_path):
    source = write_pictures(tmp_path / "out" / "some", count=1)
    for out in (source / "prepared", source / "dark", source):
        with pytest.raises(UserError, match="is already there|lie in each other"):
            prepare(source, out)
    (tmp_path / "out" / "report.json").write_text("{}")
    with pytest.raises(UserError, match="lie in each other"):
        prepare(source, tmp_path / "out", force=True)
    assert len(load(source)) == 2


def test_mistakes_are_one_line(picture_folder, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("words")
    for options, words in (
        ({"source": "/no/such"}, "no such folder"),
        ({"source": tmp_path / "text"}, "no column of pictures"),
        ({"source": write_parquet(tmp_path / "rows", [0, 0], ["a", "b"]), "classes": ("b",)}, "has no pictures"),
        ({"out": tmp_path / "file" / "out"}, "can't be written"),
        ({"detector": "anime"}, "no detector 'anime'; known: none, frontal, saliency, centre, cascade:FILE.xml"),
        ({"crop": "round"}, f"no crop 'round'; known: {', '.join(CROPS)}"),
        ({"crop": "celeba", "detector": "centre"}, "both say where to cut"),
        ({"resolution": 0}, "--resolution must be from 4 to 2048, got 0"),
        ({"margin": float("nan")}, "--margin must be from 0 to 10"),
        ({"min_size": -1}, "--min-size must be"),
        ({"classes": ("cat",)}, "no class 'cat'"),
    ):
        with pytest.raises(UserError, match=words) as caught:
            prepare(**{"source": picture_folder, "out": tmp_path / "out", **options})
        assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


def test_pictures_lose_all_but_their_pixels(tmp_path):
    """A colour profile would stay in the file, and make the same pixels another picture."""
    (tmp_path / "photos").mkdir()
    pixels, tag = noise((20, 20)), Image.Exif()
    tag[0x010F] = "a camera"
    pixels.save(tmp_path / "photos" / "a.png")
    pixels.save(tmp_path / "photos" / "b.png", exif=tag, icc_profile=ImageCms.ImageCmsProfile(SRGB).tobytes())
    report = prepare(tmp_path / "photos", tmp_path / "out")
    (kept,) = (tmp_path / "out").rglob("*.png")
    assert report.rejected == {"the same as an earlier one": 1} and Image.open(kept).info == {}

"""`python -m training prepare`: what is accepted, what is rejected and why, and that nothing is left half-done."""

import io
import json
import os
import shlex
import signal
import sys

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFilter

from ganhub import UserError
from tests.conftest import write_pictures
from training import __main__ as command
from training import prepare as module
from training.crops import CROPS
from training.data import load_images
from training.detectors import find_detector
from training.prepare import Prepare, class_folders
from training.recipe import Recipe


def prepare(source, out, **options):
    return module.run(Prepare(str(source), out, **{"resolution": 16, **options}))


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["training", "prepare", *map(str, arguments)])
    command.main()


def load(folder, **changes):
    return load_images(Recipe(data=str(folder), resolution=16, **changes))


def draw_face(size=(160, 120), box=(30, 20, 90, 80)):
    """Hair, eyes, brows, nose and mouth with the shading of a photograph: OpenCV's frontal cascade takes it for one."""
    picture = Image.new("RGB", size, (120, 130, 140))
    draw, side = ImageDraw.Draw(picture), box[2] - box[0]

    def ellipse(left, top, right, bottom, level):
        place = [box[i % 2] + side * share for i, share in enumerate((left, top, right, bottom))]
        draw.ellipse(place, fill=(level, int(level * 0.85), int(level * 0.75)))

    ellipse(0.1, -0.15, 0.9, 0.8, 50)
    ellipse(0.12, 0, 0.88, 1.1, 200)
    for x in (0.32, 0.68):
        ellipse(x - 0.13, 0.27, x + 0.13, 0.45, 150)
        ellipse(x - 0.12, 0.25, x + 0.12, 0.3, 60)
        ellipse(x - 0.09, 0.34, x + 0.09, 0.43, 90)
    ellipse(0.44, 0.4, 0.56, 0.66, 225)
    ellipse(0.42, 0.62, 0.58, 0.67, 130)
    ellipse(0.33, 0.76, 0.67, 0.85, 110)
    return picture.filter(ImageFilter.GaussianBlur(side / 50))


def draw_cartoon(size=(160, 120), middle=(110, 50), radius=25):
    """A figure with outlines on a background that hardly changes."""
    ramp = np.linspace(90, 130, size[0])[None, :, None] + np.zeros((size[1], 1, 3))
    picture = Image.fromarray(ramp.astype(np.uint8))
    draw, (x, y) = ImageDraw.Draw(picture), middle
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(250, 210, 20), outline="black", width=2)
    for dx in (-10, 10):
        draw.ellipse((x + dx - 8, y - 12, x + dx + 8, y + 4), fill="white", outline="black", width=2)
        draw.ellipse((x + dx - 2, y - 6, x + dx + 2, y - 2), fill="black")
    draw.line((x - 12, y + 12, x + 12, y + 14), fill="black", width=2)
    return picture


def noise(size=(20, 20), seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


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


def write_parquet(folder, labels):
    """One picture a label, or None for no class."""
    import datasets

    def encoded(i):
        file = io.BytesIO()
        noise(seed=i).save(file, "PNG")
        return {"bytes": file.getvalue(), "path": None}

    columns = {"image": [encoded(i) for i in range(len(labels))], "label": labels}
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("string")})
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


def test_the_frontal_detector_finds_a_face_and_nothing_else():
    find = find_detector("frontal").find
    assert find(draw_face()) == pytest.approx((30, 20, 90, 80), abs=8)
    large = draw_face((1600, 1200), (900, 300, 1400, 800))  # shrunk before the search
    assert find(large) == pytest.approx((900, 300, 1400, 800), abs=60)
    assert find(noise((160, 120))) is None and find(draw_cartoon()) is None


def test_the_saliency_detector_finds_a_cartoon_and_nothing_on_a_plain_wall():
    find = find_detector("saliency").find
    for middle in ((110, 50), (50, 70)):
        left, top, right, bottom = find(draw_cartoon(middle=middle))
        assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx(middle, abs=15)
        assert 30 < right - left < 90 and right - left == pytest.approx(bottom - top)
    assert find(Image.new("RGB", (60, 40), "teal")) is None
    left, top, right, bottom = find(noise((64, 64)))  # nothing stands out: most of the middle
    assert left < 20 and top < 20 and right > 44 and bottom > 44
    assert find(noise((500, 3), 1)) is not None


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


def test_a_cascade_of_the_users(tmp_path):
    import cv2

    file = f"{cv2.data.haarcascades}haarcascade_frontalface_default.xml"
    assert find_detector(f"cascade:{file}").find(draw_face()) == pytest.approx((30, 20, 90, 80), abs=8)
    (tmp_path / "no.xml").write_text("<a/>")
    (tmp_path / "empty.xml").write_text("")
    for name, words in (("no.xml", "not a cascade"), ("empty.xml", "not a cascade"), ("gone.xml", "no such cascade")):
        with pytest.raises(UserError, match=words):
            find_detector(f"cascade:{tmp_path / name}")


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
    prepare(picture_folder, tmp_path / "out", limit=2)
    before = signal.getsignal(signal.SIGTERM)

    def stop(*arguments):
        os.kill(os.getpid(), signum)
        return "stopped"

    monkeypatch.setattr(module, "prepare_one", stop)
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, picture_folder, "--out", tmp_path / "out", "--force", "--workers", 1)
    assert caught.value.code == 130 and "stopped; nothing was written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [tmp_path / "out"] and len(load(tmp_path / "out")) == 2
    assert signal.getsignal(signal.SIGTERM) == before


def test_force_replaces_prepared_pictures_and_nothing_else(picture_folder, tmp_path):
    prepare(picture_folder, tmp_path / "out", limit=4)
    with pytest.raises(UserError, match="is already there"):
        prepare(picture_folder, tmp_path / "out")
    prepare(picture_folder, tmp_path / "out", force=True)
    assert len(load(tmp_path / "out")) == 24
    (tmp_path / "mine").mkdir()
    with pytest.raises(UserError, match="is already there"):
        prepare(picture_folder, tmp_path / "mine", force=True)


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
        ({"source": write_parquet(tmp_path / "rows", [])}, "has no pictures"),
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


def test_missing_or_too_new_opencv_is_one_line(monkeypatch):
    import cv2

    monkeypatch.delattr(cv2, "CascadeClassifier")
    with pytest.raises(UserError, match=r"has no cascades any more, OpenCV 4 has; pip install ganhub\[prepare\]"):
        find_detector("frontal")
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(UserError, match=r"needs OpenCV; pip install ganhub\[prepare\], or take --detector saliency"):
        find_detector("frontal")
    assert find_detector("saliency").find(draw_cartoon())

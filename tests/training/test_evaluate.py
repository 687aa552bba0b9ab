"""Measuring a model folder: the protocol beside the numbers, what is left out and why, and every wrong input."""

import dataclasses
import json
import re
import shutil
from types import SimpleNamespace

import datasets
import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from ganhub import GANPipeline, UserError
from ganhub.card.measured import _compared as compared_rows
from tests.conftest import tiny_pipeline, write_pictures
from training import evaluate, extractors, measures, pixel_measures, selection
from training.compared import named, read_kid
from training.data import ImageData
from training.evaluate import Evaluate, share_seen, table, trained_digest
from training.lens import open_lens
from training.measures import Pictures
from training.recipe import Recipe

CLASSES = ("zero", "one", "two")


@pytest.fixture(autouse=True, scope="module")
def quick():
    """A short two-sample test."""
    steps = pixel_measures.MIN_STEPS
    pixel_measures.MIN_STEPS = 10
    yield
    pixel_measures.MIN_STEPS = steps


def write_model(folder, num_classes: int = 3):
    tiny_pipeline(num_classes).save_pretrained(folder)
    Recipe(name="tiny", resolution=16, channels=1, conditional=num_classes > 0).save(folder / "recipe.json")
    return folder


def draw(pipe: GANPipeline, file, count: int, first_seed: int, mirrored: bool = False) -> None:
    """What the generator draws, as a data set: a perfect model of it."""
    out = pipe(num_images=count, seed=first_seed)
    images = [ImageOps.mirror(image) for image in out.images] if mirrored else out.images
    features = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=list(CLASSES)))
    file.parent.mkdir(parents=True, exist_ok=True)
    datasets.Dataset.from_dict({"image": images, "label": out.labels}, features).to_parquet(file)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A model, the data set that it is a perfect model of (train and test), and an extractor of its classes."""
    root = tmp_path_factory.mktemp("evaluate")
    write_model(root / "model")
    pipe = tiny_pipeline()
    draw(pipe, root / "data" / "train.parquet", 240, 100_000)
    draw(pipe, root / "data" / "test.parquet", 150, 200_000)
    small = {"resolution": 16, "channels": 1, "width": 8, "feature_dim": 16, "epochs": 12, "batch_size": 16}
    distortions = {"shift": 0.0, "degrees": 0.0, "zoom": 0.0}
    extractors.run(extractors.Extractor(str(root / "data"), root / "lens", **small, **distortions))
    return root


def options(root, **changes) -> Evaluate:
    usual = {"data": str(root / "data"), "extractor": str(root / "lens"), "samples": 150}
    return Evaluate(root / "model", **{**usual, **changes})


@pytest.fixture(scope="module")
def measured(folders):
    return evaluate.run(options(folders))


def test_a_perfect_model(measured):
    assert measured["kid"] == pytest.approx(0, abs=4 * measured["kid_stderr"])
    assert measured["precision"] > 0.8 and measured["recall"] > 0.8 and measured["coverage"] > 0.8
    assert measured["density"] == pytest.approx(1, abs=0.25)
    assert measured["two_sample_accuracy"] == pytest.approx(0.5, abs=4 * measured["two_sample_accuracy_stderr"])
    assert measured["near_duplicates"] < 0.1
    assert measured["memorisation"]["ratio"] == pytest.approx(1, abs=0.25)
    assert measured["conditional_accuracy"] > 0.6
    assert list(measured["conditional_accuracy_per_class"]) == list(CLASSES)
    assert sum(measured["class_counts"].values()) == 150


def test_the_protocol_stands_beside_the_numbers(measured, folders):
    protocol = measured["protocol"]
    never = {"trained_on": False, "share_trained_on": 0.0}
    assert protocol["reference"] == {"data": "data", "split": "test", "count": 150, **never}
    assert (protocol["extractor"], protocol["samples"], protocol["seed"], protocol["truncation"]) == ("lens", 150, 0, 1)
    assert len(protocol["extractor_sha256"]) == 64 and protocol["versions"]["torch"] == torch.__version__
    assert "fid" not in measured and "below 2,048" in measured["notes"][0]
    text = (folders / "model" / "metrics.json").read_text()
    assert json.loads(text) == measured and str(folders) not in text


def test_the_table_is_for_people(measured):
    text = table(measured)
    for part in (
        "150 samples (seed 0",
        "split test, never trained on",
        "KID",
        "Recall",
        "Memorisation",
        "FID left out",
    ):
        assert part in text


def test_the_same_seed_gives_the_same_numbers(measured, folders):
    assert evaluate.run(options(folders)) == measured


def test_copies_of_the_training_set_are_found(folders, tmp_path, monkeypatch):
    """The data set is what seeds 0 to 149 draw, classes in turn: then the samples are its very pictures."""
    monkeypatch.setattr(evaluate, "asked_classes", lambda pipe, real: [0, 1, 2])
    draw(tiny_pipeline(), tmp_path / "data" / "train.parquet", 150, 0)
    shutil.copy(folders / "data" / "test.parquet", tmp_path / "data")
    found = evaluate.run(options(folders, data=str(tmp_path / "data")))["memorisation"]
    assert found["ratio"] == 0 and found["too_close"] == 1 and found["held_back"] == "the reference, never trained on"


@pytest.mark.parametrize("flip", [True, False])
def test_mirrored_copies_are_found_where_training_mirrors(flip, folders, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate, "asked_classes", lambda pipe, real: [0, 1, 2])
    draw(tiny_pipeline(), tmp_path / "data" / "train.parquet", 150, 0, mirrored=True)
    shutil.copy(folders / "data" / "test.parquet", tmp_path / "data")
    (tmp_path / "lens").symlink_to(folders / "lens")
    recipe = Recipe.load(write_model(tmp_path / "model") / "recipe.json")
    dataclasses.replace(recipe, flip=flip).save(tmp_path / "model" / "recipe.json")
    found = evaluate.run(options(tmp_path))["memorisation"]
    assert found["space"] == "features" and found.get("mirrored", False) == flip
    assert (found["ratio"] == 0 and found["too_close"] == 1) == flip


def random_pictures(count):
    return torch.randint(256, (count, 1, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def with_and_without_mirroring(generated, real, train):
    pictures = Pictures(generated, None, real, train, share_trained_on=float(real is train))
    both = (dataclasses.replace(pictures, mirrored=mirrored) for mirrored in (True, False))
    (found, nearest), (plain, _) = (measures.measure(pictures, [], None, 0, "cpu") for pictures in both)
    return found["memorisation"], plain["memorisation"], nearest


@pytest.mark.parametrize("trained_on", [True, False])
def test_a_mirrored_copy_leads_to_its_picture(trained_on):
    train, others = random_pictures(60).split([40, 20])
    found, plain, nearest = with_and_without_mirroring(train[:30].flip(3), train if trained_on else others, train)
    assert found["space"] == "pixels" and found["mirrored"] and "mirrored" not in plain
    assert found["ratio"] == 0 and found["too_close"] == 1 and plain["ratio"] > 0.5
    assert nearest.rows.tolist() == list(range(30)) and nearest.distances.tolist() == [0.0] * 30


@pytest.mark.parametrize("trained_on", [True, False])
def test_real_pictures_are_mirrored_as_samples_are(trained_on):
    images = random_pictures(40)
    alike = images.flip(3) ^ 1  # nearly mirror images
    train = torch.cat([images, alike]) if trained_on else images
    found, plain, _ = with_and_without_mirroring(images, train if trained_on else alike, train)
    assert 0 < found["held_back_to_train_median"] < 0.1 * plain["held_back_to_train_median"]


def test_a_symmetric_picture_is_no_copy_of_itself():
    images = random_pictures(40) // 2
    train = images + images.flip(3)
    found, plain, _ = with_and_without_mirroring(train, train, train)
    assert found["held_back_to_train_median"] == plain["held_back_to_train_median"] > 1


def test_other_pictures_than_those_trained_on_are_told(tmp_path):
    (tmp_path / "card.json").write_text('{"data_digest": "abc"}')
    assert trained_digest(tmp_path) == "abc"
    assert trained_digest(tmp_path / "nowhere") == ""


def test_a_reference_that_was_trained_on_is_said_so(folders):
    found = evaluate.run(options(folders, split="train"))
    reference = found["protocol"]["reference"]
    assert reference["trained_on"] is True and reference["split"] == "train" and reference["share_trained_on"] == 1
    assert found["memorisation"]["held_back"] == "training pictures, each against all others"
    assert found["memorisation"]["space"] == "pixels"
    assert found["memorisation"]["ratio"] == pytest.approx(1, abs=0.25) and "100% of them trained on" in table(found)


@pytest.mark.parametrize(("shared", "trained_on"), [(1, False), (2, True), (60, True)])
def test_a_reference_that_was_partly_trained_on_is_said_so(folders, shared, trained_on):
    """One picture in a hundred may be known; with more of them, the reference is no longer held back."""
    data = ImageData(torch.randint(256, (100, 1, 16, 16), dtype=torch.uint8), None, (), "")
    train = ImageData(torch.cat([data.images[:shared], data.images[shared:] // 2]), None, (), "")
    pictures = evaluate.gather(tiny_pipeline(), train, data, options(folders, samples=20), flip=False)
    assert (pictures.share_trained_on, pictures.trained_on) == (shared / 100, trained_on)
    used = evaluate.protocol(options(folders), pictures, None, "test")["reference"]
    assert (used["share_trained_on"], used["trained_on"]) == (shared / 100, trained_on)
    held_back = measures.measure(pictures, list(CLASSES), None, 0, "cpu")[0]["memorisation"]["held_back"]
    assert held_back.startswith("training pictures" if trained_on else "the reference")


def test_pictures_that_a_recipe_left_out_were_not_trained_on(folders, tmp_path, monkeypatch):
    monkeypatch.setattr(selection, "FEWEST", 50)
    shutil.copytree(folders / "model", tmp_path / "model")
    recipe = dataclasses.replace(Recipe.load(tmp_path / "model" / "recipe.json"), typical=0.6)
    recipe.save(tmp_path / "model" / "recipe.json")
    found = evaluate.run(dataclasses.replace(options(folders, split="train"), folder=tmp_path / "model"))
    assert found["protocol"]["reference"]["share_trained_on"] == 0.6 and found["memorisation"]["train_count"] == 144
    assert found["protocol"]["reference"]["count"] == 240 and "60% of them trained on" in table(found)
    recipe = dataclasses.replace(recipe, data=str(folders / "data"))
    train, _, _ = evaluate.read(options(folders, split="train"), recipe)
    assert train.labels.bincount().tolist() == [48, 48, 48]  # of each class
    later = {"typical": 0.4, "later_kimg": 2.0, "later": {"typical": 1.0}}  # the second part's are among the first's
    for kimg, count in ((1.0, 144), (2.0, 144), (3.0, 240)):
        longer = dataclasses.replace(recipe, kimg=kimg, later_kimg=1.0, later=later)
        assert len(evaluate.read(options(folders, split="train"), longer)[0]) == count
    sharp = dataclasses.replace(recipe, sharpest=0.5, typical=1.0)
    assert len(evaluate.read(options(folders, split="train"), sharp)[0]) == 120
    with pytest.raises(UserError, match="what the recipe learns from: 12 pictures, too few"):
        evaluate.read(options(folders, split="train"), dataclasses.replace(recipe, typical=0.05))


THEIRS = "; give as --data the pictures that the model was trained on$"


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"typical": 0.6}, f"^typical 0.6: 240 pictures are too few to tell which are typical, that needs 800{THEIRS}"),
        ({"later_kimg": 1.0, "later": {"typical": 0.6}}, f"^from 1 kimg on, .*, that needs 800{THEIRS}"),
        ({"classes": ("four",)}, f"data: no class 'four'; it has zero, one, two{THEIRS}"),
    ],
)
def test_data_that_the_recipe_cannot_read_are_refused_without_options_of_training(changes, said, folders):
    recipe = Recipe(data=str(folders / "data"), resolution=16, channels=1, **changes)
    with pytest.raises(UserError, match=said):
        evaluate.read(options(folders), recipe)


def test_a_reference_that_cannot_be_read_is_refused_likewise(folders, tmp_path):
    datasets.Dataset.from_dict({"text": ["a", "b"]}).to_parquet(tmp_path / "train.parquet")
    recipe = Recipe(data=str(folders / "data"), resolution=16, channels=1)
    with pytest.raises(UserError, match=r"no column of pictures among .'text'.; give another --reference or --split$"):
        evaluate.read(options(folders, reference=str(tmp_path)), recipe)


@pytest.mark.parametrize(
    "labels, names, asked, mix",
    [
        ([2, 0, 2, 2], ("zero", "one", "two"), [2, 0, 2, 2], "as in the reference"),
        ([2, 0, 2, 2], ("two", "one", "zero"), [0, 2, 0, 0], "as in the reference"),  # by name, not by number
        ([1, 0, 1, 1], ("zero", "one"), [0, 1, 2], "equal"),
        (None, (), [0, 1, 2], "equal"),
    ],
)
def test_classes_are_asked_for_as_often_as_the_reference_has_them(labels, names, asked, mix):
    pictures = torch.zeros(4, 1, 16, 16, dtype=torch.uint8)
    real = ImageData(pictures, None if labels is None else torch.tensor(labels), names, "")
    pipe = tiny_pipeline()
    assert evaluate.asked_classes(pipe, real) == asked
    assert evaluate.labelled_alike(pipe, real) == (mix != "equal")
    assert evaluate.asked_classes(tiny_pipeline(0), real) == []


def test_classes_are_recognised_by_name_not_by_number():
    lens = SimpleNamespace(class_names=CLASSES)
    found = measures.classes(torch.tensor([2, 0, 2]), torch.tensor([0, 1, 0]), ["two", "zero"], lens)
    assert found["class_counts"] == {"zero": 1, "one": 0, "two": 2}
    assert found["conditional_accuracy"] == 1
    assert found["conditional_accuracy_per_class"] == {"zero": 1, "two": 1}


def test_pictures_that_lie_sorted_by_class_are_compared_in_another_order(tmp_path):
    """Or the first so many, which some metrics take, would be of one class."""
    data = str(write_pictures(tmp_path, CLASSES))
    train, real, _ = evaluate.read(Evaluate(tmp_path, data), Recipe(data=data, resolution=16))
    for pictures in (train, real):
        assert pictures.labels[:12].unique().tolist() == [0, 1, 2] and pictures.labels.bincount().tolist() == [12] * 3


def test_the_mix_of_classes_is_that_of_the_reference(folders, tmp_path, monkeypatch):
    """Other proportions would count as other pictures, whatever is drawn."""
    data = datasets.Dataset.from_parquet(str(folders / "data" / "test.parquet"))
    labels = torch.tensor(data["label"])
    few_ones = torch.cat([(labels != 1).nonzero()[:70], (labels == 1).nonzero()[:10]]).flatten().tolist()
    (tmp_path / "kept").mkdir()
    data.select(few_ones).to_parquet(tmp_path / "kept" / "train.parquet")
    found = evaluate.run(options(folders, reference=str(tmp_path / "kept"), samples=160))
    assert found["protocol"]["class_mix"] == "as in the reference" and "classes asked for: as in" in table(found)
    assert found["kid"] == pytest.approx(0, abs=4 * found["kid_stderr"])
    assert found["class_counts"]["one"] < 40
    monkeypatch.setattr(evaluate, "asked_classes", lambda pipe, real: [0, 1, 2])
    equal = evaluate.run(options(folders, reference=str(tmp_path / "kept"), samples=160))
    assert equal["kid"] > found["kid"] + 2 * found["kid_stderr"]


def test_a_reference_needs_no_classes(folders, tmp_path):
    """Nor the column names of the training data."""
    kept = datasets.Dataset.from_parquet(str(folders / "data" / "test.parquet"))
    (tmp_path / "kept").mkdir()
    kept.remove_columns("label").rename_column("image", "photo").to_parquet(tmp_path / "kept" / "train.parquet")
    for classes in ((), CLASSES):
        recipe = Recipe(name="tiny", resolution=16, channels=1, conditional=True, image_column="image", classes=classes)
        model = write_model(tmp_path / f"model{len(classes)}")
        recipe.save(model / "recipe.json")
        asked = dataclasses.replace(options(folders, reference=str(tmp_path / "kept")), folder=model)
        found = evaluate.run(asked)
        assert found["protocol"]["class_mix"] == "equal" and found["protocol"]["reference"]["count"] == 150
        assert found["conditional_accuracy"] > 0.8


def test_another_reference(folders, tmp_path):
    """Held-back pictures in a folder of their own, whose only split is called train."""
    (tmp_path / "kept").mkdir()
    shutil.copy(folders / "data" / "test.parquet", tmp_path / "kept" / "train.parquet")
    found = evaluate.run(options(folders, reference=str(tmp_path / "kept")))
    never = {"trained_on": False, "share_trained_on": 0.0}
    assert found["protocol"]["reference"] == {
        "data": "kept",
        "split": "train",
        "count": 150,
        **never,
        "other_data": True,
    }
    assert found["memorisation"]["train_count"] == 240


def test_without_an_extractor(folders):
    found = evaluate.run(options(folders, extractor="none"))
    assert not {"fid", "kid", "precision", "density", "class_counts", "conditional_accuracy"} & found.keys()
    assert {"swd", "two_sample_accuracy", "near_duplicates"} <= found.keys() and "no extractor" in found["notes"][0]
    assert found["memorisation"]["space"] == "pixels" and found["protocol"]["extractor_sha256"] is None


def test_an_unconditional_model_has_no_conditional_accuracy(folders, tmp_path):
    write_model(tmp_path / "model", num_classes=0)
    for name in ("data", "lens"):
        (tmp_path / name).symlink_to(folders / name)
    found = evaluate.run(options(tmp_path))
    assert "conditional_accuracy" not in found and sum(found["class_counts"].values()) == 150


def test_fid_from_2048_pictures_on():
    notes: list[str] = []
    x = torch.randn(2048, 4, generator=torch.Generator().manual_seed(0))
    assert measures.compare(x, x + 1, 0, notes)["fid"] == pytest.approx(4, rel=1e-4) and not notes
    assert "fid" not in measures.compare(x[1:], x, 0, notes) and len(notes) == 1


def test_share_seen():
    images = torch.arange(8, dtype=torch.uint8).view(8, 1, 1, 1).expand(-1, 1, 4, 4)
    assert share_seen(images, images) == 1 and share_seen(images, images[:2]) == 0.25
    assert share_seen(images[:4], images[4:]) == 0


def test_the_extractor_that_fits():
    with pytest.raises(UserError, match="no extractor fits") as error:
        open_lens("", 3, ("frog",))
    assert "python -m training extractor" in str(error.value)
    for channels, names in ((1, ("bag", "boot")), (1, ()), (3, tuple("0123456789"))):
        with pytest.raises(UserError, match="no extractor fits"):
            open_lens("", channels, names)
    assert open_lens("none", 3, ()) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"samples": 19}, "--samples must be at least 20"),
        ({"truncation": 3.0}, "truncation must be between 0 and 2"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"extractor": "nowhere"}, "no such folder; train one"),
        ({"extractor": "inception:nowhere.pth"}, "no such file"),
        ({"split": "nope"}, "nope"),
        ({"data": "/nowhere/at/all"}, "no such folder"),
        ({"extractor": ""}, "no extractor fits"),
        ({"device": "cuda:99", "data": "/nowhere/at/all"}, "--device cuda:99: can't be used"),
        ({"device": "toaster", "data": "/nowhere/at/all"}, "--device toaster: can't be used"),
    ],
)
def test_wrong_input_is_one_line(folders, changes, message):
    with pytest.raises(UserError, match=message) as error:
        evaluate.run(options(folders, **changes))
    assert "\n" not in str(error.value)


def test_a_folder_that_cannot_be_written_is_refused_before_measuring(folders, tmp_path, monkeypatch):
    def full(**_):
        raise OSError(28, "No space left on device")

    write_model(tmp_path / "model")
    monkeypatch.setattr(evaluate.tempfile, "NamedTemporaryFile", full)
    with pytest.raises(UserError, match=r"No space left on device\); nothing was measured"):
        evaluate.run(Evaluate(tmp_path / "model", data="/nowhere/at/all"))


def test_the_check_leaves_nothing_behind(tmp_path):
    evaluate.check_writable(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fills_up_while_measuring_leaves_the_numbers(folders, tmp_path, measured, monkeypatch, capsys):
    write_model(tmp_path / "model")
    (tmp_path / "model" / "metrics.json").mkdir()  # so that no file can take this name
    monkeypatch.setattr(measures, "measure", lambda *_: ({name: measured[name] for name in ("kid", "notes")}, None))
    with pytest.raises(UserError, match=r"can't be written .*; the numbers are above") as error:
        evaluate.run(Evaluate(tmp_path / "model", data=str(folders / "data"), extractor="none", samples=20))
    assert "\n" not in str(error.value) and f"{measured['kid']:.5f}" in capsys.readouterr().out


def test_a_card_shows_the_models_that_it_is_compared_with(folders, measured, tmp_path):
    """Two runs' models have the same name, which alone would hide one of them."""
    mine = shutil.copytree(folders / "model", tmp_path / "mine" / "model")
    others = [shutil.copytree(folders / "model", tmp_path / name / "model") for name in ("a", "b")]
    for other in others:
        (other / "metrics.json").write_text(json.dumps(measured))
    found = evaluate.run(dataclasses.replace(options(folders, compare=tuple(others)), folder=mine))
    kid = {name: measured[name] for name in ("kid", "kid_stderr")}
    assert found["compared"] == {"a/model": kid, "b/model": kid}
    (rows,) = compared_rows(found)
    assert "| a/model | " in rows and "| b/model | " in rows
    with pytest.raises(UserError, match="two have one name"):
        named([others[0], others[0]])


def test_samples_are_drawn_as_the_protocol_says(folders):
    pipe = GANPipeline.from_pretrained(folders / "model")
    asked = options(folders, samples=5, seed=7, truncation=0.5)
    images, labels = evaluate.generate(pipe, asked, [2, 0], chunk=2)
    wanted = pipe(labels=[2, 0, 2, 0, 2], seed=7, truncation=0.5, output_type="pt").images
    assert torch.equal(images, wanted.mul(255).round().to(torch.uint8)) and labels.tolist() == [2, 0, 2, 0, 2]


def test_other_models_are_compared_under_the_same_protocol_only(measured, folders, tmp_path):
    used, file = measured["protocol"], tmp_path / "metrics.json"
    with pytest.raises(UserError, match="has no KID to compare with"):
        read_kid(tmp_path, used)
    older = {key: value for key, value in used["reference"].items() if key != "share_trained_on"}
    for reference in (used["reference"], older):
        file.write_text(json.dumps({**measured, "protocol": {**used, "reference": reference}}))
        assert read_kid(tmp_path, used) == {name: measured[name] for name in ("kid", "kid_stderr")}
    others = [
        {"samples": 99},
        {"class_mix": "equal"},
        {"extractor_sha256": None},
        {"truncation": 0.5},
        {"screen": False},
    ]
    for key, value in {"count": 99, "data": "other", "split": "train", "trained_on": True}.items():
        others.append({"reference": {**older, key: value}})
    for change in others:
        file.write_text(json.dumps({**measured, "protocol": {**used, **change}}))
        with pytest.raises(UserError, match=f"measured with another {next(iter(change))}"):
            read_kid(tmp_path, used)
    earlier = {key: value for key, value in used.items() if key != "class_mix"}  # then it was equal
    file.write_text(json.dumps({**measured, "protocol": earlier}))
    with pytest.raises(UserError, match="measured with another class_mix"):
        read_kid(tmp_path, used)
    assert read_kid(tmp_path, {**used, "class_mix": "equal"})["kid"] == measured["kid"]
    unconditional = {key: value for key, value in measured.items() if key != "conditional_accuracy"}
    file.write_text(json.dumps({**unconditional, "protocol": earlier}))
    assert read_kid(tmp_path, used)["kid"] == measured["kid"]
    file.write_text("{")
    with pytest.raises(UserError, match="not valid JSON"):
        read_kid(tmp_path, used)


def test_a_model_without_a_kid_is_refused_before_measuring(folders, tmp_path, monkeypatch):
    monkeypatch.setattr(measures, "measure", lambda *_: pytest.fail("measured first"))
    with pytest.raises(UserError, match="has no KID to compare with"):
        evaluate.run(options(folders, compare=(tmp_path,), samples=20))


def test_folders_that_do_not_fit_are_refused(folders, tmp_path):
    with pytest.raises(UserError, match="no such model folder"):
        evaluate.run(Evaluate(tmp_path / "nothing", data=str(folders / "data")))
    write_model(tmp_path / "model")
    Recipe(resolution=16, channels=3).save(tmp_path / "model" / "recipe.json")
    changed = {"data": str(folders / "data"), "extractor": "none"}
    with pytest.raises(UserError, match=r"draws \(1, 16, 16\), its recipe says \(3, 16, 16\)"):
        evaluate.run(Evaluate(tmp_path / "model", **changed))
    (tmp_path / "model" / "recipe.json").unlink()
    with pytest.raises(UserError, match=r"recipe\.json: not found"):
        evaluate.run(Evaluate(tmp_path / "model", **changed))


def test_too_few_real_pictures_are_refused(folders, tmp_path):
    data = write_pictures(tmp_path / "few", ("a", "b"), count=5)
    with pytest.raises(UserError, match="10 pictures, too few"):
        evaluate.run(options(folders, reference=str(data)))


def test_an_extractor_for_other_channels_is_refused(folders, tmp_path):
    picture = Image.fromarray(np.zeros((8, 8, 3), np.uint8))
    for split, count in (("train", 30), ("test", 4)):
        (tmp_path / "rgb" / split / "a").mkdir(parents=True)
        for i in range(count):
            picture.save(tmp_path / "rgb" / split / "a" / f"{i}.png")
    small = {"resolution": 8, "width": 2, "feature_dim": 4, "epochs": 1, "batch_size": 10, "self_supervised": True}
    extractors.run(extractors.Extractor(str(tmp_path / "rgb"), tmp_path / "lens", **small))
    with pytest.raises(UserError, match="reads 3-channel pictures, the model draws 1"):
        evaluate.run(options(folders, extractor=str(tmp_path / "lens")))


def test_a_model_of_an_early_checkpoint_was_not_trained_on_what_came_later(folders, tmp_path):
    folder = shutil.copytree(folders / "model", tmp_path / "model")
    recipe = dataclasses.replace(Recipe.load(folder / "recipe.json"), kimg=9.0)
    recipe.save(folder / "recipe.json")
    (folder / "card.json").unlink(missing_ok=True)
    assert evaluate.as_trained(folder) == recipe
    (folder / "card.json").write_text('{"kimg": 4.5}')
    assert evaluate.as_trained(folder) == dataclasses.replace(recipe, kimg=4.5)


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"typical": "half"}, "recipe.json: typical must be a number, got 'half'"),
        ({"later_kimg": 1.0, "later": {"typical_by": "eye"}}, "recipe.json: later: typical_by must be one of"),
        ({"later_kimg": 1.0, "later": {"width": 3}}, "recipe.json: later has no 'width'"),
        ({"later_kimg": 1.0, "later": None}, "recipe.json: later must be of type dict, got None"),
    ],
)
def test_a_damaged_recipe_is_one_line(changes, said, folders, tmp_path):
    folder = shutil.copytree(folders / "model", tmp_path / "model")
    damaged = json.loads((folder / "recipe.json").read_text()) | changes
    (folder / "recipe.json").write_text(json.dumps(damaged))
    with pytest.raises(UserError, match=re.escape(said)):
        evaluate.as_trained(folder)


def test_a_damaged_fact_is_one_line(folders, tmp_path):
    folder = shutil.copytree(folders / "model", tmp_path / "model")
    (folder / "card.json").write_text('{"kimg": "4"}')
    with pytest.raises(UserError, match="card.json: kimg must be a number, got '4'"):
        evaluate.as_trained(folder)

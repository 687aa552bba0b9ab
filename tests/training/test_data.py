"""Reading pictures: parquet, folders, classes, damage, cache."""

import dataclasses
import io
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ganhub import UserError
from tests.conftest import write_pictures
from training import data as module
from training import references, sources
from training.data import Batches, ImageData, load_images, prepare, to_float
from training.recipe import Recipe
from training.trainer import train


def recipe_for(data, **changes):
    return Recipe(data=str(data), resolution=16, **changes)


@pytest.fixture
def parquet_folder(tmp_path, picture_folder):
    import datasets

    rows = datasets.load_dataset(str(picture_folder), split="train")
    rows.to_parquet(tmp_path / "parquet" / "train-00000-of-00001.parquet")
    return tmp_path / "parquet"


def test_a_folder_of_class_folders(picture_folder):
    data = load_images(recipe_for(picture_folder))
    assert data.images.shape == (24, 3, 16, 16) and data.images.dtype == torch.uint8 and data.images.is_contiguous()
    assert data.class_names == ("dark", "light") and data.labels.tolist() == [0] * 12 + [1] * 12
    levels = [data.images[data.labels == label].float().mean().item() for label in (0, 1)]
    assert levels == pytest.approx([60, 200], abs=5)


@pytest.mark.parametrize("where", ["vehicles", "cats [2021]"])
def test_no_name_of_a_class_or_a_picture_is_taken_for_a_split(where, tmp_path):
    folder = write_pictures(tmp_path / where, classes=("bus", "car", "train"), count=3)
    assert load_images(recipe_for(folder)).class_names == ("bus", "car", "train")
    assert len(load_images(recipe_for(folder))) == 9 and references.split_names(str(folder)) == ["train"]
    for name in ("train_1.png", "img_test.png"):
        (folder / "car" / "000.png").rename(folder / "car" / name) if name == "train_1.png" else shutil.copy(
            folder / "car" / "001.png", folder / "car" / name
        )
    (folder / "car" / "train_test_split.txt").write_text("001.png 1")
    assert len(load_images(recipe_for(folder / "car"))) == 4
    with pytest.raises(UserError, match="split 'test'"):
        load_images(recipe_for(folder / "car"), split="test")


@pytest.mark.parametrize("names", [("train", "test"), ("training_set", "test_set"), ("in/seg_train", "in/seg_test")])
def test_folders_of_splits_are_splits(names, tmp_path):
    (tmp_path / "__MACOSX").mkdir()
    for name, count in zip(names, (3, 2)):
        write_pictures(tmp_path / name, count=count)
    sizes = [len(load_images(recipe_for(tmp_path), split)) for split in ("train", "test")]
    assert sizes == [6, 4] and sorted(references.split_names(str(tmp_path))) == ["test", "train"]


def test_parquet_gives_the_same_as_the_folder(picture_folder, parquet_folder):
    folder, parquet = load_images(recipe_for(picture_folder)), load_images(recipe_for(parquet_folder))
    assert torch.equal(folder.images, parquet.images) and torch.equal(folder.labels, parquet.labels)
    assert folder.digest == parquet.digest


def test_a_flat_folder_has_no_classes(picture_folder):
    data = load_images(recipe_for(picture_folder / "dark"))
    assert len(data) == 12 and data.labels is None and data.class_names == ()
    with pytest.raises(UserError, match="no classes to condition on"):
        load_images(recipe_for(picture_folder / "dark", conditional=True))
    with pytest.raises(UserError, match="has no classes, so dark can't be chosen; a bare --classes"):
        load_images(recipe_for(picture_folder / "dark", classes=("dark",)))


def test_classes_are_chosen_and_numbered_in_the_given_order(picture_folder):
    light = load_images(recipe_for(picture_folder, classes=("light",)))
    assert len(light) == 12 and light.images.float().mean() > 150 and light.labels.unique().tolist() == [0]
    both = load_images(recipe_for(picture_folder, classes=("light", "dark")))
    assert both.class_names == ("light", "dark") and both.images[both.labels == 0].float().mean() > 150
    with pytest.raises(UserError, match="no class 'frog'; it has dark, light"):
        load_images(recipe_for(picture_folder, classes=("frog",)))


def test_unreadable_pictures_are_skipped_counted_and_named(tmp_path, caplog, monkeypatch):
    folder = write_pictures(tmp_path / "some")
    (folder / "dark" / "000.png").write_bytes(b"")
    (folder / "dark" / "001.png").write_bytes((folder / "dark" / "002.png").read_bytes()[:100])
    (folder / "light" / "003.png").write_text("no picture")
    for _ in range(2):  # the second time as the first: nothing is hidden by the cache
        caplog.clear()
        data = load_images(recipe_for(folder))
        assert len(data) == 21 and len(data.skipped) == 3 and data.labels.tolist() == [0] * 10 + [1] * 11
        assert "skipped 3 of 24 pictures" in caplog.text and "000.png" in caplog.text
        monkeypatch.setattr(module, "decode", lambda *_: pytest.fail("decoded again"))


def test_a_class_without_a_picture_is_nothing_to_learn(tmp_path):
    folder = write_pictures(tmp_path / "some", count=2)
    for file in (folder / "light").iterdir():
        file.write_text("no picture")
    assert len(load_images(recipe_for(folder))) == 2
    with pytest.raises(UserError, match="no picture of class light can be read; mend them, or name the others"):
        load_images(recipe_for(folder, conditional=True))


def test_pictures_are_decoded_chunk_by_chunk(tmp_path, monkeypatch):
    folder = write_pictures(tmp_path / "some")
    (folder / "light" / "003.png").write_text("no picture")
    whole, order = load_images(recipe_for(folder)), []
    monkeypatch.setattr(module, "CHUNK", 5)
    monkeypatch.setattr(module, "cached", lambda *_: None)
    found, decoded = module.pictures, module.prepare
    monkeypatch.setattr(module, "pictures", lambda *rows: (order.append("read") or item for item in found(*rows)))
    monkeypatch.setattr(module, "prepare", lambda *item: order.append("decoded") or decoded(*item))
    parts = load_images(recipe_for(folder))
    assert torch.equal(parts.images, whole.images) and torch.equal(parts.labels, whole.labels)
    assert parts.skipped == whole.skipped and len(parts) == 23
    order = order[24:]  # the digest reads all, one by one
    ahead = [order[: i + 1].count("read") - order[: i + 1].count("decoded") for i in range(len(order))]
    assert order.count("decoded") == 24 and max(ahead) <= 5


def test_rows_of_a_table_are_read_a_few_at_a_time(parquet_folder, monkeypatch):
    source = sources.open_source(recipe_for(parquet_folder), "train")
    whole = list(sources.pictures(source.rows, source.column))
    monkeypatch.setattr(sources, "BATCH", 7)
    assert list(sources.pictures(source.rows, source.column)) == whole and len(whole) == 24


def test_no_readable_picture_is_an_error(tmp_path):
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(UserError, match="none of its 1 pictures can be read"):
        load_images(recipe_for(tmp_path))


def test_missing_data_is_one_line(tmp_path, picture_folder):
    (tmp_path / "empty").mkdir()
    cases = {
        "": "no data given",
        str(tmp_path / "nowhere"): "no such folder",
        str(tmp_path / "empty"): "the folder is empty",
        "alice/no-such-set": "cannot be read as a data set",
    }
    for data, words in cases.items():
        with pytest.raises(UserError, match=words) as caught:
            load_images(recipe_for(data))
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="split 'test'"):
        load_images(recipe_for(picture_folder), split="test")
    with pytest.raises(UserError, match="no column 'photo'"):
        load_images(recipe_for(picture_folder, image_column="photo"))


def test_the_cache_follows_content_and_preparation(tmp_path, monkeypatch, caplog):
    folder = write_pictures(tmp_path / "some")
    first = load_images(recipe_for(folder))
    file = Path(os.environ["GANHUB_CACHE"], f"{first.digest}{module.CACHED}")
    with monkeypatch.context() as patch:
        patch.setattr(module, "decode", lambda *_: pytest.fail("decoded again"))
        assert torch.equal(load_images(recipe_for(folder)).images, first.images) and file.is_file()
    whole = file.read_bytes()
    file.unlink()  # not cut short in place: tensors may lie in it
    file.write_bytes(whole[:100])
    assert torch.equal(load_images(recipe_for(folder)).images, first.images)
    assert "ignoring the damaged cache file" in caplog.text
    assert load_images(recipe_for(folder, channels=1)).images.shape[1] == 1
    assert load_images(dataclasses.replace(recipe_for(folder), resolution=32)).images.shape[2] == 32
    Image.new("RGB", (20, 20)).save(folder / "dark" / "000.png")
    assert load_images(recipe_for(folder)).digest != first.digest


def encode(picture, **options):
    file = io.BytesIO()
    picture.save(file, "PNG", **options)
    return file.getvalue()


def test_preparation_crops_to_a_centred_square_and_knows_every_mode():
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 255
    assert (prepare(encode(Image.fromarray(wide)), 10, 3) == 255).all()
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        for channels in (1, 3):
            pixels = prepare(encode(Image.new(mode, (8, 8))), 8, channels)
            assert pixels.shape == (channels, 8, 8) and pixels.dtype == np.uint8, mode


def test_preparation_keeps_levels_and_shows_nothing_hidden():
    deep = Image.fromarray(np.full((8, 8), 32768, np.uint16))
    assert (prepare(encode(deep), 8, 1) == 128).all()
    assert (prepare(encode(Image.new("RGBA", (8, 8), (255, 0, 255, 0))), 8, 3) == 255).all()
    assert (prepare(encode(Image.new("L", (8, 8), 77)), 8, 3) == 77).all()


def test_preparation_turns_a_picture_upright():
    sideways, tag = Image.fromarray(np.repeat(np.uint8([[255, 0]]), 8, 0).repeat(4, 1)), Image.Exif()
    tag[0x0112] = 6  # a camera held upright: what is at the left belongs to the top
    file = io.BytesIO()
    sideways.save(file, "PNG", exif=tag)
    upright = prepare(file.getvalue(), 8, 1)[0]
    assert (upright[:4] == 255).all() and (upright[4:] == 0).all()


def test_damage_in_what_a_camera_wrote_costs_no_picture():
    file = io.BytesIO()
    Image.new("L", (8, 8), 77).save(file, "JPEG", exif=b"Exif\x00\x00no TIFF header at all")
    assert abs(prepare(file.getvalue(), 8, 1).astype(int) - 77).max() <= 2


def test_floats_are_no_picture():
    """Nothing says what is white in them; taken as levels of 255, all of [0, 1] would be black."""
    file = io.BytesIO()
    Image.fromarray(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)).save(file, "TIFF")
    assert prepare(file.getvalue(), 8, 1) is None


def table(tmp_path, **columns):
    """A parquet folder of six grey pictures and the given columns."""
    import datasets

    pictures = [{"bytes": encode(Image.new("L", (8, 8), 40 * i)), "path": None} for i in range(6)]
    features = {name: kind for name, (_, kind) in columns.items()}
    rows = datasets.Dataset.from_dict(
        {"image": pictures, **{name: values for name, (values, _) in columns.items()}},
        features=datasets.Features({"image": datasets.Image(), **features}),
    )
    rows.to_parquet(tmp_path / "train-00000-of-00001.parquet")
    return tmp_path


def test_rows_without_a_class_are_left_out_of_a_conditional_set(tmp_path):
    import datasets

    names = ["a", None, "b", "a", None, "b"]
    data = load_images(recipe_for(table(tmp_path, label=(names, datasets.Value("string"))), conditional=True))
    assert data.labels.tolist() == [0, 1, 0, 1] and data.class_names == ("a", "b")
    assert len(load_images(recipe_for(tmp_path))) == 6


def test_columns_that_hold_something_else_are_one_line(tmp_path):
    import datasets

    lists = ([[1, 2]] * 6, datasets.List(datasets.Value("int64")))
    folder = table(tmp_path, tags=lists, number=([0.5] * 6, datasets.Value("float64")))
    for options, words in (
        ({"label_column": "tags"}, "column 'tags' has no classes"),
        ({"label_column": "number"}, "column 'number' has no classes"),
        ({"label_column": "image"}, "column 'image' has no classes"),
        ({"image_column": "number"}, "column 'number' has no pictures"),
    ):
        with pytest.raises(UserError, match=words):
            load_images(recipe_for(folder, **options))


def test_several_labels_a_picture_are_no_classes_unless_asked_for(tmp_path):
    import datasets

    folder = table(tmp_path, labels=([[1, 2]] * 6, datasets.List(datasets.Value("int64"))))
    assert load_images(recipe_for(folder)).labels is None
    with pytest.raises(UserError, match="column 'labels' has no classes"):
        load_images(recipe_for(folder, conditional=True))


def test_a_class_named_twice_is_refused(picture_folder):
    with pytest.raises(UserError, match="names a class twice"):
        load_images(recipe_for(picture_folder, classes=("dark", "dark")))


def test_to_float_covers_the_range():
    assert to_float(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1.0, 1.0]


def numbered(count):
    images = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 1, 2).clone()
    return ImageData(images, torch.arange(count), tuple(map(str, range(count))), "")


def test_order_is_a_function_of_seed_and_position():
    whole = Batches(numbered(10), 30, seed=3).indices(0, 30)
    for start in (0, 7, 9, 10, 23):
        assert torch.equal(Batches(numbered(10), 5, seed=3).indices(start, 5), whole[start : start + 5])
    for epoch in whole.split(10):
        assert sorted(epoch.tolist()) == list(range(10))
    assert not torch.equal(whole[:10], whole[10:20])
    assert not torch.equal(Batches(numbered(10), 30, seed=4).indices(0, 30), whole)


def test_flips_mirror_about_half_of_the_images():
    data = numbered(200)
    data.images[:, :, :, 0] = 255
    torch.manual_seed(0)
    images, labels = Batches(data, 200, seed=0, flip=True).at(0)
    mirrored = (images[:, 0, 0, 0] != 1.0).sum().item()
    assert 60 < mirrored < 140
    assert torch.equal(images.sum((1, 2, 3)), Batches(data, 200, seed=0).at(0)[0].sum((1, 2, 3)))
    assert torch.equal(labels, Batches(data, 200, seed=0).at(0)[1])


def test_a_run_learns_no_class_without_a_picture(tmp_path):
    import datasets

    label = ([0, 0, 0, 2, 2, 2], datasets.ClassLabel(names=["dark", "never", "light"]))
    recipe = Recipe(data=str(table(tmp_path / "data", label=label)), resolution=16, channels=1, conditional=True)
    with pytest.raises(UserError, match="has no picture of class never; name the others with --classes"):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_other_pictures_are_read_by_the_columns_that_they_have(tmp_path):
    import datasets

    source = str(table(tmp_path, kind=([0] * 6, datasets.ClassLabel(names=["a"]))))
    asked = Recipe(data="elsewhere", image_column="photo", label_column="kind", conditional=True, classes=("a",))
    found = references.reading(asked, source, "train")
    assert (found.image_column, found.label_column, found.classes, found.conditional) == ("", "kind", ("a",), True)
    found = references.reading(dataclasses.replace(asked, image_column="image"), source, "train")
    assert found.image_column == "image"
    others = dataclasses.replace(asked, classes=("x", "y"))
    found = references.reading(others, source, "train")  # classes of other names say nothing here
    assert (found.classes, found.conditional) == ((), False)
    with pytest.raises(UserError, match="has no class 'x'; compare with pictures of all classes learnt, or of none"):
        references.reading(dataclasses.replace(asked, classes=("a", "x")), source, "train")
    stacked = dataclasses.replace(asked, data="stacked:x")
    assert references.reading(stacked, "stacked:y", "test") == dataclasses.replace(stacked, data="stacked:y")


def test_a_run_learns_no_class_that_no_model_could_be_loaded_with(picture_folder, tmp_path):
    folder = shutil.copytree(picture_folder, tmp_path / "pictures")
    (folder / "dark").rename(folder / "frog\x1b[31m")
    with pytest.raises(UserError, match="rename it, a name has 1 to 100 characters in one line") as caught:
        train(recipe_for(folder, conditional=True), tmp_path / "run")
    assert str(caught.value).isprintable() and not (tmp_path / "run").exists()

"""Data sets on the Hub: by id the same pictures, classes and splits as in the folder, under terms that were stated."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import HfApi, ModelCard
from PIL import Image

from ganhub import UserError
from tests.conftest import write_pictures
from tests.training.conftest import shrink
from training.data import load_images
from training.export import Export
from training.export import run as export
from training.prepare import Prepare
from training.prepare import run as prepare
from training.presets import PRESETS
from training.push_data import PushData, run
from training.recipe import Recipe
from training.sources import open_source
from training.trainer import train

TERMS = {"license": "cc-by-4.0", "terms": "Drawn by this test; do what you like."}


@pytest.fixture
def repo(hub, request):
    return f"alice/{request.node.name.replace('_', '-').partition('[')[0][:60]}"


@pytest.fixture
def folder(tmp_path):
    """Train and test splits of two classes."""
    write_pictures(tmp_path / "zoo" / "train")
    write_pictures(tmp_path / "zoo" / "test", count=3)
    return tmp_path / "zoo"


def read_card(repo):
    text = Path(HfApi().hf_hub_download(repo, "README.md", repo_type="dataset")).read_text()
    _, front, body = text.split("---\n", 2)
    return yaml.safe_load(front), body


def test_training_by_id_sees_what_it_saw_in_the_folder(repo, folder):
    run(PushData(str(folder), repo, **TERMS))
    for split in ("train", "test"):
        here, there = (load_images(Recipe(data=data, resolution=16), split) for data in (str(folder), repo))
        assert here.digest == there.digest and here.class_names == there.class_names == ("dark", "light")
        assert len(open_source(Recipe(data=repo), split).rows) == (24 if split == "train" else 6)


def test_a_number_means_one_class_in_every_split(repo, tmp_path):
    import datasets

    kind = datasets.Features({"image": datasets.Image(), "label": datasets.Value("string")})
    (tmp_path / "set").mkdir()
    for split, labels in (("train", ["a", "b", "c"]), ("test", ["a", "c"])):
        rows = {"image": [Image.new("RGB", (4, 4))] * len(labels), "label": labels}
        datasets.Dataset.from_dict(rows, features=kind).to_parquet(tmp_path / "set" / f"{split}-00000.parquet")
    run(PushData(str(tmp_path / "set"), repo, **TERMS))
    for split, numbers in (("train", [0, 1, 2]), ("test", [0, 2])):
        there = load_images(Recipe(data=repo, resolution=16), split)
        assert there.class_names == ("a", "b", "c") and there.labels.tolist() == numbers


def test_it_is_one_commit_and_none_when_nothing_changed(repo, folder):
    first = run(PushData(str(folder), repo, **TERMS, private=True))
    files = HfApi().list_repo_files(repo, repo_type="dataset")
    data = ["data/test-00000-of-00001.parquet", "data/train-00000-of-00001.parquet"]
    assert sorted(files) == [".gitattributes", "README.md", *data]
    assert not run(PushData(str(folder), repo, **TERMS)).differs
    commits = HfApi().list_repo_commits(repo, repo_type="dataset")
    assert len(commits) == 2 and commits[0].commit_id == first.commit
    assert HfApi().dataset_info(repo).private


def test_the_card_tells_counts_sizes_preparation_and_terms(repo, folder, tmp_path):
    prepare(Prepare(str(folder), tmp_path / "small", resolution=16))
    run(PushData(str(tmp_path / "small"), repo, **TERMS, citation="T. Ester, 2026."))
    front, body = read_card(repo)
    assert front["license"] == "cc-by-4.0" and front["size_categories"] == ["n<1K"]
    assert front["task_categories"] == ["unconditional-image-generation", "image-classification"]
    assert front["configs"][0]["data_files"] == [{"split": "train", "path": "data/train-*"}]
    for words in ("24 of 16x16 RGB", "| dark | 12 |", "24 of 24 pictures were accepted", "resolution 16", "T. Ester"):
        assert words in body
    assert "do what you like" in body and f"--data {repo}" in body and str(tmp_path) not in body + json.dumps(front)


def test_a_class_name_can_not_end_its_cell(repo, tmp_path):
    write_pictures(tmp_path / "odd", ("a|b", "c"))
    run(PushData(str(tmp_path / "odd"), repo, **TERMS))
    _, body = read_card(repo)
    assert "| a\\|b | 12 |\n| c | 12 |" in body


def test_pictures_without_classes_and_many_sizes(repo, tmp_path):
    for size in range(8, 15):
        write_pictures(tmp_path / "flat" / str(size), ("x",), count=1, size=size)
    for i, file in enumerate(sorted((tmp_path / "flat").rglob("*.png"))):
        file.rename(tmp_path / "flat" / f"{i}.png")
    for empty in sorted((tmp_path / "flat").rglob("*"), reverse=True):
        if empty.is_dir():
            empty.rmdir()
    run(PushData(str(tmp_path / "flat"), repo, **TERMS))
    front, body = read_card(repo)
    assert "8 to 14 pixels wide, 8 to 14 high" in body and "No classes." in body
    assert front["task_categories"] == ["unconditional-image-generation"]
    assert load_images(Recipe(data=repo, resolution=16)).labels is None


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"license": ""}, "needs the pictures' licence; give --license"),
        ({"license": "free"}, "knows no licence 'free'"),
        ({"terms": " "}, "give --terms"),
        ({"source": "/no/such"}, "no such folder"),
        ({"source": "toy:spiral"}, "no such toy data set"),
        ({"terms": "As in /home/me/terms.txt"}, "its card would name /home/me/terms.txt, a path of this machine"),
        ({"repo": "bob/theirs"}, "alice may not write there"),
    ],
)
def test_what_is_missing_or_wrong_is_one_line(hub, folder, changes, words):
    options = {"source": str(folder), "repo": "alice/refused", **TERMS, **changes}
    with pytest.raises(UserError, match=words) as refused:
        run(PushData(**options))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_what_is_no_whole_picture_is_named_before_anything_is_uploaded(share, hub, folder):
    whole = (folder / "train" / "dark" / "000.png").read_bytes()
    (folder / "train" / "dark" / "broken.png").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError, match="zoo: broken.png can't be read; take it out, or `prepare` the folder first"):
        run(PushData(str(folder), "alice/refused", **TERMS))
    assert not HfApi().repo_exists("alice/refused", repo_type="dataset")


def test_a_dry_run_uploads_nothing(hub, folder):
    pushed = run(PushData(str(folder), "alice/not-yet", **TERMS, dry_run=True))
    assert "data/train-00000-of-00001.parquet" in pushed.table()
    assert not HfApi().repo_exists("alice/not-yet", repo_type="dataset")


def test_large_sets_are_several_files_with_the_same_rows(repo, folder, monkeypatch):
    module = __import__("training.push_data", fromlist=["run"])
    monkeypatch.setattr(module, "SHARD_BYTES", 5000)
    monkeypatch.setattr(module, "ROWS", 5)
    run(PushData(str(folder), repo, **TERMS))
    files = [f for f in HfApi().list_repo_files(repo, repo_type="dataset") if "train" in f]
    assert len(files) == 5 and files[0].endswith("-of-00005.parquet")
    here, there = (load_images(Recipe(data=data, resolution=16)) for data in (str(folder), repo))
    assert here.digest == there.digest


def test_points_are_trained_on_by_id_and_keep_their_modes(repo, picture_folder, tmp_path):
    run(PushData("toy:ring", repo, **TERMS))
    _, body = read_card(repo)
    assert "| 0 | 6,250 | 6,250 |" in body and f"train ring --data {repo}" in body
    points = Recipe(arch="mlp", resolution=1, channels=2, data=repo)
    for split in ("train", "test"):
        here, there = (load_images(dataclasses.replace(points, data=data), split) for data in ("toy:ring", repo))
        assert torch.equal(here.images, there.images) and torch.equal(here.labels, there.labels)
        assert here.class_names == there.class_names
    train(dataclasses.replace(shrink(PRESETS["ring"], ""), data=repo), tmp_path / "run")
    model = export(Export(tmp_path / "run", tmp_path / "model"))
    assert ModelCard.load(model / "README.md").data.datasets == [repo]
    assert f"--data {repo} " in (model / "README.md").read_text()
    with pytest.raises(UserError, match="has no column x of points; pictures have 1 or 3 channels"):
        load_images(dataclasses.replace(points, data=str(picture_folder)))


def test_stacked_digits_are_pictures_of_a_thousand_classes(repo, tmp_path, monkeypatch):
    from training import toys

    monkeypatch.setattr(toys.stack, "__defaults__", (toys.STACKED, 2000, 0))
    digits = write_pictures(tmp_path / "digits", toys.DIGITS, count=2, size=8)
    run(PushData(f"stacked:{digits}", repo, **TERMS, resolution=8))
    there = load_images(Recipe(data=repo, resolution=8))
    here = load_images(Recipe(data=f"stacked:{digits}", resolution=8))
    assert (there.images == here.images).all() and (there.labels == here.labels).all()
    body = read_card(repo)[1]
    assert "1,000 classes of 2 to 2 each" in body
    assert "of its digits three each, chosen at random" in body and "no picture was changed" not in body

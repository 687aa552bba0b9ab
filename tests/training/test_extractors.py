"""The feature network: its training, its folder, its contracts; and Inception's shape, keys and refusals."""

import dataclasses
import json
import re

import datasets
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import save_file

from ganhub import UserError, zoo_names
from ganhub.hub import ZOO
from ganhub.models.base import WEIGHTS_FILE
from tests.conftest import write_pictures
from training.extractor_card import card
from training.extractors import Extractor, run
from training.featurenet import FeatureNet, batched, distort, nt_xent, seeded
from training.inception import Inception, load_inception
from training.lens import open_lens
from training.references import hold_back, split_names
from training.sources import data_name


def snippet(card: str) -> str:
    """The Python of a card."""
    return re.search(r"```python\n(.*?)```", card, re.DOTALL)[1]


def options(data, out, **changes) -> Extractor:
    small = {"resolution": 16, "width": 4, "feature_dim": 8, "epochs": 20, "batch_size": 8}
    return Extractor(str(data), out, **{**small, **changes})


@pytest.fixture(scope="module")
def trained(picture_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("extractor")
    return folder, run(options(picture_folder, folder, terms="noise, free for all"))


# --- the command


def test_it_learns_the_classes_and_reports_on_what_it_never_saw(trained, picture_folder):
    folder, metrics = trained
    assert metrics["accuracy"] == 1 and set(metrics["accuracy_per_class"]) <= {"dark", "light"}
    assert metrics["test"]["count"] == 2 and metrics["train"]["count"] == 22  # a tenth of 24
    assert "held back" in metrics["test"]["split"] and metrics["test"]["trained_on"] is False
    assert json.loads((folder / "metrics.json").read_text()) == metrics


def test_its_folder_loads_strictly_and_says_what_it_is(trained, picture_folder):
    folder, _ = trained
    network = FeatureNet.from_pretrained(folder)
    assert not network.training and network.class_names == ("dark", "light")
    logits = network(torch.stack([torch.full((3, 16, 16), level) for level in (-0.5, 0.6)]))
    assert logits.argmax(1).tolist() == [0, 1]
    text = (folder / "README.md").read_text()
    assert "**100.00% accuracy** on 2 pictures" in text and "noise, free for all" in text
    assert "--width 4" in text and "--epochs 20" in text and str(picture_folder.parent) not in text
    assert "`--data` is a folder that holds this data set, or its Hub id." in text and ", Python 3." in text
    exec(snippet(text).replace("FOLDER", str(folder)), {})
    assert not list(folder.glob("*.bin")) and not list(folder.glob("*.pt*"))


def test_missing_weights_are_refused(trained, tmp_path):
    folder, _ = trained
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    weights = FeatureNet.from_pretrained(folder).state_dict()
    del weights["head.bias"]
    save_file(weights, tmp_path / WEIGHTS_FILE)
    with pytest.raises(UserError, match=r"head\.bias is missing"):
        FeatureNet.from_pretrained(tmp_path)


def test_the_same_seed_gives_the_same_weights(picture_folder, tmp_path):
    weights = []
    for i, seed in enumerate((3, 3, 4)):
        run(options(picture_folder, tmp_path / str(i), epochs=1, seed=seed))
        weights.append(FeatureNet.from_pretrained(tmp_path / str(i)).state_dict()["stem.weight"])
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_a_test_split_is_used_where_there_is_one(tmp_path):
    write_pictures(tmp_path / "data" / "train", count=8)
    write_pictures(tmp_path / "data" / "test", count=5)
    assert set(split_names(str(tmp_path / "data"))) == {"train", "test"}
    metrics = run(options(tmp_path / "data", tmp_path / "out", epochs=1))
    assert metrics["test"]["split"] == "test" and metrics["test"]["count"] == 10 and metrics["train"]["count"] == 16
    with pytest.raises(UserError, match="is the split to learn from"):
        run(options(tmp_path / "data", tmp_path / "other", test_split="train"))


def test_a_test_split_without_the_classes_is_refused_before_training(tmp_path):
    kind = datasets.Features({"image": datasets.Image(), "label": datasets.Value("string")})
    picture = Image.new("RGB", (16, 16))
    for split, labels in (("train", ["a", "b", "c"] * 8), ("test", ["a", "c"] * 8)):
        rows = {"image": [picture] * len(labels), "label": labels}
        datasets.Dataset.from_dict(rows, features=kind).to_parquet(tmp_path / f"{split}-00000.parquet")
    with pytest.raises(UserError, match="the classes of test are not those to learn; name another --test-split"):
        run(options(tmp_path, tmp_path / "out", epochs=1))
    datasets.Dataset.from_dict({"image": [picture] * 4, "label": [None] * 4}, features=kind).to_parquet(
        tmp_path / "test-00000.parquet"
    )
    with pytest.raises(UserError, match="fewer than two classes|has no picture with a class"):
        run(options(tmp_path, tmp_path / "out", epochs=1))


@pytest.mark.parametrize(("classes", "asked"), [(("dark", "light"), True), (("only",), False)])
def test_self_supervision(tmp_path, classes, asked):
    """Where it is asked for, and where there are no labels."""
    data = write_pictures(tmp_path / "data", classes, count=20)
    metrics = run(options(data, tmp_path / "out", epochs=2, self_supervised=asked, flip=True))
    network = FeatureNet.from_pretrained(tmp_path / "out")
    assert 0 <= metrics["retrieval_accuracy"] <= 1 and "accuracy" not in metrics and network.class_names == ()
    assert network(torch.zeros(2, 3, 16, 16)).shape == (2, 8)
    assert "SimCLR" in (tmp_path / "out" / "README.md").read_text()


def test_self_supervision_learns_to_find_the_other_view(tmp_path):
    """Pictures of unlike colours: far above the 1 in 30 of guessing."""
    random = np.random.default_rng(0)
    blocks = [Image.fromarray(random.integers(0, 256, (3, 3, 3), dtype=np.uint8)) for _ in range(300)]
    pictures = {"image": [block.resize((16, 16), Image.Resampling.BICUBIC) for block in blocks]}
    (tmp_path / "data").mkdir()
    datasets.Dataset.from_dict(pictures).to_parquet(tmp_path / "data" / "train.parquet")
    small = {"width": 8, "feature_dim": 32, "batch_size": 30, "epochs": 10}
    metrics = run(options(tmp_path / "data", tmp_path / "out", **small))
    assert metrics["retrieval_among"] == 30 and metrics["retrieval_accuracy"] > 0.3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "--epochs must be above 0"),
        ({"lr": -1.0}, "--lr must be above 0"),
        ({"batch_size": 1}, "batch norm needs neighbours"),
        ({"label_smoothing": 2.0}, "--label-smoothing must be from 0 to 1, got 2.0"),
        ({"shift": float("nan")}, "--shift must be from 0 to 16, got nan"),
        ({"degrees": -1.0}, "--degrees must be from 0 to 180, got -1.0"),
        ({"zoom": 1.0}, "--zoom must be from 0 to 0.9, got 1.0"),
        ({"batch_size": 500}, "fewer than --batch-size 500"),
        ({"resolution": 20}, "multiple of 8, got 20"),
        ({"width": 5000}, "width between 1 and 4096"),
        ({"test_split": "nope"}, "nope"),
        ({"classes": ("nope",)}, "no class 'nope'"),
        ({"classes": ("dark",)}, "add --self-supervised"),
        ({"device": "cuda:99", "data": "/nowhere/at/all"}, "--device cuda:99: can't be used"),
        ({"device": "toaster", "data": "/nowhere/at/all"}, "--device toaster: can't be used"),
    ],
)
def test_wrong_input_is_one_line(picture_folder, tmp_path, changes, message):
    with pytest.raises(UserError, match=message) as error:
        run(dataclasses.replace(options(picture_folder, tmp_path / "out"), **changes))
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists()


@pytest.mark.parametrize("taken", ["file", "folder", "parent"])
def test_a_folder_that_is_taken_is_refused_before_training(tmp_path, taken):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").touch()
    (tmp_path / "file").touch()
    out = {"file": tmp_path / "file", "folder": tmp_path / "folder", "parent": tmp_path / "file" / "out"}[taken]
    with pytest.raises(UserError, match="can't be written .* give a new folder as --out") as error:
        run(options("/nowhere/at/all", out))
    assert "\n" not in str(error.value) and (tmp_path / "folder" / "mine").exists()


@pytest.mark.parametrize("error", [SafetensorError("I/O error: no space\nleft"), OSError(28, "No space left")])
def test_a_full_disk_leaves_no_half_folder(picture_folder, tmp_path, monkeypatch, error):
    def full(self, folder):
        folder.mkdir()
        (folder / "config.json").touch()
        raise error

    monkeypatch.setattr(FeatureNet, "save_pretrained", full)
    with pytest.raises(UserError, match="out: can't be written") as raised:
        run(options(picture_folder, tmp_path / "out", epochs=1))
    assert "\n" not in str(raised.value) and not list(tmp_path.iterdir())


# --- the parts


def test_images_of_other_sizes_are_resized():
    network = FeatureNet(16, 1, 3, 4, 8).eval()
    ramp = torch.linspace(-1, 1, 64).expand(1, 1, 64, 64)
    small = torch.nn.functional.interpolate(ramp, (16, 16), mode="bilinear", antialias=True)
    torch.testing.assert_close(network.features(ramp), network.features(small))
    assert network(ramp).shape == (1, 3) and network.features(ramp).min().item() >= 0


def test_distort():
    images = torch.rand(4, 1, 16, 16)
    torch.testing.assert_close(distort(images, 0, 0, 0), images, atol=1e-5, rtol=0)
    with seeded(0):
        moved = distort(images, 2, 10, 0.1)
    assert moved.shape == images.shape and not torch.equal(moved, images)
    assert moved.min().item() >= images.min().item() and moved.max().item() <= images.max().item()


def test_the_contrastive_loss():
    a = torch.eye(4)
    others = 6 * 1.0  # e^0 each: all other views are at right angles
    expected = torch.tensor((torch.e**5 + others) / torch.e**5).log()
    torch.testing.assert_close(nt_xent(a, a, temperature=0.2), expected)
    assert nt_xent(a, a.roll(1, 0)).item() > 5


def test_batches_change_nothing():
    network = FeatureNet(16, 1, 3, 4, 8).eval()
    images = torch.randint(256, (11, 1, 16, 16), dtype=torch.uint8)
    torch.testing.assert_close(batched(network, images, batch_size=4), batched(network, images))


def test_hold_back_takes_each_picture_once(picture_folder):
    from training.data import load_images

    data = load_images(options(picture_folder, picture_folder).recipe())
    rest, held = hold_back(data, seed=1, share=0.25)
    assert (len(rest), len(held)) == (18, 6) and len(rest.labels) == 18
    both = {image.numpy().tobytes() for part in (rest, held) for image in part.images}
    assert both == {image.numpy().tobytes() for image in data.images}
    assert torch.equal(hold_back(data, seed=1, share=0.25)[1].images, held.images)


def test_a_card_never_says_where_the_data_lies(tmp_path):
    assert data_name(str(tmp_path)) == tmp_path.name and data_name("user/digits") == "user/digits"


# --- what is shipped


def test_the_digit_classifier():
    folder = ZOO / "digit-classifier"
    assert (folder / WEIGHTS_FILE).stat().st_size < 1e6 and "digit-classifier" not in zoo_names()
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["accuracy"] >= 0.993 and metrics["test"]["count"] == 10_000 and not metrics["test"]["trained_on"]
    assert f"{metrics['accuracy']:.2%}" in (folder / "README.md").read_text()
    lens = open_lens("", 1, list("0123456789"))
    assert lens.class_names == tuple("0123456789") and lens.network.config.resolution == 32
    one = torch.zeros(1, 1, 32, 32, dtype=torch.uint8)
    one[:, :, 6:26, 15:18] = 255
    zero = torch.zeros(1, 1, 32, 32, dtype=torch.uint8)
    zero[:, :, 6:26, 9:23], zero[:, :, 9:23, 12:20] = 255, 0
    features, recognised = lens.look(torch.cat([zero, one]), "cpu")
    assert recognised.tolist() == [0, 1] and features.shape == (2, lens.network.feature_dim)


def test_its_card_is_what_the_code_renders_and_its_python_runs_anywhere(tmp_path, monkeypatch):
    folder = ZOO / "digit-classifier"
    terms = "MNIST (Y. LeCun, C. Cortes, C. Burges) is usually given as CC BY-SA 3.0"
    made = Extractor("mnist", folder, channels=1, width=24, feature_dim=96, epochs=12, terms=terms)
    text = (folder / "README.md").read_text()
    assert text == card(made, FeatureNet.from_pretrained(folder), json.loads((folder / "metrics.json").read_text()))
    monkeypatch.chdir(tmp_path)
    found: dict = {}
    exec(snippet(text), found)
    assert found["logits"].shape == (1, 10)


# --- Inception


@pytest.fixture(scope="module")
def inception():
    with seeded(0):
        return Inception().eval()


def test_inception_is_the_published_network(inception):
    """23,834,568 weights without the auxiliary head at 1,000 classes, and 8 classes more of 2,049 each."""
    assert sum(value.numel() for value in inception.parameters()) == 23_834_568 + 8 * 2049
    assert inception.state_dict()["Mixed_7c.branch3x3dbl_3b.conv.weight"].shape == (384, 384, 3, 1)


def test_inception_reads_a_weights_file(inception, tmp_path):
    weights = {key: value for key, value in inception.state_dict().items() if not key.endswith("num_batches_tracked")}
    torch.save(weights, tmp_path / "weights.pth")
    lens = open_lens(f"inception:{tmp_path / 'weights.pth'}", 1, ())
    image = torch.randint(256, (1, 1, 16, 16), dtype=torch.uint8)
    features, recognised = lens.look(image, "cpu")
    assert features.shape == (1, 2048) and recognised is None and lens.class_names == () and len(lens.sha256) == 64
    assert torch.equal(lens.look(image.expand(-1, 3, -1, -1), "cpu")[0], features)


def test_inception_refuses_other_files(inception, tmp_path):
    weights = {key: value for key, value in inception.state_dict().items() if key.startswith("Conv2d_1a")}
    save_file(weights, tmp_path / "part.safetensors")
    with pytest.raises(UserError, match="is missing"):
        load_inception(tmp_path / "part.safetensors")
    (tmp_path / "damaged.pth").write_bytes(b"nothing")
    with pytest.raises(UserError, match="damaged"):
        load_inception(tmp_path / "damaged.pth")
    torch.save({"fc": print}, tmp_path / "code.pth")
    with pytest.raises(UserError, match="more than tensors"):
        load_inception(tmp_path / "code.pth")
    with pytest.raises(UserError, match="no such file"):
        load_inception(tmp_path / "none.pth")

"""Model repos made to do harm: each is refused in one line, or loads what is ours and nothing else."""

import hashlib
import json
import pickle
import resource
import struct
import sys

import pytest
from huggingface_hub import HfApi
from safetensors.torch import load_file

import ganhub.download
from ganhub import GANPipeline, UserError, cli
from ganhub.download import Source, download
from ganhub.hub import resolve
from ganhub.layout import PICTURES, Wanted, limit
from ganhub.store import make_commit

WEIGHTS = "generator/diffusion_pytorch_model.safetensors"
CONFIG = "generator/config.json"
NOTHING = {"x": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}
LOADED: list[str] = []


class Trap:
    def __reduce__(self):
        return LOADED.append, ("a pickle was read",)


def header(entries, data=b""):
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text + data


def edit(folder, file, **changes):
    (folder / file).write_text(json.dumps(json.loads((folder / file).read_text()) | changes))


def shape_of_first(folder):
    return list(next(iter(load_file(folder / WEIGHTS).values())).shape)


def retyped(folder, **changes):
    """The same weights whose header tells something else of the first tensor."""
    data = (folder / WEIGHTS).read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    entries = json.loads(data[8 : 8 + size])
    key = next(key for key in entries if key != "__metadata__")
    entries[key] |= changes
    (folder / WEIGHTS).write_bytes(header(entries, data[8 + size :]))


def renamed(folder, name, **changes):
    """The same weights with one more tensor, of no bytes, in the header."""
    data = (folder / WEIGHTS).read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    end = len(data) - 8 - size
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [end, end]} | changes
    (folder / WEIGHTS).write_bytes(header(json.loads(data[8 : 8 + size]) | {name: entry}, data[8 + size :]))


def swapped(folder):
    """Two tensors of another's shape each."""
    from safetensors.torch import save_file

    tensors = load_file(folder / WEIGHTS)
    first, second = [key for key, value in tensors.items() if value.ndim == 4][:2]
    tensors[first], tensors[second] = tensors[second], tensors[first]
    save_file(tensors, folder / WEIGHTS)


CASES = {
    "pickle as safetensors": (lambda f: (f / WEIGHTS).write_bytes(pickle.dumps(Trap())), "damaged"),
    "pickle as config": (lambda f: (f / CONFIG).write_bytes(pickle.dumps(Trap())), "not valid JSON"),
    "code as class": (lambda f: edit(f, "model_index.json", generator=["pipeline", "Evil"]), "not a Generator"),
    "path as family": (
        lambda f: edit(f, "model_index.json", generator=["ganhub.models.../../os", "Generator"]),
        "not a Generator",
    ),
    "long class": (lambda f: edit(f, "model_index.json", generator=["x\n" * 10**5, "y"]), "not a Generator"),
    "family by config": (lambda f: edit(f, CONFIG, _ganhub_arch="os.path"), "of the family"),
    "family a list": (lambda f: edit(f, CONFIG, _ganhub_arch=["dcgan"]), "of the family"),
    "a billion channels": (lambda f: edit(f, CONFIG, channels=10**9), "1 or 3 channels"),
    "a billion classes": (lambda f: edit(f, CONFIG, num_classes=10**9), "classes"),
    "a billion latents": (lambda f: edit(f, CONFIG, latent_dim=10**9), "latent_dim"),
    "wide labels": (lambda f: edit(f, CONFIG, label_dim=10**30), "label_dim"),
    "negative width": (lambda f: edit(f, CONFIG, width=-1), "width"),
    "infinite width": (lambda f: (f / CONFIG).write_text('{"width": Infinity}'), "whole number as width"),
    "a large resolution": (lambda f: edit(f, CONFIG, resolution=2**17), "resolution"),
    "a long value": (lambda f: edit(f, CONFIG, norm=[1] * 10**5), "norm"),
    "many keys": (lambda f: edit(f, CONFIG, **{f"x{i}": 1 for i in range(10**4)}), "takes no x0, x1, .*another ganhub"),
    "a long class": (lambda f: edit(f, CONFIG, _class_name="x\n" * 10**5), "describes a x x"),
    "a long family": (lambda f: edit(f, CONFIG, _ganhub_arch="x" * 10**6), "of the family"),
    "lines as class": (lambda f: edit(f, "model_index.json", generator="x\ny\n"), "not a Generator"),
    "deep config": (lambda f: (f / CONFIG).write_text('{"a":' * 50_000), "not valid JSON"),
    "long number": (lambda f: (f / CONFIG).write_text('{"width": ' + "9" * 10_000 + "}"), "not valid JSON"),
    "giant header": (lambda f: (f / WEIGHTS).write_bytes(struct.pack("<Q", 2**62) + b"{}"), "damaged"),
    "no data": (lambda f: (f / WEIGHTS).write_bytes(header(NOTHING)), "damaged"),
    "overlap": (lambda f: retyped(f, data_offsets=[8, 40]), "damaged"),
    "a shape of another size": (lambda f: retyped(f, shape=[2**40, 2**40]), "damaged"),
    "another dtype": (lambda f: retyped(f, dtype="F64"), "is stored as F64"),
    "no dtype": (lambda f: retyped(f, dtype="OBJECT"), "damaged"),
    "swapped shapes": (swapped, "the config asks for"),
    "a long shape": (lambda f: retyped(f, shape=[1] * 10**5 + shape_of_first(f)), "the config asks for"),
    "a tensor that steers": (lambda f: renamed(f, "a\x1b[2J\n" * 10**5), r"a \[2J a .* is not part of this model"),
    "a steering dtype": (lambda f: renamed(f, "a\x1b[2J\n" * 10**5, dtype="F64"), r"a \[2J a .*is stored as F64"),
}


def publish(folder, name):
    api = HfApi()
    api.create_repo(name, exist_ok=True)
    api.upload_folder(repo_id=name, folder_path=folder)
    return name


@pytest.mark.parametrize("where", ["folder", "hub"])
@pytest.mark.parametrize("case", CASES)
def test_a_hostile_model_is_one_line_and_takes_no_memory(case, where, hub, model, tmp_path):
    damage, words = CASES[case]
    damage(model)
    name = model if where == "folder" else publish(model, f"alice/hostile-{abs(hash(case))}")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=words) as caught:
        GANPipeline.from_pretrained(name, cache_dir=tmp_path / "cache")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 1000
    assert not LOADED and resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


def test_what_lies_beside_is_neither_fetched_nor_read(hub, model, pipe, tmp_path):
    for name in (
        "pipeline.py",
        "__init__.py",
        "generator/__init__.py",
        "generator/ganhub.models.dcgan.py",
        "hubconf.py",
    ):
        (model / name).write_text("raise SystemExit('this must never run')\n")
    for name in ("pytorch_model.bin", "generator/diffusion_pytorch_model.bin", "generator/model.pkl", "training.pt"):
        (model / name).write_bytes(pickle.dumps(Trap()))
    index = {"metadata": {}, "weight_map": {"to_image.bias": "../../../etc/passwd"}}
    (model / "generator" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    name = publish(model, "alice/beside")
    cache = tmp_path / "cache"
    for source in (model, name):
        images = GANPipeline.from_pretrained(source, cache_dir=cache)(2).images
        assert [a.tobytes() for a in images] == [b.tobytes() for b in pipe(2).images]
    folder = download(name, Wanted(card=False), Source(cache_dir=cache))
    fetched = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if not file.is_dir()}
    assert fetched == {"model_index.json", CONFIG, WEIGHTS} and not LOADED


def announce(monkeypatch, change):
    """Alter what the Hub says of a repo's files; no server of git would."""
    honest = ganhub.download.ask

    def ask(repo, source, timeout=10.0):
        commit = honest(repo, source, timeout)
        return make_commit(commit.id, {name: (blob.size, blob.digest) for name, blob in commit.files.items()} | change)

    monkeypatch.setattr(ganhub.download, "ask", ask)


def test_names_out_of_the_folder_are_not_files_of_ours(model, monkeypatch, tmp_path):
    name = publish(model, "alice/traversal")
    bad = [
        "../../x",
        "/etc/passwd",
        "generator/../../x",
        "snapshots/../../../x/model_index.json",
        "README.md/",
        "",
        ".",
    ]
    bad += [
        "generator\\config.json",
        "snapshots/000000001/../../model_index.json",
        "generator/config.json\n",
        "C:card.json",
    ]
    bad += ["snapshots/\u0660" + "00000001/model_index.json", "discriminator/../generator/config.json", "./README.md"]
    assert [limit(path) for path in bad] == [None] * len(bad)
    announce(monkeypatch, dict.fromkeys(bad, (1, "0" * 40)))
    before = set(tmp_path.rglob("*"))
    folder = download(name, Wanted(everything=True), Source(cache_dir=tmp_path / "cache"))
    assert not [path for path in set(tmp_path.rglob("*")) - before if tmp_path / "cache" not in (path, *path.parents)]
    assert not [file for file in folder.rglob("*") if not file.resolve().is_relative_to(tmp_path / "cache")]


@pytest.mark.parametrize("commit", ["../../x", "main", "0" * 39, "", None, 7])
def test_a_commit_that_is_none_is_no_folder(commit):
    with pytest.raises(ValueError, match="is no commit"):
        make_commit(commit, {})


@pytest.mark.parametrize("entry", [(1, "../../x"), (1, None), (None, "0" * 40), (-1, "0" * 40), ("1", "0" * 40)])
def test_a_digest_that_is_none_is_no_file(entry):
    with pytest.raises(ValueError, match="no size and digest of README.md"):
        make_commit("0" * 40, {"README.md": entry})


@pytest.mark.parametrize("file", [WEIGHTS, CONFIG, "README.md", "samples.png"])
def test_a_size_beyond_reason_is_refused_before_the_download(file, hub, model, monkeypatch, tmp_path):
    name = publish(model, "alice/oversized")
    announce(monkeypatch, {file: (10**12, "0" * 64)})
    hub.requests.clear()
    with pytest.raises(UserError, match=f"{name}: {file} has 1,000,000,000,000 bytes; ganhub reads at most"):
        resolve(name, cache_dir=tmp_path / "cache")
    assert not hub.log("/resolve/|/cdn/")


@pytest.mark.parametrize("everything", [False, True])
@pytest.mark.parametrize("count", [1, 24, 25, 100_000])
def test_of_many_sheets_a_few_are_wanted(count, everything):
    sheets = [f"snapshots/{i:09d}.png" for i in range(count)]
    wanted = Wanted(everything=everything)
    kept = [name for name in wanted.choose("a/b", [*wanted.required(), *sheets]) if name in sheets]
    assert len(set(kept)) == min(count, 24) and kept[0] == sheets[0] and kept[-1] == sheets[-1]
    assert limit(sheets[0]) == 4_000_000
    steps = [int(b[10:19]) - int(a[10:19]) for a, b in zip(kept, kept[1:])]
    assert not steps or max(steps) - min(steps) <= 1


@pytest.mark.parametrize(
    ("wanted", "more"),
    [
        (Wanted(everything=True), [f"generator/diffusion_pytorch_model.v{i}.safetensors" for i in range(5)]),
        (Wanted(), [WEIGHTS, *PICTURES, *(f"snapshots/{i:09d}.png" for i in range(10))]),
    ],
)
def test_many_files_of_a_size_within_reason_are_too_much(wanted, more, hub, model, monkeypatch, tmp_path):
    name = publish(model, "alice/much")
    announce(monkeypatch, {file: (limit(file), "0" * 64) for file in more})
    hub.requests.clear()
    with pytest.raises(UserError, match=rf"{name}: its files have [\d,]+ bytes; ganhub reads at most [\d,]+ of them"):
        download(name, wanted, Source(cache_dir=tmp_path / "cache"))
    assert not hub.log("/resolve/|/cdn/")


def test_a_hub_that_tells_no_sizes_is_not_asked_for_thousands(hub, model, monkeypatch, tmp_path):
    name = publish(model, "alice/silent")
    monkeypatch.setattr(ganhub.download, "announced", lambda sibling: None)
    monkeypatch.setattr(ganhub.download, "MAX_ASKED", 2)
    with pytest.raises(UserError, match=f"{name}: has . files of unknown size; ganhub asks for at most 2"):
        download(name, Wanted(), Source(cache_dir=tmp_path / "cache"))
    assert not hub.log("/resolve/")


def test_a_body_longer_than_announced_is_cut_off(hub, model, monkeypatch, tmp_path):
    name = publish(model, "alice/longer")
    digest = hashlib.sha256((model / WEIGHTS).read_bytes()).hexdigest()
    announce(monkeypatch, {WEIGHTS: (100, digest)})
    with pytest.raises(UserError, match="came twice with other content than the Hub announced"):
        download(name, Wanted(), Source(cache_dir=tmp_path / "cache"))
    assert not list(tmp_path.rglob("*.incomplete"))


def test_what_a_card_says_does_not_steer_the_terminal(hub, model, monkeypatch, capsys):
    (model / "card.json").write_text(json.dumps({"summary": "\x1b[2J\x07gone\nlicence  mit", "license": "x" * 10**5}))
    monkeypatch.setattr(sys, "argv", ["ganhub", "info", publish(model, "alice/terminal")])
    cli.main()
    out = capsys.readouterr().out
    assert "what          [2J gone licence mit\n" in out and len(out) < 5000
    assert all(char.isprintable() for char in out.replace("\n", ""))


def test_links_in_a_local_folder_lead_to_no_more_than_what_is_parsed(model, tmp_path):
    (tmp_path / "secret").write_text("password")
    (model / CONFIG).unlink()
    (model / CONFIG).symlink_to(tmp_path / "secret")
    with pytest.raises(UserError, match="not valid JSON") as caught:
        GANPipeline.from_pretrained(model)
    assert "password" not in str(caught.value)

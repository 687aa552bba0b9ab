"""`ganhub list` and `ganhub pull`, and loading parts, variants, snapshots and families from the Hub."""

import copy
import json
import shutil
import sys

import pytest
import torch
from huggingface_hub import HfApi

import ganhub
from ganhub import GANPipeline, UserError, cli, hub
from ganhub.models import dcgan, resnet
from ganhub.models.base import Generator
from ganhub.versions import how_to_update
from tests.conftest import tiny_pipeline


def run(*arguments):
    sys.argv = ["ganhub", *map(str, arguments)]
    cli.main()


def fails(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        run(*arguments)
    printed = capsys.readouterr()
    assert stop.value.code == 1 and printed.err.startswith("error: ") and printed.err.count("\n") == 1
    return printed


def same(network, other):
    return all(torch.equal(a, b) for a, b in zip(network.parameters(), other.parameters(), strict=True))


@pytest.fixture
def model(model, pipe):
    """With everything that a model repo may have."""
    half = GANPipeline(copy.deepcopy(pipe.generator).half(), None, pipe.class_names)
    half.save_pretrained(model / "half")
    weights = "diffusion_pytorch_model{}.safetensors"
    (model / "half" / "generator" / weights.format("")).rename(model / "generator" / weights.format(".fp16"))
    shutil.rmtree(model / "half")
    tiny_pipeline(channels=3).save_pretrained(model / "snapshots" / "000120000")
    shutil.rmtree(model / "snapshots" / "000120000" / "discriminator")
    for name in ("samples.png", "training_log.jsonl", "generator.onnx", "pipeline.py"):
        (model / name).write_bytes(b"x")
    return model


@pytest.mark.parametrize("where", ["folder", "repo"])
def test_a_network_alone_and_its_family_by_the_config(where, hub, repo, model, pipe):
    name = model if where == "folder" else repo
    assert same(dcgan.Discriminator.from_pretrained(name), pipe.discriminator)
    assert not hub.log("/generator/")
    for cls in (dcgan.Generator, ganhub.AutoGenerator, Generator):
        loaded = cls.from_pretrained(name)
        assert type(loaded) is dcgan.Generator and same(loaded, pipe.generator)
    assert same(ganhub.AutoGenerator.from_pretrained(name, subfolder="generator"), pipe.generator)  # as in diffusers
    assert type(ganhub.AutoDiscriminator.from_pretrained(name)) is dcgan.Discriminator
    with pytest.raises(UserError, match="of the family 'dcgan', not resnet; ganhub.AutoGenerator finds the family"):
        resnet.Generator.from_pretrained(name)


def test_the_zoo_is_found_by_its_family():
    assert type(ganhub.AutoDiscriminator.from_pretrained("digits")) is resnet.Discriminator


def test_a_networks_name_is_looked_up_as_a_pipelines_is(model, pipe, monkeypatch):
    shutil.copytree(model, model.parent / "digits")
    monkeypatch.chdir(model.parent)
    for subfolder in ("", "generator"):
        assert type(ganhub.AutoGenerator.from_pretrained("digits", subfolder)) is resnet.Generator  # the zoo's
    monkeypatch.setenv("HOME", str(model.parent))
    for name, subfolder in (("~/model", ""), ("~/model", "generator"), ("~/model/generator", "")):
        assert same(ganhub.AutoGenerator.from_pretrained(name, subfolder), pipe.generator)
    with pytest.raises(UserError, match="~nobody-here/x: no such model"):
        ganhub.AutoGenerator.from_pretrained("~nobody-here/x")


def test_a_config_that_names_no_family(model, tmp_path):
    file = model / "generator" / "config.json"
    config = json.loads(file.read_text())
    assert config.pop("_ganhub_arch") == "dcgan"
    file.write_text(json.dumps(config))
    assert type(ganhub.AutoGenerator.from_pretrained(model)) is dcgan.Generator
    shutil.copytree(model / "generator", tmp_path / "alone")
    with pytest.raises(UserError, match="names no family that this ganhub has"):
        ganhub.AutoGenerator.from_pretrained(tmp_path / "alone")


@pytest.mark.parametrize("where", ["folder", "repo"])
def test_a_variant_is_those_weights(where, hub, repo, model, pipe):
    name = model if where == "folder" else repo
    loaded = GANPipeline.from_pretrained(name, variant="fp16")
    assert same(loaded.generator, copy.deepcopy(pipe.generator).half().float())
    assert not any(request["path"].endswith("model.safetensors") for request in hub.requests)
    words = r"no .*diffusion_pytorch_model.bf16.safetensors.*; leave out the variant or give variant=\"fp16\"$"
    with pytest.raises(UserError, match=words):
        GANPipeline.from_pretrained(name, variant="bf16")
    with pytest.raises(UserError, match="variant must be a short name"):
        GANPipeline.from_pretrained(name, variant="../x")


@pytest.mark.parametrize("where", ["folder", "repo"])
def test_a_model_of_one_variant_alone_says_which(where, repo, model):
    if where == "repo":
        HfApi().delete_file("generator/diffusion_pytorch_model.safetensors", repo)
    else:
        (model / "generator" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(UserError, match='no .*diffusion_pytorch_model.safetensors.*; give variant="fp16"$'):
        GANPipeline.from_pretrained(model if where == "folder" else repo)


@pytest.mark.parametrize("where", ["folder", "repo"])
def test_a_snapshot_is_the_generator_as_it_was(where, repo, model, monkeypatch):
    monkeypatch.setenv("GANHUB_PATIENCE", "30")
    name = model if where == "folder" else repo
    assert hub.snapshots(name) == [120000]
    then = GANPipeline.from_pretrained(name, snapshot=120000)
    assert same(then.generator, tiny_pipeline(channels=3).generator)
    for subfolder in ("", "generator"):
        assert same(ganhub.AutoGenerator.from_pretrained(name, subfolder, snapshot=120000), then.generator)
    assert hub.resolve(name, snapshot=120000).name == "000120000"
    with pytest.raises(UserError, match="has no snapshot 5; its snapshots: 120000"):
        GANPipeline.from_pretrained(name, snapshot=5)
    with pytest.raises(UserError, match="snapshot must be the number of real images"):
        GANPipeline.from_pretrained(name, snapshot="../..")
    if where == "repo":
        with pytest.raises(UserError, match="snapshots/000120000/discriminator/.*; it was published without its disc"):
            GANPipeline.from_pretrained(name, snapshot=120000, discriminator=True)


def test_a_newer_ganhub_is_asked_for_by_its_version(model):
    file = model / "model_index.json"
    index = json.loads(file.read_text())
    assert index["_ganhub_version"] == ganhub.__version__
    for wrote, words in {
        "9.1.0": "needs ganhub >= 9.1.0, this is [0-9.]+; update ganhub$",
        "9; rm": r"\); it needs another ganhub than this, [0-9.]+; update ganhub$",
        "0.0.1": r"\); it needs another ganhub than this, [0-9.]+; update ganhub$",
    }.items():
        new = index | {"generator": ["ganhub.models.diffusion", "Generator"], "_ganhub_version": wrote}
        file.write_text(json.dumps(new))
        with pytest.raises(UserError, match=words):
            GANPipeline.from_pretrained(model)


@pytest.mark.parametrize(
    "wrote, this, needs",
    [
        ("0.2.0", "0.2", "another ganhub than this, 0.2"),
        ("0.2", "0.2.0rc1", "another ganhub than this, 0.2.0rc1"),
        ("0.3.0rc1", "0.2.0.dev3+gabc", "ganhub >= 0.3.0rc1"),
        ("0.10.0", "0.9", "ganhub >= 0.10.0"),
        ("1.0", "unknown", "ganhub >= 1.0"),
    ],
)
def test_versions_are_compared_as_numbers(wrote, this, needs, monkeypatch):
    monkeypatch.setattr("ganhub.versions.__version__", this)
    assert f"it needs {needs}" in how_to_update({"_ganhub_version": wrote})


def test_an_argument_of_a_newer_ganhub_is_asked_for_by_its_version(model):
    edited = {"model_index.json": {"_ganhub_version": "9.1.0"}, "generator/config.json": {"mapping": 8}}
    for name, change in edited.items():
        file = model / name
        file.write_text(json.dumps(json.loads(file.read_text()) | change))
    for cls in (GANPipeline, ganhub.AutoGenerator):
        with pytest.raises(UserError, match="takes no mapping; it needs ganhub >= 9.1.0, this is"):
            cls.from_pretrained(model)


def test_pull_asks_and_prints_folder_and_commit(hub, repo, model, capsys, monkeypatch):
    monkeypatch.setenv("GANHUB_PATIENCE", "0")
    run("pull", repo)
    folder, commit = capsys.readouterr().out.split("\ncommit ")
    first = HfApi().repo_info(repo).sha
    assert commit.strip() == first and folder.endswith(first)
    HfApi().upload_file(repo_id=repo, path_in_repo="recipe.json", path_or_fileobj=b"{}")
    hub.fault("/api/models", status=503, times=1)
    run("pull", repo)
    assert HfApi().repo_info(repo).sha in capsys.readouterr().out
    run("pull", repo, "--revision", first)
    assert first in capsys.readouterr().out


def test_pull_out_is_a_model_folder_of_plain_files(repo, model, tmp_path, capsys):
    out = tmp_path / "mine" / "model"
    run("pull", repo, "--all", "--out", out)
    files = {file.relative_to(out).as_posix() for file in out.rglob("*") if file.is_file() and not file.is_symlink()}
    theirs = {file.relative_to(model).as_posix() for file in model.rglob("*") if file.is_file()}
    assert files == theirs - {"pipeline.py"}
    assert all((out / name).read_bytes() == (model / name).read_bytes() for name in files)
    assert [path.name for path in out.parent.iterdir()] == ["model"]
    assert "is already there" in fails(capsys, "pull", repo, "--out", out).err
    (tmp_path / "file").write_text("")
    assert "can't be written" in fails(capsys, "pull", repo, "--out", tmp_path / "file" / "x").err


def test_pull_of_what_isnt_there(hub, repo, capsys, monkeypatch):
    assert "only those are pulled" in fails(capsys, "pull", "digits").err
    assert "no such model on the Hub" in fails(capsys, "pull", "alice/nothing").err
    assert "has no revision 'v9'" in fails(capsys, "pull", repo, "--revision", "v9").err
    assert "is no branch, tag or commit" in fails(capsys, "pull", repo, "--revision", "../../x").err
    assert "fp32" in fails(capsys, "pull", repo, "--variant", "fp32").err
    run("pull", repo)
    capsys.readouterr()
    monkeypatch.setattr("ganhub.patience.PAUSES", (0.01,))
    monkeypatch.setattr("ganhub.patience.Patience.__init__.__defaults__", (0.1,))
    hub.fault(".*", status=503, times=1000)
    assert "in trouble" in fails(capsys, "pull", repo).err, "a copy in the cache is not what pull is for"


def test_the_list_is_the_zoo_and_the_hub(hub, repo, capsys, monkeypatch):
    models = ganhub.list_models(limit=1000)
    zoo = [ganhub.listing.ListedModel(name, "zoo") for name in ganhub.zoo_names()]
    assert models[: len(zoo)] == zoo
    (mine,) = [model for model in models if model.id == repo]
    assert mine.where == "hub" and "ganhub" in mine.tags and mine.updated.year >= 2020
    assert [model.id for model in ganhub.list_models(author="alice", search=repo.split("/")[1])] == [repo]
    assert ganhub.list_models(author="nobody") == []
    assert len(ganhub.list_models(author="alice", limit=1)) == 1
    with pytest.raises(UserError, match="limit must be"):
        ganhub.list_models(limit=0)
    run("list", "--search", repo.split("/")[1])
    assert repo in capsys.readouterr().out
    monkeypatch.setattr("ganhub.listing.PATIENCE", 0.1)
    for fault in ({"status": 503}, {"kind": "html"}, {"status": 429, "headers": {"Retry-After": "3600"}}):
        hub.fault("/api/models", times=1000, **fault)
        assert "digits" in fails(capsys, "list").out
        hub.faults.clear()

"""Loading is strict: whatever is wrong with a model folder is one line, and nothing loads by half."""

import json
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file

from ganhub import GANPipeline, UserError

WEIGHTS = "generator/diffusion_pytorch_model.safetensors"


def edit_json(file, **changes):
    values = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({key: value for key, value in values.items() if value is not ...}))


def edit_weights(file, change):
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)


def cut(file, size):
    file.write_bytes(file.read_bytes()[:size])


def only_a_pickle(folder):
    weights = folder / WEIGHTS
    weights.unlink()
    (folder / "generator" / "diffusion_pytorch_model.bin").write_bytes(pickle.dumps({"x": 1}))


def set_nan(tensors):
    tensors["to_image.bias"][0] = float("nan")


CASES = {
    "no index": (lambda f: (f / "model_index.json").unlink(), "no model_index.json"),
    "index not JSON": (lambda f: (f / "model_index.json").write_text("{"), "not valid JSON"),
    "index a list": (lambda f: (f / "model_index.json").write_text("[]"), "expected a JSON object"),
    "foreign class": (lambda f: edit_json(f / "model_index.json", generator=["os", "system"]), "update ganhub"),
    "unknown family": (
        lambda f: edit_json(f / "model_index.json", generator=["ganhub.models.x", "Generator"]),
        "dcgan",
    ),
    "not a module of models": (
        lambda f: edit_json(f / "model_index.json", generator=["ganhub.models.base", "Generator"]),
        "update ganhub",
    ),
    "wrong names": (lambda f: edit_json(f / "model_index.json", class_names=["a"]), "class_names must name each of 3"),
    "names alike": (lambda f: edit_json(f / "model_index.json", class_names=["a", "a", "b"]), "no two alike"),
    "empty name": (lambda f: edit_json(f / "model_index.json", class_names=["", "a", "b"]), "class_names must name"),
    "deep index": (lambda f: (f / "model_index.json").write_text("[" * 200_000), "not valid JSON"),
    "huge index": (lambda f: (f / "model_index.json").write_text(" " * 2**21), "larger than"),
    "binary config": (lambda f: (f / "generator/config.json").write_bytes(b"\xff\xfe"), "not valid JSON"),
    "another class": (lambda f: edit_json(f / "generator/config.json", _class_name="VAE"), "describes a VAE"),
    "bytes as weights": (
        lambda f: edit_weights(f / WEIGHTS, lambda t: t.update({"to_image.bias": torch.ones(1, dtype=torch.int8)})),
        "to_image.bias is stored as I8",
    ),
    "no config": (lambda f: (f / "generator/config.json").unlink(), "no config.json"),
    "config not JSON": (lambda f: (f / "generator/config.json").write_text("x"), "not valid JSON"),
    "unknown key": (lambda f: edit_json(f / "generator/config.json", depth=3), "takes no depth"),
    "absurd width": (lambda f: edit_json(f / "generator/config.json", width=10**9), "width between 1 and 4096"),
    "absurd resolution": (lambda f: edit_json(f / "generator/config.json", resolution=100_000), "power-of-two"),
    "wrong type": (lambda f: edit_json(f / "generator/config.json", width="4"), "whole number as width"),
    "config of another": (lambda f: edit_json(f / "generator/config.json", width=8), "the config asks for"),
    "missing file": (lambda f: (f / WEIGHTS).unlink(), "safetensors only, never a pickle"),
    "only a pickle": (only_a_pickle, "safetensors only, never a pickle"),
    "empty file": (lambda f: cut(f / WEIGHTS, 0), "damaged or cut short"),
    "truncated": (lambda f: cut(f / WEIGHTS, 2000), "damaged or cut short"),
    "text instead": (lambda f: (f / WEIGHTS).write_text("<html>not found</html>"), "damaged or cut short"),
    "missing key": (lambda f: edit_weights(f / WEIGHTS, lambda t: t.pop("to_image.bias")), "to_image.bias is missing"),
    "missing statistics": (
        lambda f: edit_weights(f / WEIGHTS, lambda t: t.pop("stem.1.running_mean")),
        "stem.1.running_mean is missing",
    ),
    "extra key": (lambda f: edit_weights(f / WEIGHTS, lambda t: t.update(x=torch.ones(1))), "x is not part of"),
    "NaN": (lambda f: edit_weights(f / WEIGHTS, set_nan), "to_image.bias has NaN"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_bad_folder_is_one_clear_line(name, model):
    damage, words = CASES[name]
    damage(model)
    with pytest.raises(UserError, match=words) as caught:
        GANPipeline.from_pretrained(model)
    assert "\n" not in str(caught.value) and str(model) in str(caught.value)


def test_the_discriminator_loads_when_asked(model, pipe):
    assert GANPipeline.from_pretrained(model).discriminator is None
    loaded = GANPipeline.from_pretrained(model, discriminator=True).discriminator
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), pipe.discriminator.parameters(), strict=True))


def test_an_index_of_shards_is_not_followed(model, pipe):
    """diffusers would load the shard and leave out what it lacks."""
    shard = model / "generator" / "shard.safetensors"
    save_file({"to_image.bias": torch.full((1,), 9.0)}, shard)
    index = {"metadata": {}, "weight_map": {"to_image.bias": shard.name}}
    (model / "generator" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    loaded = GANPipeline.from_pretrained(model)
    assert all(
        torch.equal(a, b) for a, b in zip(loaded.generator.parameters(), pipe.generator.parameters(), strict=True)
    )


@pytest.mark.parametrize(
    "name", ["a--b/c", "a..b/c", "a/b.git", "user/r\u00e9", "~nobody-here/x", "x" * 300, "a/" + "b" * 200, ""]
)
def test_names_that_nothing_can_have(name):
    with pytest.raises(UserError) as caught:
        GANPipeline.from_pretrained(name)
    assert "\n" not in str(caught.value)


def test_names_that_are_no_model():
    with pytest.raises(UserError, match="no such model; known: "):
        GANPipeline.from_pretrained("nonsense")
    with pytest.raises(UserError, match="no model_index.json"):
        GANPipeline.from_pretrained("tests")


def test_half_precision_files_load_as_floats(tmp_path, pipe):
    import copy

    half = GANPipeline(copy.deepcopy(pipe.generator).half())
    half.save_pretrained(tmp_path)
    loaded = GANPipeline.from_pretrained(tmp_path)
    assert {value.dtype for value in loaded.generator.state_dict().values()} == {torch.float32, torch.int64}
    assert (tmp_path / WEIGHTS).stat().st_size < 0.7 * 4 * sum(p.numel() for p in pipe.generator.parameters())

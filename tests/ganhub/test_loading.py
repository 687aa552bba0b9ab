"""Loading is strict: whatever is wrong with a model folder is one line, and nothing loads by half or is too large."""

import json
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file

from ganhub import GANPipeline, UserError
from ganhub.models import base, dcgan, resnet
from training.recipe import Recipe

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
    "steering name": (
        lambda f: edit_json(f / "model_index.json", class_names=["a\x1b[2J", "b", "c"]),
        "class_names must name .* none of them a control",
    ),
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
    "too many parameters": (
        lambda f: edit_json(f / "generator/config.json", resolution=64, width=4096, kernel=5),
        "would have .* parameters, at most 500,000,000",
    ),
    "float choice": (lambda f: edit_json(f / "generator/config.json", kernel=4.0), "kernel to be one of 3, 4, 5"),
    "wrong type": (lambda f: edit_json(f / "generator/config.json", width="4"), "whole number as width"),
    "config of another": (lambda f: edit_json(f / "generator/config.json", width=8), "the config asks for"),
    "missing file": (lambda f: (f / WEIGHTS).unlink(), "model.safetensors here; ganhub reads safetensors only$"),
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


def test_a_model_that_was_made_without_a_discriminator_says_so(model, pipe, tmp_path):
    folder = tmp_path / "half"
    GANPipeline(pipe.generator, None, pipe.class_names).save_pretrained(folder)
    edit_json(model / "model_index.json", discriminator=...)
    for name in (folder, model):
        with pytest.raises(UserError, match=f"^{name}: has no discriminator; take the run that it was exported from"):
            GANPipeline.from_pretrained(name, discriminator=True)


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


def test_loading_draws_nothing_and_leaves_nothing_empty(model, tmp_path):
    network = resnet.Discriminator(resolution=16, width=2, norm="instance", spectral_norm=True)
    network.save_pretrained(tmp_path)
    before = torch.random.get_rng_state()
    GANPipeline.from_pretrained(model, discriminator=True)
    loaded = resnet.Discriminator.from_pretrained(tmp_path)
    assert torch.equal(torch.random.get_rng_state(), before)
    for kind in ("parameters", "buffers"):
        for (name, mine), other in zip(getattr(network, f"named_{kind}")(), getattr(loaded, kind)(), strict=True):
            assert torch.equal(mine, other) and mine.requires_grad == other.requires_grad, name


@pytest.mark.parametrize(
    "arch, sizes, options",
    [
        ("frog", {"resolution": 128}, {"generator": {"width": 4096}}),
        ("autoencoder", {}, {"discriminator": {"width": 4096, "depth": 8}}),
        ("capsule", {}, {"discriminator": {"capsules": 4096, "capsule_dim": 4096, "pose_dim": 4096}}),
        ("dcgan", {}, {"discriminator": {"width": 4096, "kernel": 5, "spectral_norm": True}}),
    ],
)
def test_a_network_that_is_too_large_is_refused_before_it_takes_memory(arch, sizes, options):
    with pytest.raises(UserError, match=f"{arch}.* would have [0-9,]+ parameters, at most 500,000,000") as caught:
        Recipe(arch=arch, **sizes, **options).build()
    assert "\n" not in str(caught.value)


def test_the_largest_network_is_built_and_the_next_is_not(monkeypatch):
    config = {"resolution": 16, "width": 4}
    count = sum(p.numel() for p in base.sketch(dcgan.Generator, config).parameters())
    monkeypatch.setattr(base, "MAX_PARAMETERS", count)
    assert base.sketch(dcgan.Generator, config).config.width == 4
    monkeypatch.setattr(base, "MAX_PARAMETERS", count - 1)
    with pytest.raises(ValueError, match=f"dcgan.Generator would have {count:,} parameters"):
        base.sketch(dcgan.Generator, config)


def test_an_argument_that_a_network_doesnt_take_is_named_with_those_it_takes():
    words = r"recipe x: arch mlp: the discriminator takes no depth; it takes hidden, norm, dropout, minibatch_disc"
    with pytest.raises(UserError, match=words):
        Recipe(name="x", arch="mlp", discriminator={"depth": 3}).build()
    for name in ("resolution", "latent_dim", "grow_from"):
        with pytest.raises(UserError, match=f"^recipe x: arch resnet: the generator takes no {name}; it is a field"):
            Recipe(name="x", arch="resnet", generator={name: 8}).build()


def test_a_dtype_may_be_named(model):
    assert GANPipeline.from_pretrained(model, torch_dtype="float16").generator.dtype == torch.float16
    for nonsense in ("half-way", "int8", torch.int64, "nn", 16):
        with pytest.raises(UserError, match="torch_dtype must be a floating-point dtype such as torch.float16, got "):
            GANPipeline.from_pretrained(model, torch_dtype=nonsense)

"""A generator as ONNX: the same pixels by another runtime, portable bytes, and no file that wasn't checked."""

import json
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from ganhub import ARCHITECTURES, GANPipeline, UserError
from ganhub.latents import sample
from tests.training.conftest import shrink
from training import onnx_export
from training.__main__ import main
from training.export import Export, run
from training.presets import PRESETS
from training.trainer import train

VARIANTS = {
    "dcgan": {"num_classes": 3, "spectral_norm": True},
    "mlp": {"num_classes": 3},
    "frog": {"norm": "instance", "num_classes": 3},
    "resnet": {"attention": 8, "num_classes": 3, "spectral_norm": True, "mapping": 2, "upsampling": "bilinear"},
    "autoencoder": {"norm": "layer", "latent": "uniform"},
    "capsule": {"latent_scale": 0.5},
}


def folder_of(family, parent):
    torch.manual_seed(2)
    size = {"resolution": 32 if family == "frog" else 16, **({} if family == "mlp" else {"width": 4})}
    generator = ARCHITECTURES[family].Generator(**size, latent_dim=8, **VARIANTS[family])
    with torch.no_grad():  # a spectral norm needs a step to settle
        generator.train()(torch.randn(4, 8), torch.tensor([0, 1, 2, 0]) if generator.config.num_classes else None)
    for name, value in generator.state_dict().items():
        if name.endswith((".scale", ".shift", ".gate", "mapping_network.mean")):
            value.add_(0.3 * torch.randn_like(value))  # what starts at 0 would hide what is before it
    GANPipeline(generator).save_pretrained(parent / family)
    return parent / family


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_every_family_draws_the_same_in_batches_of_any_size(family, tmp_path):
    folder = folder_of(family, tmp_path)
    assert onnx_export.write(folder) <= onnx_export.MAX_DIFFERENCE
    pipe = GANPipeline.from_pretrained(folder)
    session = onnxruntime.InferenceSession(folder / "generator.onnx")
    assert [item.name for item in session.get_inputs()] == (["z", "labels"] if pipe.num_classes else ["z"])
    for count in (1, 5):
        z = sample(range(40, 40 + count), 8)
        labels = torch.tensor([2, 0, 1, 1, 2][:count]) if pipe.num_classes else None
        given = {"z": z.numpy()} | ({} if labels is None else {"labels": labels.numpy()})
        with torch.inference_mode():
            wanted = pipe.generator(z, labels).numpy()
        assert wanted.std() > 0.01
        np.testing.assert_allclose(session.run(None, given)[0], wanted, atol=1e-4, rtol=0)


def test_the_bytes_are_the_same_again_and_name_no_path_of_this_machine(tmp_path):
    folder = folder_of("dcgan", tmp_path)
    contents = []
    for name in ("one.onnx", "two.onnx"):
        onnx_export.write(folder, tmp_path / "deep" / name, "user/model")
        contents.append((tmp_path / "deep" / name).read_bytes())
    assert contents[0] == contents[1]
    for trace in (b".py", b"site-packages", str(tmp_path).encode(), b"/home", b"stack"):
        assert trace not in contents[0]
    model = onnx.load_from_string(contents[0])
    onnx.checker.check_model(model)
    facts = {item.key: item.value for item in model.metadata_props}
    assert (facts["model"], facts["latent_dim"]) == ("user/model", "8")
    assert json.loads(facts["class_names"]) == ["0", "1", "2"] and facts["ganhub_version"]


def test_a_file_that_draws_something_else_isnt_kept(tmp_path, monkeypatch):
    folder = folder_of("mlp", tmp_path)
    real = onnx_export.export

    def worse(pipe):
        with torch.no_grad():
            pipe.generator.to_image.bias += 0.01
        return real(pipe)

    monkeypatch.setattr(onnx_export, "export", worse)
    with pytest.raises(UserError, match="as ONNX, pixels differ by .* no file was kept"):
        onnx_export.write(folder)
    assert not list(folder.glob("*onnx*")) and not list(folder.glob(".*"))


def test_it_says_that_a_screen_stays_behind(tmp_path, caplog):
    for screen in (0, 1):
        GANPipeline(ARCHITECTURES["resnet"].Generator(16, width=4, latent_dim=8, screen=screen)).save_pretrained(
            tmp_path
        )
        onnx_export.write(tmp_path)
        assert ("generator.onnx draws every latent as it comes" in caplog.text) == bool(screen)


def test_a_missing_package_is_one_line_with_the_command(tmp_path, monkeypatch):
    folder = folder_of("mlp", tmp_path)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r'needs a package .*pip install "ganhub\[onnx\]"$'):
        onnx_export.write(folder)


def call(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["training", *map(str, words)])
    try:
        main()
        return 0, capsys.readouterr().out
    except SystemExit as stop:
        return stop.code, capsys.readouterr().err


def test_the_command_needs_a_place_for_what_is_no_folder(tmp_path, monkeypatch, capsys):
    status, message = call(monkeypatch, capsys, "onnx", "digits")
    assert status == 1 and "--out FILE.onnx" in message and message.count("\n") == 1
    status, message = call(monkeypatch, capsys, "onnx", "digits", "--out", tmp_path / "digits.onnx")
    assert status == 0 and "digits.onnx: written; pixels differ by at most" in message
    assert (tmp_path / "digits.onnx").is_file()


def test_export_adds_what_is_asked_for(tmp_path, picture_folder):
    train(shrink(PRESETS["digits"], picture_folder, channels=3), tmp_path / "run")
    plain = run(Export(tmp_path / "run", tmp_path / "plain"))
    full = run(Export(tmp_path / "run", tmp_path / "full", handler=True, onnx=True, name="user/full"))
    names = [{path.relative_to(out).as_posix() for path in out.rglob("*.*")} for out in (plain, full)]
    family = f"ganhub.models.{PRESETS['digits'].arch}.py"
    assert names[1] - names[0] == {
        "pipeline.py", f"generator/{family}", f"discriminator/{family}",
        "handler.py", "requirements.txt", "generator.onnx",
    }  # fmt: skip
    images = [GANPipeline.from_pretrained(out)(4, output_type="pt").images for out in (plain, full)]
    torch.testing.assert_close(*images, rtol=0, atol=0)
    assert b"user/full" in (full / "generator.onnx").read_bytes()

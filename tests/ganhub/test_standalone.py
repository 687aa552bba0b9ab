"""Models without ganhub: plain diffusers in a process that can't import it, and an endpoint's handler."""

import ast
import base64
import io
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import HfApi
from PIL import Image

from ganhub import ARCHITECTURES, GANPipeline, UserError, standalone
from ganhub.standalone.handler import EndpointHandler
from tests.conftest import tiny_pipeline

ROOT = Path(__file__).parents[2]
CALL = {"num_images": 3, "seed": [5, 6, 70], "truncation": 0.8, "output_type": "np"}
DRAW = f"""
import sys
sys.modules["ganhub"] = None  # an import of it, or of anything in it, fails
import numpy as np
from diffusers import DiffusionPipeline
for i, name in enumerate(sys.argv[2:]):
    pipe = DiffusionPipeline.from_pretrained(name, trust_remote_code=True)
    labels = [1, 0, 1] if pipe.num_classes else None
    np.save(f"{{sys.argv[1]}}/{{i}}.npy", pipe(labels=labels, **{CALL}).images)
    assert pipe.discriminator is not None and not pipe.discriminator.training
"""
SERVE = """
import sys
sys.modules["ganhub"] = None
sys.path.insert(0, sys.argv[1])
from handler import EndpointHandler
handler = EndpointHandler(sys.argv[1])
picture = handler({"inputs": "two", "parameters": {"seed": 3}})
picture.save(sys.argv[2])
"""


def networks(family, screen=0, **changes):
    torch.manual_seed(1)
    size = {"resolution": 32 if family == "frog" else 16, **({} if family == "mlp" else {"width": 4}), **changes}
    module = ARCHITECTURES[family]
    generator = module.Generator(**size, latent_dim=8, **({"screen": screen} if screen else {}))
    for parameter in generator.parameters():
        parameter.data.mul_(3)  # so that pictures differ
    if screen:
        generator.screening.weight.normal_()
    return generator, module.Discriminator(**size)


def folder_of(family, parent, **changes):
    folder = parent / family
    GANPipeline(*networks(family, **changes)).save_pretrained(folder)
    standalone.write(folder)
    return folder


def run(code, *arguments):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    from tests.conftest import HUB

    folder = tmp_path_factory.mktemp("published") / "model"
    tiny_pipeline().save_pretrained(folder)
    tiny_pipeline().save_pretrained(folder / "snapshots" / "000000100")
    standalone.write(folder)
    HUB.faults.clear()
    api = HfApi()
    api.create_repo("alice/standalone", exist_ok=True)
    api.upload_folder(repo_id="alice/standalone", folder_path=folder)
    return folder


def test_plain_diffusers_draws_the_same_pixels_from_folders_and_from_the_hub(published, tmp_path):
    mlp, capsule = folder_of("mlp", tmp_path), folder_of("capsule", tmp_path, num_classes=2)
    resnet = folder_of("resnet", tmp_path, num_classes=2, attention=8, spectral_norm=True, screen=2)
    messages = run(DRAW, tmp_path, mlp, resnet, capsule, published, "alice/standalone")
    assert "Expected types" not in messages
    assert not list(Path(os.environ["HF_HOME"], "hub", "models--alice--standalone").glob("snapshots/*/snapshots"))
    for i, folder in enumerate((mlp, resnet, capsule, published, published)):
        pipe = GANPipeline.from_pretrained(folder)
        wanted = pipe(labels=[1, 0, 1] if pipe.num_classes else None, **CALL).images
        assert wanted.std() > 0.01
        first = pipe(labels=[1, 0, 1] if pipe.num_classes else None, **CALL, screen=False).images
        assert (folder == resnet) == (wanted != first).any()  # some were drawn again
        np.testing.assert_array_equal(np.load(tmp_path / f"{i}.npy"), wanted)


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_the_files_of_every_family_stand_alone(family):
    for source in (standalone.network_source(f"ganhub.models.{family}"), standalone.pipeline_source()):
        tree = ast.parse(source)
        imported = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        modules = [getattr(node, "module", None) or node.names[0].name for node in imported]
        assert modules and not any(module.startswith("ganhub") for module in modules)
        assert all(node in tree.body for node in imported)
    names: dict = {"__name__": "alone"}
    exec(compile(standalone.network_source(f"ganhub.models.{family}"), family, "exec"), names)
    generator, discriminator = networks(family)
    for network, name in ((generator, "Generator"), (discriminator, "Discriminator")):
        twin = names[name].from_config(dict(network.config))
        twin.load_state_dict(network.state_dict())
        given = torch.linspace(-1, 1, 16).view(2, 8) if name == "Generator" else torch.ones(2, 3, 32, 32)
        if name == "Discriminator":
            given = given[..., : network.config.resolution, : network.config.resolution][:, : network.config.channels]
        torch.testing.assert_close(twin.eval()(given), network.eval()(given), rtol=0, atol=0)


def test_writing_twice_changes_nothing_and_ganhub_still_loads_it(published):
    before = {path: path.read_bytes() for path in published.rglob("*") if path.is_file()}
    standalone.write(published)
    assert before == {path: path.read_bytes() for path in published.rglob("*") if path.is_file()}
    assert {path.relative_to(published).as_posix() for path in before if path.suffix == ".py"} == {
        "pipeline.py", "generator/ganhub.models.dcgan.py", "discriminator/ganhub.models.dcgan.py",
    }  # fmt: skip
    assert json.loads((published / "model_index.json").read_text())["_class_name"] == ["pipeline", "GANPipeline"]
    for name in (published, "alice/standalone"):
        assert GANPipeline.from_pretrained(name, discriminator=True).class_names == ["zero", "one", "two"]


def test_ganhub_runs_none_of_the_files(model):
    standalone.write_handler(model)
    for file in model.rglob("*.py"):
        file.write_text("raise SystemExit('this must never run')\n")
    assert GANPipeline.from_pretrained(model)(1).images


def test_another_family_than_ours_is_refused(model):
    index = model / "model_index.json"
    index.write_text(index.read_text().replace("ganhub.models.dcgan", "ganhub.models.../../x"))
    with pytest.raises(UserError, match="generator"):
        standalone.write(model)
    assert not (model / "pipeline.py").exists()


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("endpoint") / "model"
    tiny_pipeline().save_pretrained(folder)
    standalone.write_handler(folder)
    return folder, EndpointHandler(str(folder))


def test_an_endpoint_serves_the_folder_without_ganhub(endpoint, tmp_path):
    folder, _ = endpoint
    run(SERVE, folder, tmp_path / "served.png")
    wanted = GANPipeline.from_pretrained(folder)(1, labels=2, seed=3).images[0]
    assert Image.open(tmp_path / "served.png").tobytes() == wanted.tobytes()


def test_requirements_of_an_endpoint_are_ranges_of_the_package(endpoint):
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    lines = (endpoint[0] / "requirements.txt").read_text().splitlines()
    assert lines and set(lines) <= set(asked)


def test_several_pictures_are_json(endpoint):
    folder, handler = endpoint
    parameters = {"num_images": 3, "labels": ["two", 0], "seed": 9, "truncation": 0.5}
    answer = json.loads(json.dumps(handler({"inputs": "", "parameters": parameters})))
    assert (answer["seeds"], answer["labels"]) == ([9, 10, 11], ["two", "zero", "two"])
    wanted = GANPipeline.from_pretrained(folder)(3, labels=[2, 0, 2], seed=9, truncation=0.5).images
    got = [Image.open(io.BytesIO(base64.b64decode(text))) for text in answer["images"]]
    assert [a.tobytes() for a in got] == [b.tobytes() for b in wanted]
    assert len(handler({"inputs": ["one", "2"]})["images"]) == 2
    for inputs, names in (("", ["zero", "one", "two"]), ("two", ["two"] * 3)):
        answer = handler({"inputs": inputs, "parameters": {"seed": [4, 4, 5]}})
        assert (answer["seeds"], answer["labels"]) == ([4, 4, 5], names)
    assert handler({"inputs": {}}).tobytes() == handler({"inputs": "zero"}).tobytes()


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"inputs": "three"}, "a label must be a class, 0 to 2 or zero, one, two; got 'three'"),
        ({"inputs": 3}, "must be a class"),
        ({"inputs": [True]}, "must be a class"),
        ({"inputs": {"prompt": "a cat"}}, "must be a class"),
        ({"inputs": "one", "parameters": {"labels": [2]}}, "given twice"),
        ({"inputs": "", "parameters": {"num_images": 65}}, "1 to 64"),
        ({"inputs": "", "parameters": {"num_images": "2"}}, "1 to 64"),
        ({"inputs": ["one"] * 65}, "at most 64"),
        ({"inputs": "", "parameters": {"steps": 3}}, "got steps"),
        ({"inputs": "", "parameters": [1]}, "parameters may have"),
        ({"inputs": "", "parameters": {"seed": "x"}}, "seed must be"),
        ({"inputs": "", "parameters": {"truncation": 9}}, "truncation must be"),
    ],
)
def test_a_request_that_cant_be_met_is_one_line(endpoint, request_, words):
    with pytest.raises(ValueError, match=words) as refused:
        endpoint[1](request_)
    assert "\n" not in str(refused.value)


def test_a_class_of_a_model_without_classes_is_refused(tmp_path):
    folder = tmp_path / "model"
    tiny_pipeline(num_classes=0).save_pretrained(folder)
    standalone.write_handler(folder)
    handler = EndpointHandler(str(folder))
    assert isinstance(handler({"inputs": ""}), Image.Image)
    with pytest.raises(ValueError, match="has no classes"):
        handler({"inputs": "one"})

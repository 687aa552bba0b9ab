"""Shared by all tests: no network, no cache of the user's, tiny models and tiny data."""

import os
import shutil
import tempfile
from pathlib import Path

LEAKS = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_DATASETS_CACHE", "HF_TOKEN_PATH", "HF_ASSETS_CACHE")
LEAKS += ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE", "GANHUB_PATIENCE")
for name in LEAKS:  # they would outrank what is set below
    os.environ.pop(name, None)
HOME = tempfile.mkdtemp(prefix="ganhub-tests-")
os.environ.update(  # before huggingface_hub and datasets are imported: they read it then
    HF_HOME=HOME,
    HF_HUB_DISABLE_TELEMETRY="1",
    HF_HUB_DISABLE_PROGRESS_BARS="1",
    HF_HUB_DISABLE_XET="1",
    HF_HUB_DISABLE_UPDATE_CHECK="1",
    GANHUB_CACHE=str(Path(HOME, "ganhub")),
    GRADIO_ANALYTICS_ENABLED="False",
    NO_PROXY="127.0.0.1,localhost",
    no_proxy="127.0.0.1,localhost",
    OMP_NUM_THREADS="1",  # tiny networks: a second thread only waits for the first
    CUDA_VISIBLE_DEVICES="",  # what is exact here is so on a CPU
    ACCELERATE_USE_CPU="true",
)
from tests.hub_server import HubServer  # noqa: E402

HUB = HubServer()
os.environ.update(HF_ENDPOINT=HUB.endpoint, HF_TOKEN="hf_alice_write")

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402

from ganhub import GANPipeline  # noqa: E402
from ganhub.models import dcgan  # noqa: E402

TINY = {"resolution": 16, "width": 4}


def pytest_sessionfinish():
    HUB.close()
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture
def hub():
    """The Hub's stand-in, without faults or recorded requests."""
    HUB.requests.clear()
    HUB.faults.clear()
    yield HUB
    HUB.faults.clear()


def tiny_pipeline(num_classes: int = 3, channels: int = 1) -> GANPipeline:
    torch.manual_seed(0)
    sizes = {**TINY, "channels": channels, "num_classes": num_classes}
    generator = dcgan.Generator(**sizes, latent_dim=8, label_dim=4)
    for module in generator.modules():  # as after training: pictures that fill the range and differ
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
        elif isinstance(module, torch.nn.ConvTranspose2d):
            module.weight.data.mul_(15)
    names = ["zero", "one", "two"][:num_classes] or None
    return GANPipeline(generator, dcgan.Discriminator(**sizes), names)


@pytest.fixture(scope="session")
def pipe() -> GANPipeline:
    return tiny_pipeline()


@pytest.fixture
def model(pipe, tmp_path) -> Path:
    """A conditional model folder with a discriminator."""
    folder = tmp_path / "model"
    pipe.save_pretrained(folder)
    return folder


def write_pictures(folder: Path, classes: tuple[str, ...] = ("dark", "light"), count: int = 12, size: int = 20) -> Path:
    """An image folder: noise around one level a class, `count` each."""
    random = np.random.default_rng(0)
    for level, name in zip(np.linspace(60, 200, len(classes)), classes):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            pixels = random.normal(level, 20, (size, size, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i:03d}.png")
    return folder


@pytest.fixture(scope="session")
def picture_folder(tmp_path_factory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures"))

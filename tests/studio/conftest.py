"""A studio of tiny models with random weights, served once for all tests, and a Chromium to look at it."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gradio as gr
import pytest
import torch
from gradio_client import Client
from PIL import Image

from ganhub.models import dcgan
from ganhub.pipeline import GANPipeline
from ganhub.studio import launch

DIGITS_CARD = """---
license: mit
---
# Digits

![samples](samples.png)

Handwritten digits in **ten classes**, for tests. More text.
"""
FROGS_CARD = """# Frogs

Frogs in colour, for tests.

![spy](https://example.com/spy.png) ![spy][1]

| measure | value |
| --- | --- |
| distance | 0.5 |

[1]: https://example.com/another-spy.png
"""
SHEETS = {1000: "red", 20_000: "lime", 300_000: "blue"}
PATIENCE = 60  # seconds that a request may take on a busy machine
NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "7", "eight", "nine"]


@pytest.fixture(scope="session")
def model_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A conditional grey model and an unconditional colour one."""
    root = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    digits = dcgan.Generator(resolution=32, channels=1, num_classes=10, latent_dim=16, width=8)
    frogs = dcgan.Generator(resolution=32, channels=3, latent_dim=16, width=8)
    for weight in [
        *digits.parameters(),
        *frogs.parameters(),
    ]:  # louder, so that every seed looks different
        if weight.ndim == 4:
            torch.nn.init.kaiming_normal_(weight.data, mode="fan_out").mul_(2)
    save(GANPipeline(digits, class_names=NUMBERS), root / "digits", DIGITS_CARD)
    save(GANPipeline(frogs), root / "frogs", FROGS_CARD)
    Image.new("RGB", (8, 8), "red").save(root / "digits" / "samples.png")
    (root / "digits" / "snapshots").mkdir()
    for images, colour in SHEETS.items():
        Image.new("RGB", (40, 20), colour).save(root / "digits" / "snapshots" / f"{images:09d}.png")
    return {folder.name: folder for folder in sorted(root.iterdir())}


def save(pipeline: GANPipeline, folder: Path, card: str) -> None:
    pipeline.save_pretrained(folder)
    (folder / "README.md").write_text(card)


@pytest.fixture(scope="session")
def pipelines(model_folders: dict[str, Path]) -> dict[str, GANPipeline]:
    """The same models, to compare pixels with."""
    return {name: GANPipeline.from_pretrained(folder) for name, folder in model_folders.items()}


@pytest.fixture(scope="session")
def served(model_folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[gr.Blocks]:
    """The running studio; its files go to a folder of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))
        with serve([str(folder) for folder in model_folders.values()]) as blocks:
            yield blocks


@contextmanager
def serve(models: list[str] | None = None) -> Iterator[gr.Blocks]:
    """A studio that runs until the block is left."""
    blocks = launch(models, port=free_port(), block=False)
    try:
        yield blocks
    finally:
        blocks.close(verbose=False)


@pytest.fixture(scope="session")
def studio(served: gr.Blocks) -> str:
    """Its address."""
    return str(served.local_url)


def connect(address: str, downloads: Path) -> Client:
    """A client of the API that saves what it gets into a folder."""
    return Client(address, verbose=False, download_files=str(downloads), httpx_kwargs={"timeout": PATIENCE})


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]

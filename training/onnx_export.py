"""A generator as ONNX (https://onnx.ai), to draw in a browser or anywhere else without PyTorch.

    images = session.run(None, {"z": z, "labels": labels})[0]

z is (B, latent_dim) float32, standard normal, with any truncation already applied; labels (B,) int64 for a model with
classes only; images (B, C, R, R) float32 in [-1, 1]. The batch may have any size. Weights are float32, whatever they
are stored as. A file is kept only if onnxruntime draws with it what PyTorch draws.
"""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from ganhub import __version__
from ganhub.errors import UserError, first_line
from ganhub.files import write_aside
from ganhub.layout import ONNX_FILE

log = logging.getLogger(__name__)

OPSET = 18  # ONNX 1.13; onnxruntime and onnxruntime-web have it since 2023
SEEDS = range(16)
MAX_DIFFERENCE = 1e-4  # of pixels in [-1, 1]; one level of 255 is 80 times as much
INSTALL = 'pip install "ganhub[onnx]"'


@dataclass(frozen=True)
class Onnx:
    """Write the generator of a model as ONNX, and check that it draws the same."""

    model: Annotated[str, tyro.conf.Positional]
    """A model folder, a zoo name or a Hub id."""
    out: Path | None = None
    """The file to write; FOLDER/generator.onnx when left out and the model is a folder."""


def run(options: Onnx) -> tuple[Path, float]:
    """Export a model; returns the file and the largest difference of a pixel between PyTorch and onnxruntime.

    Raises:
        UserError: as `write`, or there is no such model, or no place for the file was given.
    """
    from ganhub.hub import resolve, zoo_names

    folder = resolve(options.model)
    if options.out is None and (options.model in zoo_names() or not Path(options.model).expanduser().is_dir()):
        raise UserError(f"{options.model}: is no folder of yours; say where the file goes with --out FILE.onnx")
    name = folder.resolve().name if Path(options.model).expanduser().is_dir() else options.model
    file = options.out or folder / ONNX_FILE
    return file, write(folder, file, name)


def write(folder: Path, file: Path | None = None, name: str = "") -> float:
    """Write the generator of a model folder as ONNX. The same folder and versions always give the same bytes.

    Args:
        folder: a model folder.
        file: where to; generator.onnx in the folder when left out. Nothing is left there unless the check passes.
        name: of the model, for the file's metadata; the folder's when left out.

    Returns:
        The largest difference of a pixel in [-1, 1] between PyTorch and onnxruntime, on 16 seeds.

    Raises:
        UserError: a package is missing, the model can't be loaded or exported, it draws something else as ONNX, or the
            file can't be written.
    """
    require_packages()
    from ganhub.pipeline import GANPipeline

    pipe = GANPipeline.from_pretrained(folder)
    file = file or folder / ONNX_FILE
    try:
        model = export(GANPipeline.from_pretrained(folder))
        describe(model, pipe, name or folder.resolve().name)
        content = model.SerializeToString(deterministic=True)
    except Exception as error:  # the exporter raises whatever its passes raise, and protobuf stops at 2 GB
        raise UserError(f"{folder}: this generator can't be exported as ONNX ({first_line(error)})") from error
    difference = check(content, pipe, folder)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_aside(file, lambda aside: aside.write_bytes(content))
    except OSError as error:
        raise UserError(f"{file}: can't be written ({first_line(error)})") from error
    if pipe.generator.config.get("screen"):
        log.warning("%s draws every latent as it comes: the model's screen isn't part of it", file)
    return difference


def require_packages() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"exporting as ONNX needs a package that isn't there ({first_line(error)}): {INSTALL}"
        ) from error


def export(pipe: Any) -> Any:
    """The graph of a generator, an onnx.ModelProto; the pipeline can't be used any more."""
    import torch
    from torch.nn.utils import parametrize

    generator = pipe.generator
    for module in generator.modules():  # a spectral norm is a constant by now
        if parametrize.is_parametrized(module):
            for parameter in list(module.parametrizations):
                parametrize.remove_parametrizations(module, parameter, leave_parametrized=True)
    names = ["z", "labels"] if pipe.num_classes else ["z"]
    sizes = {name: {0: torch.export.Dim("batch")} for name in names}
    with quiet():
        program: Any = torch.onnx.export(
            generator, inputs(pipe, range(2)), input_names=names, output_names=["images"], opset_version=OPSET,
            dynamo=True, external_data=False, verbose=False, dynamic_shapes=sizes,
        )  # fmt: skip
    return program.model_proto


def inputs(pipe: Any, seeds: range) -> tuple[Any, ...]:
    """z and, with classes, labels in turn."""
    import torch

    from ganhub.latents import sample

    z = sample(seeds, pipe.generator.config.latent_dim)
    return (z, torch.tensor([i % pipe.num_classes for i in seeds])) if pipe.num_classes else (z,)


@contextmanager
def quiet() -> Iterator[None]:
    """Without the exporter's remarks about itself."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)


def describe(model: Any, pipe: Any, name: str) -> None:
    """Replace what the exporter notes, paths of this machine among it, by what a user of the file needs."""
    strip(model.graph)
    for function in model.functions:
        strip(function)
    del model.metadata_props[:]
    model.producer_name, model.producer_version, model.doc_string = "ganhub", __version__, ""
    model.graph.name = "generator"
    config = pipe.generator.config
    facts = {
        "model": name,
        "ganhub_version": __version__,
        "latent_dim": config.latent_dim,
        "resolution": config.resolution,
        "channels": config.channels,
        "num_classes": pipe.num_classes,
        "class_names": pipe.class_names,
    }
    for key, value in facts.items():
        model.metadata_props.add(key=key, value=value if isinstance(value, str) else json.dumps(value))


def strip(graph: Any) -> None:
    """Take doc strings and notes off a graph and all in it."""
    graph.doc_string = ""
    del graph.metadata_props[:]
    parts = [graph.node, *(getattr(graph, field, []) for field in ("input", "output", "value_info", "initializer"))]
    for item in (item for part in parts for item in part if hasattr(item, "doc_string")):
        item.doc_string = ""
        del item.metadata_props[:]
    for node in graph.node:
        for attribute in node.attribute:
            for inner in [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]:
                strip(inner)


def check(content: bytes, pipe: Any, folder: Path) -> float:
    """The largest difference of a pixel between PyTorch and onnxruntime, in one batch and one by one.

    Raises:
        UserError: it is more than MAX_DIFFERENCE, or onnxruntime can't run the model.
    """
    import numpy as np
    import onnxruntime
    import torch

    batches = [SEEDS, *(range(seed, seed + 1) for seed in SEEDS)]
    with torch.inference_mode():
        wanted = pipe.generator(*inputs(pipe, SEEDS)).numpy()
    try:
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        names = [item.name for item in session.get_inputs()]
        difference = 0.0
        for seeds in batches:
            z, *labels = (value.numpy() for value in inputs(pipe, SEEDS))
            given = dict(zip(names, [value[seeds.start : seeds.stop] for value in (z, *labels)]))
            images = session.run(None, given)[0]
            if images.shape != wanted[seeds.start : seeds.stop].shape:
                raise UserError(f"{folder}: as ONNX it draws {images.shape} for {len(seeds)} seeds; no file was kept")
            difference = max(difference, float(np.abs(images - wanted[seeds.start : seeds.stop]).max()))
    except UserError:
        raise
    except Exception as error:  # onnxruntime's errors have no common class
        raise UserError(
            f"{folder}: onnxruntime can't run it as ONNX ({first_line(error)}); no file was kept"
        ) from error
    if not difference <= MAX_DIFFERENCE:
        raise UserError(
            f"{folder}: as ONNX, pixels differ by {difference:.2g} of 2 (at most {MAX_DIFFERENCE:g} is kept); no file "
            f"was kept; other versions of torch and onnxruntime may agree"
        )
    return difference

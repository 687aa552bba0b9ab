"""Settings to pictures, and pictures to files with names that say how to make them again."""

import hashlib
import io
import re
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder
from PIL import Image

from ganhub.studio.models import Model
from ganhub.studio.state import Settings


@dataclass(frozen=True)
class Drawing:
    """The pictures, in true pixels, and for each its seed, class id (None when unconditional), name and caption."""

    pictures: list[Image.Image]
    seeds: list[int]
    labels: list[int] | None
    stems: list[str]
    captions: list[str]


def draw(model: Model, settings: Settings) -> Drawing:
    """Generate what the settings say."""
    output: Any = model.pipeline(
        num_images=settings.num_images, labels=settings.label, seed=settings.seed, truncation=settings.truncation
    )
    names = [model.classes[label] for label in output.labels] if output.labels else [""] * len(output.seeds)
    return Drawing(
        pictures=output.images,
        seeds=output.seeds,
        labels=output.labels,
        stems=[file_stem(model.name, name, seed, settings.truncation) for name, seed in zip(names, output.seeds)],
        captions=[f"{name} · seed {seed}" if name else f"seed {seed}" for name, seed in zip(names, output.seeds)],
    )


def file_stem(model: str, class_name: str, seed: int, truncation: float) -> str:
    """ "digits_7_seed42", and "digits_7_seed42_t0.5" when truncated."""
    parts = [model, class_name, f"seed{seed}", "" if truncation == 1 else f"t{truncation:g}"]
    return "_".join(re.sub(r"[^\w.-]+", "-", part).strip(".-") for part in parts if part)


def save_pictures(drawing: Drawing) -> list[str]:
    """One PNG each where gradio may serve it; returns the paths."""
    return [save(to_png(image), f"{stem}.png") for image, stem in zip(drawing.pictures, drawing.stems)]


def save_zip(model: Model, settings: Settings) -> str:
    """All the PNGs in one zip where gradio may serve it; returns its path."""
    drawing = draw(model, settings)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:  # stored: a PNG doesn't get smaller
        for image, stem in zip(drawing.pictures, drawing.stems):
            archive.writestr(zipfile.ZipInfo(f"{stem}.png"), to_png(image))
    class_name = "" if settings.label is None else model.classes[settings.label]
    stem = file_stem(model.name, class_name, settings.seed, settings.truncation)
    return save(buffer.getvalue(), f"{stem}_{settings.num_images}-pictures.zip")


def to_png(image: Image.Image) -> bytes:
    """The file's content."""
    buffer = io.BytesIO()
    image.save(buffer, "png")
    return buffer.getvalue()


def save(data: bytes, name: str) -> str:
    """Put a file into gradio's cache, where each content has a folder; returns its path.

    Renamed into place: two visitors may ask for the same picture, and neither may be served the other's half of a file.
    """
    folder = Path(get_upload_folder(), hashlib.sha256(data).hexdigest())
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as aside:
        aside.write(data)
    return str(Path(aside.name).replace(folder / name))

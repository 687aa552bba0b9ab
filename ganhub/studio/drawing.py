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

MAX_PART = 36  # characters; a name has 255 bytes, and some scripts three a character


@dataclass(frozen=True)
class Drawing:
    """The pictures, in true pixels, and for each its seed, class id and name (None without), file name and caption."""

    pictures: list[Image.Image]
    seeds: list[int]
    labels: list[int] | None
    classes: list[str] | None
    stems: list[str]
    captions: list[str]


def draw(model: Model, settings: Settings) -> Drawing:
    """Generate what the settings say."""
    output: Any = model.pipeline(
        num_images=settings.num_images, labels=settings.label, seed=settings.seed, truncation=settings.truncation
    )
    known = model.classes
    classes = [known[label] for label in output.labels] if output.labels else None
    names = classes or [""] * len(output.seeds)
    return Drawing(
        pictures=output.images,
        seeds=output.seeds,
        labels=output.labels,
        classes=classes,
        stems=[file_stem(model.name, name, seed, settings.truncation) for name, seed in zip(names, output.seeds)],
        captions=[f"{name} · seed {seed}" if name else f"seed {seed}" for name, seed in zip(names, output.seeds)],
    )


def file_stem(model: str, class_name: str, seed: int, truncation: float) -> str:
    """ "digits_7_seed42", and "digits_7_seed42_t0.5" when truncated."""
    return stem_of(model, class_name, f"seed{seed}", truncated(truncation))


def truncated(truncation: float) -> str:
    """ "t0.5" in a name; nothing where nothing is truncated."""
    return "" if truncation == 1 else f"t{truncation:g}"


def stem_of(*parts: str) -> str:
    """One name that every system takes, of those parts that say something; of long ones the beginning."""
    return "_".join(re.sub(r"[^\w.+-]+", "-", part[:MAX_PART]).strip(".-") for part in parts if part)


def save_pictures(drawing: Drawing) -> list[str]:
    """One PNG each where gradio may serve it; returns the paths."""
    return save({f"{stem}.png": to_png(image) for image, stem in zip(drawing.pictures, drawing.stems)})


def save_zip(model: Model, settings: Settings) -> str:
    """All the PNGs in one zip where gradio may serve it; returns its path."""
    drawing = draw(model, settings)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:  # stored: a PNG doesn't get smaller
        for image, stem in zip(drawing.pictures, drawing.stems):
            archive.writestr(zipfile.ZipInfo(f"{stem}.png"), to_png(image))
    class_name = "" if settings.label is None else model.classes[settings.label]
    stem = file_stem(model.name, class_name, settings.seed, settings.truncation)
    (path,) = save({f"{stem}_{settings.num_images}-pictures.zip": buffer.getvalue()})
    return path


def to_png(image: Image.Image) -> bytes:
    """The file's content."""
    buffer = io.BytesIO()
    image.save(buffer, "png")
    return buffer.getvalue()


def save(files: dict[str, bytes]) -> list[str]:
    """Put files into gradio's cache, where the same contents have one folder; returns their paths.

    Renamed into place: two visitors may ask for the same pictures, and neither may be served half a file.
    """
    folder = Path(get_upload_folder(), hashlib.sha256(b"".join(files.values())).hexdigest())
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, data in files.items():
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as aside:
            aside.write(data)
        paths.append(str(Path(aside.name).replace(folder / name)))
    return paths

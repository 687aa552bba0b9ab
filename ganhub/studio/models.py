"""The models on show: loaded once, warm, with what their cards say about them."""

import base64
import contextlib
import io
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from ganhub import hub
from ganhub.directions import read_effects
from ganhub.errors import UserError
from ganhub.layout import CURVES_FILE, MAX_SHEET, local_sheets
from ganhub.pipeline import GANPipeline

log = logging.getLogger(__name__)

MAX_SUMMARY = 140  # characters
MAX_CARD = 200_000  # characters that are read of it
MAX_PROSE = 1000  # characters of a paragraph that may become the summary
MAX_SHOWN = 4_000_000  # bytes of a picture in a card: it becomes part of the page
MAX_PLAIN = 50_000  # bytes of a picture in a card that goes into the page as it is
MAX_PICTURES = 10  # in a card
MAX_SIDE = 2048  # pixels of a sheet of the training
STYLED_TRUNCATION = 0.7  # styles nearer to their mean break far more seldom; without styles it makes little difference
FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
CODE = re.compile(r"(```.*?```|`[^`\n]+`)", re.DOTALL)
# Bounded and without backtracking: a stranger's card must not keep the studio busy for minutes.
IMAGE = re.compile(r"!\[([^\]]{0,500}+)\]\(\s{0,9}+<?([^)\s>]{1,500}+)[^)]{0,200}+\)")
LINK = re.compile(r"\[([^\]]{1,500}+)\]\([^)]{0,500}+\)")


@dataclass(frozen=True)
class Model:
    """A loaded model. `name` is what visitors and addresses call it; `summary` one sentence; `card` Markdown."""

    name: str
    pipeline: GANPipeline
    summary: str
    card: str
    history: tuple[tuple[int, Path], ...] = ()
    """Real images shown, and the sheet of samples at that moment; oldest first."""
    curves: Path | None = None
    """The losses of its training, drawn."""
    truncation: float = 1.0
    """What a visitor sees at first."""
    directions: Mapping[str, str] = field(default_factory=dict)
    """Those of the pipeline, each with what it was measured to change; "" where that isn't known."""

    @property
    def classes(self) -> list[str]:
        """Names of its classes, empty when unconditional."""
        return self.pipeline.class_names


def load_models(names: Sequence[str] | None = None, lenient: bool = False) -> dict[str, Model]:
    """Load every model and draw pictures with it, so that the first visitor doesn't wait.

    Args:
        names: as GANPipeline.from_pretrained takes them; None means every GAN of the zoo.
        lenient: log what can't be loaded, and show the others.

    Raises:
        UserError: there are none, two have the same name, or one can't be loaded.
    """
    names = hub.zoo_names() if names is None else names
    models: dict[str, Model] = {}
    for name in names:
        try:
            model = load_model(name)
        except UserError as error:
            if not lenient:
                raise
            log.warning("left out: %s", error)
            continue
        if model.name in models:
            raise UserError(f"two models are called {model.name}; rename one of the folders")
        models[model.name] = model
    if not models:
        reason = "none of them can be loaded, see the log" if names else "the zoo is empty"
        raise UserError(f"no models to show: {reason}; name a model folder or a Hub id")
    return models


def load_model(name: str) -> Model:
    """One warm model.

    Raises:
        UserError: as GANPipeline.from_pretrained.
    """
    folder = hub.resolve(name)
    pipeline = GANPipeline.from_pretrained(folder)
    pipeline(num_images=16)  # what the page draws first
    text = read_card(folder / "README.md")
    facts = describe(pipeline)
    card = inline_pictures(text, folder).strip() or facts
    truncation = STYLED_TRUNCATION if pipeline.generator.config.get("mapping") else 1.0
    effects = read_effects(folder)
    directions = {name: effects[name].about if name in effects else "" for name in pipeline.directions}
    curves = folder / CURVES_FILE if is_sheet(folder / CURVES_FILE) else None
    summary = summarise(text) or facts
    return Model(short_name(name), pipeline, summary, card, sheets(folder), curves, truncation, directions)


def sheets(folder: Path) -> tuple[tuple[int, Path], ...]:
    """The sheets that a model folder keeps of its training, those that are PNGs of a sensible size."""
    return tuple((images, file) for images, file in local_sheets(folder).items() if is_sheet(file))


def is_sheet(file: Path) -> bool:
    try:
        with open_sheet(file):
            return file.stat().st_size <= MAX_SHEET
    except (OSError, SyntaxError, ValueError):
        return False


def open_sheet(file: Path) -> Image.Image:
    """A stranger's PNG, not yet decoded.

    Raises:
        OSError, SyntaxError, ValueError: it is something else, or larger than MAX_SIDE.
    """
    picture = Image.open(file, formats=("PNG",))
    if max(picture.size) > MAX_SIDE:
        picture.close()
        raise ValueError(f"{picture.size} pixels")
    return picture


def read_card(file: Path) -> str:
    """The card without its front matter, at most MAX_CARD characters of it; "" when there is none."""
    if not file.is_file():
        return ""
    with file.open(encoding="utf-8", errors="replace") as card:
        return FRONT_MATTER.sub("", card.read(MAX_CARD))


def short_name(name: str) -> str:
    """What to call it in public: a folder goes by its own name, so that no path of the server is shown."""
    local = str(name) not in hub.zoo_names() and Path(name).expanduser().is_dir()
    return Path(name).expanduser().resolve().name if local else str(name)


def describe(pipeline: GANPipeline) -> str:
    """A sentence made of the config, for a model whose card has none."""
    config = pipeline.generator.config
    kind = "greyscale" if config.channels == 1 else "colour"
    classes = f" in {pipeline.num_classes} classes" if pipeline.num_classes else ""
    return f"Draws {kind} pictures of {config.resolution}x{config.resolution} pixels{classes}."


def summarise(card: str) -> str:
    """The first sentence of a card's first paragraph of prose, as plain text; "" when it has none."""
    for paragraph in re.split(r"\n\s*\n|(?<=\n)(?=#)|(?m:^#.*$)", CODE.sub(lambda code: code[0].strip("`"), card)):
        text = " ".join(LINK.sub(r"\1", IMAGE.sub("", paragraph)).split())[:MAX_PROSE]
        if text and text[0] not in "#|-*>!<[":
            text = re.sub(r"(?<!\w)[*_]{1,2}(\S(?:.*?\S)?)[*_]{1,2}(?!\w)", r"\1", text)
            sentence = re.match(r".+?[.!?](?=\s|$)", text)
            return shorten(sentence[0] if sentence else text)
    return ""


def shorten(text: str) -> str:
    """Cut at a word, to at most MAX_SUMMARY characters."""
    return text if len(text) <= MAX_SUMMARY else text[: MAX_SUMMARY - 1].rsplit(" ", 1)[0].rstrip(",;:") + "…"


def own_picture(folder: Path, target: str) -> Path | None:
    """The PNG in the model's folder that a card points to, or None for anything else."""
    try:
        file = (folder / target).resolve()
        inside = file.is_relative_to(folder.resolve()) and file.suffix.lower() == ".png"
        return file if inside and file.is_file() and file.stat().st_size <= MAX_SHOWN else None
    except (OSError, ValueError):  # a name that no file can have
        return None


def data_url(data: bytes, kind: str = "png") -> str:
    """A picture's file as an address that holds it."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def embedded(file: Path) -> str:
    """A PNG as it is; a large one compressed, as a card goes to each visitor whole."""
    kind, data = "png", file.read_bytes()
    if len(data) > MAX_PLAIN:
        with contextlib.suppress(OSError, SyntaxError, ValueError), open_sheet(file) as picture:
            buffer = io.BytesIO()
            picture.convert("RGBA").save(buffer, "webp", quality=85)
            kind, data = "webp", buffer.getvalue()
    return data_url(data, kind)


def inline_pictures(card: str, folder: Path) -> str:
    """Put the card's own pictures, MAX_PICTURES at most, into its text, drop others, and take the life out of raw HTML.

    A card may be a stranger's: it must neither break the page nor make the visitor's browser call another host.
    """
    count = 0

    def embed(image: re.Match) -> str:
        nonlocal count
        alt, target = image[1], image[2]
        file = own_picture(folder, target) if count < MAX_PICTURES else None
        if file is None:
            return f"*{alt}*" if alt else ""
        count += 1
        return f"![{alt}]({embedded(file)})"

    parts = CODE.split(card)
    parts[::2] = [re.sub(r"<(?=[A-Za-z/!])", "&lt;", IMAGE.sub(embed, part)) for part in parts[::2]]
    return "".join(parts)

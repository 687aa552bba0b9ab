"""Serves this model on a hosted inference endpoint, with the standalone files beside it; needs no ganhub.

    {"inputs": "seven", "parameters": {"seed": 3}}                       -> one picture
    {"inputs": [], "parameters": {"num_images": 4, "truncation": 0.7}}   -> {"images": [...], "seeds": [...], ...}

`inputs` is a class, a list of classes, or empty; a class is its name or its number, and several are taken in turn. One
picture is given as such, which endpoints send as PNG or as base64 text; several as base64 PNGs in an object.

`ganhub.standalone.write_handler` copies this file into model repos as it is.
"""

import base64
import io
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from PIL import Image

MAX_IMAGES = 64
PARAMETERS = ("num_images", "labels", "seed", "truncation")


class EndpointHandler:
    """What an endpoint makes once, with the folder that it has cloned, and calls for every request."""

    def __init__(self, path: str = ""):
        folder = Path(path or Path(__file__).parent)
        self.pipe: Any = DiffusionPipeline.from_pretrained(folder, discriminator=None, trust_remote_code=True)
        self.pipe.to("cuda" if torch.cuda.is_available() else "cpu")

    def __call__(self, data: dict[str, Any]) -> Image.Image | dict[str, Any]:
        """Draw what a request asks for.

        Args:
            data: `inputs`, and `parameters`: `num_images` (1 to 64; else as many as seeds or labels are listed),
                `labels` in place of inputs, `seed` (picture i has seed + i; or one a picture), `truncation` (0 to 2).

        Returns:
            A picture; or when several were asked for `images` (base64 PNG), their `seeds` and their `labels` by name.

        Raises:
            ValueError: the request can't be met; the endpoint answers 400 with this text.
        """
        parameters = data.get("parameters") or {}
        if not isinstance(parameters, dict) or (unknown := sorted(map(str, parameters.keys() - set(PARAMETERS)))):
            wrong = ", ".join(unknown) if isinstance(parameters, dict) else repr(parameters)[:80]
            raise ValueError(f"parameters may have {', '.join(PARAMETERS)}; got {wrong}")
        classes = self.classes(data.get("inputs"), parameters.get("labels"))
        seed = parameters.get("seed")
        count = parameters.get("num_images", len(seed) if isinstance(seed, list) else len(classes) or 1)
        if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MAX_IMAGES:
            raise ValueError(f"num_images must be a whole number from 1 to {MAX_IMAGES}, got {repr(count)[:80]}")
        labels = [classes[i % len(classes)] for i in range(count)] if classes else None
        options = {name: parameters[name] for name in ("seed", "truncation") if name in parameters}
        output = self.pipe(count, labels=labels, **options)
        if count == 1:
            return output.images[0]
        names = [self.pipe.class_names[label] for label in output.labels] if output.labels else None
        return {"images": [encode(image) for image in output.images], "seeds": output.seeds, "labels": names}

    def classes(self, inputs: Any, labels: Any) -> list[Any]:
        """What a request names as classes in either place, for the pipeline to check; empty when it names none."""
        given = [value for value in (inputs, labels) if value is not None and value not in ("", [], {})]
        if len(given) > 1:
            raise ValueError("classes are given twice, as inputs and as labels; leave one out")
        values = given[0] if given and isinstance(given[0], list) else given
        if values and not self.pipe.num_classes:
            raise ValueError(f"this model has no classes; leave inputs empty, got {repr(given[0])[:80]}")
        if len(values) > MAX_IMAGES:
            raise ValueError(f"at most {MAX_IMAGES} classes can be asked for at once, got {len(values)}")
        return values


def encode(image: Image.Image) -> str:
    """A picture as the base64 text of its PNG file."""
    file = io.BytesIO()
    image.save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()

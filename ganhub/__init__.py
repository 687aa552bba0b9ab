"""Small GANs done right: load, sample and share them.

    from ganhub import GANPipeline

    images = GANPipeline.from_pretrained("digits")(num_images=16, labels=7, seed=0).images

The names below load on first use, so that `import ganhub` costs milliseconds and not the seconds of torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ganhub.errors import UserError
    from ganhub.hub import zoo_names
    from ganhub.listing import list_models
    from ganhub.models import ARCHITECTURES
    from ganhub.models.families import AutoDiscriminator, AutoGenerator
    from ganhub.pipeline import GANPipeline

__version__ = "0.1.0"
__all__ = [
    "ARCHITECTURES",
    "AutoDiscriminator",
    "AutoGenerator",
    "GANPipeline",
    "UserError",
    "list_models",
    "zoo_names",
]

_HOME = {
    "ARCHITECTURES": "ganhub.models",
    "AutoDiscriminator": "ganhub.models.families",
    "AutoGenerator": "ganhub.models.families",
    "GANPipeline": "ganhub.pipeline",
    "UserError": "ganhub.errors",
    "list_models": "ganhub.listing",
    "zoo_names": "ganhub.hub",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'ganhub' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])

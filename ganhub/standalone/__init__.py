"""Files that let plain diffusers load a model where there is no ganhub, assembled from ganhub's own sources.

    DiffusionPipeline.from_pretrained("user/repo", trust_remote_code=True)(num_images=4, seed=0).images

diffusers finds the pipeline in `pipeline.py` when model_index.json says `"_class_name": ["pipeline", "GANPipeline"]`,
and a network that model_index.json places in `ganhub.models.dcgan` in `generator/ganhub.models.dcgan.py`. Both files
hold what they need of this package, and import none of it (`assemble` says how). ganhub itself reads neither.
"""

import json
from pathlib import Path

from ganhub.errors import UserError, first_line
from ganhub.files import read_if_there, write_text
from ganhub.layout import DISCRIMINATOR, GENERATOR, INDEX_FILE, split_names
from ganhub.standalone.assemble import assemble
from ganhub.standalone.sources import Part

PIPELINE_FILE = "pipeline.py"
HANDLER_FILE = "handler.py"
REQUIREMENTS_FILE = "requirements.txt"
# What the generated files import, in the ranges of pyproject.toml; accelerate would only load a little faster.
REQUIREMENTS = ("torch>=2.6", "diffusers>=0.36", "safetensors>=0.5", "numpy>=1.26", "pillow>=10.1")
NETWORKS = (GENERATOR, DISCRIMINATOR)
SNAPSHOTS = "snapshots/*/*/*.safetensors"
BASE = "ganhub.models.base"

# Of these classes only what drawing needs: diffusers does the loading here.
KEPT = {
    Part("ganhub.pipeline", "GANPipeline"): {"_optional_components", "__init__", "class_names", "__call__"},
    Part(BASE, "GANModule"): {"config_name"},
}
# The pipeline's file has no networks of its own; any model that diffusers has loaded will do.
STAND_INS = {Part(BASE, name): ("diffusers", "ModelMixin") for name in ("Generator", "Discriminator")}


def write(folder: Path) -> list[Path]:
    """Make a model folder loadable without ganhub. The same folder always gets the same bytes.

    Args:
        folder: a model folder; model_index.json is changed, `pipeline.py` and a file beside each network are written.

    Returns:
        The Python files.

    Raises:
        UserError: it is no model folder, or can't be written.
    """
    from ganhub.models.base import Discriminator, Generator
    from ganhub.models.families import find_class
    from ganhub.pipeline import read_index

    index = read_index(folder)
    files = {folder / PIPELINE_FILE: pipeline_source()}
    for part, base in zip(NETWORKS, (Generator, Discriminator)):
        if part == GENERATOR or index.get(part) not in (None, [None, None]):
            find_class(index, part, base, folder)
            module = index[part][0]
            files[folder / part / f"{module}.py"] = network_source(module)
    index["_class_name"] = [Path(PIPELINE_FILE).stem, "GANPipeline"]
    if isinstance(names := index.get("class_names"), list):
        index["class_names"] = "\n".join(map(str, names))  # diffusers takes every list for a network's place
    index.pop("_ignore_files", None)
    if history := sorted(file.relative_to(folder).as_posix() for file in folder.glob(SNAPSHOTS)):
        index["_ignore_files"] = history  # or diffusers would download them too
    save({**files, folder / INDEX_FILE: json.dumps(index, indent=2, sort_keys=True) + "\n"})
    return list(files)


def leads_to_code(folder: Path) -> bool:
    """model_index.json names `pipeline.py`, wherever that is."""
    return isinstance(read_if_there(folder / INDEX_FILE).get("_class_name"), list)


def forget(folder: Path) -> None:
    """What `write` did to model_index.json undone, for a copy without its code."""
    from ganhub.pipeline import read_index

    index = read_index(folder)
    index["_class_name"] = "GANPipeline"
    index["class_names"] = split_names(index.get("class_names"))
    index.pop("_ignore_files", None)
    save({folder / INDEX_FILE: json.dumps(index, indent=2, sort_keys=True) + "\n"})


def write_handler(folder: Path) -> list[Path]:
    """Make a model folder that a hosted inference endpoint can serve: `write`'s files, `handler.py`, requirements.txt.

    The handler draws with the standalone files, so that an endpoint needs nothing that isn't on a package index.

    Raises:
        UserError: as `write`.
    """
    files = {
        folder / HANDLER_FILE: Path(__file__).with_name(HANDLER_FILE).read_text(encoding="utf-8"),
        folder / REQUIREMENTS_FILE: "\n".join(REQUIREMENTS) + "\n",
    }
    written = write(folder)
    save(files)
    return [*written, *files]


def save(files: dict[Path, str]) -> None:
    for file, text in files.items():
        try:
            write_text(file, text)
        except OSError as error:
            raise UserError(f"{file}: can't be written ({first_line(error)}); mend that and try again") from error


def pipeline_source() -> str:
    """`pipeline.py`: GANPipeline, drawing as ganhub's does."""
    return assemble("ganhub.pipeline", ["GANPipeline"], KEPT, STAND_INS)


def network_source(module: str) -> str:
    """Both networks of a family, e.g. "ganhub.models.dcgan".

    One text for both, because diffusers copies the generator's and the discriminator's file to one place.
    """
    return assemble(module, ["Generator", "Discriminator"], KEPT, {})

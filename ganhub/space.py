"""A Space of one's own: the studio on models of the Hub, with all that it runs on in one repo.

The package itself goes into the Space, next to app.py, because no package index has it: so the Space starts whatever
becomes of the place where ganhub was installed from, and shows what was tried here. Its requirements are pinned to the
versions that are installed here.
"""

import importlib.metadata
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ganhub import __version__
from ganhub.errors import UserError, first_line
from ganhub.files import write_text

if TYPE_CHECKING:
    from ganhub.differences import Pushed

PACKAGE = Path(__file__).parent
DEPENDENCIES = ("torch", "diffusers", "huggingface_hub", "safetensors", "numpy", "pillow", "gradio")
MAX_MODELS = 24
TITLE = re.compile(r"\S(.{0,98}\S)?")

APP = '''"""The Space: ganhub's studio on these models. `ganhub space` wrote it; the package is in the folder beside."""

import sys

from ganhub.errors import UserError

MODELS = {models}

if __name__ == "__main__":
    try:
        from ganhub.studio import launch  # which refuses a port of nonsense before gradio reads it

        launch(MODELS, lenient=True)  # a model may be gone by the time that a Space wakes up
    except UserError as error:
        sys.exit(f"ganhub: {{error}}")
'''
README = """---
title: {title}
emoji: 🎲
colorFrom: green
colorTo: indigo
sdk: gradio
sdk_version: {gradio}
python_version: "{python}"
app_file: app.py
license: {license}
{models}tags:
- gan
- ganhub
---

# {heading}

Small GANs, drawing live: pick one, roll the dice, share the address.

{list}

`ganhub space` (ganhub {version}) made this Space. To show other models, run it again, or change `MODELS` in `app.py`.
{secret}To run it elsewhere: `pip install -r requirements.txt && python app.py`.
"""
SECRET = "Not everybody may read all of these models: the Space needs a token of the Hub as its secret `HF_TOKEN`.\n"


@dataclass(frozen=True)
class Shown:
    """A model of the Space: its name, the files that the studio reads, and whether anybody may read them."""

    name: str
    files: tuple[str, ...] = ()
    zoo: bool = False
    open: bool = True


def create(
    repo: str,
    models: Sequence[str],
    *,
    title: str = "",
    private: bool | None = None,
    token: str | None = None,
    dry_run: bool = False,
    show: "Callable[[Pushed], None] | None" = None,
) -> "Pushed":
    """Create or update a Gradio Space that shows these models, in one commit; none where nothing differs.

    On the Hub, what the Space's folder ganhub/ has besides is deleted; other files are left alone.

    Args:
        repo: Hub id of the Space, "user/name".
        models: Hub ids, or zoo names, whose folders then go into the Space. Each is loaded before anything is created.
        title: of the Space; its name when left out.
        private: create it so.
        token: of the Hub; else HF_TOKEN or that of `hf auth login`.
        dry_run: only say what would be uploaded.
        show: called with what will be uploaded, before it is.

    Raises:
        UserError: a model can't be loaded or is a local folder, two are the same, or the Hub refuses.
    """
    from ganhub.push import push

    if not models or len(models) > MAX_MODELS or len(set(models)) < len(models):
        raise UserError(f"--models: name 1 to {MAX_MODELS} models, each once; got {', '.join(models) or 'none'}")
    title = title or repo.rpartition("/")[2]
    if not TITLE.fullmatch(title):
        raise UserError(f"--title: one line of 1 to 100 characters, got {title!r}")
    shown = [check(name, token) for name in models]
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), shown, title)
        return push(
            Path(folder), repo, repo_type="space", space_sdk="gradio", private=private, token=token, dry_run=dry_run,
            message=f"The studio of ganhub {__version__} on {', '.join(models)}"[:200], show=show,
            keep=lambda path: not path.startswith(f"{PACKAGE.name}/"),
        )  # fmt: skip


def check(name: str, token: str | None) -> Shown:
    """Load a model as the Space will.

    Raises:
        UserError: it is no model of the zoo or the Hub, or can't be loaded.
    """
    from ganhub.hub import HUB_ID, fetched, resolve, zoo_names
    from ganhub.layout import Wanted
    from ganhub.pipeline import GANPipeline

    if name in zoo_names():
        return Shown(name, zoo=True)
    if not HUB_ID.fullmatch(name) or Path(name).is_dir():
        raise UserError(f"{name}: a Space shows models of the Hub or the zoo ({', '.join(zoo_names())}); push it first")
    folder = resolve(name, token=token)
    GANPipeline.from_pretrained(folder)
    return Shown(name, tuple(sorted(fetched(name, folder, Wanted()))), open=is_open(name))


def is_open(name: str) -> bool:
    """May anybody read it? A Space that is told to fetch another model beforehand isn't even built."""
    from huggingface_hub import HfApi

    from ganhub.explain import explain
    from ganhub.patience import ERRORS, Patience, patiently

    try:
        info = patiently(lambda timeout: HfApi().model_info(name, token=False, timeout=timeout), Patience())
    except ERRORS as error:
        from huggingface_hub.errors import RepositoryNotFoundError

        if isinstance(error, RepositoryNotFoundError):
            return False
        raise explain(error, name) from error
    return not info.gated and not info.private


def write(folder: Path, models: Sequence[Shown], title: str) -> None:
    """The files of the Space.

    Raises:
        UserError: the disk is full, or a package that the Space needs isn't installed here.
    """
    zoo = {model.name for model in models if model.zoo}
    names = json.dumps([model.name for model in models], indent=4).replace("\n]", ",\n]")
    try:
        copy_package(folder, zoo)
        write_text(folder / "app.py", APP.format(models=names))
        write_text(folder / "requirements.txt", requirements())
        write_text(folder / "README.md", readme(models, title))
    except OSError as error:
        raise UserError(f"{folder}: can't be written ({first_line(error)})") from error


def copy_package(folder: Path, zoo: set[str]) -> None:
    """ganhub's own source, its licence, and of the zoo only these models."""

    def skipped(where: str, names: list[str]) -> list[str]:
        within = Path(where).relative_to(PACKAGE).parts
        kept = zoo if within == ("zoo",) else set(names)
        if within == () and not zoo:
            kept -= {"zoo"}
        return [name for name in names if name not in kept or name.startswith(("__pycache__", "."))]

    shutil.copytree(PACKAGE, folder / PACKAGE.name, ignore=skipped)
    if licence := find_licence():
        shutil.copyfile(licence, folder / PACKAGE.name / "LICENSE")


def find_licence() -> Path | None:
    """In what pip installed, else beside the package in a checkout."""
    try:
        installed = importlib.metadata.distribution("ganhub").files or []
    except importlib.metadata.PackageNotFoundError:
        installed = []
    places = [Path(str(file.locate())) for file in installed if file.name == "LICENSE"]
    return next((place for place in [*places, PACKAGE.parent / "LICENSE"] if place.is_file()), None)


def version(package: str) -> str:
    """What is installed here, without the part that names a build: 2.13.0 of 2.13.0+cpu."""
    try:
        return importlib.metadata.version(package).partition("+")[0]
    except importlib.metadata.PackageNotFoundError as error:
        raise UserError(f"{package}: isn't installed here, so its version can't be pinned; install ganhub") from error


def requirements() -> str:
    return "".join(f"{package}=={version(package)}\n" for package in DEPENDENCIES)


def licence_of(name: str) -> str:
    """Of the weights of a model of the zoo, which go into the Space."""
    from ganhub.card import read_facts

    facts = read_facts(PACKAGE / "zoo" / name)
    return facts.license_name or facts.license


def readme(models: Sequence[Shown], title: str) -> str:
    """The page of the Space; its front matter says what the Hub builds it from."""
    remote = [model for model in models if not model.zoo]
    ready = [model for model in remote if model.open]
    lists = {
        "models": [model.name for model in remote],
        "preload_from_hub": [f"{model.name} {','.join(model.files)}" for model in ready],
    }
    front = "".join(f"{key}:\n" + "".join(f"- {item}\n" for item in items) for key, items in lists.items() if items)
    licences = {model.name: licence_of(model.name) for model in models if model.zoo}
    listed = [
        f"- `{model.name}`, from ganhub's zoo ({licences[model.name]})"
        if model.zoo
        else f"- [{model.name}](https://huggingface.co/{model.name})"
        for model in models
    ]
    return README.format(
        title=json.dumps(title, ensure_ascii=False),
        heading=title,
        gradio=version("gradio"),
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        license="mit" if all(licence == "mit" for licence in licences.values()) else "other",
        models=front,
        list="\n".join(listed),
        version=__version__,
        secret="" if len(ready) == len(remote) else SECRET,
    )

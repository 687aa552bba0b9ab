"""A model folder to the Hub: checked as a stranger would meet it, its card naming the repo, in one commit."""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ganhub.card import is_ours, read_facts, rename, unfilled
from ganhub.differences import Pushed, local_files
from ganhub.errors import UserError, first_line
from ganhub.hub import fetched, find_here, locate
from ganhub.layout import INDEX_FILE, Wanted, is_pickle, limit, weights_file
from ganhub.models.base import WEIGHTS_FILE, Generator
from ganhub.pipeline import GANPipeline
from ganhub.push import push
from ganhub.standalone import PIPELINE_FILE, forget, leads_to_code

VARIANTS = {"fp16": torch.float16}
EXACT = "screening."  # weights that are kept as they are: a screen decides by a limit (ganhub.models.screen)
OTHER_WEIGHTS = re.compile(r"generator/diffusion_pytorch_model\.(\w+)\.safetensors", re.ASCII)
TEXTS = (".json", ".jsonl", ".md", ".txt", ".yaml", ".yml")
HOMES = r"/home/[\w.-]+|/Users/[\w.-]+|/root|/tmp|/var/folders|/private/var|[A-Za-z]:[\\/]+Users"  # where people work
BEGINS = r"(?:(?<![\w./~-])|(?<=file://)|(?<=file:///)|(?<=file://localhost))"  # a path, not the middle of an address


def publish(
    folder: Path,
    repo: str,
    *,
    private: bool | None = None,
    tag: str | None = None,
    variant: str | None = None,
    create_pr: bool = False,
    token: str | None = None,
    message: str | None = None,
    dry_run: bool = False,
    show: Callable[[Pushed], None] | None = None,
    finish: Callable[[Path], None] | None = None,
    names: Collection[str] | None = None,
) -> Pushed:
    """Publish a model folder; it isn't changed, a copy with the repo's name in its card is uploaded.

    Args:
        folder: as `python -m training export` writes it.
        repo: Hub id, "user/name".
        variant: "fp16" puts weights of half precision beside the plain ones.
        finish: changes the copy before it is checked: adds files, say.
        names: of the files to take, where others lie in the folder too; all but hidden ones when left out.
        private, tag, create_pr, token, message, dry_run, show: see `ganhub.push.push`, which also says what is deleted.

    Raises:
        UserError: the card is unfilled, the model isn't one that ganhub loads, it holds a pickle or names a path of
            this machine, or the Hub refuses; nothing is changed on the Hub then.
    """
    if variant not in (None, *VARIANTS):
        raise UserError(f"--variant {variant}: not a variant; known: {', '.join(VARIANTS)}")
    if not (folder / INDEX_FILE).is_file():
        raise UserError(f"{folder}: no {INDEX_FILE} here; give a model folder, as `python -m training export` makes it")
    with staged(folder, names) as copy:
        try:
            ours = is_ours(copy)
            if not (copy / PIPELINE_FILE).is_file() and leads_to_code(copy) and read_facts(copy).name != repo:
                forget(copy)  # the code stayed in the repo that it was fetched from
            if finish:
                finish(copy)
            if missing := unfilled(copy):
                raise UserError(f"the card isn't filled, so nothing was published; missing: {'; '.join(missing)}")
            if variant:
                add_variant(copy, variant)
            rename(copy, repo, ours or is_ours(copy))  # after all that the card mentions is there
            check(copy)
        except UserError as error:  # the copy means nothing to whoever reads this
            raise UserError(str(error).replace(str(copy), str(folder))) from error
        options: dict[str, Any] = {"private": private, "tag": tag, "create_pr": create_pr, "token": token}
        allow = partial(allow_code, repo, copy)
        return push(copy, repo, message=message, dry_run=dry_run, show=show, allow=allow, **options)


def allow_code(repo: str, folder: Path, there: Collection[str]) -> None:
    """Refuse to leave code in the repo without a model_index.json that leads to it, and to lead to code that is gone.

    Raises:
        UserError: so.
    """
    stays, leads = PIPELINE_FILE in there, leads_to_code(folder)
    if stays and not leads:
        raise UserError(
            f"{repo}: has a {PIPELINE_FILE}, by which plain diffusers and endpoints load it and no longer could; "
            f"repeat --standalone or --handler, or delete {PIPELINE_FILE} there"
        )
    if leads and not stays and not (folder / PIPELINE_FILE).is_file():
        raise UserError(
            f"{folder / INDEX_FILE}: leads to a {PIPELINE_FILE} that is neither here nor in {repo}; repeat --standalone"
        )


@contextmanager
def staged(folder: Path, names: Collection[str] | None = None) -> Iterator[Path]:
    """A copy of `folder`, or of these files of it, that may be changed for as long as the block runs.

    Weights are hard links where the system allows them: they are replaced there, never written into.
    """

    def take(source: str, target: str) -> None:
        real = os.path.realpath(source)  # in the Hub's cache files are links
        try:
            if not source.endswith(".safetensors"):
                raise OSError
            os.link(real, target)
        except OSError:
            shutil.copyfile(real, target)

    with tempfile.TemporaryDirectory(prefix="ganhub-publish-") as parent:
        copy = Path(parent, "model")
        try:
            if names is None:
                shutil.copytree(folder, copy, copy_function=take, ignore=shutil.ignore_patterns(".*", "__pycache__"))
            for name in names or ():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                take(str(folder / name), str(copy / name))
        except (OSError, shutil.Error) as error:
            raise UserError(f"{folder}: can't be copied ({first_line(error)}); mend that and publish again") from error
        yield copy


def add_variant(folder: Path, variant: str) -> None:
    """Weights of another precision beside those of each network, named as diffusers names them."""
    for file in sorted(folder.glob(f"*/{WEIGHTS_FILE}")):
        stored = load_file(file)
        weights = {key: cast(value, VARIANTS[variant]) for key, value in stored.items()}
        weights |= {key: value for key, value in stored.items() if key.startswith(EXACT)}
        if all(value.dtype == stored[key].dtype for key, value in weights.items()):
            raise UserError(
                f"{file}: is in {variant} already, so --variant {variant} would publish it twice; "
                "leave that out, or export the run again with --dtype fp32"
            )
        if key := next((key for key, value in weights.items() if not value.isfinite().all()), None):
            raise UserError(f"{file}: {key} is too large for {variant}; publish without --variant")
        target = file.with_name(weights_file(variant))
        target.unlink(missing_ok=True)
        save_file(weights, target, metadata={"format": "pt"})


def cast(value: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return value.to(dtype) if value.is_floating_point() else value


def check(folder: Path) -> None:
    """Refuse what our own loader refuses, pickles, and what tells strangers where somebody works.

    Raises:
        UserError: so.
    """
    files = local_files(folder)
    for path, file in files.items():
        if is_pickle(path):
            raise UserError(f"{folder / path}: a pickle can run code on whoever loads it; remove it from the folder")
        size, most = file.stat().st_size, limit(path)
        if most is not None and size > most:
            raise UserError(f"{folder / path}: has {size:,} bytes; ganhub reads at most {most:,} of such a file")
        if file.suffix in TEXTS and (found := local_path(file.read_text(encoding="utf-8", errors="replace"))):
            raise UserError(f"{folder / path}: names {found}, a path of this machine; take it out and try again")
    GANPipeline.from_pretrained(folder, discriminator=f"discriminator/{WEIGHTS_FILE}" in files)
    for variant in sorted(match[1] for match in map(OTHER_WEIGHTS.fullmatch, files) if match):
        both = f"discriminator/{weights_file(variant)}" in files
        GANPipeline.from_pretrained(folder, variant=variant, discriminator=both)


def local_path(text: str) -> str | None:
    """A path of this machine, or of anybody's, that a text names."""
    here = [re.escape(str(path)) for path in (Path.home(), Path.cwd()) if len(path.parts) > 2]
    found = re.search(rf"{BEGINS}({'|'.join([HOMES, *here])})[/\\][\w./\\-]*", text)
    return found and found[0]


def source_of(pipe: GANPipeline) -> tuple[Path, Collection[str] | None]:
    """The model folder that a pipeline was loaded from, whose card describes it; fetched whole where it is on the Hub.

    Returns:
        The folder; and of one in the cache, where other programs put what they like, the files of the model.

    Raises:
        UserError: there is none, or the pipeline has other weights by now.
    """
    if pipe.origin is None:
        raise UserError(
            "this pipeline is of no model folder, so it has no card; make one with "
            "`python -m training export RUN --out FOLDER`, load that, and push it"
        )
    name, source = pipe.origin
    wanted = Wanted(everything=True)
    folder = locate(name, wanted, source)
    if not same_weights(pipe.generator, folder):
        raise UserError(
            f"{name}: the weights in memory are others, which its card and metrics don't describe; "
            "load it again, or export and evaluate the model that you have"
        )
    if find_here(name) is not None:
        return folder, None
    return folder, fetched(str(name), folder, wanted, source.cache_dir)


def same_weights(generator: Generator, folder: Path) -> bool:
    """Are the generator's weights in memory those of a file of the folder, up to the precision in memory?"""
    memory = generator.state_dict()
    for file in (folder / "generator").glob(f"{Path(WEIGHTS_FILE).stem}*.safetensors"):
        with safe_open(file, framework="pt") as stored:
            keys = set(stored.keys())
            if keys == memory.keys() and all(
                torch.equal(stored.get_tensor(key).to(value.dtype), value.cpu()) for key, value in memory.items()
            ):
                return True
    return False

"""A run or a model folder to the Hub: exported where needed, its card complete, in one commit."""

import dataclasses
import logging
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from ganhub.card import is_ours, read_facts, save_facts, write_card
from ganhub.differences import Pushed
from ganhub.errors import UserError, first_line
from ganhub.files import read_object
from ganhub.layout import (
    CARD_FILE,
    FACTS_FILE,
    GENERATOR,
    INDEX_FILE,
    RECIPE_FILE,
    STRIP_FILE,
    evenly,
    local_sheets,
    local_snapshots,
    snapshot_folder,
)
from training import export
from training.extras import Extras, add_extras
from training.said import Said, with_said

log = logging.getLogger(__name__)

OLD_CARD = ".README.md.old"  # hidden, so that it is never published

MAX_SNAPSHOTS = 12
MAX_SNAPSHOT_BYTES = 16_000_000  # of all of them; more is no side dish


@dataclass(frozen=True)
class Publish(Extras, Said):
    """Publish a run or a model folder on the Hub, in one commit; refused while its card is unfilled or unmeasured."""

    source: Annotated[Path, tyro.conf.Positional]
    """The run's folder, which is exported to RUN/model where that isn't there yet, or a model folder."""
    repo: str
    """Hub id, user/name; created when needed."""
    private: bool = False
    """Create the repo as a private one."""
    tag: str | None = None
    """To set on the commit, v1 for instance."""
    variant: Literal["fp16"] | None = None
    """Put weights of half precision beside the plain ones."""
    create_pr: bool = False
    """Open a pull request instead of committing to the repo."""
    dry_run: bool = False
    """Only show what would be uploaded."""
    snapshots: bool = False
    """Also publish the generator's history in the run, for the studio: at most 12 snapshots and 16 MB."""
    history: int = 0
    """How many of the run's sample sheets to publish as snapshots/NNNNNNNNN.png; 0 leaves those of RUN/model."""
    token: str | None = None
    """Of the Hub; else HF_TOKEN or that of `hf auth login`."""


def run(options: Publish, show: Callable[[Pushed], None] | None = None) -> Pushed:
    """Publish a run or a model folder.

    Args:
        options: what, where and how.
        show: called with what will be uploaded, before it is.

    Raises:
        UserError: there is no such run or model, its card is unfilled, or the Hub refuses; see `ganhub.publish`.
    """
    from training.snapshots import check_history

    check_history(options.history)
    is_model = (options.source / INDEX_FILE).is_file()
    if is_model and (options.snapshots or options.history):
        name = "--snapshots" if options.snapshots else "--history"
        raise UserError(f"{options.source}: is a model folder; {name} needs the folder of the run")
    if is_model:
        return send(options, options.source, show)
    folder = options.source / "model"
    if options.dry_run and not folder.exists():  # as it would be, and nothing is left here
        with tempfile.TemporaryDirectory(prefix="ganhub-publish-") as aside:
            try:
                return send(options, exported(options, Path(aside, "model")), show)
            except UserError as error:
                raise UserError(str(error).replace(str(Path(aside, "model")), str(folder))) from error
    exported(options, folder)
    if not options.dry_run:
        state_facts(options, folder)
    return send(options, folder, show)


def send(options: Publish, folder: Path, show: Callable[[Pushed], None] | None) -> Pushed:
    """Publish a model folder with all that the options add to it."""
    from ganhub.publish import publish

    def finish(copy: Path) -> None:
        state_facts(options, copy, folder)
        if options.history:
            replace_history(options, copy)
        if options.snapshots:
            add_snapshots(options.source, copy)
        add_extras(copy, options, options.repo)

    where: dict[str, Any] = {"private": options.private or None, "tag": options.tag, "create_pr": options.create_pr}
    return publish(
        folder,
        options.repo,
        variant=options.variant,
        token=options.token,
        dry_run=options.dry_run,
        show=show,
        finish=finish,
        **where,
    )


def exported(options: Publish, folder: Path) -> Path:
    """The model folder of a run's newest checkpoint, written where there is none.

    Raises:
        UserError: there is no run, or the folder is of another checkpoint: what was measured, found or edited there
            would be lost.
    """
    from training import checkpoint

    run_dir = options.source
    if not (run_dir / RECIPE_FILE).is_file():
        raise UserError(f"{run_dir}: neither a run nor a model folder; no recipe.json or {INDEX_FILE} here")
    newest = checkpoint.find(run_dir)
    if not folder.exists():
        dtype: Literal["fp16", "fp32"] = "fp32" if options.variant else "fp16"
        said = {item.name: getattr(options, item.name) for item in dataclasses.fields(Said)}
        return export.run(export.Export(run_dir, folder, dtype=dtype, name=options.repo, **said))
    kimg = checkpoint.read_record(newest)["clock"]["images"] / 1000
    held = read_object(folder / FACTS_FILE).get("kimg") if (folder / FACTS_FILE).is_file() else None
    if held != kimg:
        state = f"after {held:g} kimg" if isinstance(held, int | float) else "of an unknown checkpoint"
        again = f"python -m training export {run_dir} --out {folder} --force"
        raise UserError(
            f"{folder}: is the model {state}, the run's newest checkpoint (step {int(newest.name)}) is after {kimg:g}; "
            f"replace it, its metrics and its screen with `{again}`, or publish it as it is: publish {folder}"
        )
    return folder


def state_facts(options: Said, folder: Path, source: Path | None = None) -> None:
    """Write what was said on the command line into the card of a model folder.

    Args:
        source: what the folder is a copy of.

    Raises:
        UserError: the folder has no card.json, or a damaged one.
    """
    if all(not getattr(options, item.name) for item in dataclasses.fields(Said)):
        return
    try:
        known = read_facts(folder)
    except FileNotFoundError as error:
        raise UserError(f"{folder}: no {FACTS_FILE}, so no card; export the run again") from error
    facts = with_said(known, options)
    if facts == known:
        return
    if not is_ours(folder):
        shutil.copyfile(folder / CARD_FILE, folder / OLD_CARD)
        kept = f"in {folder / OLD_CARD}" if source is None else f"in {source} as it was"
        log.warning("%s isn't as ganhub writes it; it is written anew with what was said, yours is %s", CARD_FILE, kept)
    if known.show_data and not facts.show_data:
        (folder / STRIP_FILE).unlink(missing_ok=True)
    save_facts(facts, folder)
    write_card(folder)


def replace_history(options: Publish, folder: Path) -> None:
    """The run's own sample sheets up to the model's checkpoint, in the place of those that are there."""
    from training.snapshots import keep_history

    for sheet in local_sheets(folder).values():
        sheet.unlink()
    keep_history(options.source, folder, options.history, round(1000 * read_facts(folder).kimg))


def add_snapshots(run_dir: Path, folder: Path) -> None:
    """Generators of a run's snapshots/NNNNNNNNN, half precision, evenly chosen, to the same places in `folder`.

    Raises:
        UserError: there are none, one is damaged, or one alone is too large.
    """
    from ganhub.pipeline import GANPipeline

    trained = round(1000 * read_facts(folder).kimg)
    found = [snapshot_folder(images) for images in local_snapshots(run_dir) if images <= trained]
    if not found:
        raise UserError(f"{run_dir}: no snapshots here; train with --snapshot-kimg, or leave out --snapshots")
    size = max(file.stat().st_size for name in found for file in (run_dir / name).glob(f"{GENERATOR}/*.safetensors"))
    if not (most := min(MAX_SNAPSHOTS, MAX_SNAPSHOT_BYTES // size)):
        raise UserError(f"{run_dir / found[0]}: {size:,} bytes; --snapshots publishes at most {MAX_SNAPSHOT_BYTES:,}")
    for name in evenly(found, most):
        pipe = GANPipeline.from_pretrained(run_dir / name)
        pipe.generator.half()
        try:
            pipe.save_pretrained(folder / name)
        except OSError as error:
            raise UserError(f"{folder}: can't be written ({first_line(error)}); free the disk") from error

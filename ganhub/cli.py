"""The `ganhub` command. Heavy imports wait until a command needs them, so that `ganhub --help` answers at once."""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ganhub import __version__
from ganhub.command import run_command
from ganhub.errors import UserError, shorten

MAX_LINE = 2000  # characters of a fact that `ganhub info` prints


def generate(options: argparse.Namespace) -> None:
    """Write pictures of a model as PNG files, as one grid, or both."""
    from ganhub.images import grid
    from ganhub.pipeline import MAX_IMAGES, GANPipeline

    if options.columns is not None and options.columns < 1:
        raise UserError(f"--columns must be at least 1, got {options.columns}")
    pipe = GANPipeline.from_pretrained(options.model, revision=options.revision)
    labels = None
    if options.labels is not None:
        if not pipe.num_classes:
            raise UserError(f"--labels {options.labels}: this model has no classes; leave it out")
        chosen = parse_labels(options.labels, pipe.class_names)
        labels = [chosen[i % len(chosen)] for i in range(min(max(options.num, 0), MAX_IMAGES))]
    output = pipe(options.num, labels=labels, seed=options.seed, truncation=options.truncation, screen=options.screen)
    pictures = {} if options.grid_only else {file_name(output, i): image for i, image in enumerate(output.images)}
    if options.grid or options.grid_only:
        pictures["grid.png"] = grid(list(output.images), options.columns)
    write_pictures(pictures, options.out, options.force)
    print(f"{options.out}: {len(pictures)} file{'s'[: len(pictures) != 1]} written")


def parse_labels(text: str, names: list[str]) -> list[int]:
    """ "0-9", "7", "1,3,5-7" or class names -> class ids, in that order."""
    from ganhub.classes import class_id

    labels: list[int] = []
    try:
        for part in text.split(","):
            first, dash, last = part.partition("-")
            if part in names or not (dash and first.isdecimal() and last.isdecimal()):
                labels.append(class_id(part, names))
            else:
                named = first in names and last in names
                start, end = (class_id(end if named or len(end) > 5 else int(end), names) for end in (first, last))
                if end < start:
                    raise UserError(f"{part} is an empty range; give the lower number first")
                labels.extend(range(start, end + 1))
    except UserError as error:
        raise UserError(f"--labels {text}: {error} (such as 7, 0-9 or 1,3,5)") from error
    return labels


def file_name(output: Any, i: int) -> str:
    label = f"class{output.labels[i]:03d}_" if output.labels else ""
    return f"{label}seed{output.seeds[i]:06d}.png"


def write_pictures(pictures: dict[str, Any], folder: Path, force: bool) -> None:
    """All of them, or none where a file is in the way; no file is left half written."""
    from ganhub.files import write_aside

    taken = [name for name in pictures if (folder / name).exists()]
    if taken and not force:
        raise UserError(f"{folder / taken[0]}: is already there ({len(taken)} such); use --force to overwrite")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, picture in pictures.items():
            write_aside(folder / name, partial(picture.save, format="PNG"))
    except OSError as error:
        raise UserError(f"{folder}: can't be written ({error.strerror or error})") from error


def info(options: argparse.Namespace) -> None:
    """Say what a model is."""
    from ganhub.card import METRICS, what_is_drawn
    from ganhub.files import read_if_there
    from ganhub.hub import resolve
    from ganhub.layout import FACTS_FILE, METRICS_FILE
    from ganhub.pipeline import GANPipeline

    folder = resolve(options.model, options.revision)
    pipe = GANPipeline.from_pretrained(folder)
    config = pipe.generator.config
    facts, metrics = (read_if_there(folder / name) for name in (FACTS_FILE, METRICS_FILE))
    lines = {
        "model": options.model,
        "what": facts.get("summary", "(no card)"),
        "architecture": type(pipe.generator).arch,
        "draws": what_is_drawn(config),
        "latent": config.latent_dim,
        "classes": ", ".join(pipe.class_names) or "none (unconditional)",
        "parameters": f"{pipe.generator.num_parameters():,} in the generator",
        **(
            {"screen": "turns some latents down and draws again; --no-screen takes every first one"}
            if config.get("screen")
            else {}
        ),
        "trained": trained(facts) if facts else "(no card)",
        "licence": facts.get("license_name") or facts.get("license", "(no card)"),
    }
    for name, (label, form, _) in METRICS.items():
        if isinstance(metrics.get(name), int | float):
            lines[label] = format(metrics[name], form)
    if not metrics:
        lines["metrics"] = "not measured"
    width = max(map(len, lines))
    print("\n".join(f"{name:{width}}  {shorten(value, MAX_LINE)}" for name, value in lines.items()))


def trained(facts: dict[str, Any]) -> str:
    """For how long and on what; a model that `convert` took from elsewhere has no kimg."""
    kimg = facts.get("kimg")
    length = f"{kimg:g} kimg" if isinstance(kimg, int | float) and kimg > 0 else "elsewhere"
    return f"{length} on {facts.get('data', '?')}"


def push(options: argparse.Namespace) -> None:
    """Publish a model folder."""
    from ganhub.hub import ZOO, zoo_names
    from ganhub.publish import publish

    folder = ZOO / options.folder if options.folder in zoo_names() else Path(options.folder).expanduser()
    kinds = {"private": options.private or None, "tag": options.tag, "variant": options.variant}
    kinds |= {"create_pr": options.create_pr, "token": options.token, "dry_run": options.dry_run}
    print(publish(folder, options.repo, show=lambda plan: print(plan.table()), **kinds).outcome())


def space(options: argparse.Namespace) -> None:
    """Publish a Space."""
    from ganhub.space import create

    models = [name.strip() for name in options.models.split(",") if name.strip()]
    kinds = {"title": options.title, "private": options.private or None, "token": options.token}
    print(
        create(options.repo, models, dry_run=options.dry_run, show=lambda plan: print(plan.table()), **kinds).outcome()
    )


def list_all(options: argparse.Namespace) -> None:
    """Print the models of the zoo and of the Hub; the zoo alone where the Hub is away."""
    from ganhub.listing import hub_models, table, zoo_models

    models, trouble = zoo_models(options.author, options.search), None
    try:
        models += hub_models(options.author, options.search, options.limit, None)
    except UserError as error:
        trouble = error
    print(table(models) if models else "no such models")
    if trouble:
        raise trouble


def pull(options: argparse.Namespace) -> None:
    """Fetch the newest version of a model."""
    from ganhub import hub
    from ganhub.layout import Wanted, parts

    wanted = Wanted(parts(options.discriminator), options.variant, everything=options.all)
    folder, commit = hub.pull(options.model, wanted, options.revision, options.out)
    print(f"{folder}\ncommit {commit}")


def app(options: argparse.Namespace) -> None:
    """Start the studio in the browser."""
    from ganhub.studio import launch

    launch(models=options.models or None, port=options.port)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser("ganhub", description="Load small GANs, make pictures with them, look at them.")
    top.add_argument("--version", action="version", version=f"ganhub {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, run: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        return command

    def add_model(command: argparse.ArgumentParser) -> None:
        command.add_argument("model", help="a zoo name such as digits, a model folder, or a Hub id such as user/repo")
        command.add_argument("--revision", help="branch, tag or commit of a Hub id")

    command = add("generate", generate, "make pictures: ganhub generate digits --labels 0-9 --num 100 --out DIR")
    add_model(command)
    command.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    command.add_argument("--num", type=int, default=16, help="how many, 1 to 4096 (default 16)")
    command.add_argument("--labels", help="classes to take in turn: 7, 0-9, 1,3,5 or names; all when left out")
    command.add_argument("--seed", type=int, default=0, help="picture i is drawn from seed + i (default 0)")
    command.add_argument("--truncation", type=float, default=1.0, help="0 to 2: typical to extreme (default 1.0)")
    command.add_argument(
        "--no-screen",
        dest="screen",
        action="store_false",
        help="take each seed's first latent, whatever the model's screen says of it",
    )
    command.add_argument("--grid", action="store_true", help="also write all of them as grid.png")
    command.add_argument("--grid-only", action="store_true", help="write grid.png alone")
    command.add_argument("--columns", type=int, help="columns of the grid; square when left out")
    command.add_argument("--force", action="store_true", help="overwrite files that are already there")
    add_model(add("info", info, "say what a model is: classes, size, metrics"))
    command = add("push", push, "publish a model folder: ganhub push FOLDER user/name")
    command.add_argument("folder", help="a model folder, as `python -m training export` writes it, or a zoo name")
    command.add_argument("repo", help="Hub id, user/name; created when needed")
    command.add_argument("--private", action="store_true", help="create the repo as a private one")
    command.add_argument("--tag", help="to set on the commit, v1 for instance")
    command.add_argument("--variant", choices=["fp16"], help="put weights of half precision beside the plain ones")
    command.add_argument("--create-pr", action="store_true", help="open a pull request instead")
    command.add_argument("--dry-run", action="store_true", help="only show what would be uploaded")
    command.add_argument("--token", help="default: HF_TOKEN, or that of `hf auth login`")
    command = add("space", space, "make a Space that shows models: ganhub space user/name --models user/a,user/b")
    command.add_argument("repo", help="Hub id of the Space, user/name; created when needed")
    command.add_argument("--models", required=True, help="Hub ids or zoo names, separated by commas")
    command.add_argument("--title", default="", help="default: the Space's name")
    command.add_argument("--private", action="store_true", help="create the Space as a private one")
    command.add_argument("--dry-run", action="store_true", help="only show what would be uploaded")
    command.add_argument("--token", help="default: HF_TOKEN, or that of `hf auth login`")
    command = add("list", list_all, "list the models that there are: the embedded ones and those on the Hub")
    command.add_argument("--author", help="only the Hub's models of this user or organisation")
    command.add_argument("--search", help="only models whose name holds this")
    command.add_argument("--limit", type=int, default=100, help="at most so many of the Hub's (default 100)")
    command = add("pull", pull, "fetch the newest version of a model: ganhub pull user/repo [--out FOLDER]")
    command.add_argument("model", help="Hub id, user/repo")
    command.add_argument("--revision", help="branch, tag or commit")
    command.add_argument("--variant", help="weights of this variant, fp16 for instance")
    command.add_argument("--discriminator", action="store_true", help="the discriminator too")
    command.add_argument("--all", action="store_true", help="all that ganhub reads: variants, snapshots, training log")
    command.add_argument("--out", type=Path, help="copy the model folder here; must not exist yet")
    command = add("app", app, "serve the studio and print its address")
    command.add_argument("models", nargs="*", metavar="MODEL", help="models to show (default: the embedded ones)")
    command.add_argument("--port", type=int, help="default: GRADIO_SERVER_PORT, else 7860")
    return top


def main() -> None:
    options = parser().parse_args()
    run_command(lambda: options.run(options))


if __name__ == "__main__":
    main()

"""`python -m training COMMAND`: the command line, generated from the dataclasses' fields by tyro.

Every command is a dataclass whose fields are its options; what it does is a function of the module that it names.
"""

import json
import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

try:
    import tyro
except ModuleNotFoundError:  # `make app` leaves out what only training needs
    sys.exit(
        "python -m training: training needs more than the library; run `make install` in a clone of the repository"
    )

from ganhub.command import run_command
from ganhub.errors import UserError
from ganhub.layout import RECIPE_FILE
from training.command_line import name_value
from training.presets import PRESETS
from training.processes import speaks, starter
from training.processor import keep_freed_memory
from training.recipe import Recipe

if TYPE_CHECKING:
    from training.backup import Backup


def pairs_rule(info: tyro.constructors.PrimitiveTypeInfo) -> tyro.constructors.PrimitiveConstructorSpec | None:
    """Dictionaries as `--penalties r1=1 r2=0.5`; values are JSON where they can be, else text."""
    if getattr(info.type, "__origin__", None) is not dict:
        return None

    def value(text: str) -> Any:
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return text

    def read(tokens: list[str]) -> dict[str, Any]:
        split = [token.partition("=") for token in tokens]
        if wrong := [key for key, equals, _ in split if not equals]:
            raise ValueError(f"expected NAME=VALUE, got {wrong[0]!r}")
        return {key: value(text) for key, _, text in split}

    return tyro.constructors.PrimitiveConstructorSpec(
        nargs="*",
        metavar="NAME=VALUE",
        instance_from_str=read,
        is_instance=lambda x: isinstance(x, dict),
        str_from_instance=name_value,
    )


@dataclass(frozen=True)
class Train:
    """Train a preset; every setting of its recipe is an option."""

    recipe: Annotated[Recipe, tyro.conf.arg(name="")]
    run_dir: Path
    """Where the run lives: recipe.json, log.jsonl, samples/, tensorboard/, checkpoints/."""
    resume: bool = False
    """Go on from the newest checkpoint in --run-dir, bit for bit."""
    resume_from: str = ""
    """Go on from the run that --push-every put on the Hub, hub://user/name or hub://user/name@revision, in a new
    --run-dir, bit for bit."""
    push_every: float = 0.0
    """Upload the newest checkpoint to --repo every so many kimg, in the background; 0 uploads none."""
    repo: str = ""
    """Hub id of the model repo for --push-every, user/name; its folder training/ holds the run."""
    private: bool = False
    """Create --repo private."""


def parse(command: type, name: str, arguments: list[str], **default: Any) -> Any:
    registry = tyro.constructors.ConstructorRegistry()
    registry.primitive_rule(pairs_rule)
    with registry:
        return tyro.cli(command, **default, args=arguments, prog=f"python -m training {name}")


def train(arguments: list[str]) -> None:
    presets = "\n".join(f"  {name:18} {recipe.source}" for name, recipe in PRESETS.items())
    if not arguments or arguments[0] in ("-h", "--help"):
        print(
            f"usage: python -m training train PRESET --data DATA --run-dir DIR [options]\n\npresets:\n{presets}\n\n"
            "train PRESET --help lists every option; docs/tricks.md has them by subject, with their sources."
        )
        return
    name, *rest = arguments
    if name not in PRESETS:
        raise UserError(f"no preset {name!r}; known: {', '.join(PRESETS)}")
    options = parse(Train, f"train {name}", rest, default=Train(PRESETS[name], tyro.MISSING))

    from training.signals import Interrupted
    from training.trainer import train as run

    backup = make_backup(options)
    if options.resume_from:
        from training.restore import restore

        options.recipe.check()
        restore(options.resume_from, options.run_dir)
    keep_freed_memory()
    try:
        run(options.recipe, options.run_dir, options.resume or bool(options.resume_from), backup)
    except Interrupted as stop:
        if speaks():
            print(f"{stop}; saved. Go on with: {again(name, rest)}", file=sys.stderr)
            if backup and backup.report:
                print(backup.report, file=sys.stderr)
        sys.exit(128 + stop.signum)
    if speaks():
        export_it = f"python -m training export {options.run_dir} --out FOLDER"
        print(f"{options.run_dir}: done. Make a model folder with: {export_it}")
        if backup and backup.report:
            print(backup.report)


def make_backup(options: Train) -> "Backup | None":
    """What --push-every asks for.

    Raises:
        UserError: the options about the Hub don't fit each other.
    """
    if options.resume and options.resume_from:
        raise UserError("--resume goes on in --run-dir, --resume-from fetches a run into a new one; give one of them")
    if bool(options.push_every) != bool(options.repo) or (options.private and not options.repo):
        raise UserError("--push-every KIMG and --repo user/name (and --private) go together; give both or none")
    if not options.push_every:
        return None
    from training.backup import Backup

    return Backup(options.repo, options.push_every, options.private)


def again(name: str, words: list[str]) -> str:
    """The command that goes on in the run's folder."""
    kept: list[str] = []
    for word, before in zip(words, ["", *words]):
        if word.partition("=")[0].replace("_", "-") != "--resume-from" and before.replace("_", "-") != "--resume-from":
            kept.append(word)
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", 1))  # torchrun says so
    resume = [] if "--resume" in kept else ["--resume"]
    return shlex.join([*starter(processes), "-m", "training", "train", name, *kept, *resume])


def prepare(arguments: list[str]) -> None:
    from training import prepare as command

    try:
        print(command.run(parse(command.Prepare, "prepare", arguments)).text())
    except KeyboardInterrupt:
        print("stopped; nothing was written", file=sys.stderr)
        sys.exit(130)


def export(arguments: list[str]) -> None:
    from training import export as command

    folder = command.run(parse(command.Export, "export", arguments))
    measure = f"modes {folder}" if Recipe.load(folder / RECIPE_FILE).channels == 2 else f"evaluate {folder} --data DATA"
    print(f"{folder}: written. Measure it with: python -m training {measure}")


def onnx(arguments: list[str]) -> None:
    from training import onnx_export

    file, difference = onnx_export.run(parse(onnx_export.Onnx, "onnx", arguments))
    print(f"{file}: written; pixels differ by at most {difference:.1g} from PyTorch's, on 16 seeds")


def publish(arguments: list[str]) -> None:
    from training import publish as command

    options = parse(command.Publish, "publish", arguments)
    print(command.run(options, lambda plan: print(plan.table())).outcome())


def push_data(arguments: list[str]) -> None:
    from training import push_data as command

    options = parse(command.PushData, "push-data", arguments)
    pushed = command.run(options)
    print(pushed.table())
    print(f"{pushed.address}: {'nothing was uploaded yet' if options.dry_run else 'this data set'}")


def convert(arguments: list[str]) -> None:
    from training import convert as command

    folder = command.run(parse(command.Convert, "convert", arguments))
    print(f"{folder}: written. Compare {folder}/samples.png with the original's pictures")


def evaluate(arguments: list[str]) -> None:
    from training import evaluate as command

    options = parse(command.Evaluate, "evaluate", arguments)
    keep_freed_memory()
    command.run(options)


def extractor(arguments: list[str]) -> None:
    from training import extractors

    options = parse(extractors.Extractor, "extractor", arguments)
    keep_freed_memory()
    metrics = extractors.run(options)
    name = "accuracy" if "accuracy" in metrics else "retrieval_accuracy"
    print(f"{options.out}: written; {name.replace('_', ' ')} {metrics[name]:.2%} on pictures that training never saw")


def directions(arguments: list[str]) -> None:
    from training import directions as command

    options = parse(command.Directions, "directions", arguments)
    print(f"{options.folder}: {len(command.run(options))} directions written")


def screen(arguments: list[str]) -> None:
    from training import screen as command

    options = parse(command.Screen, "screen", arguments)
    found = command.run(options)
    print(
        f"{options.folder}: keeps {found['keep']:.0%} of the latents. Of the {found['count']:,} pictures looked at "
        f"{found['broken_before']:.1%} are broken, of those that it would keep {found['broken_after']:.1%} "
        f"(cross-validated, AUC {found['auc']:.2f}).\nsamples.png and the card are new, the measurements were of other "
        f"samples and are gone. Measure it again with: python -m training evaluate {options.folder} --data DATA"
    )


def animate(arguments: list[str]) -> None:
    from training import snapshots

    options = parse(snapshots.Animate, "animate", arguments)
    print(f"{snapshots.animate(options.run, options.out)}: written")


def benchmark(arguments: list[str]) -> None:
    from training import benchmark as command

    options = parse(command.Benchmark, "benchmark", arguments)
    keep_freed_memory()
    command.run(options)


def modes(arguments: list[str]) -> None:
    from training import modes as command

    command.run(parse(command.Modes, "modes", arguments))


def probe(arguments: list[str]) -> None:
    from training import probe as command

    command.run(parse(command.Probe, "probe", arguments))


COMMANDS: dict[str, tuple[Callable[[list[str]], None], str]] = {
    "prepare": (prepare, "crop, find faces, resize: make a folder of pictures that --data takes"),
    "train": (train, "train a GAN: python -m training train PRESET --data DATA --run-dir DIR"),
    "export": (export, "turn a run into a model folder with its card"),
    "push-data": (push_data, "publish a folder of pictures or a synthetic set as a Hub data set"),
    "convert": (convert, "turn foreign DCGAN weights into a model folder"),
    "onnx": (onnx, "write the generator of a model as ONNX, checked: python -m training onnx FOLDER"),
    "evaluate": (evaluate, "measure a model folder against real pictures"),
    "directions": (directions, "find directions in latent space along which one property changes"),
    "screen": (screen, "learn from marked samples which latents a model shall draw again"),
    "publish": (publish, "put a run or a model folder on the Hub: python -m training publish RUN --repo user/name"),
    "extractor": (extractor, "train the feature network or classifier that the metrics use"),
    "modes": (modes, "count the modes that a generator has found on a toy data set"),
    "probe": (probe, "how much a discriminator knows of classes: a linear classifier on its features"),
    "animate": (animate, "the sample sheets of a run as a GIF"),
    "benchmark": (benchmark, "images per second of a recipe, beside the plain loop"),
}

SENT = "stopped; the Hub shows what it showed before, or all of it. The same command again finishes the job"
STOPPED = {  # what Ctrl-C leaves, where that isn't nothing
    "train": "stopped; what no checkpoint holds is lost",
    "publish": SENT,
    "push-data": SENT,
}


def main() -> None:
    name, *arguments = sys.argv[1:] or ["--help"]
    if name not in COMMANDS:
        commands = "\n".join(f"  {command:10} {text}" for command, (_, text) in COMMANDS.items())
        print(f"usage: python -m training COMMAND ...\n\n{commands}\n\nCOMMAND --help says more.")
        sys.exit(0 if name in ("-h", "--help") else 2)
    run_command(lambda: COMMANDS[name][0](arguments), STOPPED.get(name, "stopped"))


if __name__ == "__main__":
    main()

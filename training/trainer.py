"""The training loop, top to bottom; `training.steps` has the two steps in it."""

import contextlib
import copy
import dataclasses
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs, ProjectConfiguration, set_seed
from torch import Tensor, nn

from ganhub.classes import is_class_name
from ganhub.errors import UserError, shorten
from ganhub.layout import RECIPE_FILE
from ganhub.models.base import Generator
from training import checkpoint
from training.backup import Backup
from training.checkpoint import TrainState
from training.clock import Clock
from training.data import Batches, ImageData, load_images
from training.growing import blend, grown
from training.objectives import OBJECTIVES
from training.optimizers import make_optimizer
from training.presets import PRESETS
from training.processes import WAIT
from training.processor import knows_bf16
from training.recipe import Recipe
from training.runlog import LOG_FILE, RunLog
from training.selection import Choices, choose, narrowed
from training.signals import Interrupted, StopSignal
from training.snapshots import SHEETS, save_snapshot
from training.sources import settled
from training.steps import Game, Stats, both_steps, d_step, g_step
from training.warm_start import warm_start

log = logging.getLogger(__name__)

ASK_EVERY = 50  # steps on GPUs after which processes ask each other whether one was told to stop
LEFT_BY_RUNS = (LOG_FILE, SHEETS, "snapshots")  # what a run goes on with where it is there
EMA_WARMUP = 0.05  # the half-life is at most this part of the run so far, so that early averages forget the start


def train(recipe: Recipe, run_dir: str | Path, resume: bool = False, backup: Backup | None = None) -> Generator:
    """Train `recipe` in `run_dir` and return the averaged generator, in eval mode.

    Args:
        recipe: what to train, on what; see Recipe.
        run_dir: gets recipe.json, log.jsonl, samples/, tensorboard/ and checkpoints/.
        resume: go on from the newest checkpoint there, bit for bit as if nothing had happened.
        backup: uploads checkpoints to the Hub in the background; nothing that is trained depends on it.

    Raises:
        UserError: the recipe, the data, the folder or the disk won't do, no upload could work, or a loss became NaN or
            infinite.
        Interrupted: SIGINT or SIGTERM came; the run is saved and can be resumed.
    """
    run_dir = Path(run_dir)
    recipe, accelerator, batches, state = prepare(recipe, run_dir, resume, backup)
    backup = backup if accelerator.is_main_process else None
    game = Game(recipe, state, accelerator)
    step, clock = make_step(game, batches), state.clock

    def save() -> None:
        run_log.scalars(clock)  # raises on NaN before it can reach a checkpoint
        check_finite(state)
        saved = checkpoint.save(run_dir, state, accelerator, recipe.keep_checkpoints)
        if backup:
            backup.saved(saved, clock)

    uploads = backup.start(recipe, run_dir, clock) if backup else contextlib.nullcontext()
    with uploads, writing_to(run_dir), RunLog(recipe, run_dir, accelerator, clock) as run_log, StopSignal() as stop:
        # to ask all processes makes a GPU wait; and a launcher that hands a signal on waits for half a minute only
        ask_every = ASK_EVERY if accelerator.num_processes > 1 and accelerator.device.type != "cpu" else 1
        while clock.kimg < recipe.kimg:
            run_log.averages.add(step())
            logs = clock.every("log", recipe.log_kimg)
            if logs:
                run_log.scalars(clock)
                run_log.histograms(game.histograms(), clock)
            if clock.every("sample", recipe.sample_kimg):
                run_log.samples(state.ema, clock)
            if recipe.snapshot_kimg and clock.every("snapshot", recipe.snapshot_kimg):
                save_snapshot(recipe, run_dir, state, accelerator)
            if clock.every("save", recipe.save_kimg):
                save()
            if (logs or clock.steps % ask_every == 0) and (signum := stop.agreed(accelerator)):
                save()
                raise Interrupted(signum, clock.kimg)
        save()
        run_log.samples(state.ema, clock)
        run_log.histograms(game.histograms(), clock)
        run_log.animation()
    return state.ema


def prepare(
    recipe: Recipe, run_dir: Path, resume: bool, backup: Backup | None
) -> tuple[Recipe, Accelerator, Batches, TrainState]:
    """All that can fail before the first step: the recipe as it is trained, its data, and the state it begins from."""
    if resume:
        recipe = continued(recipe, run_dir)
    elif checkpoint.folders(run_dir):
        raise UserError(f"{run_dir}: already holds a run; go on with --resume, or give another --run-dir")
    elif left := [name for name in LEFT_BY_RUNS if (run_dir / name).exists()]:
        raise UserError(f"{run_dir}: has {' and '.join(left)} of another run; remove them, or give another --run-dir")
    recipe.check()
    accelerator = Accelerator(
        mixed_precision=recipe.mixed_precision,
        log_with="tensorboard",
        project_config=ProjectConfiguration(logging_dir=str(run_dir)),
        kwargs_handlers=[InitProcessGroupKwargs(timeout=WAIT)],
    )
    if backup and accelerator.is_main_process:
        backup.check(recipe.save_kimg)
    with accelerator.main_process_first():  # it fills the cache that the others read
        data = load_images(recipe)
    if not resume:  # a run that began with one goes on as it is
        check_classes(recipe, data)
    chosen = choose(recipe, data)
    data = data.to(accelerator.device)
    if accelerator.is_main_process:
        warn(recipe, data, chosen)
        if backup:
            backup.create()
    batches = Batches(data, recipe.batch_size, recipe.seed, recipe.flip, recipe.shuffle, recipe.pixel_range, chosen)
    state = start_state(recipe, data, accelerator, resume)
    open_folder(recipe, run_dir, state, accelerator, resume)
    return recipe, accelerator, batches, state


def check_classes(recipe: Recipe, data: ImageData) -> None:
    """A class of which there is no picture would be drawn from noise; with some names no model could be loaded."""
    if not recipe.conditional or data.labels is None:
        return
    if bad := [name for name in data.class_names if not is_class_name(name)]:
        raise UserError(
            f"{recipe.data}: a class is called {shorten(ascii(bad[0]), 120)}; rename it, a name has 1 to 100 "
            "characters in one line, none of them a control"
        )
    there = data.labels.unique().tolist()
    if lacking := [name for i, name in enumerate(data.class_names) if i not in there]:
        shown = ", ".join(lacking[:5]) + ", ..." * (len(lacking) > 5)
        raise UserError(f"{recipe.data}: has no picture of class {shown}; name the others with --classes")


@contextlib.contextmanager
def writing_to(run_dir: Path) -> Iterator[None]:
    """A full or vanished disk ends the run with one line; its checkpoints stay as they are."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{run_dir}: can't be written ({reason}); mend that and go on with --resume") from error


def continued(recipe: Recipe, run_dir: Path) -> Recipe:
    """The recipe of a resumed run: the one that it began with, but for what may change.

    Raises:
        UserError: there is no run, or it would become another.
    """
    if not (run_dir / RECIPE_FILE).exists():
        raise UserError(f"{run_dir}: holds no run to go on with; leave out --resume to begin one")
    begun = Recipe.load(run_dir / RECIPE_FILE)
    recipe = dataclasses.replace(recipe, init=begun.init)  # a beginning is behind it
    if changes := recipe.changes_from(begun):
        listed = "; ".join(changes)
        raise UserError(f"{run_dir}: resuming would change {listed}; use the old values or a new folder")
    return recipe


def open_folder(recipe: Recipe, run_dir: Path, state: TrainState, accelerator: Accelerator, resume: bool) -> None:
    """Write the recipe, and go on from the newest checkpoint or write the first."""
    if resume:
        checkpoint.load(run_dir, state, accelerator)
    with writing_to(run_dir):
        if accelerator.is_main_process:
            run_dir.mkdir(parents=True, exist_ok=True)
            dataclasses.replace(recipe, data=settled(recipe.data)).save(run_dir / RECIPE_FILE)
        if not resume:  # so that a run can be resumed from its first moment on
            checkpoint.save(run_dir, state, accelerator, recipe.keep_checkpoints)


def warn(recipe: Recipe, data: ImageData, chosen: Choices) -> None:
    """What can be trained, but may not be meant."""
    for begun, numbers in chosen:
        if len(numbers) < len(data):
            log.warning("learning from %s", narrowed(recipe.phase(begun), len(numbers), len(data)))
    parts = [part for _, part in recipe.phases()]
    if all(part.typical == 1 for part in parts) and any(part.typical_by != "pixels" for part in parts):
        log.warning("typical_by has no effect, for typical 1 takes all")
    if not grown(recipe, recipe.kimg):
        log.warning("the networks will still be growing at %g kimg, and can't be exported then", recipe.kimg)
    if recipe.mixed_precision == "bf16" and data.images.device.type == "cpu" and not knows_bf16():
        log.warning("this CPU has no instructions for bf16 and is slower in it; use --mixed-precision no")
    begun, last = recipe.reached()[-1]
    rest = recipe.kimg - begun
    if 0.99 * last.lr_kimg > rest:
        option = "lr_kimg=%.10g in later" if begun else "--lr-kimg %.10g"
        log.warning(
            f"the run ends after %g of the %g kimg over which the learning rates fall to 0; for all of it, {option}",
            rest,
            last.lr_kimg,
            rest,
        )
    if last.later_kimg:
        log.warning(
            "the run ends at %g kimg, without what the recipe has for later_kimg %g; a --kimg above that reaches it",
            recipe.kimg,
            last.later_kimg,
        )
    asked = recipe.ema_kimg != PRESETS.get(recipe.name, Recipe()).ema_kimg
    if asked and recipe.ema_kimg > (longest := EMA_WARMUP * recipe.kimg):
        log.warning(
            "ema_kimg %g is never reached: the half-life is at most %g %% of the run so far, %g kimg at its end",
            recipe.ema_kimg,
            100 * EMA_WARMUP,
            longest,
        )
    if (fewest := min(len(numbers) for _, numbers in chosen)) < recipe.batch_size:
        log.warning("%d pictures of %s are fewer than a batch of %d", fewest, recipe.data, recipe.batch_size)


def start_state(recipe: Recipe, data: ImageData, accelerator: Accelerator, resume: bool = False) -> TrainState:
    """Fresh networks, equal on every process; the random state that follows differs between them.

    A resumed run doesn't ask for the weights that it once began with: a checkpoint replaces them.
    """
    torch.backends.cudnn.deterministic = True  # resuming is exact on a GPU too
    set_seed(recipe.seed)
    built = recipe.build(len(data.class_names))
    if recipe.init and not resume:
        warm_start(recipe.init, *built, data.class_names)
    generator, discriminator = (
        network.to(accelerator.device, memory_format=torch.channels_last).train() for network in built
    )
    ema = copy.deepcopy(generator).eval().requires_grad_(False)
    memory = dict(OBJECTIVES[recipe.objective].memory) | (
        {"augment_p": recipe.augment_p} if recipe.augment_target else {}
    )
    set_seed(recipe.seed, device_specific=True)
    return TrainState(
        generator,
        discriminator,
        ema,
        make_optimizer(recipe, generator, "g"),
        make_optimizer(recipe, discriminator, "d"),
        {name: torch.tensor(float(value), device=accelerator.device) for name, value in memory.items()},
        Clock(),
        data.digest,
        data.class_names,
    )


def make_step(game: Game, batches: Batches) -> Callable[[], Stats]:
    """One iteration, D's steps and then G's, or both at once, as a function that returns detached scalars."""
    recipe, state, accelerator, clock = game.run_recipe, game.state, game.accelerator, game.state.clock
    images_per_step = recipe.batch_size * accelerator.num_processes

    def step() -> Stats:
        game.start_iteration()
        seen: list[Stats] = []
        together, kimg = False, clock.kimg
        for i in range(recipe.d_steps):
            real, labels = batches.at(clock.images + recipe.batch_size * accelerator.process_index, kimg)
            real = blend(recipe, state.discriminator, real)
            labels = labels if recipe.conditional else None
            turn = clock.steps * recipe.d_steps + i
            penalise = bool(game.recipe.penalties) and turn % game.recipe.penalty_every == 0
            together = game.recipe.one_stage and not penalise  # else the penalty would go on into G, and wants fp32
            seen.append(both_steps(game, real, labels) if together else d_step(game, real, labels, penalise))
            clock.images += images_per_step
        for _ in range(0 if together else recipe.g_steps):
            seen.append(g_step(game, real, labels))
        clock.steps += 1
        update_ema(state.ema, state.generator, ema_decay(recipe, clock, images_per_step * recipe.d_steps))
        return means(seen)

    return step


def means(seen: list[Stats]) -> Stats:
    """The mean of each number over the steps that gave it; a lazy penalty is not in all of them."""
    gathered: dict[str, list[Tensor]] = {}
    for stats in seen:
        for name, value in stats.items():
            gathered.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else torch.stack(values).mean() for name, values in gathered.items()}


def ema_decay(recipe: Recipe, clock: Clock, images: int) -> float:
    """What the average keeps of itself over `images` images; the half-life grows with the run up to `ema_kimg`."""
    half_life = min(recipe.ema_kimg, EMA_WARMUP * clock.kimg)
    return 0.5 ** (images / 1000 / half_life) if half_life else 0.0


@torch.no_grad()
def update_ema(ema: nn.Module, network: nn.Module, decay: float) -> None:
    """ema = decay * ema + (1 - decay) * network; buffers are copied."""
    torch._foreach_lerp_(list(ema.parameters()), list(network.parameters()), 1 - decay)
    for mine, theirs in zip(ema.buffers(), network.buffers()):
        mine.copy_(theirs)


def check_finite(state: TrainState) -> None:
    for name, network in state.networks().items():
        if not all(torch.isfinite(value).all() for value in network.state_dict().values()):
            raise UserError(
                f"the weights of the {name} became NaN or infinite; the last good checkpoint is kept. "
                "Lower the learning rates or add a penalty, and start again"
            )

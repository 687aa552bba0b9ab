"""The training loop, top to bottom."""

import contextlib
import copy
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import ProjectConfiguration, set_seed
from torch import Tensor, nn

from ganhub.errors import UserError
from ganhub.models.base import Generator
from training import checkpoint
from training.augment import Augmentation, augmenter
from training.checkpoint import TrainState
from training.clock import Clock
from training.data import Batches, ImageData, load_images
from training.objectives import OBJECTIVES
from training.penalties import PENALTIES
from training.recipe import Recipe
from training.runlog import RunLog
from training.signals import Interrupted, StopSignal

RECIPE_FILE = "recipe.json"
EMA_WARMUP = 0.05  # the half-life is at most this part of the run so far, so that early averages forget the start


def train(recipe: Recipe, run_dir: str | Path, resume: bool = False) -> Generator:
    """Train `recipe` in `run_dir` and return the averaged generator, in eval mode.

    Args:
        recipe: what to train, on what; see Recipe.
        run_dir: gets recipe.json, log.jsonl, samples/, tensorboard/ and checkpoints/.
        resume: go on from the newest checkpoint there, bit for bit as if nothing had happened.

    Raises:
        UserError: the recipe, the data, the folder or the disk won't do, or a loss became NaN or infinite.
        Interrupted: SIGINT or SIGTERM came; the run is saved and can be resumed.
    """
    run_dir = Path(run_dir)
    recipe.check()
    accelerator = Accelerator(
        mixed_precision=recipe.mixed_precision,
        log_with="tensorboard",
        project_config=ProjectConfiguration(logging_dir=str(run_dir)),
    )
    check_folder(recipe, run_dir, resume)
    with accelerator.main_process_first():  # it fills the cache that the others read
        data = load_images(recipe).to(accelerator.device)
    state = start_state(recipe, data, accelerator)
    if resume:
        checkpoint.load(run_dir, state, accelerator)
    with writing_to(run_dir):
        if accelerator.is_main_process:
            run_dir.mkdir(parents=True, exist_ok=True)
            recipe.save(run_dir / RECIPE_FILE)
        if not resume:  # so that a run can be resumed from its first moment on
            checkpoint.save(run_dir, state, accelerator, recipe.keep_checkpoints)
    batches = Batches(data, recipe.batch_size, recipe.seed, recipe.flip)
    step = make_step(recipe, state, batches, accelerator)
    clock = state.clock

    def save() -> None:
        run_log.scalars(clock)  # raises on NaN before it can reach a checkpoint
        check_finite(state)
        checkpoint.save(run_dir, state, accelerator, recipe.keep_checkpoints)

    with writing_to(run_dir), RunLog(recipe, run_dir, accelerator, clock) as run_log, StopSignal() as stop:
        while clock.kimg < recipe.kimg:
            run_log.averages.add(step())
            logs = clock.every("log", recipe.log_kimg)
            if logs:
                run_log.scalars(clock)
            if clock.every("sample", recipe.sample_kimg):
                run_log.samples(state.ema, clock)
            if clock.every("save", recipe.save_kimg):
                save()
            if (logs or accelerator.num_processes == 1) and (signum := stop.agreed(accelerator)):
                save()
                raise Interrupted(signum, clock.kimg)
        save()
        run_log.samples(state.ema, clock)
    return state.ema


@contextlib.contextmanager
def writing_to(run_dir: Path) -> Iterator[None]:
    """A full or vanished disk ends the run with one line; its checkpoints stay as they are."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{run_dir}: can't be written ({reason}); mend that and go on with --resume") from error


def check_folder(recipe: Recipe, run_dir: Path, resume: bool) -> None:
    """A new run needs a folder without one, a resumed run the folder of this very recipe."""
    if resume:
        if changes := recipe.changes_from(Recipe.load(run_dir / RECIPE_FILE)):
            listed = "; ".join(changes)
            raise UserError(f"{run_dir}: resuming would change {listed}; use the old values or a new folder")
    elif checkpoint.folders(run_dir):
        raise UserError(f"{run_dir}: already holds a run; go on with --resume, or give another --run-dir")


def start_state(recipe: Recipe, data: ImageData, accelerator: Accelerator) -> TrainState:
    """Fresh networks, equal on every process; the random state that follows differs between them."""
    torch.backends.cudnn.deterministic = True  # resuming is exact on a GPU too
    set_seed(recipe.seed)
    built = recipe.build(len(data.class_names))
    generator, discriminator = (
        network.to(accelerator.device, memory_format=torch.channels_last).train() for network in built
    )
    ema = copy.deepcopy(generator).eval().requires_grad_(False)
    set_seed(recipe.seed, device_specific=True)
    return TrainState(
        generator,
        discriminator,
        ema,
        torch.optim.Adam(generator.parameters(), recipe.g_lr, recipe.betas),
        torch.optim.Adam(discriminator.parameters(), recipe.d_lr, recipe.betas),
        Clock(),
        data.digest,
        data.class_names,
    )


def make_step(
    recipe: Recipe, state: TrainState, batches: Batches, accelerator: Accelerator
) -> Callable[[], dict[str, Tensor]]:
    """One generator step and the discriminator steps before it, as a function that returns detached scalars."""
    augment = augmenter(recipe.augment)
    images_per_step = recipe.batch_size * accelerator.num_processes
    clock = state.clock

    def step() -> dict[str, Tensor]:
        stats: dict[str, Tensor] = {}
        for i in range(recipe.d_steps):
            real, labels = batches.at(clock.images + recipe.batch_size * accelerator.process_index)
            labels = labels if recipe.conditional else None
            penalise = (clock.steps * recipe.d_steps + i) % recipe.penalty_every == 0
            for name, value in d_step(recipe, state, accelerator, augment, real, labels, penalise).items():
                stats[name] = stats[name] + value if name in stats else value
            clock.images += images_per_step
        stats = {name: value / recipe.d_steps for name, value in stats.items()}
        stats |= g_step(recipe, state, accelerator, augment, real, labels)
        clock.steps += 1
        update_ema(state.ema, state.generator, ema_decay(recipe, clock, images_per_step * recipe.d_steps))
        return stats

    return step


def d_step(
    recipe: Recipe,
    state: TrainState,
    accelerator: Accelerator,
    augment: Augmentation,
    real: Tensor,
    labels: Tensor | None,
    penalise: bool,
) -> dict[str, Tensor]:
    """One discriminator update; the penalty reuses the forward passes of the loss."""
    objective = OBJECTIVES[recipe.objective]
    state.discriminator.requires_grad_(True)
    with torch.no_grad(), accelerator.autocast():
        fake = state.generator(latents(recipe, real), labels)
    penalties = recipe.penalties if penalise else {}
    if penalties:
        real, fake = real.requires_grad_(True), fake.float().requires_grad_(True)
    critic = Critic(state.discriminator, augment, labels, accelerator, exact=bool(penalties))
    real_logits, fake_logits = critic(real), critic(fake)
    stats = {"d_loss": objective.d_loss(real_logits, fake_logits)}
    loss = stats["d_loss"]
    for name, weight in penalties.items():
        stats[name] = PENALTIES[name](critic, real, fake)
        loss = loss + weight * recipe.penalty_every * stats[name]
    update(state.discriminator, state.d_optimizer, loss, accelerator)
    stats["d_accuracy"] = ((real_logits > 0).float().mean() + (fake_logits < 0).float().mean()) / 2
    stats |= {"real_logit": real_logits.mean(), "fake_logit": fake_logits.mean()}
    return {name: value.detach() for name, value in stats.items()}


def g_step(
    recipe: Recipe,
    state: TrainState,
    accelerator: Accelerator,
    augment: Augmentation,
    real: Tensor,
    labels: Tensor | None,
) -> dict[str, Tensor]:
    """One generator update through a frozen discriminator."""
    objective = OBJECTIVES[recipe.objective]
    state.discriminator.requires_grad_(False)
    critic = Critic(state.discriminator, augment, labels, accelerator)
    with accelerator.autocast():
        fake = state.generator(latents(recipe, real), labels)
    real_logits = critic(real.detach()) if objective.relativistic else None
    loss = objective.g_loss(critic(fake), real_logits)
    update(state.generator, state.g_optimizer, loss, accelerator)
    return {"g_loss": loss.detach()}


class Critic:
    """The discriminator with labels and augmentation bound; remembers what it has judged, so a penalty costs no pass.

    Args:
        exact: judge in fp32 whatever the run's precision, because second derivatives need it.
    """

    def __init__(
        self,
        discriminator: nn.Module,
        augment: Augmentation,
        labels: Tensor | None,
        accelerator: Accelerator,
        exact: bool = False,
    ):
        self.discriminator, self.augment, self.labels = discriminator, augment, labels
        self.accelerator, self.exact = accelerator, exact
        self.judged: list[tuple[Tensor, Tensor]] = []

    def __call__(self, images: Tensor) -> Tensor:
        for seen, logits in self.judged:
            if seen is images:
                return logits
        if self.exact:
            logits = self.discriminator(self.augment(images), self.labels)
        else:
            with self.accelerator.autocast():
                logits = self.discriminator(self.augment(images), self.labels)
        self.judged.append((images, logits.float()))
        return self.judged[-1][1]


def latents(recipe: Recipe, like: Tensor) -> Tensor:
    return torch.randn(len(like), recipe.latent_dim, device=like.device)


def update(network: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor, accelerator: Accelerator) -> None:
    """One optimiser step on the mean gradient of all processes.

    The gradients are averaged here instead of by DistributedDataParallel, which can't follow two forward passes and a
    double backward through one network.
    """
    optimizer.zero_grad(set_to_none=True)
    accelerator.backward(loss)
    if accelerator.num_processes > 1:
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        mean = accelerator.reduce(torch.cat([g.flatten() for g in gradients]), reduction="mean")
        for gradient, part in zip(gradients, mean.split([g.numel() for g in gradients])):
            gradient.copy_(part.view_as(gradient))
    optimizer.step()


def ema_decay(recipe: Recipe, clock: Clock, images: int) -> float:
    """What the average keeps of itself over `images` images; the half-life grows with the run up to `ema_kimg`."""
    half_life = min(recipe.ema_kimg, EMA_WARMUP * clock.kimg)
    return 0.5 ** (images / 1000 / half_life) if half_life else 0.0


@torch.no_grad()
def update_ema(ema: nn.Module, network: nn.Module, decay: float) -> None:
    """ema = decay * ema + (1 - decay) * network; buffers are copied."""
    torch._foreach_lerp_(list(ema.parameters()), list(network.parameters()), 1 - decay)
    torch._foreach_copy_(list(ema.buffers()), list(network.buffers()))


def check_finite(state: TrainState) -> None:
    for name, network in state.networks().items():
        if not all(torch.isfinite(value).all() for value in network.state_dict().values()):
            raise UserError(
                f"the weights of the {name} became NaN or infinite; the last good checkpoint is kept. "
                "Lower the learning rates or add a penalty, and start again"
            )

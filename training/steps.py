"""The two steps of a GAN, an update of the discriminator and one of the generator; or both at once."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from training.augment import Augmentation, adapted, augmenter
from training.checkpoint import TrainState
from training.critic import Critic
from training.growing import grow
from training.labels import draw_labels
from training.objectives import OBJECTIVES, Objective
from training.optimizers import Player, clip_gradients, clip_weights, lr_factor, set_lr
from training.penalties import PENALTIES, REUSES, pulling_away
from training.recipe import Recipe

Stats = dict[str, Tensor]


@dataclass
class Game:
    """What all steps share: the recipe, the players, and where they play."""

    run_recipe: Recipe
    """Of the run from its beginning to its end."""
    state: TrainState
    accelerator: Accelerator
    seen: dict[str, Tensor] = field(default_factory=dict)
    """The last step's latents and logits, detached."""
    recipe: Recipe = field(init=False)
    """As it holds in this iteration."""

    def __post_init__(self) -> None:
        self.start_iteration()

    def start_iteration(self) -> None:
        """Whatever follows the clock stays as it is now for all steps of an iteration."""
        kimg = self.state.clock.kimg
        phase = self.run_recipe.phase(kimg)
        self.recipe = recipe = phase.recipe
        self.augment: Augmentation = augmenter(recipe.augment, self.state.memory.get("augment_p", recipe.augment_p))
        self.rate = lr_factor(phase, self.state.clock)
        faded = min(kimg / recipe.instance_noise_kimg, 1.0) if recipe.instance_noise_kimg else 0.0
        self.noise = recipe.instance_noise * (1 - faded)
        grow(recipe, kimg, *self.state.networks().values())

    @property
    def objective(self) -> Objective:
        return OBJECTIVES[self.recipe.objective]

    @property
    def arguments(self) -> dict[str, Any]:
        """Of the objective: its defaults, what the recipe sets, and what it remembers."""
        memory = {name: self.state.memory[name] for name in self.objective.memory}
        return {**self.objective.arguments, **self.recipe.objective_args, **memory}

    def view(self, images: Tensor) -> Tensor:
        """What D sees of images: augmented, and under instance noise."""
        images = self.augment(images)
        return images + self.noise * torch.randn_like(images) if self.noise else images

    def latents(self, count: int) -> Tensor:
        self.seen["z"] = torch.randn(count, self.recipe.latent_dim, device=self.accelerator.device)
        return self.seen["z"]

    def histograms(self) -> dict[str, Tensor]:
        """The last step's noise, as G gets it, and logits; nothing before the first step."""
        if not self.seen:
            return {}
        return {**self.seen, "z": self.state.generator.noise(self.seen["z"])}

    def parts(self, *batches: Tensor | None) -> Iterator[tuple[Any, ...]]:
        """The same slice of every batch, `accumulate` times."""
        count = self.recipe.accumulate
        return zip(*([None] * count if batch is None else batch.chunk(count) for batch in batches))


def d_step(game: Game, real: Tensor, labels: Tensor | None, penalise: bool = False) -> Stats:
    """One discriminator update (two where real and generated batches alternate); generated images carry no gradient."""
    recipe, state = game.recipe, game.state
    state.discriminator.requires_grad_(True)
    with torch.no_grad(), game.accelerator.autocast():
        fake = state.generator(game.latents(len(real)), labels).float()
    verdicts = (draw_labels(recipe, real, real=True), draw_labels(recipe, fake, real=False))
    judged: list[dict[str, Tensor]] = []

    def losses(shown: tuple[str, ...]) -> Iterator[tuple[Tensor, Stats]]:
        for part in game.parts(real, fake, labels, *verdicts):
            loss, stats, logits = d_loss(game, Part(*part), penalise, shown)
            judged.append(logits)
            yield loss, stats

    stats: Stats = {}
    for shown in [("real",), ("fake",)] if recipe.d_batches == "alternating" else [("real", "fake")]:
        stats |= descend(game, ("d",), losses(shown))
    return report(game, stats, judged)


def both_steps(game: Game, real: Tensor, labels: Tensor | None) -> Stats:
    """An update of both players from one pass of each network: Shen et al. 2021, https://arxiv.org/abs/2103.00430.

    Both losses reach a generated image through its logit alone, so their gradients at the image differ by one number,
    the ratio of their slopes at that logit. The gradient of D's loss that arrives at the image, times this ratio, is
    therefore that of G's, and goes on into G. G learns from D as it was before this step.
    """
    recipe, state = game.recipe, game.state
    state.discriminator.requires_grad_(True)
    verdicts = (draw_labels(recipe, real, real=True), draw_labels(recipe, real, real=False))
    judged: list[dict[str, Tensor]] = []

    def losses() -> Iterator[tuple[Tensor, Stats]]:
        for z, shown, classes, *told in game.parts(game.latents(len(real)), real, labels, *verdicts):
            with game.accelerator.autocast():
                fake = state.generator(z, classes).float()
            loss, stats, logits = d_loss(game, Part(shown, fake, classes, *told), False, ("real", "fake"))
            judged.append(logits)
            ratio, g_loss = slope_ratio(game, **logits)
            fake.register_hook(lambda gradient, ratio=ratio: gradient * ratio.view(-1, 1, 1, 1))
            yield loss, stats | {"g_loss": g_loss}

    return report(game, descend(game, ("d", "g"), losses()), judged)


def slope_ratio(game: Game, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """For each generated image (B,) the slope of G's loss at its logit, divided by that of D's; and G's loss.

    Where D is utterly sure (a logit, or fake minus real, below -65 or so) its slope is nearly 0, and its gradient can't
    be scaled back: G learns next to nothing from these images.
    """
    fake = fake.detach().requires_grad_()
    losses = game.objective.d_loss(real, fake, **game.arguments), game.objective.g_loss(fake, real, **game.arguments)
    of_d, of_g = (torch.autograd.grad(loss, fake)[0] for loss in losses)
    return of_g / of_d.clamp(min=1e-30), losses[1].detach()  # D's slopes are positive, see Objective.one_stage


def report(game: Game, stats: Stats, judged: list[dict[str, Tensor]]) -> Stats:
    """What is known after D's step, from its losses and the logits of each part."""
    if "d_loss_real" in stats:
        stats["d_loss"] = stats["d_loss_real"] + stats["d_loss_fake"]
    names = ("real", "fake")
    logits = {f"{name}_logit": torch.cat([part[name] for part in judged if name in part]) for name in names}
    game.seen |= logits
    return stats | remember(game, **logits)


@dataclass
class Part:
    """What the discriminator's loss is made of: a batch, or a part of one."""

    real: Tensor
    fake: Tensor
    labels: Tensor | None
    """Classes (B,)."""
    real_verdicts: Tensor
    """What D is told of the real images (B,): 1, but for the tricks."""
    fake_verdicts: Tensor


def d_loss(game: Game, part: Part, penalise: bool, shown: tuple[str, ...]) -> tuple[Tensor, Stats, dict[str, Tensor]]:
    """The discriminator's loss, what it is made of, and the logits of what was shown, detached.

    Args:
        shown: which of ("real", "fake") D judges now.
    """
    recipe, objective = game.recipe, game.objective
    penalties = recipe.penalties if penalise else {}
    images = {"real": part.real, "fake": part.fake}
    for name in penalties:
        if name in REUSES:
            images[REUSES[name]].requires_grad_(True)
    critic = Critic(game, part.labels)
    if recipe.d_batches == "mixed":
        critic.judge_together(part.real, part.fake)
    logits = {name: critic(images[name]) for name in shown}
    if objective.loss is None:
        stats = {"d_loss": objective.d_loss(logits["real"], logits["fake"], **game.arguments)}
    else:
        told = {"real": part.real_verdicts, "fake": part.fake_verdicts}
        whole = 2 if recipe.d_batches == "mixed" else 1  # the mean is over all images of the batch
        stats = {
            f"d_loss_{name}": objective.loss(values, told[name], **game.arguments).mean() / whole
            for name, values in logits.items()
        }
    loss = torch.stack(list(stats.values())).sum()
    for name, weight in penalties.items():
        stats[name] = PENALTIES[name](critic, part.real, part.fake)
        loss = loss + weight * recipe.penalty_every * stats[name]
    return loss, stats, {name: values.detach() for name, values in logits.items()}


def remember(game: Game, real_logit: Tensor, fake_logit: Tensor) -> Stats:
    """Statistics of D's verdicts, and what the objective and ADA keep of them for the next step."""
    recipe, objective, memory = game.recipe, game.objective, game.state.memory
    boundary = objective.boundary
    right = [real_logit > fake_logit] if boundary is None else [real_logit > boundary, fake_logit < boundary]
    stats = {"d_accuracy": torch.stack([x.float().mean() for x in right]).mean()}
    stats |= {"real_logit": real_logit.mean(), "fake_logit": fake_logit.mean()}
    if objective.remember:
        means = game.accelerator.reduce(torch.stack([stats["real_logit"], stats["fake_logit"]]), reduction="mean")
        kept, shown = objective.remember(*means, **game.arguments)
        stats |= {name: value.clone() for name, value in shown.items()}
        for name, value in kept.items():
            memory[name].copy_(value)
    if recipe.augment_target:
        sign = game.accelerator.reduce(torch.sign(real_logit - (boundary or 0.0)).mean(), reduction="mean")
        images = recipe.batch_size * game.accelerator.num_processes
        share = images / (1000 * recipe.augment_adapt_kimg)
        stats |= {"augment_p": memory["augment_p"].clone(), "augment_sign": sign}
        memory["augment_p"].copy_(adapted(memory["augment_p"], sign, recipe.augment_target, share))
    return stats


def g_step(game: Game, real: Tensor, labels: Tensor | None) -> Stats:
    """One generator update through a frozen discriminator; `real` only counts for a relativistic objective."""
    game.state.discriminator.requires_grad_(False)
    z = game.latents(len(real))
    return descend(game, ("g",), (g_loss(game, *part) for part in game.parts(z, real.detach(), labels)))


def g_loss(game: Game, z: Tensor, real: Tensor, labels: Tensor | None) -> tuple[Tensor, Stats]:
    critic = Critic(game, labels)
    with game.accelerator.autocast():
        fake = game.state.generator(z, labels)
    real_logits = critic(real) if game.objective.relativistic else None
    loss = game.objective.g_loss(critic(fake), real_logits, **game.arguments)
    stats = {"g_loss": loss}
    if game.recipe.pull_away:
        stats["pull_away"] = pulling_away(critic.code(fake))
        loss = loss + game.recipe.pull_away * stats["pull_away"]
    return loss, stats


def descend(game: Game, players: tuple[Player, ...], losses: Iterable[tuple[Tensor, Stats]]) -> Stats:
    """One optimiser step of each player on the mean of the losses over all parts and processes; the mean statistics."""
    state = game.state
    for player in players:
        state.optimizers()[f"{player}_optimizer"].zero_grad(set_to_none=True)
    totals: Stats = {}
    for loss, stats in losses:
        game.accelerator.backward(loss / game.recipe.accumulate)
        for name, value in stats.items():
            totals[name] = totals.get(name, 0.0) + value.detach() / game.recipe.accumulate
    for player in players:
        update(game, player)
    return totals


def update(game: Game, player: Player) -> None:
    """The player's optimiser step.

    Gradients are averaged here instead of by DistributedDataParallel, which can't follow two forward passes and a
    double backward through one network.
    """
    recipe, state, accelerator = game.recipe, game.state, game.accelerator
    network = state.networks()["generator" if player == "g" else "discriminator"]
    optimizer = state.optimizers()[f"{player}_optimizer"]
    if accelerator.num_processes > 1:
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        mean = accelerator.reduce(torch.cat([g.flatten() for g in gradients]), reduction="mean")
        for gradient, part in zip(gradients, mean.split([g.numel() for g in gradients])):
            gradient.copy_(part.view_as(gradient))
    clip_gradients(recipe, network)
    set_lr(optimizer, getattr(recipe, f"{player}_lr") * game.rate)
    optimizer.step()
    if player == "d" and recipe.clip_weights:
        clip_weights(network, recipe.clip_weights)

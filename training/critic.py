"""The discriminator as losses and penalties ask it: with labels and view bound, and each image judged once."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from training.steps import Game


@dataclass
class Verdict:
    images: Tensor
    logits: Tensor
    code: Tensor


class Critic:
    """The discriminator with labels and view bound; remembers what it has judged, so a penalty costs no further pass.

    Images at which a penalty wants the gradient are judged in fp32 whatever the run's precision: second derivatives
    need it.
    """

    def __init__(self, game: "Game", labels: Tensor | None):
        self.game, self.labels = game, labels
        self.verdicts: list[Verdict] = []

    def __call__(self, images: Tensor) -> Tensor:
        return self.verdict(images).logits

    def code(self, images: Tensor) -> Tensor:
        """What D's last block makes of them, as vectors (B, F)."""
        return self.verdict(images).code.float().flatten(1)

    def verdict(self, images: Tensor) -> Verdict:
        for verdict in self.verdicts:
            if verdict.images is images:
                return verdict
        logits, code = self._judge(images, self.labels, penalised(images))
        self.verdicts.append(Verdict(images, logits, code))
        return self.verdicts[-1]

    def judge_together(self, real: Tensor, fake: Tensor) -> None:
        """Both in one batch, so that batch norm sees a mixture."""
        labels = None if self.labels is None else torch.cat([self.labels, self.labels])
        logits, code = self._judge(torch.cat([real, fake]), labels, penalised(real) or penalised(fake))
        for images, own_logits, own_code in zip((real, fake), logits.chunk(2), code.chunk(2)):
            self.verdicts.append(Verdict(images, own_logits, own_code))

    def _judge(self, images: Tensor, labels: Tensor | None, exact: bool) -> tuple[Tensor, Tensor]:
        discriminator, accelerator = self.game.state.discriminator, self.game.accelerator
        with torch.autocast(images.device.type, enabled=False) if exact else accelerator.autocast():
            seen = self.game.view(images)
            code = discriminator.hidden(seen, labels)[-1]
            return discriminator.judge(code, seen, labels).float(), code


def penalised(images: Tensor) -> bool:
    """Will a penalty ask for the gradient at these images? (Those that G just made need one too, but are no leaf.)"""
    return images.is_leaf and images.requires_grad

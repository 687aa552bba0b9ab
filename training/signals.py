"""Ctrl-C and SIGTERM end a run after the step that is under way."""

import signal
from types import FrameType
from typing import Self

import torch
from accelerate import Accelerator


class Interrupted(Exception):
    """The run was stopped by a signal, after saving. Its exit status is 128 + signum."""

    def __init__(self, signum: int, kimg: float):
        super().__init__(f"stopped by {signal.Signals(signum).name} at {kimg:.1f} kimg")
        self.signum = signum


class StopSignal:
    """While open, the first SIGINT or SIGTERM is noted; a second one acts as it always does."""

    def __init__(self) -> None:
        self.signum = 0
        self._before: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> Self:
        for signum in (signal.SIGINT, signal.SIGTERM):
            self._before[signum] = signal.signal(signum, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self.signum = signum
        self.__exit__()

    def agreed(self, accelerator: Accelerator) -> int:
        """The signal that any process got, or 0; all processes must call this at the same step."""
        if accelerator.num_processes == 1:
            return self.signum
        signums = torch.tensor([self.signum], device=accelerator.device)
        return int(accelerator.gather(signums).max())

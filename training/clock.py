"""Progress of a run, counted in real images shown to the discriminator."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Clock:
    images: int = 0
    steps: int = 0
    """Iterations; the recipe says how many steps of each player one has."""
    windows: dict[str, int] = field(default_factory=dict)

    @property
    def kimg(self) -> float:
        return self.images / 1000

    def every(self, task: str, kimg: float) -> bool:
        """True the first time this is asked in each window of `kimg` thousand images."""
        window = int(self.images / (kimg * 1000))
        due = window > self.windows.get(task, 0)
        self.windows[task] = window
        return due

    def state_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        vars(self).update(state)

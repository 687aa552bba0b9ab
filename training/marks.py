"""Marks: which samples of a model a person calls broken, or flawed but good enough; `training.screen` says how to write
them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ganhub.errors import UserError, shorten
from ganhub.files import read_object
from ganhub.values import is_int

if TYPE_CHECKING:
    from torch import Tensor

SETTINGS = ("by", "keep", "decorrelate", "depth")  # options of the command that screen.json has beside the marks
RECORDED = (*SETTINGS, "auc", "broken_before", "broken_after")
MOST = 100_000  # marked pictures
FLAWED = 0.25  # where broken is 1


@dataclass(frozen=True)
class Marks:
    """Seeds from `first` on, `count` of them, and those among them whose pictures are broken, or flawed."""

    first: int
    count: int
    broken: tuple[int, ...]
    flawed: tuple[int, ...] = ()

    @classmethod
    def read(cls, file: Path) -> "Marks":
        """Those of a JSON file, which may hold more.

        Raises:
            UserError: it can't be read, or holds something else.
        """
        from ganhub.latents import MAX_SEED

        try:
            found = read_object(file)
        except FileNotFoundError as error:
            raise UserError(f"{file}: no such file; --marks takes a JSON file of seeds") from error
        if unknown := found.keys() - {"first", "count", "broken", "flawed", *RECORDED}:
            raise UserError(f"{file}: has no use for {min(unknown)}; it takes first, count, broken and flawed")
        first, count = found.get("first"), found.get("count")
        if not (is_int(first) and is_int(count) and 0 < count <= MOST and 0 <= first <= MAX_SEED - count):
            raise UserError(
                f"{file}: needs first, a seed from 0 up, and count, from 1 to {MOST:,}; has {first!r}, {count!r}"
            )
        lists = [found.get(name, []) for name in ("broken", "flawed")]
        for seeds in lists:
            if not isinstance(seeds, list):
                raise UserError(f"{file}: broken and flawed are lists of seeds, got {shorten(repr(seeds), 50)}")
            for seed in seeds:
                if not is_int(seed) or not 0 <= seed - first < count:
                    raise UserError(f"{file}: {seed!r} is no seed from {first} to {first + count - 1}")
        broken, flawed = map(set, lists)
        if least := broken & flawed:
            raise UserError(f"{file}: seed {min(least)} is both broken and flawed; it is one of them")
        return cls(first, count, tuple(sorted(broken)), tuple(sorted(flawed)))

    def wrong(self) -> "Tensor":
        """How broken each picture is, (count,) float64 from 0 to 1."""
        import torch

        wrong = torch.zeros(self.count, dtype=torch.float64)
        for seeds, value in ((self.broken, 1.0), (self.flawed, FLAWED)):
            wrong[[seed - self.first for seed in seeds]] = value
        return wrong

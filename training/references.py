"""What generated pictures are compared with: which splits there are, what is held back, and how a report names it."""

import platform
from pathlib import Path

import datasets
import torch

import ganhub
from training.data import ImageData

HELD_BACK = 0.1


def hold_back(data: ImageData, seed: int, share: float = HELD_BACK) -> tuple[ImageData, ImageData]:
    """(the rest, a random share of at least one image)."""
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    count = max(1, round(len(data) * share))
    return data.pick(order[count:].sort().values), data.pick(order[:count].sort().values)


def split_names(data: str) -> list[str]:
    """The splits of a data set that can be read; [] where they can't be listed."""
    folder = Path(data).expanduser()
    try:
        return datasets.get_dataset_split_names(str(folder) if folder.exists() else data)
    except Exception:  # a dozen unrelated types; the split itself was read, so one is known
        return []


def versions() -> dict[str, str]:
    return {"python": platform.python_version(), "torch": torch.__version__, "ganhub": ganhub.__version__}

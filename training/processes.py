"""Several processes of one run: what starts them, which of them speaks, and how long they wait for each other."""

import os
from datetime import timedelta

WAIT = timedelta(hours=6)  # for the one that downloads and decodes the data; with GPUs torch waits for 10 minutes only


def starter(processes: int) -> list[str]:
    """What comes before `-m training` in a command for so many processes."""
    return ["torchrun", "--nproc_per_node", str(processes)] if processes > 1 else ["python"]


def speaks() -> bool:
    """Of several processes one does."""
    return int(os.environ.get("RANK", 0)) == 0

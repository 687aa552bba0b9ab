"""What every command does around its work: errors become one line and an exit code."""

import logging
import os
import sys
from collections.abc import Callable

from ganhub.errors import UserError


def run_command(act: Callable[[], None], stopped: str = "") -> None:
    """Do what a command does; then return, or exit with 1 (a UserError), 130 (Ctrl-C) or 141 (nobody reads on).

    Args:
        act: the work.
        stopped: what Ctrl-C leaves, to be said.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_XET_CLIENT_RETRY_MAX_ATTEMPTS", "2")  # else it retries by itself for minutes
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    try:
        act()
        sys.stdout.flush()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:  # of `| head`, which has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except KeyboardInterrupt:
        if stopped:
            print(stopped, file=sys.stderr)
        sys.exit(130)

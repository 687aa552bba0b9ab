"""How long a failing Hub is borne with: what is worth another try, after which pause, and when it is enough."""

import os
import queue
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from huggingface_hub.utils import httpx

from ganhub.errors import UserError
from ganhub.explain import HUB_ERRORS, GarbledError, innermost, is_passing, limit_of

PATIENCE = 15.0  # seconds that failed attempts, and the pauses between them, may take of one call
ANSWER = 10.0  # seconds that the Hub may be silent in one attempt
BRIEF = 0.08  # seconds that the Hub is waited for when there is a copy in the cache
BRIEF_VARIABLE = "GANHUB_PATIENCE"
PAUSES = (0.5, 1.0, 2.0, 4.0)
STEP = 2**14  # bytes that must come within the silence borne; a trickle is no answer
HOPE = 2**20  # new bytes that arrived since the last failure make up for it

Answer = TypeVar("Answer")


class ShortError(ConnectionError):
    """A download ended early."""


class DamagedError(Exception):
    """What came isn't what the Hub announced."""


ERRORS = (*HUB_ERRORS, DamagedError, GarbledError)  # all that asking and fetching raise


class Patience:
    """A budget of seconds for failures, shared by all requests of one call; what moves forward costs nothing.

    Args:
        seconds: the whole budget.
    """

    def __init__(self, seconds: float = PATIENCE):
        self.seconds = self.left = seconds
        self.failures = self.noted = 0
        self.since, self.silence = time.monotonic(), ANSWER

    def timeout(self) -> float:
        """Seconds of silence to bear in the next attempt, which begins now."""
        self.since, self.noted, self.silence = time.monotonic(), 0, max(0.5, min(ANSWER, self.left))
        return self.silence

    def arrived(self, size: int, new: int) -> None:
        """So many bytes came since the last failure.

        Args:
            size: all of them.
            new: those that had not come before it, which alone are progress.

        Raises:
            ShortError: too few for the time that they took.
        """
        now = time.monotonic()
        if size >= self.noted + STEP:
            self.since, self.noted = now, size
        elif now - self.since > self.silence:
            raise ShortError(f"less than {STEP:,} bytes came in {self.silence:.3g} s")
        if new >= HOPE:
            self.left, self.failures = self.seconds, 0

    def pause(self, error: Exception) -> None:
        """Wait before another attempt, or raise `error` where none is worth it."""
        self.left -= time.monotonic() - self.since
        wait = max(PAUSES[min(self.failures, len(PAUSES) - 1)], limit_of(error))
        if not is_worth_it(error, self.failures) or wait > self.left:
            raise error
        self.left -= wait
        self.failures += 1
        time.sleep(wait)


def is_worth_it(error: Exception, failures: int) -> bool:
    """Another try; nobody at home, or somebody else, gets two more and not all of them."""
    error = innermost(error)  # type: ignore[assignment]
    if isinstance(error, httpx.ConnectError | GarbledError):
        return failures < 2
    return is_passing(error)


def patiently(attempt: Callable[[float], Answer], patience: Patience) -> Answer:
    """Call `attempt(timeout)` until it gives an answer, or the patience is at its end; then its error is raised."""
    while True:
        try:
            return attempt(patience.timeout())
        except Exception as error:
            patience.pause(error)


def brief() -> float:
    """Seconds that the Hub is waited for when a copy is in the cache: GANHUB_PATIENCE, else 0.08.

    Raises:
        UserError: the variable holds no number of seconds.
    """
    text = os.environ.get(BRIEF_VARIABLE, str(BRIEF))
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= threading.TIMEOUT_MAX:
        raise UserError(f"{BRIEF_VARIABLE}={text}: must be a number of seconds such as 0.1")
    return seconds


def ask_briefly(
    question: Callable[[], Answer], seconds: float, late: Callable[[Answer], object]
) -> Answer | Exception | None:
    """The answer to `question`, or what it raised, or None after `seconds`; a later answer goes to `late`."""
    answers: queue.SimpleQueue[Answer | Exception] = queue.SimpleQueue()
    gone = threading.Event()

    def ask() -> None:
        try:
            answer = question()
        except Exception as error:
            answers.put(error)
            return
        answers.put(answer)
        if gone.is_set():
            late(answer)

    threading.Thread(target=ask, name="ganhub-asks", daemon=True).start()
    try:
        return answers.get(timeout=seconds)
    except queue.Empty:
        gone.set()
        return None

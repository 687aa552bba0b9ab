"""What the Hub's client raises as one line: what is wrong, where, what to do; and what is worth another try."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import HfApi, constants, get_session
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.utils import get_token_to_send, hf_raise_for_status, httpx, parse_ratelimit_headers

from ganhub.errors import UserError, first_line

TOKENS = "https://huggingface.co/settings/tokens"
PASSING = (408, 429, 500, 502, 503, 504)
CONNECT = 10.0  # seconds after which nobody is there
XET = re.compile(r"HTTP status (?:client|server) error \((\d{3})")  # all that Xet's uploader says of an answer
FULL = re.compile(r"storage|quota|billing|space limit", re.IGNORECASE)
LOGIN = "set HF_TOKEN or run `hf auth login`"
NO_TOKEN = f"no Hub token: set HF_TOKEN, run `hf auth login`, or give --token (make one at {TOKENS})"
BAD_TOKEN = f"the Hub token has characters that none has; {LOGIN}"
TOKEN = re.compile(r"[!-~]*")
# all that a call of the client raises; RuntimeError: an upload of one file failed, or its connections were closed
HUB_ERRORS = (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, KeyError, RuntimeError)


class GarbledError(Exception):
    """What answered isn't the Hub: a proxy's page, or half an answer."""


def explain(error: BaseException, repo: str, api: HfApi | None = None) -> UserError:
    """The line for an exception of `huggingface_hub`, to be raised `from` it.

    Args:
        error: what a call of the client raised, one of `HUB_ERRORS`.
        repo: whom the call was about.
        api: asked who the token belongs to where that says more; left out, nobody is asked.
    """
    error = innermost(error)
    if isinstance(error, UserError):
        return error
    if isinstance(error, OfflineModeIsEnabled):
        return UserError(f"{repo}: HF_HUB_OFFLINE is set, so the Hub isn't asked; unset it and try again")
    if isinstance(error, UnicodeEncodeError | httpx.LocalProtocolError):  # whose text may hold the token
        return UserError(f"{repo}: {BAD_TOKEN}")
    if isinstance(error, HFValidationError):
        return UserError(f"{repo}: not a Hub id such as user/name ({first_line(error)})")
    if isinstance(error, HfHubHTTPError):
        return UserError(f"{repo}: {_answer(error, repo, api)}")
    if found := XET.search(str(error)):
        if found[1] == "404":
            return UserError(
                f"{repo}: this Hub takes no large files through Xet; set HF_HUB_DISABLE_XET=1 and try again"
            )
        return UserError(f"{repo}: {_plain(int(found[1]), 'while storing a large file', repo, api)}")
    if isinstance(error, httpx.TimeoutException):
        return UserError(f"{repo}: the Hub doesn't answer in time; try again later")
    if isinstance(error, httpx.HTTPError | httpx.InvalidURL | ConnectionError):
        return UserError(f"{repo}: the Hub can't be reached ({first_line(error)}); check the network and try again")
    if isinstance(error, GarbledError | json.JSONDecodeError | KeyError):
        return UserError(f"{repo}: what answered isn't the Hub (a proxy or a login page?); check the network")
    if isinstance(error, OSError):
        return UserError(f"{error.filename or repo}: can't be read ({error.strerror or first_line(error)})")
    return UserError(f"{repo}: the Hub refuses it ({' '.join(str(error).split())})")


def token_to_send(repo: str, token: str | bool | None) -> str | bool:
    """The token that goes with a request, False for none. The client may ask the Hub for another one first.

    Raises:
        UserError: it can't be read or sent.
    """
    try:
        found = get_token_to_send(token) or ""
    except LocalTokenNotFoundError as error:
        raise UserError(f"{repo}: token=True, but there is no Hub token; {LOGIN}") from error
    except Exception as error:  # of a file, of the network, of a CI that gives no token
        raise UserError(f"{repo}: the Hub token can't be had ({first_line(error)}); {LOGIN}") from error
    if not is_token(found):
        raise UserError(f"{repo}: {BAD_TOKEN}")
    return found or False


def is_token(text: str) -> bool:
    """May it be sent as a token? An empty one is none at all."""
    return TOKEN.fullmatch(text) is not None


def innermost(error: BaseException) -> BaseException:
    """The client wraps what befell one file in a RuntimeError."""
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def is_passing(error: BaseException) -> bool:
    """Is it worth asking again: a connection dropped, the server in trouble, a race lost?"""
    error = innermost(error)
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in (*PASSING, 412)
    if found := XET.search(str(error)):
        return int(found[1]) in PASSING
    wrong = (httpx.UnsupportedProtocol, httpx.LocalProtocolError, OfflineModeIsEnabled)
    right = (httpx.TransportError, ConnectionError, json.JSONDecodeError, KeyError, RuntimeError)
    return isinstance(error, right) and not isinstance(error, wrong)


def seconds_to_wait(response: httpx.Response) -> int | None:
    """After which a rate limit ends, where the answer says so."""
    limit = parse_ratelimit_headers(response.headers)
    if limit is not None and limit.remaining == 0:
        return limit.reset_in_seconds
    after = response.headers.get("Retry-After", "")
    return int(after) if after.isdecimal() else None


def limit_of(error: BaseException) -> float:
    """Seconds for which a rate limit asks; 0 without one."""
    response = getattr(innermost(error), "response", None)
    wait = seconds_to_wait(response) if response is not None and response.status_code == 429 else None
    return float(wait or 0)


@contextmanager
def bounded(repo: str, answer: float, limit: float) -> Iterator[None]:
    """Bound what the client waits for; left alone, it is forever for an answer, and hours where a rate limit asks so.

    Args:
        repo: whose rate limit it is.
        answer: seconds for one answer.
        limit: seconds of a rate limit that are still waited for; a longer one raises at once.
    """

    def give_up(response: httpx.Response) -> None:
        if response.status_code == 429 and repo in response.url.path and (seconds_to_wait(response) or 0) > limit:
            response.read()
            hf_raise_for_status(response)

    client = get_session()
    timeout, hooks = client.timeout, client.event_hooks["response"]
    client.timeout = httpx.Timeout(answer, connect=min(answer, CONNECT))
    hooks.append(give_up)
    try:
        yield
    finally:
        hooks.remove(give_up)
        client.timeout = timeout


def _answer(error: HfHubHTTPError, repo: str, api: HfApi | None) -> str:
    if isinstance(error, GatedRepoError):
        return f"is gated; ask for access at {constants.ENDPOINT}/{repo}"
    if isinstance(error, DisabledRepoError):
        return "the Hub has disabled this repo; its page says why"
    if error.response.status_code == 429:
        return f"the Hub's rate limit is reached; come back in {_span(seconds_to_wait(error.response))}"
    if isinstance(error, RepositoryNotFoundError):
        return "no such repo on the Hub, or it is private and this token may not see it"
    return _plain(error.response.status_code, _said(error), repo, api)


def _plain(status: int, said: str, repo: str, api: HfApi | None) -> str:
    if status in (402, 413, 507) or (status == 403 and FULL.search(said)):
        return f"the quota is full ({said}); delete something on the Hub or get more storage, then publish again"
    if status == 403:
        return _forbidden(said, repo, api)
    known = {
        401: f"the Hub doesn't accept this token ({said}); make another at {TOKENS}",
        404: f"not on the Hub ({said})",
        409: f"the name is taken ({said}); choose another",
        412: "somebody else is publishing to it right now; publish again in a moment",
    }
    if status in PASSING:
        return f"the Hub is in trouble (status {status}); try again later"
    return known.get(status, f"the Hub refuses it (status {status}: {said})")


def _said(error: HfHubHTTPError) -> str:
    said = error.server_message or error.response.headers.get("X-Error-Message") or error.response.reason_phrase
    return " ".join(str(said).split())[:300]


def _forbidden(said: str, repo: str, api: HfApi | None) -> str:
    try:
        who = api.whoami() if api else {}
    except HUB_ERRORS:
        who = {}
    role = who.get("auth", {}).get("accessToken", {}).get("role")
    if role == "read":
        return f"this token of {who['name']} may only read; make one that may write at {TOKENS}"
    names = [who.get("name"), *(org.get("name") for org in who.get("orgs", []))]
    if who and repo.partition("/")[0] not in names:
        return f"{who['name']} may not write there; publish as {who['name']}/..., or ask to join"
    return f"this token may not do that ({said})"


def _span(seconds: int | None) -> str:
    if seconds is None:
        return "some minutes"
    return f"{seconds} seconds" if seconds < 120 else f"{-(-seconds // 60)} minutes"

"""Which models there are: those that come with the package, and those that people have published."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from ganhub import __version__
from ganhub.errors import UserError
from ganhub.hub import zoo_names
from ganhub.values import is_int

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo

TAG = "ganhub"  # the Hub's library tag, from the cards' `library_name`
MAX_LIMIT = 1000
EXPAND = ["tags", "downloads", "likes", "lastModified"]  # unasked the Hub tells no dates
PATIENCE = 4.0  # seconds of failures; a list isn't worth more


@dataclass(frozen=True)
class ListedModel:
    """A model that `GANPipeline.from_pretrained(id)` loads."""

    id: str
    where: Literal["zoo", "hub"]
    tags: tuple[str, ...] = ()
    downloads: int = 0
    likes: int = 0
    updated: datetime | None = None


def list_models(
    author: str | None = None, search: str | None = None, limit: int = 100, token: str | bool | None = None
) -> list[ListedModel]:
    """The zoo's models and then the Hub's, most downloaded first.

    Args:
        author: only the Hub's models of this user or organisation.
        search: only those whose name holds this.
        limit: at most so many of the Hub's, 1 to 1000.
        token: of the Hub, for private models; else HF_TOKEN or that of `hf auth login`.

    Raises:
        UserError: the Hub can't be asked, or an argument can't be right.
    """
    return zoo_models(author, search) + hub_models(author, search, limit, token)


def zoo_models(author: str | None = None, search: str | None = None) -> list[ListedModel]:
    """The models that come with the package; nobody is their author."""
    names = [] if author else [name for name in zoo_names() if (search or "").lower() in name.lower()]
    return [ListedModel(name, "zoo") for name in names]


def hub_models(author: str | None, search: str | None, limit: int, token: str | bool | None) -> list[ListedModel]:
    """The Hub's models with the library tag ganhub; `list_models` says what the arguments are."""
    from ganhub.explain import explain
    from ganhub.patience import ERRORS, Patience, patiently

    if not is_int(limit) or not 1 <= limit <= MAX_LIMIT:
        raise UserError(f"limit must be a whole number from 1 to {MAX_LIMIT}, got {limit!r}")
    chosen = {"author": author, "search": search, "limit": limit}
    query = {name: value for name, value in chosen.items() if value is not None}
    try:
        found = patiently(lambda timeout: _page(query, token, timeout), Patience(PATIENCE))
    except ERRORS as error:
        raise explain(error, "the list of models") from error
    return [
        ListedModel(
            model.id, "hub", tuple(model.tags or ()), model.downloads or 0, model.likes or 0, model.last_modified
        )
        for model in found
    ]


def _page(query: dict[str, Any], token: str | bool | None, timeout: float) -> "list[ModelInfo]":
    """One request: the client's own listing asks again for half a minute, and tells the user each time."""
    from huggingface_hub import ModelInfo, constants, get_session
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

    from ganhub.explain import GarbledError

    headers = build_hf_headers(token=token, library_name="ganhub", library_version=__version__)
    params = {"filter": TAG, "sort": "downloads", "expand": EXPAND, **query}
    answer = get_session().get(f"{constants.ENDPOINT}/api/models", params=params, headers=headers, timeout=timeout)
    hf_raise_for_status(answer)
    try:
        return [ModelInfo(**model) for model in answer.json()]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise GarbledError("the list of models") from error


def table(models: list[ListedModel]) -> str:
    """One line a model, in columns."""
    rows = [("MODEL", "WHERE", "UPDATED", "DOWNLOADS", "LIKES")]
    for model in models:
        updated = f"{model.updated:%Y-%m-%d}" if model.updated else "-"
        counts = (str(model.downloads), str(model.likes)) if model.where == "hub" else ("-", "-")
        rows.append((model.id, model.where, updated, *counts))
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)

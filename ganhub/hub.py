"""Names to folders: a zoo name, a local folder or a Hub id becomes a folder that can be loaded."""

import re
from pathlib import Path

from ganhub.errors import UserError, first_line

ZOO = Path(__file__).parent / "zoo"
INDEX_FILE = "model_index.json"
HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)
WEIGHTS = "{}/diffusion_pytorch_model.safetensors"
TEXTS = (INDEX_FILE, "*/config.json", "card.json", "metrics.json", "recipe.json", "README.md", "samples.png")


def zoo_names() -> list[str]:
    """The GANs that come with the package."""
    return sorted(folder.parent.name for folder in ZOO.glob(f"*/{INDEX_FILE}"))


def resolve(name: str | Path, revision: str | None = None, discriminator: bool = False) -> Path:
    """The folder of a model.

    Args:
        name: a zoo name ("digits"), a folder, or a Hub id ("user/repo"), looked up in that order.
        revision: branch, tag or commit of a Hub id.
        discriminator: also download the discriminator's weights.

    Raises:
        UserError: there is no such model, or the Hub can't be reached and the model isn't in the cache.
    """
    text = str(name)
    if text in zoo_names():
        return ZOO / text
    try:
        folder = Path(text).expanduser()
        if folder.is_dir():
            return folder
        if folder.exists():
            raise UserError(f"{text}: is a file; give the model folder that holds {INDEX_FILE}")
    except (OSError, RuntimeError):  # too long for a path, or ~ of nobody
        pass
    if not HUB_ID.fullmatch(text):
        raise UserError(
            f"{text}: no such model; known: {', '.join(zoo_names())}, a folder, or a Hub id such as user/repo"
        )
    return download(text, revision, discriminator)


def download(repo: str, revision: str | None, discriminator: bool) -> Path:
    """Fetch what loading needs of a Hub repo, never code; a cached copy serves when the Hub is away."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    parts = ["generator", "discriminator"] if discriminator else ["generator"]
    patterns = [*TEXTS, *map(WEIGHTS.format, parts)]
    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=patterns))
    except HFValidationError as error:
        raise UserError(f"{repo}: not a Hub id ({first_line(error)})") from error
    except RevisionNotFoundError as error:
        raise UserError(f"{repo}: has no revision {revision!r} on the Hub") from error
    except RepositoryNotFoundError as error:
        raise UserError(f"{repo}: no such model on the Hub, or it is private and no valid token is set") from error
    except LocalEntryNotFoundError as error:
        raise UserError(
            f"{repo}: the Hub can't be reached and the model isn't in the cache; try again online"
        ) from error
    except (HfHubHTTPError, OSError) as error:
        raise UserError(f"{repo}: the download failed ({first_line(error)}); try again") from error

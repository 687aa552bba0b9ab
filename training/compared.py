"""Other models beside a measured one: only what was measured alike may be compared."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ganhub.errors import UserError
from ganhub.files import read_object
from ganhub.layout import METRICS_FILE


def named(folders: Sequence[Path]) -> dict[str, Path]:
    """Model folders by their names; with the folder before it where two share one, as RUN/model does.

    Raises:
        UserError: two still have the same.
    """
    paths = [folder.resolve() for folder in folders]
    names = [path.name for path in paths]
    known = {name if names.count(name) == 1 else f"{path.parent.name}/{name}": path for path, name in zip(paths, names)}
    if len(known) < len(paths):
        asked = " ".join(map(str, folders))
        raise UserError(f"--compare {asked}: two have one name; give each once, or rename one")
    return known


def read_kid(folder: Path, used: dict[str, Any]) -> dict[str, float]:
    """The KID of another model folder.

    Raises:
        UserError: it was not measured, or under another protocol.
    """
    file = folder / METRICS_FILE
    try:
        metrics = read_object(file)
        theirs, ours = comparable(metrics["protocol"], "conditional_accuracy" in metrics), comparable(used)
        if different := [key for key in ours if theirs[key] != ours[key]]:
            raise UserError(
                f"{file}: measured with another {different[0]}; evaluate it like this model to compare them"
            )
        return {"kid": metrics["kid"], "kid_stderr": metrics["kid_stderr"]}
    except (FileNotFoundError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder}: has no KID to compare with; run `python -m training evaluate` on it first"
        ) from error


def comparable(protocol: dict[str, Any], conditional: bool = False) -> dict[str, Any]:
    """What two models must have in common; the exact share of known pictures depends on what each was trained on.

    Args:
        conditional: older measurements don't say their mix of classes; that of conditional models was equal.
    """
    same = {key: protocol[key] for key in ("extractor_sha256", "samples", "truncation")}
    same |= {"screen": protocol.get("screen", True)}
    same |= {"class_mix": protocol.get("class_mix", "equal" if conditional else "as in the reference")}
    return same | {"reference": {key: protocol["reference"][key] for key in ("data", "split", "count", "trained_on")}}

"""What the tests of pushing share: a folder like a model's, and what the Hub's stand-in has of it."""

import hashlib
import json
import random
from pathlib import Path
from typing import Any

CARD = "---\nlicense: mit\n---\n# Model {}\n"


def write_folder(folder: Path, version: int = 1) -> Path:
    """Texts, a picture and two files that the Hub stores as large ones; another version or folder differs in most."""
    files = {
        "README.md": CARD.format(version).encode(),
        "model_index.json": b"{}",
        "metrics.json": b'{"version": %d}' % version,
        "samples.png": random.Random(f"{folder} {version}").randbytes(500),
        "generator/config.json": b"{}",
        "generator/diffusion_pytorch_model.safetensors": random.Random(f"{folder} {version}").randbytes(4000),
        "discriminator/diffusion_pytorch_model.safetensors": random.Random(f"{folder} {version} D").randbytes(3000),
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def shown(hub: Any, repo: str, revision: str = "refs/heads/main") -> dict[str, str] | None:
    """Path -> sha256 of what the Hub shows, or None where it has no such repo."""
    found = hub.repos.get(("model", repo))
    if found is None:
        return None
    tree = found["commits"][found["refs"][revision]]["tree"]
    return {path: entry["sha"] for path, entry in tree.items() if path != ".gitattributes"}


def held(folder: Path) -> dict[str, str]:
    """The same of a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def commits(hub: Any, repo: str) -> int:
    return len(hub.repos["model", repo]["commits"])


def forget_weights(folder: Path) -> None:
    """Leave out which weights were measured, as older folders do, and what else belongs to these alone."""
    file = folder / "metrics.json"
    metrics = json.loads(file.read_text())
    del metrics["generator_sha256"]
    file.write_text(json.dumps(metrics))
    (folder / "directions.safetensors").unlink(missing_ok=True)
